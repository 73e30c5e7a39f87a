import assert from "node:assert/strict";
import { test } from "node:test";
import type { Kernel, Message } from "../../src/types.ts";
import { CommRouter } from "../../src/widgets/comm.ts";

/** A kernel that keeps what it was sent; `comeBack` is a connection that broke and is open again, and all is answered. */
function fakeKernel() {
  let returned: (answered: Promise<void>) => void = () => {};
  const sent: { id: string; type: string; content: Record<string, unknown>; buffers: ArrayBuffer[] }[] = [];
  const kernel = {
    send: (_channel: string, type: string, content: Record<string, unknown>, options: { buffers?: ArrayBuffer[] }) => {
      const id = `m${sent.length}`;
      sent.push({ id, type, content, buffers: options.buffers ?? [] });
      return id;
    },
    onReturn: (listener: typeof returned) => {
      returned = listener;
      return () => {};
    },
  } as unknown as Kernel;
  const comeBack = async (meanwhile: () => Promise<void> = async () => {}): Promise<void> => {
    let answer = (): void => {};
    returned(new Promise((resolve) => (answer = resolve)));
    await meanwhile();
    answer();
    await new Promise((resolve) => setTimeout(resolve));
  };
  return { sent, kernel, comeBack };
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

test("what a broken connection has kept back of an answer is made up for; what is answered, or sent since, is left alone", async () => {
  const { sent, kernel, comeBack } = fakeKernel();
  const router = new CommRouter(kernel);
  const idle: string[] = [];
  const send = (name: string): string => {
    const status = ({ content }: { content: object }) => "execution_state" in content && content.execution_state === "idle" && idle.push(name);
    return router.create(name, "t").send({ method: "update", state: {} }, { iopub: { status: status as never } });
  };
  const [seen, late] = [send("seen"), send("late")];
  await router.handle(message("status", { execution_state: "busy" }, seen));
  await comeBack(async () => {
    send("new");
    await router.handle(message("status", { execution_state: "idle" }, late));
  });
  assert.deepEqual(idle, ["late", "seen"]);
  assert.equal(sent.length, 3);
});

test("a change that went into a broken connection goes again, and a click does not", async () => {
  const { sent, kernel, comeBack } = fakeKernel();
  const router = new CommRouter(kernel);
  const idle: string[] = [];
  const change = { method: "update", state: { value: 5 } };
  router.create("slider", "t").send(change, { iopub: { status: () => idle.push("slider") } });
  router.create("button", "t").send({ method: "custom", content: { event: "click" } }, { iopub: { status: () => idle.push("button") } });
  await comeBack();
  assert.deepEqual(idle, ["button"]);
  assert.deepEqual(sent.slice(2).map(({ content }) => content), [{ comm_id: "slider", data: change }]);
  await router.handle(message("status", { execution_state: "idle" }, sent[2]?.id));
  assert.deepEqual(idle, ["button", "slider"]);
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
