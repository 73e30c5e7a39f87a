/** Typesetting by KaTeX: of one formula, and of all text below a node. */
import katex from "katex";
import type { RenderContext } from "../types.ts";
import { MAYBE_MATH, type MathPart, splitMath } from "./delimiters.ts";
import { loadStylesheet } from "./stylesheet.ts";

/** Elements whose text is not prose. */
const OPAQUE = "script, style, pre, code, textarea, svg, math, .katex, .dash-output [contenteditable]";

/** Loads what formulas look like; text is shown untypeset meanwhile. */
export function mathStyles(ctx: RenderContext): Promise<void> {
  return loadStylesheet(ctx.config, ctx.config.css.math);
}

/** A formula as an element; TeX errors show the source in the page's error colour, as MathJax users know it. */
export function typesetFormula(part: MathPart): HTMLElement {
  const node = document.createElement("span");
  node.className = part.display ? "dash-math dash-math-display" : "dash-math";
  katex.render(part.tex, node, {
    displayMode: part.display,
    throwOnError: false,
    errorColor: "currentColor",
    strict: "ignore",
    // Links and pictures from TeX would be a way round the html rules.
    trust: false,
    // \def in one formula of a notebook is expected to hold in the next.
    macros: sharedMacros,
    globalGroup: true,
  });
  return node;
}

const sharedMacros: Record<string, string> = {};

/** Typesets the maths in all text below `root`. Formulas that inline markup cuts in two stay as they are. */
export function typeset(root: HTMLElement): void {
  // The server's markdown splits a displayed formula at single line breaks only as text, never as elements.
  root.normalize();
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT, (text) =>
    MAYBE_MATH.test(text.nodeValue ?? "") && !text.parentElement?.closest(OPAQUE)
      ? NodeFilter.FILTER_ACCEPT
      : NodeFilter.FILTER_SKIP,
  );
  const texts: Text[] = [];
  while (walker.nextNode()) texts.push(walker.currentNode as Text);
  for (const text of texts) {
    const parts = splitMath(text.data);
    if (!parts.some((part) => part.kind === "math")) continue;
    text.replaceWith(...parts.map((part) => (part.kind === "text" ? part.text : typesetFormula(part))));
  }
}
