/** Terminal text in the page: tracebacks, and text that grows in a <pre>: finished lines stay as they are, only the last one is written anew (progress bars). */
import { PLAIN, type Run, ansiNodes, parseAnsi } from "./ansi.ts";

/** Characters kept: a cell that prints for ever must not end the viewer's browser. */
const MOST_CHARACTERS = 1_000_000;

/** Characters of overwritten text that are remembered for what a shorter redrawing leaves of it. */
const LONGEST_LINE = 20_000;

const width = (runs: Run[]): number => runs.reduce((sum, { text }) => sum + text.length, 0);

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
    const shown = parseAnsi(this.#line, this.#style).runs;
    this.#tail = ansiNodes(shown);
    this.node.append(...this.#tail);
    this.#forgetOverwritten(shown);
    while (this.#kept > MOST_CHARACTERS && this.node.firstChild && this.node.firstChild !== this.node.lastChild) {
      this.#kept -= this.node.firstChild.textContent?.length ?? 0;
      this.node.firstChild.remove();
    }
  }

  /** Drops of the last line what its latest redrawing hides: a bar that is redrawn for hours must not get slower. */
  #forgetOverwritten(shown: Run[]): void {
    // The last character may be the return that begins the next redrawing.
    const start = this.#line.lastIndexOf("\r", this.#line.length - 2);
    if (start < 1) return;
    const redrawn = this.#line.slice(start);
    const style = parseAnsi(this.#line.slice(0, start), this.#style).style;
    if (width(parseAnsi(redrawn, style).runs) < width(shown) && this.#line.length < LONGEST_LINE) return;
    this.#style = style;
    this.#line = redrawn;
  }
}
