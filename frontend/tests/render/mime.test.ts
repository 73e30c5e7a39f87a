import "../page.ts";
import assert from "node:assert/strict";
import { test } from "node:test";
import { candidates, preferredMime, renderMime } from "../../src/render/index.ts";
import type { RenderContext } from "../../src/types.ts";

const PLOTLY = "application/vnd.plotly.v1+json";
const WIDGET = "application/vnd.jupyter.widget-view+json";
const ctx = { nonce: "", trusted: true, kernel: null } as unknown as RenderContext;

const CASES: [what: string, types: string[], tried: string[]][] = [
  ["html goes before pictures and text", ["text/plain", "image/png", "text/html"], ["text/html", "image/png", "text/plain"]],
  ["markdown goes before latex", ["text/latex", "text/markdown"], ["text/markdown", "text/latex"]],
  ["a widget goes before its picture, and its repr is no fallback", ["text/plain", "image/png", WIDGET], [WIDGET, "image/png"]],
  ["a figure's repr is no fallback", ["text/plain", PLOTLY], [PLOTLY]],
  ["Vega-Lite 6 with a dot is Vega-Lite", ["application/vnd.vegalite.v6.json", "text/plain"], ["application/vnd.vegalite.v6.json"]],
  ["Vega 5 is known", ["application/vnd.vega.v5+json", "text/plain"], ["application/vnd.vega.v5+json"]],
  [
    "bokeh's marker goes before the script it marks",
    ["application/javascript", "application/vnd.bokehjs_exec.v0+json"],
    ["application/vnd.bokehjs_exec.v0+json", "application/javascript"],
  ],
  ["an unknown type is tried before mere text", ["text/plain", "application/vnd.fasta.fasta"], ["application/vnd.fasta.fasta", "text/plain"]],
  ["an unknown type is left alone when html is there", ["text/html", "application/vnd.dataresource+json"], ["text/html"]],
  ["pdf is not shown", ["application/pdf"], []],
];

for (const [what, types, tried] of CASES) {
  test(what, () => {
    const data = Object.fromEntries(types.map((type) => [type, ""]));
    assert.deepEqual(candidates(data), tried);
    assert.equal(preferredMime(data), tried[0] ?? null);
  });
}

test("a renderer that fails gives way to the next type", async () => {
  const node = await renderMime({ [WIDGET]: { model_id: "x" }, "text/html": "<b>stored</b>" }, {}, ctx);
  assert.equal(node.innerHTML, "<b>stored</b>");
});

test("a bundle in which nothing can be shown becomes a placeholder", async () => {
  const node = await renderMime({ "application/pdf": "…" }, {}, ctx);
  assert.equal(node.className, "dash-placeholder");
});

test("text keeps its colours", async () => {
  const node = await renderMime({ "text/plain": "\u001b[31mred\u001b[0m" }, {}, ctx);
  assert.equal(node.outerHTML, '<pre class="dash-text"><span class="ansi-red-fg">red</span></pre>');
});

test("without a nonce a script is shown as text", async () => {
  const node = await renderMime({ "application/javascript": "alert(1)" }, {}, ctx);
  assert.equal(node.textContent, "alert(1)");
  assert.equal(node.querySelector("script"), null);
});

test("json is a tree that fills when it is opened", async () => {
  const node = await renderMime({ "application/json": { a: [1, { b: null }], c: "x" } }, {}, ctx);
  const [root, inner] = [...node.querySelectorAll("details")];
  assert.equal(root?.open, true);
  assert.equal(inner?.open, false);
  assert.match(node.textContent ?? "", /a: \[2\]/);
  assert.match(node.textContent ?? "", /c: "x"/);
});
