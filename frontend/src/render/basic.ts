/** Text, html and javascript: small, and nearly every notebook has them. */
import { ansiNodes, parseAnsi } from "../ansi.ts";
import type { RenderJob } from "./index.ts";
import { onAttach } from "./attach.ts";
import { giveHandlers, outputScript, takeHandlers } from "./scripts.ts";
import { refusal } from "./untrusted.ts";

/** nbformat keeps long strings as lists of lines; messages have them whole. */
export function textOf(value: unknown): string {
  return Array.isArray(value) ? value.join("") : String(value ?? "");
}

export function render({ mime, data, ctx }: RenderJob): HTMLElement | Promise<HTMLElement> {
  const text = textOf(data[mime]);
  switch (mime) {
    case "text/html":
      return ctx.trusted ? html(text, ctx.nonce) : sanitisedHtml(text);
    case "text/plain":
      return plain(text);
    case "application/vnd.bokehjs_exec.v0+json":
      // Bokeh's marker is empty; what it marks is the bundle's script.
      return ctx.trusted ? javascript(textOf(data["application/javascript"]), ctx.nonce) : refusal();
    default:
      return ctx.trusted ? javascript(text, ctx.nonce) : refusal();
  }
}

function plain(text: string): HTMLElement {
  const pre = document.createElement("pre");
  pre.className = "dash-text";
  pre.append(...ansiNodes(parseAnsi(text).runs));
  return pre;
}

async function sanitisedHtml(source: string): Promise<HTMLElement> {
  const { nothingButScripts, sanitise } = await import("./sanitise.ts");
  const content = sanitise(source);
  if (nothingButScripts(source, content)) return refusal();
  const node = document.createElement("div");
  node.className = "dash-html rendered_html";
  node.append(content);
  return node;
}

/** Its scripts run when it is in the page: the output area calls runScripts. */
function html(source: string, nonce: string): HTMLElement {
  const node = document.createElement("div");
  node.className = "dash-html rendered_html";
  const template = document.createElement("template");
  template.innerHTML = source;
  const handlers = takeHandlers(template.content);
  node.append(template.content);
  if (handlers.length > 0) onAttach(node, () => giveHandlers(handlers, nonce));
  return node;
}

function javascript(code: string, nonce: string): HTMLElement {
  if (!nonce) return plain(code);
  const node = document.createElement("div");
  node.className = "dash-javascript";
  node.append(outputScript(code, nonce));
  return node;
}
