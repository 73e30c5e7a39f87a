/** Comms over the Kernel interface, in the shape that @jupyter-widgets/base expects (IClassicComm). */
import type { IClassicComm, ICallbacks } from "@jupyter-widgets/base";
import type { Kernel, Message } from "../types.ts";

type Handler = (message: unknown) => unknown;
type Buffers = ArrayBuffer[] | ArrayBufferView[];
type Json = Record<string, unknown>;

interface Sent {
  message: [type: string, content: Json, metadata: Json, buffers: ArrayBuffer[]];
  callbacks: ICallbacks | undefined;
  attempt: number;
  /** Whether the kernel has said anything about it: then it has arrived. */
  heard: boolean;
}

const MOST_ATTEMPTS = 6;
const FIRST_DELAY = 200;

/** Routes iopub messages to comms and to the callbacks of what they sent. */
export class CommRouter {
  readonly #comms = new Map<string, Comm>();
  readonly #sent = new Map<string, Sent>();
  readonly #end: () => void;

  constructor(private readonly kernel: Kernel) {
    this.#end = kernel.onReturn((answered) => void this.#returned(answered));
  }

  dispose(): void {
    this.#end();
  }

  get(id: string): Comm | undefined {
    return this.#comms.get(id);
  }

  create(id: string, target: string): Comm {
    const comm = new Comm(id, target, (type, content, callbacks, metadata, buffers) =>
      this.#send({ message: [type, content, metadata, buffers.map(ownBuffer)], callbacks, attempt: 0, heard: false }),
    );
    this.#comms.set(id, comm);
    return comm;
  }

  /** Handles comm_msg, comm_close and the answers to what comms sent; resolves when the model has taken it in. */
  async handle(message: Message): Promise<void> {
    const type = message.header.msg_type;
    const comm = this.#comms.get(String(message.content["comm_id"]));
    if (type === "comm_msg") await comm?.onMessage?.(shaped(message));
    if (type === "comm_close" && comm) {
      this.#comms.delete(comm.comm_id);
      await comm.onClose?.(shaped(message));
    }
    this.#answer(message);
  }

  #send(sent: Sent): string {
    const [type, content, metadata, buffers] = sent.message;
    const id = this.kernel.send("shell", type, content, { metadata, buffers });
    this.#sent.set(id, sent);
    return id;
  }

  #answer(message: Message): void {
    const id = message.parent_header.msg_id ?? "";
    const sent = this.#sent.get(id);
    if (!sent) return;
    const { content } = message;
    const type = message.header.msg_type;
    if (type === "error" && (content["ename"] === "RateLimited" || content["ename"] === "Refused")) {
      this.#sent.delete(id);
      this.#refused(sent, content["ename"] === "RateLimited");
      return;
    }
    sent.heard = true;
    sent.callbacks?.iopub?.[type]?.(shaped(message) as never);
    if (type === "status" && content["execution_state"] === "idle") this.#sent.delete(id);
  }

  /**
   * Of what went into a connection that broke, the message itself may be lost, or only its "idle". A change of state that
   * nothing was heard of goes again: to be told the same twice changes nothing. Anything else, a click, is not done twice.
   */
  async #returned(answered: Promise<void>): Promise<void> {
    const before = [...this.#sent];
    await answered;
    for (const [id, sent] of before) {
      if (!this.#sent.delete(id)) continue;
      const data = sent.message[1]["data"] as Json | undefined;
      if (!sent.heard && data?.["method"] === "update") this.#send(sent);
      else settle(sent);
    }
  }

  /**
   * A model sends no further change until its last one has been answered by "idle", which a refused message never is:
   * one over the rate limit goes again a little later (the slider's last value is the one that counts), any other is
   * answered here.
   */
  #refused(sent: Sent, retry: boolean): void {
    if (retry && sent.attempt < MOST_ATTEMPTS) {
      setTimeout(() => this.#send({ ...sent, attempt: sent.attempt + 1 }), FIRST_DELAY * 2 ** sent.attempt);
      return;
    }
    settle(sent);
  }
}

/** Lets the model of what was sent go on, as the kernel's answer would. */
function settle({ callbacks }: Sent): void {
  callbacks?.iopub?.["status"]?.({ header: { msg_type: "status" }, content: { execution_state: "idle" } } as never);
}

export class Comm implements IClassicComm {
  onMessage: Handler | null = null;
  onClose: Handler | null = null;

  constructor(
    readonly comm_id: string,
    readonly target_name: string,
    private readonly transmit: (
      type: string,
      content: Json,
      callbacks: ICallbacks | undefined,
      metadata: Json,
      buffers: Buffers,
    ) => string,
  ) {}

  open(data: unknown, callbacks?: ICallbacks, metadata: Json = {}, buffers: Buffers = []): string {
    const content = { comm_id: this.comm_id, target_name: this.target_name, data: data ?? {} };
    return this.transmit("comm_open", content, callbacks, metadata, buffers);
  }

  send(data: unknown, callbacks?: ICallbacks, metadata: Json = {}, buffers: Buffers = []): string {
    return this.transmit("comm_msg", { comm_id: this.comm_id, data }, callbacks, metadata, buffers);
  }

  close(data: unknown = {}, callbacks?: ICallbacks, metadata: Json = {}, buffers: Buffers = []): string {
    return this.transmit("comm_close", { comm_id: this.comm_id, data }, callbacks, metadata, buffers);
  }

  on_msg(handler: Handler): void {
    this.onMessage = handler;
  }

  on_close(handler: Handler): void {
    this.onClose = handler;
  }
}

/** Widgets expect DataViews, each over a buffer of its own (FigureWidget reads `.buffer` whole). */
function shaped(message: Message): Omit<Message, "buffers"> & { buffers: DataView[] } {
  return { ...message, buffers: message.buffers.map((buffer) => new DataView(buffer)) };
}

function ownBuffer(buffer: ArrayBuffer | ArrayBufferView): ArrayBuffer {
  if (buffer instanceof ArrayBuffer) return buffer;
  const { byteOffset, byteLength } = buffer;
  return buffer.buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer;
}
