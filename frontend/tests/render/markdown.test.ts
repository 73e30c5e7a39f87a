import "../page.ts";
import assert from "node:assert/strict";
import { test } from "node:test";
import { renderMime } from "../../src/render/index.ts";
import type { RenderContext } from "../../src/types.ts";

// KaTeX refuses pages in quirks mode, which this document without a doctype claims to be; no sheet is ever loaded here.
Object.defineProperty(document, "compatMode", { value: "CSS1Compat" });
document.head.prepend = (...links) => links.forEach((link) => (link as HTMLLinkElement).onload?.(new Event("load")));

const ctx = { nonce: "", trusted: true, kernel: null, config: { staticUrl: "/s/", css: { math: "math.css" } } } as unknown as RenderContext;
const markdown = (source: string) => renderMime({ "text/markdown": source }, {}, ctx);

test("a task's checkbox is named by its text", async () => {
  const node = await markdown("- [ ] buy *milk*\n- [x] done");
  assert.deepEqual([...node.querySelectorAll("input")].map((box) => box.getAttribute("aria-label")), ["buy milk", "done"]);
});

test("markdown inside of a formula is not markdown", async () => {
  const node = await markdown("so $a_1 * b_2 * c_3$ holds");
  assert.equal(node.querySelector("em"), null);
  assert.equal(node.querySelectorAll(".katex").length, 1);
});

test("a displayed formula over several lines is one formula", async () => {
  const node = await markdown("text\n\n$$\na\n=\nb\n$$\n\nmore");
  assert.equal(node.querySelectorAll(".dash-math-display").length, 1);
  assert.equal(node.querySelector("h1"), null);
});

test("code keeps its dollars", async () => {
  const node = await markdown("`$x$` and\n\n```\n$$y$$\n```");
  assert.equal(node.querySelector(".katex"), null);
});

test("html inside of markdown is kept", async () => {
  assert.equal((await markdown("<b class='x'>raw</b>")).querySelector("b")?.className, "x");
});

test("bare TeX is a formula, prose around one is not", async () => {
  const bare = await renderMime({ "text/latex": "\\frac{1}{2}" }, {}, ctx);
  assert.equal(bare.querySelectorAll(".katex").length, 1);
  const mixed = await renderMime({ "text/latex": "with $x$ in it" }, {}, ctx);
  assert.match(mixed.textContent ?? "", /^with .* in it$/s);
});
