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

/** Resolves when what has been promised so far has happened. */
export const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));
