import "../page.ts";
import assert from "node:assert/strict";
import { test } from "node:test";
import { renderMime } from "../../src/render/index.ts";
import { harmlessOptions, withinItsPlace } from "../../src/render/vega-options.ts";
import type { MimeBundle, RenderContext } from "../../src/types.ts";

const ctx = { nonce: "", trusted: false, kernel: null } as unknown as RenderContext;
const shown = (data: MimeBundle) => renderMime(data, {}, ctx);

// HTML needs a browser's own parser: tests/browser/test_trust.py.

const REFUSED: [what: string, data: MimeBundle][] = [
  ["javascript", { "application/javascript": "bad()", "text/plain": "<Javascript>" }],
  ["old javascript", { "text/javascript": "bad()" }],
  ["bokeh", { "application/vnd.bokehjs_exec.v0+json": "", "application/javascript": "bad()" }],
  ["bokeh's library", { "application/vnd.bokehjs_load.v0+json": "", "application/javascript": "bad()" }],
];

for (const [what, data] of REFUSED) {
  test(`in the place of ${what} stands why it isn't run`, async () => {
    const node = await shown(data);
    assert.equal(node.className, "dash-placeholder");
    assert.match(node.textContent ?? "", /runs scripts, and this folder is not trusted to\..*DashboardsApp\.trusted_folders/);
    assert.equal(node.querySelector("script"), null);
  });
}

test("a plot's options for the page around it are left out", () => {
  const spec = {
    usermeta: { embedOptions: { defaultStyle: "body{display:none}" } },
    data: { values: [{ bind: { element: "kept" } }] },
    params: [
      { name: "a", bind: { input: "range", element: "#dash-main" } },
      { name: "b", bind: { field: { input: "range", element: "#dash-main" } } },
    ],
    mark: "bar",
  };
  assert.deepEqual(withinItsPlace(spec), {
    data: spec.data,
    params: [
      { name: "a", bind: { input: "range" } },
      { name: "b", bind: { field: { input: "range" } } },
    ],
    mark: "bar",
  });
  const options = { actions: true, defaultStyle: "x", loader: {}, width: 3, theme: { a: 1 }, renderer: "svg", bind: "#dash-main" };
  assert.deepEqual(harmlessOptions(options), { width: 3, renderer: "svg" });
});
