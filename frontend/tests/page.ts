/** A page for tests: a minimal document in the globals, and the config that a server would write. */
import { Window } from "happy-dom";
import type { DashConfig, Message, RenderContext } from "../src/types.ts";

const window = new Window({ url: "http://dash.test/dashboards/folder/nb?a=1" });

Object.assign(globalThis, {
  window,
  document: window.document,
  location: window.location,
  HTMLElement: window.HTMLElement,
  customElements: window.customElements,
  matchMedia: () => ({ matches: false, addEventListener() {} }),
});

export const config: DashConfig = {
  baseUrl: "/",
  kernelsUrl: "/_api/kernels",
  staticUrl: "/static/dashboards/",
  labextensionsUrl: "/_api/labextensions",
  css: { widgets: "widgets.css", math: "math.css" },
  path: "folder/nb.ipynb",
  title: "nb",
  plain: false,
  view: "report",
  codeCells: [0, 2, 5],
  live: true,
  trusted: true,
  onError: "continue",
  errorText: "This part could not be computed.",
  reconnectSeconds: 30,
  subprotocols: ["v1.kernel.websocket.jupyter.org"],
};

export const context = (): RenderContext => ({ config, nonce: "", trusted: true, kernel: null });

/** An iopub message of `type` that answers the request `parent`. */
export function iopub(type: string, content: Record<string, unknown>, parent = "request"): Message {
  return {
    channel: "iopub",
    header: { msg_id: `${type}-${Math.random()}`, msg_type: type, session: "k", username: "", version: "5.3", date: "" },
    parent_header: { msg_id: parent },
    metadata: {},
    content,
    buffers: [],
  };
}

/** Writes the body of the page and returns it. */
export function write(html: string): HTMLElement {
  document.body.innerHTML = html;
  return document.body;
}

/** What the client loads when it is wanted. Loading takes as long as the machine takes; afterwards it is a promise like others. */
const lazy = (): Promise<unknown> =>
  Promise.all([
    import("../src/prompt.ts"),
    import("../src/render/basic.ts"),
    import("../src/render/sanitise.ts"),
    import("../src/render/scripts.ts"),
    import("../src/render/snapshot.ts"),
    import("../src/stream.ts"),
  ]);

/** Resolves when what has been promised so far has happened, and timers of a few milliseconds: however slow the machine is. */
export async function settled(): Promise<void> {
  await lazy();
  await new Promise((resolve) => setTimeout(resolve, 5));
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** Resolves when it is so. What never is fails by the time limit of its test. */
export async function until(so: () => boolean): Promise<void> {
  while (!so()) await new Promise((resolve) => setTimeout(resolve, 5));
}
