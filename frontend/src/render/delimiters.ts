/** Finds TeX in text, by the rules that Jupyter's MathJax set-up has taught people. */
export interface TextPart {
  kind: "text";
  text: string;
}
export interface MathPart {
  kind: "math";
  /** What TeX gets: without the delimiters, but with \begin{…}…\end{…}. */
  tex: string;
  display: boolean;
  /** As written, for the day when it cannot be typeset. */
  source: string;
}
export type Part = TextPart | MathPart;

/** Whether a text is worth loading KaTeX for; may be wrong with a "yes", never with a "no". */
export const MAYBE_MATH = /\$[^$]|\\\(|\\\[|\\begin\{/;

const ENVIRONMENT = /\\begin\{([A-Za-z]+\*?)\}/y;

/**
 * Splits `text` into prose and maths: $$…$$, \[…\] and \begin{env}…\end{env} are displayed, $…$ and \(…\) are inline.
 * As in pandoc an inline $ opens before a non-space, closes after a non-space and not before a digit, so that
 * "$5 and $6" stays prose; \$ is a dollar. Braces inside maths are respected: $\text{a $b$}$ is one formula.
 */
export function splitMath(text: string): Part[] {
  const parts: Part[] = [];
  let prose = "";
  let at = 0;
  while (at < text.length) {
    const found = mathAt(text, at);
    if (found) {
      if (prose) parts.push({ kind: "text", text: prose });
      prose = "";
      parts.push(found);
      at += found.source.length;
    } else if (text[at] === "\\" && at + 1 < text.length) {
      prose += text[at + 1] === "$" ? "$" : text.slice(at, at + 2);
      at += 2;
    } else {
      prose += text[at];
      at += 1;
    }
  }
  if (prose) parts.push({ kind: "text", text: prose });
  return parts;
}

/** The formula that begins exactly at `at`, if any. */
export function mathAt(text: string, at: number): MathPart | null {
  if (text.startsWith("$$", at)) return between(text, at, "$$", "$$", true);
  // In markdown the backslash itself is often escaped, as MathJax users have learnt to.
  if (text.startsWith("\\\\[", at)) return between(text, at, "\\\\[", "\\\\]", true);
  if (text.startsWith("\\\\(", at)) return between(text, at, "\\\\(", "\\\\)", false);
  if (text.startsWith("\\[", at)) return between(text, at, "\\[", "\\]", true);
  if (text.startsWith("\\(", at)) return between(text, at, "\\(", "\\)", false);
  if (text[at] === "$") return inlineDollar(text, at);
  ENVIRONMENT.lastIndex = at;
  const begin = ENVIRONMENT.exec(text);
  if (!begin) return null;
  const end = `\\end{${begin[1]}}`;
  const close = text.indexOf(end, at);
  if (close < 0) return null;
  const source = text.slice(at, close + end.length);
  return { kind: "math", tex: source, display: true, source };
}

function between(text: string, at: number, open: string, close: string, display: boolean): MathPart | null {
  const start = at + open.length;
  const end = closing(text, start, close);
  const tex = text.slice(start, Math.max(end, start));
  if (end < 0 || tex.trim() === "") return null;
  return { kind: "math", tex, display, source: text.slice(at, end + close.length) };
}

function inlineDollar(text: string, at: number): MathPart | null {
  if (/[\s$]|^$/.test(text[at + 1] ?? "")) return null;
  const end = closing(text, at + 1, "$");
  if (end < 0) return null;
  const tex = text.slice(at + 1, end);
  // A blank line ends a paragraph and any inline formula with it.
  if (/\n\s*\n/.test(tex) || /\s$/.test(tex) || /\d/.test(text[end + 1] ?? "")) return null;
  return { kind: "math", tex, display: false, source: text.slice(at, end + 1) };
}

/** Where `close` stands outside of braces and not escaped, or -1. */
function closing(text: string, from: number, close: string): number {
  let depth = 0;
  for (let at = from; at < text.length; at += 1) {
    if (depth <= 0 && text.startsWith(close, at)) return at;
    if (text[at] === "\\") at += 1;
    else if (text[at] === "{") depth += 1;
    else if (text[at] === "}") depth -= 1;
  }
  return -1;
}
