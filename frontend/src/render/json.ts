/** JSON as a tree of <details>: folds without any script once it is in the page. */
import type { RenderJob } from "./index.ts";

/** Children are made when a node is first opened: a big document costs what is looked at. */
const OPEN_ENTRIES = 20;

export function render({ mime, data, metadata }: RenderJob): HTMLElement {
  const value = parsed(data[mime]);
  const node = document.createElement("div");
  node.className = "dash-json";
  const hints = metadata[mime] as { expanded?: unknown; root?: unknown } | undefined;
  const name = typeof hints?.root === "string" ? hints.root : mime === "application/geo+json" ? "GeoJSON" : "root";
  node.append(branch(name, value, hints?.expanded === true ? Number.POSITIVE_INFINITY : 1));
  return node;
}

/** Old notebooks store JSON as text. */
function parsed(value: unknown): unknown {
  if (typeof value !== "string") return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}

function branch(name: string, value: unknown, openDepth: number): HTMLElement {
  if (value === null || typeof value !== "object") return leaf(name, value);
  const entries = Object.entries(value);
  const details = document.createElement("details");
  const summary = document.createElement("summary");
  const size = Array.isArray(value) ? `[${entries.length}]` : `{${entries.length}}`;
  summary.append(label(name), span("dash-json-size", size));
  details.append(summary);
  let filled = false;
  const fill = () => {
    if (filled) return;
    filled = true;
    details.append(...entries.map(([key, child]) => branch(key, child, openDepth - 1)));
  };
  details.addEventListener("toggle", fill);
  if (openDepth > 0 && entries.length <= OPEN_ENTRIES) {
    fill();
    details.open = true;
  }
  return details;
}

function leaf(name: string, value: unknown): HTMLElement {
  const line = document.createElement("div");
  line.className = "dash-json-leaf";
  line.append(label(name), span(`dash-json-${value === null ? "null" : typeof value}`, JSON.stringify(value) ?? ""));
  return line;
}

const label = (name: string) => span("dash-json-key", `${name}: `);

function span(className: string, text: string): HTMLElement {
  const node = document.createElement("span");
  node.className = className;
  node.textContent = text;
  return node;
}
