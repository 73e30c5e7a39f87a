import assert from "node:assert/strict";
import { test } from "node:test";
import type { Kernel, Message } from "../../src/types.ts";
import { CommRouter } from "../../src/widgets/comm.ts";

/** A kernel that keeps what it was sent. */
function fakeKernel() {
  const sent: { id: string; type: string; content: Record<string, unknown>; buffers: ArrayBuffer[] }[] = [];
  const kernel = {
    send: (_channel: string, type: string, content: Record<string, unknown>, options: { buffers?: ArrayBuffer[] }) => {
      const id = `m${sent.length}`;
      sent.push({ id, type, content, buffers: options.buffers ?? [] });
      return id;
    },
  } as unknown as Kernel;
  return { sent, kernel };
}

function message(type: string, content: Record<string, unknown>, parent = "", buffers: ArrayBuffer[] = []): Message {
  return { channel: "iopub", header: { msg_type: type }, parent_header: { msg_id: parent }, metadata: {}, content, buffers } as unknown as Message;
}

test("a comm's message is awaited and has its buffers as views", async () => {
  const { kernel } = fakeKernel();
  const router = new CommRouter(kernel);
  let seen: DataView | undefined;
  router.create("c", "jupyter.widget").on_msg(async (received) => {
    await Promise.resolve();
    seen = (received as { buffers: DataView[] }).buffers[0];
  });
  await router.handle(message("comm_msg", { comm_id: "c", data: {} }, "", [new Uint8Array([7]).buffer]));
  assert.equal(seen?.getUint8(0), 7);
});

test("only the viewed part of a buffer is sent", () => {
  const { sent, kernel } = fakeKernel();
  const bytes = new Uint8Array([1, 2, 3, 4]);
  new CommRouter(kernel).create("c", "t").send({}, undefined, {}, [bytes.subarray(1, 3)]);
  assert.deepEqual([...new Uint8Array(sent[0]?.buffers[0] ?? new ArrayBuffer(0))], [2, 3]);
});

test("a callback hears its own message's status and no other's", async () => {
  const { kernel } = fakeKernel();
  const router = new CommRouter(kernel);
  const states: unknown[] = [];
  const status = (received: { content: { execution_state: string } }) => states.push(received.content.execution_state);
  const id = router.create("c", "t").send({}, { iopub: { status: status as never } });
  await router.handle(message("status", { execution_state: "busy" }, id));
  await router.handle(message("status", { execution_state: "idle" }, "another"));
  await router.handle(message("status", { execution_state: "idle" }, id));
  await router.handle(message("status", { execution_state: "idle" }, id));
  assert.deepEqual(states, ["busy", "idle"]);
});

test("a message over the rate limit goes again, and its answer finds the callback", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] } as never); // the types know an older form
  const { sent, kernel } = fakeKernel();
  const router = new CommRouter(kernel);
  let idle = 0;
  const id = router.create("c", "t").send({ value: 5 }, { iopub: { status: () => (idle += 1) } });
  await router.handle(message("error", { ename: "RateLimited", evalue: "", traceback: [] }, id));
  assert.equal(sent.length, 1);
  context.mock.timers.tick(200);
  assert.deepEqual(sent[1]?.content, sent[0]?.content);
  await router.handle(message("status", { execution_state: "idle" }, sent[1]?.id));
  assert.equal(idle, 1);
});

test("a refused message counts as answered: the model may go on", async () => {
  const { kernel } = fakeKernel();
  const router = new CommRouter(kernel);
  let state: unknown;
  const status = (received: { content: { execution_state: string } }) => (state = received.content.execution_state);
  const id = router.create("c", "t").send({}, { iopub: { status: status as never } });
  await router.handle(message("error", { ename: "Refused", evalue: "", traceback: [] }, id));
  assert.equal(state, "idle");
});

test("a closed comm is forgotten", async () => {
  const { kernel } = fakeKernel();
  const router = new CommRouter(kernel);
  let closed = false;
  router.create("c", "t").on_close(() => (closed = true));
  await router.handle(message("comm_close", { comm_id: "c", data: {} }));
  assert.equal(closed, true);
  assert.equal(router.get("c"), undefined);
});
