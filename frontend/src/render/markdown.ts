/** text/markdown (marked + KaTeX) and text/latex. */
import { Marked, type TokenizerAndRendererExtension, type Tokens } from "marked";
import { textOf } from "./basic.ts";
import { MAYBE_MATH, mathAt, splitMath } from "./delimiters.ts";
import type { RenderJob } from "./index.ts";

export async function render({ mime, data, ctx }: RenderJob): Promise<HTMLElement> {
  const source = textOf(data[mime]);
  // KaTeX is by far the bigger half: prose without a formula does without.
  const math = mime === "text/latex" || MAYBE_MATH.test(source) ? await import("./math.ts") : null;
  const node = document.createElement("div");
  node.className = mime === "text/latex" ? "dash-latex" : "dash-markdown";
  if (mime === "text/latex") {
    const parts = splitMath(source);
    const bare = parts.length === 1 && parts[0]?.kind === "text" && /[\\^_{]/.test(source);
    // Bare TeX, as sympy's older printers gave it, is a formula too.
    const shown = bare ? [{ kind: "math" as const, tex: source, display: true, source }] : parts;
    node.append(...shown.map((part) => (part.kind === "text" ? part.text : (math?.typesetFormula(part) ?? part.source))));
  } else {
    const html = await parser.parse(source);
    if (ctx.trusted) node.innerHTML = html;
    else node.append((await import("./sanitise.ts")).sanitise(html));
    labelTasks(node);
    for (const slot of node.querySelectorAll<HTMLElement>("[data-dash-tex]")) {
      const part = mathAt(slot.textContent ?? "", 0);
      if (part && math) slot.replaceWith(math.typesetFormula(part));
    }
  }
  await math?.mathStyles(ctx);
  return node;
}

const escape = (text: string) => text.replace(/[&<>]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[c] ?? c);

/** Takes formulas out before markdown sees their underscores, asterisks and backslashes. */
const formulas: TokenizerAndRendererExtension = {
  name: "dashMath",
  level: "inline",
  start: (text) => {
    const at = text.search(/\$|\\{1,2}[([]|\\begin\{/);
    return at < 0 ? undefined : at;
  },
  tokenizer: (text) => {
    const part = mathAt(text, 0);
    return part ? { type: "dashMath", raw: part.source, text: part.source } : undefined;
  },
  renderer: (token) => `<span data-dash-tex>${escape(String((token as Tokens.Generic)["text"]))}</span>`,
};

/** Displayed formulas may hold blank-looking lines and `=`/`-` underlines that would be headings: whole blocks first. */
const formulaBlocks: TokenizerAndRendererExtension = {
  ...formulas,
  name: "dashMathBlock",
  level: "block",
  start: (text) => {
    const at = text.search(/(?:^|\n) {0,3}(?:\$\$|\\{1,2}\[|\\begin\{)/);
    return at < 0 ? undefined : at;
  },
  tokenizer: (text) => {
    const indent = /^ {0,3}/.exec(text)?.[0].length ?? 0;
    const part = mathAt(text, indent);
    if (!part?.display) return undefined;
    const raw = text.slice(0, indent + part.source.length);
    // Only when it ends its line; else it is part of a paragraph.
    const rest = /^[ \t]*(?:\n+|$)/.exec(text.slice(raw.length));
    return rest ? { type: "dashMathBlock", raw: raw + rest[0], text: part.source } : undefined;
  },
  renderer: (token) => `<p><span data-dash-tex>${escape(String((token as Tokens.Generic)["text"]))}</span></p>\n`,
};

const parser = new Marked({ gfm: true, extensions: [formulaBlocks, formulas] });

/** A checkbox without a name says nothing to a screen reader: it takes its item's text. */
function labelTasks(node: HTMLElement): void {
  for (const box of node.querySelectorAll<HTMLInputElement>('li > input[type="checkbox"], li > p > input[type="checkbox"]')) {
    box.setAttribute("aria-label", box.closest("li")?.textContent?.trim().split("\n")[0] || "Task");
  }
}
