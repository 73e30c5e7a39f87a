/**
 * One viewer's sitting: a kernel, the cells run in it one after another, and what to do when either fails. A run is
 * known by a number; whatever awaits for an earlier run than the present one gives up quietly.
 */
import { asStartError, deleteKernel, randomId, startKernel, takeEarly } from "./api.ts";
import type { Cell } from "./cells.ts";
import { type ConnectionState, KernelConnection, LostRequest, RATE_PAUSE } from "./kernel.ts";
import { terminal, updateDisplays } from "./outputs.ts";
import type { Page } from "./page.ts";
import { preload } from "./render/index.ts";
import type { Message, RenderContext } from "./types.ts";
import type { OutputArea } from "./outputs.ts";
import type { WidgetManager } from "./widgets/manager.ts";

const MOST_ATTEMPTS = 10;

const STORED = "Showing stored results";

export class Session {
  #connection: KernelConnection | null = null;
  #manager: Promise<WidgetManager> | null = null;
  /** The area for the outputs of each request; kept after the reply for what a cell's threads print later. */
  #owners = new Map<string, OutputArea>();
  #run = 0;
  #running = false;
  #status = "";
  /** Requests of the present connection. */
  #asked = 0;

  constructor(
    readonly ctx: RenderContext,
    readonly page: Page,
    readonly cells: Cell[],
  ) {}

  /** Starts a kernel and runs all cells; resolves when they have run or it is clear that they can't. */
  async start(): Promise<void> {
    const run = ++this.#run;
    const early = takeEarly();
    const sessionId = early?.sessionId ?? randomId();
    void terminal();
    preload();
    this.page.dismiss();
    this.page.progress(0);
    this.#say("Starting kernel…");
    let id: string;
    try {
      id = await (early?.kernel ?? startKernel(this.ctx.config, sessionId));
    } catch (error) {
      if (run === this.#run) this.#refused(error);
      return;
    }
    if (run !== this.#run) return void deleteKernel(this.ctx.config, id);
    const connection = new KernelConnection(this.ctx.config, id, sessionId, (state) => this.#connected(connection, state));
    this.#connection = connection;
    this.#asked = 0;
    this.ctx.kernel = connection;
    connection.onIOPub((message) => this.#take(message));
    await this.#runAll(connection);
  }

  /** Runs all cells again: in this kernel if it is free, otherwise in a new one. */
  runAgain(): Promise<void> {
    const connection = this.#connection;
    if (this.#running || connection?.state !== "open") return this.restart();
    this.page.dismiss();
    return this.#runAll(connection);
  }

  /** Ends the kernel and starts another. */
  async restart(): Promise<void> {
    const run = ++this.#run;
    await this.end();
    if (run === this.#run) await this.start();
  }

  /** Ends the kernel. The page stays as it is. */
  async end(): Promise<void> {
    const connection = this.#connection;
    const manager = this.#manager;
    this.#connection = null;
    this.#manager = null;
    this.ctx.kernel = null;
    if (!connection) return;
    connection.dispose();
    // Asked for at once: on a page that is going away nothing after an await would happen.
    const deleted = deleteKernel(this.ctx.config, connection.id);
    (await manager?.catch(() => null))?.dispose();
    // Before the next one starts, so that this viewer's limit has room for it.
    await deleted;
  }

  /** Nothing more is permitted to this page as it is: the login, the link or the page's token has ended. */
  expire(): void {
    this.#stop();
    this.page.offerRun(false);
    const [text, label] = this.ctx.config.pageToken
      ? ["This page has expired.", "Load again"]
      : ["You are not logged in any more.", "Log in"];
    // The server leads whoever isn't logged in to the form.
    this.page.alert(text, [{ label, run: () => location.reload() }]);
  }

  #say(status: string): void {
    this.#status = status;
    this.page.status(status);
  }

  async #runAll(connection: KernelConnection): Promise<void> {
    const run = ++this.#run;
    const total = this.cells.length;
    this.#running = true;
    this.#owners.clear();
    this.page.offerRun(true);
    let stopped = false;
    let ahead: Promise<Message | null> | null = null;
    for (const [done, cell] of this.cells.entries()) {
      this.page.progress(done, total);
      this.#say(`Running cell ${done + 1} of ${total}`);
      if (cell.section) cell.section.dataset.state = "running";
      const answer: Promise<Message | null> = ahead ?? this.#runCell(connection, cell).catch(() => null);
      const next = this.cells[done + 1];
      ahead = next && this.#mayAskAhead() ? this.#runCell(connection, next).catch(() => null) : null;
      const reply = await answer;
      if (cell.section) delete cell.section.dataset.state;
      if (run !== this.#run) return;
      if (!reply) return this.#broken();
      stopped = reply.content.status === "error" && this.ctx.config.onError === "stop";
      if (stopped) break;
    }
    this.#running = false;
    this.page.progress(null);
    this.page.fresh();
    this.page.live(true);
    this.#say("Live");
    if (stopped) {
      this.page.alert("A cell failed. The cells after it show stored results.", [this.#again("Run again")]);
    }
  }

  /**
   * Whether the next cell may wait at the kernel while this one is drawn, so that the kernel never waits for the page.
   * Not where a failure must keep it from running; and only as far as the proxy lets a whole run through at once,
   * since a cell that was refused would come after the one that follows it.
   */
  #mayAskAhead(): boolean {
    return this.ctx.config.onError === "continue" && this.#asked < this.cells.length;
  }

  /** Resolves with the reply; rejects when the kernel is gone. */
  async #runCell(connection: KernelConnection, { index, area }: Cell): Promise<Message> {
    area.begin();
    try {
      for (let attempt = 1; ; attempt++) {
        const reply = await this.#ask(connection, index, area);
        const refused = reply?.content.ename;
        if (reply && refused !== "RateLimited") {
          if (refused === "Refused" || reply.content.status === "aborted") area.abandon();
          else await area.finish();
          return reply;
        }
        if (attempt === MOST_ATTEMPTS) throw new Error("The kernel doesn't answer.");
        if (reply) await new Promise((resolve) => setTimeout(resolve, RATE_PAUSE));
      }
    } catch (error) {
      area.abandon();
      throw error;
    } finally {
      // A question that nobody answered has nobody left to hear the answer.
      area.node.parentElement?.querySelector(":scope > .dash-prompt")?.remove();
    }
  }

  /** Asks once; null when the request got lost with its connection. */
  async #ask(connection: KernelConnection, index: number, area: OutputArea): Promise<Message | null> {
    this.#asked++;
    try {
      return await connection.execute(String(index), (msgId) => this.#owners.set(msgId, area));
    } catch (error) {
      if (error instanceof LostRequest) return null;
      throw error;
    }
  }

  async #take(message: Message): Promise<void> {
    const { msg_type: type } = message.header;
    if (type === "status") this.#kernelState(message.content.execution_state);
    else if (type === "update_display_data") await updateDisplays(message);
    else if (type === "comm_open") await this.#openComm(message);
    else if (type === "input_request") void this.#prompt(message);
    else if (type !== "comm_msg" && type !== "comm_close") {
      await this.#owners.get(message.parent_header.msg_id ?? "")?.handle(message);
    }
  }

  /** Not awaited: while the viewer thinks, messages go on. */
  async #prompt(request: Message): Promise<void> {
    const area = this.#owners.get(request.parent_header.msg_id ?? "");
    const connection = this.#connection;
    if (!area || !connection) return;
    (await import("./prompt.ts")).ask(area.node, request, connection);
  }

  /** The first comm brings the widgets' code; from then on their manager listens for itself. */
  async #openComm(message: Message): Promise<void> {
    const { ctx } = this;
    if (this.#manager || !ctx.kernel) return;
    const kernel = ctx.kernel;
    this.#manager = import("./widgets/manager.ts").then(({ widgetManagerFor }) => widgetManagerFor(kernel, ctx));
    await (await this.#manager).handle(message);
  }

  #kernelState(state: unknown): void {
    if (state === "busy" || state === "idle") this.page.kernelBusy(state === "busy");
    else if (state === "restarting" || state === "dead") this.#broken("The kernel died. What is shown may be incomplete.");
  }

  #connected(connection: KernelConnection, state: ConnectionState): void {
    if (connection !== this.#connection) return;
    if (state === "lost") this.page.status("Connection lost. Reconnecting…");
    else if (state === "open") this.page.status(this.#status);
    else if (connection.unauthorized) this.expire();
    else if (state === "gone") this.#broken("The kernel is gone.");
  }

  #again(label: string): { label: string; run: () => void } {
    return { label, run: () => void this.restart() };
  }

  /** Nothing more will come from this kernel. */
  #broken(why = "The kernel doesn't answer."): void {
    this.#stop();
    this.page.alert(why, [this.#again("Restart")]);
  }

  #stop(): void {
    this.#run++;
    this.#idle();
    // Whoever waits for it hears so. What widgets send from now on goes nowhere.
    this.#connection?.dispose();
  }

  #idle(): void {
    this.#running = false;
    this.page.progress(null);
    this.page.kernelBusy(false);
    this.page.live(false);
    this.#say("Not live");
  }

  #refused(error: unknown): void {
    const { status, message, retryAfter } = asStartError(error);
    if (status === 401) return this.expire();
    this.#idle();
    this.#say(STORED);
    const again = { label: "Try now", run: () => void this.start() };
    if (retryAfter === null) return this.page.alert(`${message} ${STORED}.`, [{ ...again, label: "Try again" }]);
    const text = status === 503 ? "All kernels are in use; showing stored results." : `${message} ${STORED}.`;
    // A crowd that was turned away together must not come back together.
    this.page.alertWithCountdown(text, Math.ceil(retryAfter * (1 + Math.random() / 4)), again);
  }
}
