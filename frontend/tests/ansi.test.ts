import "./page.ts";
import assert from "node:assert/strict";
import { test } from "node:test";
import { PLAIN, ansiNodes, parseAnsi } from "../src/ansi.ts";
import { StreamWriter } from "../src/stream.ts";

function html(text: string): string {
  const pre = document.createElement("pre");
  pre.append(...ansiNodes(parseAnsi(text).runs));
  return pre.innerHTML;
}

/** The text of a stream that came in these parts. */
function streamed(...parts: string[]): HTMLElement {
  const pre = document.createElement("pre");
  const writer = new StreamWriter(pre);
  for (const part of parts) writer.write(part);
  return pre;
}

const CASES: [what: string, text: string, expected: string][] = [
  ["plain text is one text node", "a <b>\n", "a &lt;b&gt;\n"],
  ["a colour is a class", "\x1b[31mred\x1b[0m.", '<span class="ansi-red-fg">red</span>.'],
  ["bold makes a colour intense", "\x1b[1;32mok", '<span class="ansi-green-intense-fg ansi-bold">ok</span>'],
  ["the bright codes are intense", "\x1b[94;103mx", '<span class="ansi-blue-intense-fg ansi-yellow-intense-bg">x</span>'],
  ["a background is a class", "\x1b[44mx\x1b[49my", '<span class="ansi-blue-bg">x</span>y'],
  ["256 colours are inline styles", "\x1b[38;5;208mx", '<span style="--ansi-fg: rgb(255, 135, 0);">x</span>'],
  ["a colour on a ground is the author's choice", "\x1b[38;5;208;44mx", '<span class="ansi-blue-bg" style="color: rgb(255, 135, 0);">x</span>'],
  ["greys end the 256", "\x1b[48;5;255mx", '<span style="background-color: rgb(238, 238, 238);">x</span>'],
  ["the first 16 of the 256 have names", "\x1b[38;5;9mx", '<span class="ansi-red-intense-fg">x</span>'],
  ["true colour is an inline style", "\x1b[38;2;1;2;3mx", '<span style="--ansi-fg: rgb(1, 2, 3);">x</span>'],
  ["colons separate too", "\x1b[38:2:1:2:3mx", '<span style="--ansi-fg: rgb(1, 2, 3);">x</span>'],
  ["inverse swaps", "\x1b[31;7mx", '<span class="ansi-default-inverse-fg ansi-red-bg">x</span>'],
  ["inverse of nothing is the page's own", "\x1b[7mx", '<span class="ansi-default-inverse-fg ansi-default-inverse-bg">x</span>'],
  ["underline and italic", "\x1b[4mx\x1b[24;3my", '<span class="ansi-underline">x</span><span class="ansi-italic">y</span>'],
  ["an empty sequence resets", "\x1b[31mx\x1b[my", '<span class="ansi-red-fg">x</span>y'],
  ["links and titles leave only their text", "\x1b]8;;http://x\x07link\x1b]8;;\x07\x1b(B", "link"],
  ["a carriage return starts over", "10%\r20%\r30%", "30%"],
  ["a shorter text leaves the end of the longer", "hello\rJ", "Jello"],
  ["CR LF is a line end", "a\r\nb\r\r\nc", "a\nb\nc"],
  ["a backspace takes the next place", "ab\b\bcd", "cd"],
  ["erase to the end of the line", "hello\r\x1b[Kx", "x"],
  ["erase the line", "hello\x1b[2K\rx", "x"],
  ["colours in an overwritten line", "aaa\r\x1b[31mb\x1b[0m", '<span class="ansi-red-fg">b</span>aa'],
];

for (const [what, text, expected] of CASES) {
  test(what, () => assert.equal(html(text), expected));
}

test("a style goes on in the next text", () => {
  const { style } = parseAnsi("\x1b[31mred", PLAIN);
  assert.deepEqual(parseAnsi("more", style).runs, [{ text: "more", style: { ...PLAIN, fg: 1 } }]);
});

test("a stream is the same however it is cut", () => {
  const text = "a\x1b[31mb\nc\r\x1b[0md\ne\rfg\nlast \x1b[1mline";
  const whole = streamed(text);
  for (let cut = 0; cut <= text.length; cut++) {
    assert.equal(streamed(text.slice(0, cut), text.slice(cut)).textContent, whole.textContent);
  }
  assert.equal(whole.textContent, "ab\nd\nfg\nlast line");
});

test("a progress bar that redraws itself 1000 times is one line", () => {
  const node = streamed(...Array.from({ length: 1000 }, (_, i) => `\r${i} of 1000`), "\ndone\n");
  assert.equal(node.textContent, "999 of 1000\ndone\n");
});

test("a stream without end keeps its end", () => {
  const line = `${"x".repeat(999)}\n`;
  const node = streamed(...Array.from({ length: 1500 }, () => line), "end\n");
  const length = node.textContent?.length ?? 0;
  assert.ok(length <= 1_001_000 && length > 900_000, String(length));
  assert.ok(node.textContent?.endsWith("end\n"));
});
