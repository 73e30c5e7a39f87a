import { context, iopub, settled, write } from "./page.ts";
import assert from "node:assert/strict";
import { test } from "node:test";
import { OutputArea, updateDisplays } from "../src/outputs.ts";

const SNAPSHOT = '<div class="dash-output" data-mime="text/plain"><pre class="dash-text">stored</pre></div>';

function areaOf(html = ""): { area: OutputArea; node: HTMLElement } {
  const node = document.createElement("div");
  node.className = "dash-outputs";
  node.innerHTML = html;
  document.body.append(node);
  return { area: new OutputArea(node, context()), node };
}

const text = (plain: string, id?: string): Record<string, unknown> => ({
  data: { "text/plain": plain },
  metadata: {},
  ...(id ? { transient: { display_id: id } } : {}),
});
const stdout = (words: string, name = "stdout") => iopub("stream", { name, text: words });
const shown = (node: HTMLElement): string[] => [...node.children].map((child) => child.textContent ?? "");

test("stored outputs stay until the first new one takes their place", async () => {
  const { area, node } = areaOf(SNAPSHOT);
  area.begin();
  await settled();
  assert.deepEqual(shown(node), ["stored"]);
  await area.handle(stdout("new"));
  assert.deepEqual(shown(node), ["new"]);
  await area.handle(iopub("display_data", text("more")));
  assert.deepEqual(shown(node), ["new", "more"]);
});

test("stored outputs of a cell that now has none go when it is done", async () => {
  const { area, node } = areaOf(SNAPSHOT);
  area.begin();
  await area.finish();
  assert.deepEqual(shown(node), []);
});

test("stored outputs outlive a run that was broken off", async () => {
  const { area, node } = areaOf(SNAPSHOT);
  area.begin();
  area.abandon();
  await area.finish();
  assert.deepEqual(shown(node), ["stored"]);
});

test("neighbouring writes to one stream are one text, to two streams two", async () => {
  const { area, node } = areaOf();
  for (const message of [stdout("a"), stdout("b\n"), stdout("!", "stderr"), stdout("c")]) await area.handle(message);
  assert.deepEqual(shown(node), ["ab\n", "!", "c"]);
  assert.equal(node.querySelector("pre")?.className, "dash-stream");
  assert.equal(node.children[1]?.querySelector("pre")?.dataset["stream"], "stderr");
});

test("an output between two writes parts them", async () => {
  const { area, node } = areaOf();
  await area.handle(stdout("a"));
  await area.handle(iopub("execute_result", text("b")));
  await area.handle(stdout("c"));
  assert.deepEqual(shown(node), ["a", "b", "c"]);
});

test("clear_output clears at once, with wait when the next output is there", async () => {
  const { area, node } = areaOf();
  await area.handle(stdout("a"));
  await area.handle(iopub("clear_output", { wait: true }));
  assert.deepEqual(shown(node), ["a"]);
  await area.handle(stdout("b"));
  assert.deepEqual(shown(node), ["b"]);
  await area.handle(iopub("clear_output", { wait: false }));
  assert.deepEqual(shown(node), []);
});

test("writes after clear_output(wait) join each other", async () => {
  const { area, node } = areaOf();
  await area.handle(stdout("a"));
  await area.handle(iopub("clear_output", { wait: true }));
  await area.handle(stdout("b"));
  await area.handle(stdout("c"));
  assert.deepEqual(shown(node), ["bc"]);
});

test("an update reaches its display in every area, and only it", async () => {
  const [one, two] = [areaOf(), areaOf()];
  await one.area.handle(iopub("display_data", text("x", "d1")));
  await one.area.handle(iopub("display_data", text("y", "d2")));
  await two.area.handle(iopub("display_data", text("x", "d1")));
  await updateDisplays(iopub("update_display_data", text("z", "d1")));
  assert.deepEqual([shown(one.node), shown(two.node)], [["z", "y"], ["z"]]);
  await two.area.handle(iopub("update_display_data", text("w", "d1")));
  assert.deepEqual([shown(one.node), shown(two.node)], [["w", "y"], ["w"]]);
});

test("an update of a display that was cleared changes nothing", async () => {
  const { area, node } = areaOf();
  await area.handle(iopub("display_data", text("x", "d3")));
  await area.handle(iopub("clear_output", { wait: false }));
  await updateDisplays(iopub("update_display_data", text("z", "d3")));
  assert.deepEqual(shown(node), []);
});

test("an error is an alert with the viewer's text, or with the traceback if it was sent", async () => {
  const { area, node } = areaOf();
  await area.handle(iopub("error", { ename: "CellError", evalue: "Sorry.", traceback: [] }));
  await area.handle(iopub("error", { ename: "KeyError", evalue: "'x'", traceback: [] }));
  await area.handle(iopub("error", { ename: "KeyError", evalue: "'x'", traceback: ["\x1b[31mKeyError\x1b[0m", "line"] }));
  assert.deepEqual(shown(node), ["Sorry.", "KeyError: 'x'", "KeyError\nline"]);
  for (const child of node.children) assert.equal(child.getAttribute("role"), "alert");
  assert.equal(node.querySelector(".dash-traceback .ansi-red-fg")?.textContent, "KeyError");
});

test("html in an error's text stays text", async () => {
  const { area, node } = areaOf();
  await area.handle(iopub("error", { ename: "CellError", evalue: "<img src=x>", traceback: [] }));
  assert.equal(node.querySelector("img"), null);
});

test("replaceAll shows exactly the outputs it is given", async () => {
  const { area, node } = areaOf(SNAPSHOT);
  await area.replaceAll([
    { output_type: "stream", name: "stdout", text: ["a\n", "b"] },
    { output_type: "display_data", data: { "text/plain": "c" }, metadata: {} },
  ]);
  assert.deepEqual(shown(node), ["a\nb", "c"]);
  await area.replaceAll([]);
  assert.deepEqual(shown(node), []);
});

test("messages given at once appear in their order", async () => {
  const { area, node } = areaOf();
  await Promise.all([area.handle(iopub("display_data", text("1"))), area.handle(stdout("2")), area.handle(iopub("execute_result", text("3")))]);
  assert.deepEqual(shown(node), ["1", "2", "3"]);
});

test("a bundle without a type that can be shown leaves an empty place that an update fills", async () => {
  const { area, node } = areaOf();
  await area.handle(iopub("display_data", { data: {}, metadata: {}, transient: { display_id: "d4" } }));
  await area.handle(iopub("update_display_data", text("now", "d4")));
  assert.deepEqual(shown(node), ["now"]);
});

write("");
