import assert from "node:assert/strict";
import { test } from "node:test";
import type { Message } from "../../src/types.ts";
import { appendOutput, type StoredOutput } from "../../src/widgets/output-list.ts";

const message = (type: string, content: Record<string, unknown>) => ({ header: { msg_type: type }, content }) as unknown as Message;
const all = (...messages: Message[]) => messages.reduce(appendOutput, [] as StoredOutput[]);

test("consecutive text of one stream is one output", () => {
  const [a, b] = [message("stream", { name: "stdout", text: "a" }), message("stream", { name: "stderr", text: "b" })];
  assert.deepEqual(all(a, a, b, a), [
    { output_type: "stream", name: "stdout", text: "aa" },
    { output_type: "stream", name: "stderr", text: "b" },
    { output_type: "stream", name: "stdout", text: "a" },
  ]);
});

test("displays are kept without what only the message has", () => {
  const data = { "text/plain": "x" };
  assert.deepEqual(all(message("display_data", { data, metadata: {}, transient: { display_id: "d" } })), [
    { output_type: "display_data", data, metadata: {} },
  ]);
});

test("results and errors are kept, other messages are not", () => {
  const data = { "text/plain": "1" };
  const outputs = all(
    message("execute_result", { data, metadata: {}, execution_count: 3 }),
    message("error", { ename: "E", evalue: "v", traceback: [] }),
    message("status", { execution_state: "idle" }),
  );
  assert.deepEqual(outputs.map(({ output_type: type }) => type), ["execute_result", "error"]);
});

test("the list that was given stays as it was", () => {
  const before: StoredOutput[] = [{ output_type: "stream", name: "stdout", text: "a" }];
  appendOutput(before, message("stream", { name: "stdout", text: "b" }));
  assert.equal(before[0]?.["text"], "a");
});
