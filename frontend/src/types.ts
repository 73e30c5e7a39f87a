/** The page's configuration, written by the server into `#dash-config`. */
export interface DashConfig {
  baseUrl: string;
  kernelsUrl: string;
  staticUrl: string;
  labextensionsUrl: string;
  css: { widgets: string; math: string };
  path: string;
  title: string;
  plain: boolean;
  view: string;
  /** Positions in `nb.cells` of the cells to execute, in notebook order. */
  codeCells: number[];
  live: boolean;
  /** Whether the operator vouches for the notebook's author. */
  trusted: boolean;
  onError: "continue" | "stop";
  errorText: string;
  reconnectSeconds: number;
  /** What the kernel's websocket speaks; a browser gives up a handshake that answers none of those it offered. */
  subprotocols: string[];
  /** What this page's requests are permitted by where no login cookie is; renewed while the page lives (renewal.ts). */
  pageToken?: string;
  /** POST here answers `{"token": …, "expires_in": seconds}`. */
  pageTokenUrl?: string;
  /** Seconds that the first token is good for. */
  pageTokenSeconds?: number;
  /** The websocket that tells of newer stored results; only where cells can have any. */
  refreshUrl?: string;
  /** GET here answers the stored results. */
  resultsUrl?: string;
  /** When a run made the results that the page came with: all such times have one length; empty if no run did. */
  executedAt?: string;
}

/** Its name is a type, and no constant: scripts that load at different times can't share one without a further request. */
export type PageTokenHeader = Partial<Record<"X-Dashboards-Page-Token", string>>;

export type Channel = "shell" | "iopub" | "stdin" | "control";

export interface Header {
  msg_id: string;
  msg_type: string;
  session: string;
  username: string;
  version: string;
  date: string;
}

/** A Jupyter message as the rest of the client sees it, whatever the frame was. */
export interface Message {
  channel: Channel;
  header: Header;
  parent_header: Partial<Header>;
  metadata: Record<string, unknown>;
  content: Record<string, unknown>;
  buffers: ArrayBuffer[];
}

export type MimeBundle = Record<string, unknown>;

/** What renderers and widgets may ask of the kernel connection. */
export interface Kernel {
  readonly sessionId: string;
  /** Sends one message; returns its msg_id. */
  send(
    channel: Channel,
    msgType: string,
    content: Record<string, unknown>,
    options?: { metadata?: Record<string, unknown>; buffers?: ArrayBuffer[] },
  ): string;
  /** Sends a request and resolves with its reply; rejects when the connection is lost for good. */
  request(msgType: string, content: Record<string, unknown>): Promise<Message>;
  /** Called for every iopub message, strictly in order, each awaited before the next. */
  onIOPub(listener: (message: Message) => void | Promise<void>): () => void;
  /**
   * Called when a broken connection is open again, with what resolves once everything has been handled that the kernel had
   * to say of what it was sent before.
   */
  onReturn(listener: (answered: Promise<void>) => void): () => void;
  /** While set, outputs whose parent is `msgId` go to `hook` and not to the cell (Output widgets). */
  setOutputHook(msgId: string, hook: ((message: Message) => void) | null): void;
}

export interface RenderContext {
  config: DashConfig;
  /** The nonce that lets a script of the author run; empty where none may. */
  nonce: string;
  /** Whether what the author wrote may act on the page. If not, HTML is sanitised and scripts are not run. */
  trusted: boolean;
  kernel: Kernel | null;
  /** Called when content changes its size late (images, plots). */
  resized?: () => void;
}
