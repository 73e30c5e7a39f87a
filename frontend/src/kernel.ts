/**
 * One kernel over its websocket. Messages are handled strictly in the order of their arrival, each listener awaited
 * before the next message: widget models load asynchronously, and an update that overtakes its comm_open is lost.
 */
import { channelsUrl, kernelStatus, offeredProtocols, pageToken, randomId } from "./api.ts";
import { decodeFrame, encodeFrame } from "./frames.ts";
import type { Channel, DashConfig, Kernel, Message } from "./types.ts";

export type ConnectionState = "connecting" | "open" | "lost" | "gone";
type Listener = (message: Message) => void | Promise<void>;

interface Pending {
  resolve(reply: Message): void;
  reject(reason: Error): void;
}

interface Execution extends Pending {
  reply: Message | null;
  idle: boolean;
}

/** The request was sent into a connection that broke, and the kernel never saw it. */
export class LostRequest extends Error {}

const OUTPUT_TYPES: ReadonlySet<string> = new Set(["stream", "display_data", "execute_result", "error", "clear_output"]);
/** Milliseconds after which a listener that never settles stops holding up the messages behind it. */
const LISTENER_PATIENCE = 30_000;
/** The server's close code: the caller has logged out, or their link or page has ended. */
const UNAUTHORIZED = 4401;
/** Milliseconds before something that the proxy's rate limit refused is asked for again. */
export const RATE_PAUSE = 1000;
const FIRST_DELAY = 400;
const LONGEST_DELAY = 15_000;

/** Milliseconds to wait before the nth attempt (from 0): doubling, with jitter so that a crowd doesn't come back at once. */
export function backoff(attempt: number, random: () => number = Math.random, longest = LONGEST_DELAY): number {
  return Math.min(longest, FIRST_DELAY * 2 ** attempt) * (0.5 + random() / 2);
}

function patiently(work: void | Promise<void>): Promise<void> {
  if (!(work instanceof Promise)) return Promise.resolve();
  let timer: ReturnType<typeof setTimeout>;
  const limit = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, LISTENER_PATIENCE);
  });
  return Promise.race([work, limit]).finally(() => clearTimeout(timer));
}

export class KernelConnection implements Kernel {
  #socket: WebSocket | null = null;
  #unsent: Message[] = [];
  #requests = new Map<string, Pending>();
  #executions = new Map<string, Execution>();
  #hooks = new Map<string, Listener>();
  #listeners: Listener[] = [];
  readonly #returns = new Set<(answered: Promise<void>) => void>();
  #tail: Promise<void> = Promise.resolve();
  #attempt = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #state: ConnectionState = "connecting";
  /** Whether it is gone because the caller may not use it any more. */
  unauthorized = false;

  constructor(
    readonly config: DashConfig,
    readonly id: string,
    readonly sessionId: string,
    private readonly onState: (state: ConnectionState) => void,
  ) {
    this.#connect();
    window.addEventListener("online", this.#retryNow);
  }

  get state(): ConnectionState {
    return this.#state;
  }

  send(
    channel: Channel,
    msgType: string,
    content: Record<string, unknown>,
    options: { metadata?: Record<string, unknown>; buffers?: ArrayBuffer[]; parent?: Message["parent_header"] } = {},
  ): string {
    const header = {
      msg_id: randomId(),
      msg_type: msgType,
      session: this.sessionId,
      username: "",
      version: "5.3",
      date: new Date().toISOString(),
    };
    const { metadata = {}, buffers = [], parent = {} } = options;
    this.#transmit({ channel, header, parent_header: parent, metadata, content, buffers });
    return header.msg_id;
  }

  request(msgType: string, content: Record<string, unknown>): Promise<Message> {
    return new Promise((resolve, reject) => {
      if (this.#state === "gone") return reject(new Error("The kernel is gone."));
      this.#requests.set(this.send("shell", msgType, content), { resolve, reject });
    });
  }

  /**
   * Runs a cell and resolves with the reply once all its outputs have been handled. `started` gets the msg_id before
   * anything can arrive. Rejects with LostRequest when the kernel never got it.
   */
  execute(code: string, started: (msgId: string) => void): Promise<Message> {
    return this.#requestWhole("execute_request", { code }, started);
  }

  #requestWhole(type: string, content: Record<string, unknown>, started?: (msgId: string) => void): Promise<Message> {
    return new Promise((resolve, reject) => {
      if (this.#state === "gone") return reject(new Error("The kernel is gone."));
      const msgId = this.send("shell", type, content);
      this.#executions.set(msgId, { resolve, reject, reply: null, idle: false });
      started?.(msgId);
    });
  }

  onIOPub(listener: Listener): () => void {
    this.#listeners.push(listener);
    return () => {
      this.#listeners = this.#listeners.filter((other) => other !== listener);
    };
  }

  onReturn(listener: (answered: Promise<void>) => void): () => void {
    this.#returns.add(listener);
    return () => this.#returns.delete(listener);
  }

  setOutputHook(msgId: string, hook: Listener | null): void {
    if (hook) this.#hooks.set(msgId, hook);
    else this.#hooks.delete(msgId);
  }

  /** Ends the connection without a word to `onState`; every waiting request rejects. */
  dispose(): void {
    window.removeEventListener("online", this.#retryNow);
    this.#setState("gone", false);
    this.#socket?.close();
  }

  #setState(state: ConnectionState, tell = true): void {
    if (this.#state === "gone") return;
    this.#state = state;
    if (state === "gone") {
      clearTimeout(this.#timer);
      this.#listeners = [];
      const waiting = [...this.#requests.values(), ...this.#executions.values()];
      this.#requests.clear();
      this.#executions.clear();
      for (const { reject } of waiting) reject(new Error("The kernel is gone."));
    }
    if (tell) this.onState(state);
  }

  #connect(): void {
    // The online event and the timer may both ask.
    if (this.#socket && this.#socket.readyState <= WebSocket.OPEN) return;
    const socket = new WebSocket(channelsUrl(this.config, this.id, this.sessionId), offeredProtocols(this.config));
    let opened = false;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      opened = true;
      const again = this.#state === "lost";
      const sent = [...this.#executions.keys(), ...this.#requests.keys()];
      this.#attempt = 0;
      this.#setState("open");
      for (const message of this.#unsent.splice(0)) this.#transmit(message);
      if (again) this.#returned(sent);
    };
    socket.onmessage = ({ data }) => {
      // Frames that were on their way when the connection was given up belong to nobody.
      if (socket === this.#socket) this.#receive(socket.protocol, data as string | ArrayBuffer);
    };
    socket.onclose = ({ code }) => void this.#closed(opened, code);
    this.#socket = socket;
  }

  async #closed(opened: boolean, code: number): Promise<void> {
    if (this.#state === "gone") return;
    // A browser doesn't tell why a handshake failed: only the API knows whether the kernel still lives.
    const status = opened ? 0 : await kernelStatus(this.config, this.id);
    this.unauthorized = code === UNAUTHORIZED || status === 401;
    if (this.unauthorized || status === 403 || status === 404) return this.#setState("gone");
    this.#setState("lost");
    // Often enough that a kernel is met for which the server waits only so long.
    const longest = Math.min(LONGEST_DELAY, 250 * this.config.reconnectSeconds || LONGEST_DELAY);
    this.#timer = setTimeout(this.#reconnect, backoff(this.#attempt++, Math.random, longest));
  }

  #reconnect = async (): Promise<void> => {
    clearTimeout(this.#timer);
    await pageToken.fresh();
    if (this.#state === "lost") this.#connect();
  };

  #retryNow = (): void => {
    if (this.#state === "lost" && this.#socket?.readyState === WebSocket.CLOSED) void this.#reconnect();
  };

  #returned(sent: string[]): void {
    const answered = this.#answered();
    for (const listener of [...this.#returns]) listener(answered);
    void answered.then(() => this.#findLost(sent));
  }

  /**
   * Resolves when a new request has been answered, and what the kernel has said up to then is handled: its shell and its
   * iopub are each in order. Never, when the connection breaks meanwhile: the next one asks again.
   */
  async #answered(): Promise<void> {
    for (;;) {
      const reply = await this.#requestWhole("kernel_info_request", {}).catch(() => null);
      if (!reply) return new Promise(() => {});
      if (reply.content["ename"] !== "RateLimited") return;
      await new Promise((resolve) => setTimeout(resolve, RATE_PAUSE));
    }
  }

  /** Requests that were sent before, and have no answer by now, never arrived. */
  #findLost(sent: string[]): void {
    if (this.#state !== "open") return;
    for (const msgId of sent) {
      const execution = this.#executions.get(msgId);
      const request = this.#requests.get(msgId);
      this.#requests.delete(msgId);
      request?.reject(new LostRequest());
      if (!execution || execution.reply) continue;
      this.#executions.delete(msgId);
      execution.reject(new LostRequest());
    }
  }

  #transmit(message: Message): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(encodeFrame(this.#socket.protocol, message));
    else if (this.#state !== "gone") this.#unsent.push(message);
  }

  #receive(protocol: string, frame: string | ArrayBuffer): void {
    let message: Message;
    try {
      message = decodeFrame(protocol, frame);
    } catch (error) {
      return console.error("A frame was dropped:", error);
    }
    if (message.channel === "iopub" || message.channel === "stdin") {
      this.#tail = this.#tail.then(() => this.#dispatch(message)).catch((error) => console.error(error));
    } else this.#reply(message);
  }

  /** Replies don't queue: a listener may wait for one while it holds the queue. */
  #reply(message: Message): void {
    const parent = message.parent_header.msg_id ?? "";
    this.#requests.get(parent)?.resolve(message);
    this.#requests.delete(parent);
    const execution = this.#executions.get(parent);
    if (!execution) return;
    execution.reply = message;
    const { status, ename } = message.content;
    // Neither the proxy's refusals nor aborted requests are followed by an idle status.
    if (status === "aborted" || ename === "Refused" || ename === "RateLimited") execution.idle = true;
    this.#settle(parent, execution);
  }

  #settle(msgId: string, execution: Execution): void {
    if (!execution.reply || !execution.idle) return;
    this.#executions.delete(msgId);
    execution.resolve(execution.reply);
  }

  async #dispatch(message: Message): Promise<void> {
    const parent = message.parent_header.msg_id ?? "";
    const type = message.header.msg_type;
    const hook = OUTPUT_TYPES.has(type) ? this.#hooks.get(parent) : undefined;
    // Listeners that are added meanwhile start with the next message.
    for (const listener of hook ? [hook] : [...this.#listeners]) {
      try {
        await patiently(listener(message));
      } catch (error) {
        console.error(error);
      }
    }
    const execution = this.#executions.get(parent);
    if (!execution || type !== "status" || message.content.execution_state !== "idle") return;
    execution.idle = true;
    this.#settle(parent, execution);
  }
}
