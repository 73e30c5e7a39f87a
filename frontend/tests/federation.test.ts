import { context } from "./page.ts";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { federatedRenderer } from "../src/federation.ts";
import { bestVersion, relevant, searchOrder, type Listed } from "../src/federation-list.ts";
import { HOST_MODULES, hostShares } from "../src/federation-shares.ts";

const listed = (name: string, extra: Partial<Listed> = {}): Listed => ({
  name, load: "static/remoteEntry.js", extension: "./extension", mimeExtension: null, url: `/x/${name}/`, ...extra,
});

test("the widget manager of Lab, Voila's, themes and empty entries are left out", () => {
  const all = [
    listed("bqplot"), listed("@jupyter-widgets/jupyterlab-manager"), listed("@voila-dashboards/x"), listed("jupyterlab_pygments"),
    listed("@jupyterlab/theme-dark"), listed("nothing", { extension: null }), listed("jupyterlab-plotly", { extension: null, mimeExtension: "./m" }),
  ];
  assert.deepEqual(relevant(all).map(({ name }) => name), ["bqplot", "jupyterlab-plotly"]);
});

test("the extension with the module's name is asked first", () => {
  const all = [listed("anywidget"), listed("bqplot"), listed("bqscales")];
  assert.deepEqual(searchOrder(all, "bqscales").map(({ name }) => name), ["bqscales", "anywidget", "bqplot"]);
});

test("an extension named after a mime type goes before others", () => {
  const all = [listed("fasta-viewer"), listed("jupyterlab-plotly")];
  assert.equal(searchOrder(all, "application/vnd.plotly.v1+json")[0]?.name, "jupyterlab-plotly");
});

test("the newest version of the requested major is chosen, else the newest", () => {
  const entries = ["1.2.0", "1.10.1", "2.0.0"].map((version) => ({ version }));
  assert.equal(bestVersion("^1.0.0", entries)?.version, "1.10.1");
  assert.equal(bestVersion("~2.1", entries)?.version, "2.0.0");
  assert.equal(bestVersion("*", entries)?.version, "2.0.0");
  assert.equal(bestVersion("3.0.0", entries)?.version, "2.0.0");
  assert.equal(bestVersion("1.0.0", []), undefined);
});

test("the shares claim the versions that are built in", () => {
  for (const [name, [version]] of Object.entries(HOST_MODULES)) {
    const installed = JSON.parse(readFileSync(`node_modules/${name}/package.json`, "utf8")) as { version: string };
    assert.equal(version, installed.version, name);
  }
});

test("a share is a plain entry of name and version whose factory gives the module", async () => {
  const entry = hostShares()["@lumino/algorithm"]?.[HOST_MODULES["@lumino/algorithm"]?.[0] ?? ""];
  assert.equal(entry?.from, "jupyter-dashboards");
  const factory = await entry.get();
  assert.ok("ArrayExt" in (factory() as object));
});

test("the list of extensions is asked for with the page's token, and with the header against forged requests", async () => {
  const sent: unknown[] = [];
  Object.assign(globalThis, {
    fetch: async (url: string, { headers }: RequestInit) => {
      sent.push([url, headers]);
      return new Response(null, { status: 503 });
    },
  });
  const ctx = context();
  ctx.config = { ...ctx.config, pageToken: "t" };
  await assert.rejects(federatedRenderer("application/x-y", ctx), /503/);
  document.cookie = "_xsrf=a%7Cb";
  await assert.rejects(federatedRenderer("application/x-y", ctx), /503/);
  document.cookie = "_xsrf=; max-age=0";
  const token = { "X-Dashboards-Page-Token": "t" };
  assert.deepEqual(sent, [
    ["/_api/labextensions", token],
    ["/_api/labextensions", { ...token, "X-XSRFToken": "a|b" }],
  ]);
});
