/**
 * The outputs of one cell (or of one Output widget), written as the server writes them. What is on the page stays
 * until something new takes its place: the stored outputs until the first new one, cleared ones for a moment.
 */
import { preferredMime, renderMime, runScripts } from "./render/index.ts";
import type { StreamWriter } from "./stream.ts";
import type { Message, MimeBundle, RenderContext } from "./types.ts";

/** An output as nbformat keeps it; text may come in lines. */
export interface NbOutput {
  output_type: string;
  name?: string;
  text?: string | string[];
  data?: MimeBundle;
  metadata?: Record<string, unknown>;
  transient?: { display_id?: string };
  ename?: string;
  evalue?: string;
  traceback?: string[];
  wait?: boolean;
}

/** Milliseconds for which a cleared area keeps its height, for the output that mostly follows at once. */
const HOLD = 250;

/** Where each display_id is shown: an update reaches every place on the page, whichever cell sends it. */
const displays = new Map<string, Set<OutputArea>>();

/** Not every notebook prints: what draws terminal text comes when asked for (session.ts asks while a kernel starts). */
export const terminal = (): Promise<typeof import("./stream.ts")> => import("./stream.ts");

const joined = (text: string | string[] | undefined): string => (Array.isArray(text) ? text.join("") : (text ?? ""));

/** The message's content in nbformat's form. */
const asOutput = (message: Message): NbOutput => ({ ...message.content, output_type: message.header.msg_type });

async function errorNode({ ename, evalue, traceback }: NbOutput): Promise<HTMLElement> {
  const node = document.createElement("div");
  node.className = "dash-output dash-error";
  node.setAttribute("role", "alert");
  if (traceback?.length) {
    const pre = document.createElement("pre");
    pre.className = "dash-traceback";
    pre.tabIndex = 0;
    (await terminal()).writeAnsi(pre, traceback.join("\n"));
    node.append(pre);
  } else node.textContent = ename === "CellError" || !ename ? (evalue ?? "") : `${ename}: ${evalue ?? ""}`;
  return node;
}

/** Applies `update_display_data` wherever its display is shown. */
export async function updateDisplays(message: Message): Promise<void> {
  const output = asOutput(message);
  const areas = displays.get(output.transient?.display_id ?? "") ?? [];
  await Promise.all([...areas].map((area) => area.update(output)));
}

export class OutputArea {
  #work: Promise<void> = Promise.resolve();
  /** The next output replaces everything that is shown. */
  #replaceNext = false;
  #stream: { name: string; writer: StreamWriter } | null = null;
  #shown = new Map<string, Set<HTMLElement>>();
  #release: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly node: HTMLElement,
    readonly ctx: RenderContext,
  ) {}

  /** Takes one iopub message; resolves when it is on the page. Never rejects. */
  handle(message: Message): Promise<void> {
    if (message.header.msg_type === "update_display_data") return updateDisplays(message);
    return this.#queue(() => this.#take(asOutput(message)));
  }

  /** Shows exactly these outputs. */
  replaceAll(outputs: NbOutput[]): Promise<void> {
    return this.#queue(async () => {
      this.#clear(outputs.length > 0);
      for (const output of outputs) await this.#take(output);
    });
  }

  clear(wait: boolean): void {
    void this.#queue(() => this.#clear(wait));
  }

  /** A new run begins: what is shown stays, at its height, until there is something newer. */
  begin(): void {
    void this.#queue(() => {
      this.#replaceNext = true;
      this.#hold();
    });
  }

  /** The run is over; what it didn't replace goes, as the run had no outputs. */
  finish(): Promise<void> {
    return this.#queue(() => {
      if (this.#replaceNext) this.#empty();
      this.#letGo(0);
    });
  }

  /** The run was broken off: what is shown stays. */
  abandon(): void {
    void this.#queue(() => {
      this.#replaceNext = false;
      this.#letGo(0);
    });
  }

  /** Renders a display that this area shows anew. */
  update(output: NbOutput): Promise<void> {
    return this.#queue(async () => {
      const id = output.transient?.display_id ?? "";
      const old = [...(this.#shown.get(id) ?? [])];
      this.#forget(id);
      for (const node of old) {
        if (!this.node.contains(node)) continue;
        const fresh = await this.#rendered(output);
        node.replaceWith(fresh.node);
        this.#remember(id, fresh.node);
        await fresh.inserted();
      }
      this.ctx.resized?.();
    });
  }

  #queue(task: () => void | Promise<void>): Promise<void> {
    this.#work = this.#work.then(task).catch((error) => console.error(error));
    return this.#work;
  }

  async #take(output: NbOutput): Promise<void> {
    if (output.output_type === "clear_output") this.#clear(output.wait === true);
    else if (output.output_type === "stream") await this.#write(output.name ?? "stdout", joined(output.text));
    else if (output.output_type === "error") this.#insert(await errorNode(output));
    else if (output.data) await this.#show(output);
    this.ctx.resized?.();
  }

  async #write(name: string, text: string): Promise<void> {
    if (!text) return;
    const { StreamWriter } = await terminal();
    if (this.#replaceNext || this.#stream?.name !== name) {
      const pre = document.createElement("pre");
      pre.className = "dash-stream";
      pre.dataset.stream = name;
      const node = document.createElement("div");
      node.className = "dash-output";
      node.dataset.mime = "stream";
      node.append(pre);
      this.#insert(node);
      this.#stream = { name, writer: new StreamWriter(pre) };
    }
    this.#stream?.writer.write(text);
  }

  async #show(output: NbOutput): Promise<void> {
    // An empty bundle (IPython's display handles make them) shows nothing but may be updated later.
    const { node, inserted } = await this.#rendered(output);
    this.#insert(node);
    const id = output.transient?.display_id;
    if (id) this.#remember(id, node);
    await inserted();
  }

  async #rendered(output: NbOutput): Promise<{ node: HTMLElement; inserted: () => Promise<void> }> {
    const data = output.data ?? {};
    const mime = preferredMime(data);
    const node = document.createElement("div");
    node.className = "dash-output";
    node.dataset.mime = mime ?? "";
    if (mime !== null) node.append(await renderMime(data, output.metadata ?? {}, this.ctx));
    // Asked first: most outputs have no scripts, and need not fetch the code that runs them.
    const scripted = node.querySelector("script") !== null;
    return { node, inserted: () => (scripted ? runScripts(node, this.ctx.nonce) : Promise.resolve()) };
  }

  /** The one place where something appears: at the end, or instead of all. */
  #insert(node: HTMLElement): void {
    this.#stream = null;
    if (this.#replaceNext) this.#empty();
    this.node.append(node);
  }

  #clear(wait: boolean): void {
    if (wait) {
      this.#replaceNext = true;
      return;
    }
    this.#hold();
    this.#empty();
    this.#letGo(HOLD);
  }

  #empty(): void {
    this.#replaceNext = false;
    this.#stream = null;
    for (const id of [...this.#shown.keys()]) this.#forget(id);
    this.node.replaceChildren();
  }

  #hold(): void {
    clearTimeout(this.#release);
    const height = this.node.offsetHeight;
    if (height) this.node.style.minHeight = `${height}px`;
  }

  #letGo(delay: number): void {
    clearTimeout(this.#release);
    this.#release = setTimeout(() => {
      this.node.style.minHeight = "";
      this.ctx.resized?.();
    }, delay);
  }

  #remember(id: string, node: HTMLElement): void {
    (this.#shown.get(id) ?? this.#shown.set(id, new Set()).get(id))?.add(node);
    (displays.get(id) ?? displays.set(id, new Set()).get(id))?.add(this);
  }

  #forget(id: string): void {
    this.#shown.delete(id);
    const areas = displays.get(id);
    areas?.delete(this);
    if (areas?.size === 0) displays.delete(id);
  }
}
