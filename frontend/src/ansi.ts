/**
 * Terminal text as styled elements. Class names are those of nbconvert's ansi2html, which writes the stored page:
 * ansi-red-fg, ansi-red-intense-fg, ansi-bold, ansi-underline; colours beyond the 16 are inline styles, those of text on the page's own
 * ground as --ansi-fg, which the style sheet keeps readable in both themes.
 */

/** A colour: one of the 16 by number, or a CSS colour. */
type Colour = number | string | null;

export interface AnsiStyle {
  fg: Colour;
  bg: Colour;
  bold: boolean;
  dim: boolean;
  italic: boolean;
  underline: boolean;
  strike: boolean;
  inverse: boolean;
}

export interface Run {
  text: string;
  style: AnsiStyle;
}

const NAMES = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];
export const PLAIN: Readonly<AnsiStyle> = {
  fg: null, bg: null, bold: false, dim: false, italic: false, underline: false, strike: false, inverse: false,
};

/** SGR numbers that switch one attribute. */
const SWITCHES: Record<number, Partial<AnsiStyle>> = {
  1: { bold: true }, 2: { dim: true }, 3: { italic: true }, 4: { underline: true }, 7: { inverse: true }, 9: { strike: true },
  21: { bold: false }, 22: { bold: false, dim: false }, 23: { italic: false }, 24: { underline: false },
  27: { inverse: false }, 29: { strike: false }, 39: { fg: null }, 49: { bg: null },
};

/** Control sequences: CSI with its final letter (group 2), OSC (links, titles), other two-byte escapes. */
const SEQUENCE = /\x1b(?:\[([0-9;:?]*)([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][A-Z0-9]|[=>78A-Z])/;
const EVERY_SEQUENCE = new RegExp(SEQUENCE, "g");

/** The 256-colour palette: 16 named, a 6×6×6 cube, 24 greys. */
function palette(n: number): Colour {
  if (n < 16) return n;
  if (n > 255) return null;
  if (n > 231) {
    const grey = 8 + (n - 232) * 10;
    return `rgb(${grey}, ${grey}, ${grey})`;
  }
  const level = (value: number): number => (value ? 55 + value * 40 : 0);
  const cube = n - 16;
  return `rgb(${level(Math.floor(cube / 36))}, ${level(Math.floor(cube / 6) % 6)}, ${level(cube % 6)})`;
}

/** Reads the colour behind 38 or 48 and drops its numbers from `codes`. */
function extended(codes: number[]): Colour {
  const kind = codes.shift();
  if (kind === 5) return palette(codes.shift() ?? 256);
  if (kind !== 2) return null;
  const [r = 0, g = 0, b = 0] = codes.splice(0, 3).map((part) => Math.min(255, part));
  return `rgb(${r}, ${g}, ${b})`;
}

/** The style after a "select graphic rendition" sequence with these parameters. */
export function restyle(style: AnsiStyle, parameters: string): AnsiStyle {
  const codes = parameters.split(/[;:]/).map(Number);
  let next = { ...style };
  while (codes.length) {
    const code = codes.shift() ?? 0;
    if (code === 0) next = { ...PLAIN };
    else if (code in SWITCHES) Object.assign(next, SWITCHES[code]);
    else if (code >= 30 && code <= 37) next.fg = code - 30;
    else if (code >= 40 && code <= 47) next.bg = code - 40;
    else if (code >= 90 && code <= 97) next.fg = code - 82;
    else if (code >= 100 && code <= 107) next.bg = code - 92;
    else if (code === 38) next.fg = extended(codes);
    else if (code === 48) next.bg = extended(codes);
  }
  return next;
}

/** Text and control sequences in turn: even entries are text. */
function* tokens(text: string): Generator<{ text: string; parameters: string; final: string }> {
  let from = 0;
  for (const match of text.matchAll(EVERY_SEQUENCE)) {
    yield { text: text.slice(from, match.index), parameters: match[1] ?? "", final: match[2] ?? "" };
    from = match.index + match[0].length;
  }
  yield { text: text.slice(from), parameters: "", final: "" };
}

/** A line in which the cursor moves (progress bars): later characters take the places of earlier ones. */
function overwritten(line: string, start: AnsiStyle): { runs: Run[]; style: AnsiStyle } {
  const cells: Run[] = [];
  let style = start;
  let column = 0;
  for (const { text, parameters, final } of tokens(line)) {
    for (const character of text) {
      if (character === "\r") column = 0;
      else if (character === "\b") column = Math.max(0, column - 1);
      else {
        while (cells.length < column) cells.push({ text: " ", style: PLAIN });
        cells[column++] = { text: character, style };
      }
    }
    if (final === "m") style = restyle(style, parameters);
    else if (final === "K") {
      if (parameters === "2") cells.length = 0;
      else if (parameters === "1") cells.fill({ text: " ", style: PLAIN }, 0, Math.min(column, cells.length));
      else cells.length = Math.min(cells.length, column);
    } else if (final === "G") column = Math.min(1000, Math.max(0, Number(parameters || 1) - 1));
  }
  const runs: Run[] = [];
  for (const cell of cells) {
    const last = runs.at(-1);
    if (last?.style === cell.style) last.text += cell.text;
    else runs.push({ ...cell });
  }
  return { runs, style };
}

/** Runs of equal style of one or more lines, and the style that goes on behind them. */
export function parseAnsi(text: string, start: AnsiStyle = PLAIN): { runs: Run[]; style: AnsiStyle } {
  const runs: Run[] = [];
  let style = start;
  const lines = text.replace(/\r+\n/g, "\n").split("\n");
  lines.forEach((line, i) => {
    const end = i < lines.length - 1 ? "\n" : "";
    if (/[\r\b]|\x1b\[\d*[KG]/.test(line)) {
      const folded = overwritten(line, style);
      style = folded.style;
      runs.push(...folded.runs, { text: end, style });
      return;
    }
    for (const { text: part, parameters, final } of tokens(line + end)) {
      if (part) runs.push({ text: part, style });
      if (final === "m") style = restyle(style, parameters);
    }
  });
  return { runs: runs.filter((run) => run.text), style };
}

/** Classes and inline style of a run, null where it needs no element. */
function look({ fg, bg, bold, dim, italic, underline, strike, inverse }: AnsiStyle): { classes: string[]; css: string } {
  const classes: string[] = [];
  let css = "";
  const [front, back] = inverse ? [bg, fg] : [fg, bg];
  const paint = (colour: Colour, side: "fg" | "bg"): void => {
    const property = side === "bg" ? "background-color" : back === null && !inverse ? "--ansi-fg" : "color";
    if (typeof colour === "string") css += `${property}: ${colour};`;
    else if (colour === null) {
      if (inverse) classes.push(`ansi-default-inverse-${side}`);
    } else {
      const intense = colour > 7 || (bold && side === "fg");
      classes.push(`ansi-${NAMES[colour % 8]}-${intense ? "intense-" : ""}${side}`);
    }
  };
  paint(front, "fg");
  paint(back, "bg");
  const flags = { bold, dim, italic, underline, strike };
  for (const [name, on] of Object.entries(flags)) if (on) classes.push(`ansi-${name}`);
  return { classes, css };
}

/** The runs as text nodes and spans. */
export function ansiNodes(runs: Run[]): Node[] {
  return runs.map(({ text, style }) => {
    const { classes, css } = look(style);
    if (!classes.length && !css) return document.createTextNode(text);
    const span = document.createElement("span");
    if (classes.length) span.className = classes.join(" ");
    if (css) span.style.cssText = css;
    span.textContent = text;
    return span;
  });
}
