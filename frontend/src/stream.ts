/** Terminal text in the page: tracebacks, and text that grows in a <pre>: finished lines stay as they are, only the last one is written anew (progress bars). */
import { PLAIN, ansiNodes, parseAnsi } from "./ansi.ts";

/** Characters kept: a cell that prints for ever must not end the viewer's browser. */
const MOST_CHARACTERS = 1_000_000;

/** Shows a whole text at once. */
export function writeAnsi(node: HTMLElement, text: string): void {
  node.append(...ansiNodes(parseAnsi(text).runs));
}

export class StreamWriter {
  #style = PLAIN;
  /** Raw text of the unfinished last line, and its nodes. */
  #line = "";
  #tail: Node[] = [];
  #kept = 0;

  constructor(readonly node: HTMLElement) {}

  write(text: string): void {
    const all = this.#line + text;
    const end = all.lastIndexOf("\n") + 1;
    for (const node of this.#tail) node.parentNode?.removeChild(node);
    if (end) {
      const done = parseAnsi(all.slice(0, end), this.#style);
      this.#style = done.style;
      this.node.append(...ansiNodes(done.runs));
      this.#kept += end;
    }
    this.#line = all.slice(end);
    this.#tail = ansiNodes(parseAnsi(this.#line, this.#style).runs);
    this.node.append(...this.#tail);
    while (this.#kept > MOST_CHARACTERS && this.node.firstChild && this.node.firstChild !== this.node.lastChild) {
      this.#kept -= this.node.firstChild.textContent?.length ?? 0;
      this.node.firstChild.remove();
    }
  }
}
