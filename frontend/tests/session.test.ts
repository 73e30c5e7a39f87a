import { config, context, iopub, settled, until, write } from "./page.ts";
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { pageToken } from "../src/api.ts";
import { findCells } from "../src/cells.ts";
import { V1_PROTOCOL, decodeV1, encodeV1 } from "../src/frames.ts";
import { KernelConnection, backoff } from "../src/kernel.ts";
import { Page } from "../src/page.ts";
import { Session } from "../src/session.ts";
import type { Channel, DashConfig, Message } from "../src/types.ts";

/** A socket whose other end is the test. */
class Socket {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static readonly CLOSED = 3;
  static all: Socket[] = [];
  readyState = Socket.CONNECTING;
  protocol = V1_PROTOCOL;
  sent: Message[] = [];
  #answered = 0;
  onopen: (() => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  onmessage: ((event: { data: ArrayBuffer | string }) => void) | null = null;

  constructor(
    readonly url: string,
    readonly offered: string[],
  ) {
    Socket.all.push(this);
  }

  static get last(): Socket {
    return Socket.all.at(-1) as Socket;
  }

  open(): void {
    this.readyState = Socket.OPEN;
    this.onopen?.();
  }

  close(code = 1006): void {
    this.readyState = Socket.CLOSED;
    this.onclose?.({ code });
  }

  send(frame: ArrayBuffer): void {
    this.sent.push(decodeV1(frame));
  }

  receive(message: Message): void {
    this.onmessage?.({ data: encodeV1(message) });
  }

  get lastSent(): Message {
    return this.sent.at(-1) as Message;
  }

  /** Answers the oldest open request as a kernel does: outputs on iopub, the reply on the shell, and that it is idle. */
  answer(content: Record<string, unknown> = { status: "ok" }, words = "", idle = true): void {
    const { msg_id: id, msg_type: type } = (this.sent[this.#answered++] as Message).header;
    if (words) this.receive(iopub("stream", { name: "stdout", text: words }, id));
    const reply = iopub(type.replace("request", "reply"), content, id);
    this.receive({ ...reply, channel: "shell" as Channel });
    if (idle) this.receive(iopub("status", { execution_state: "idle" }, id));
  }
}

interface Call {
  method: string;
  url: string;
  headers: Record<string, string>;
  body: Record<string, unknown> | null;
}

let calls: Call[] = [];
let answers: ((call: Call) => Response | null)[] = [];

Object.assign(globalThis, {
  WebSocket: Socket,
  fetch: async (url: string, options: RequestInit = {}) => {
    const call: Call = {
      method: options.method ?? "GET",
      url,
      headers: options.headers as Record<string, string>,
      body: options.body ? (JSON.parse(String(options.body)) as Record<string, unknown>) : null,
    };
    calls.push(call);
    for (const answer of answers) {
      const response = answer(call);
      if (response) return response;
    }
    if (call.method === "POST") return Response.json({ id: `k${calls.length}` }, { status: 201 });
    return new Response(null, { status: call.method === "DELETE" ? 204 : 200 });
  },
});

const cell = (index: number, words: string): string =>
  `<section class="dash-cell" data-cell-index="${index}"><div class="dash-outputs"><pre>${words}</pre></div></section>`;

function session(changes: Partial<DashConfig> = {}): Session {
  const ctx = { ...context(), config: { ...config, ...changes } };
  return new Session(ctx, new Page(() => {}), findCells(ctx));
}

const outputs = (index: number): string =>
  document.querySelector(`[data-cell-index="${index}"] .dash-outputs`)?.textContent ?? "";
const alertText = (): string => document.getElementById("dash-alert")?.textContent ?? "";
const statusText = (): string => document.getElementById("dash-status")?.textContent ?? "";

beforeEach(() => {
  calls = [];
  answers = [];
  Socket.all = [];
  document.cookie = "_xsrf=secret%7C1";
  write(`<div id="dash-status"></div><div id="dash-alert"></div><button id="dash-run" hidden></button>
    <div id="dash-cells" aria-busy="false">${cell(0, "s0")}${cell(2, "s2")}</div>`);
});

test("cells run by their index as a string, one after another, and show what comes", async () => {
  const sitting = session();
  const done = sitting.start();
  await settled();
  const socket = Socket.last;
  assert.deepEqual(calls[0]?.body?.["path"], "folder/nb.ipynb");
  assert.equal(calls[0]?.body?.["query"], "a=1");
  assert.equal(calls[0]?.headers["X-XSRFToken"], "secret|1");
  assert.ok(socket.url.startsWith("ws://dash.test/_api/kernels/k1/channels?session_id="));
  assert.ok(socket.url.endsWith(String(calls[0]?.body?.["session_id"])));
  socket.open();
  const codes: unknown[] = [];
  for (const words of ["n0", "n2", "n5"]) {
    await settled();
    codes.push(socket.sent[codes.length]?.content["code"]);
    assert.equal(statusText(), `Running cell ${codes.length} of 3`);
    assert.equal(document.getElementById("dash-cells")?.getAttribute("aria-busy"), "true");
    socket.answer({ status: "ok" }, words);
  }
  await done;
  assert.deepEqual(codes, ["0", "2", "5"]);
  assert.deepEqual([outputs(0), outputs(2)], ["n0", "n2"]);
  assert.equal(document.querySelector("#dash-hidden .dash-outputs")?.textContent, "n5");
  assert.equal(statusText(), "Live");
  assert.equal(document.getElementById("dash-cells")?.getAttribute("aria-busy"), "false");
});

test("one cell, and no more, waits at the kernel while another runs", async () => {
  const sitting = session();
  const done = sitting.start();
  await settled();
  Socket.last.open();
  for (const sent of [2, 3, 3]) {
    await settled();
    assert.equal(Socket.last.sent.length, sent);
    assert.ok(document.querySelectorAll("[data-state=running]").length <= 1);
    Socket.last.answer({ status: "ok" }, "x");
  }
  await done;
  // The proxy promises room for one whole run at once, so later runs ask for one cell at a time.
  void sitting.runAgain();
  await settled();
  assert.equal(Socket.last.sent.length, 4);
});

test("a kernel that was asked for before the script had loaded is taken over, once", async () => {
  globalThis.dashEarly = { sessionId: "early", kernel: Promise.resolve("k-early") };
  const sitting = session({ codeCells: [0] });
  void sitting.start();
  await settled();
  assert.match(Socket.last.url, /k-early\/channels\?session_id=early$/);
  assert.equal(calls.length, 0);
  void sitting.restart();
  await settled();
  assert.equal(calls.filter(({ method }) => method === "POST").length, 1);
});

test("where a failure stops the page, the next cell waits for the reply and the idle status both", async () => {
  void session({ onError: "stop" }).start();
  await settled();
  Socket.last.open();
  await settled();
  Socket.last.answer({ status: "ok" }, "x", false);
  await settled();
  assert.equal(Socket.last.sent.length, 1);
  Socket.last.receive(iopub("status", { execution_state: "idle" }, Socket.last.lastSent.header.msg_id));
  await settled();
  assert.equal(Socket.last.sent.length, 2);
});

for (const [onError, ran] of [["continue", 3], ["stop", 1]] as const) {
  test(`with onError "${onError}" ${ran} of 3 cells run when the first fails`, async () => {
    const done = session({ onError }).start();
    await settled();
    Socket.last.open();
    for (let n = 0; n < ran; n++) {
      await settled();
      Socket.last.answer(n ? { status: "ok" } : { status: "error", ename: "CellError" }, `n${n}`);
    }
    await done;
    assert.equal(Socket.last.sent.length, ran);
    assert.equal(outputs(2), onError === "stop" ? "s2" : "n1");
    assert.equal(alertText().includes("A cell failed"), onError === "stop");
  });
}

test("a full server is waited for, with the stored results on the page", async () => {
  answers = [
    ({ method }) =>
      method === "POST" && calls.length === 1
        ? Response.json({ message: "full", status: 503 }, { status: 503, headers: { "Retry-After": "1" } })
        : null,
  ];
  void session({ codeCells: [0] }).start();
  await settled();
  assert.match(alertText(), /All kernels are in use; showing stored results\. Trying again in \d s\./);
  assert.equal(outputs(0), "s0");
  await until(() => Socket.all.length === 1);
  assert.equal(calls.filter(({ method }) => method === "POST").length, 2);
  assert.equal(alertText(), "");
});

test("a refusal for good says why and is asked again only on demand", async () => {
  answers = [({ method }) => (method === "POST" ? Response.json({ message: "No such notebook." }, { status: 404 }) : null)];
  await session().start();
  assert.match(alertText(), /^No such notebook\. Showing stored results\.Try again$/);
  answers = [];
  document.querySelector<HTMLButtonElement>("#dash-alert button")?.click();
  await settled();
  assert.equal(Socket.all.length, 1);
});

test("a kernel that dies is said to, and a restart begins with the old one's end", async () => {
  void session().start();
  await settled();
  Socket.last.open();
  await settled();
  Socket.last.receive(iopub("status", { execution_state: "restarting" }, ""));
  await settled();
  assert.match(alertText(), /The kernel died/);
  assert.equal(outputs(0), "s0");
  document.querySelector<HTMLButtonElement>("#dash-alert button")?.click();
  await settled();
  assert.deepEqual(calls.map(({ method, url }) => `${method} ${url}`).slice(1), ["DELETE /_api/kernels/k1", "POST /_api/kernels"]);
  assert.equal(Socket.all.length, 2);
});

test("a handshake that fails because the kernel is gone offers a restart", async () => {
  answers = [({ method }) => (method === "GET" ? new Response(null, { status: 404 }) : null)];
  const done = session().start();
  await settled();
  Socket.last.close();
  await done;
  assert.match(alertText(), /The kernel is gone\./);
});

test("a page's token goes with every request, and with the websocket as the last of the offered protocols", async () => {
  const sitting = session({ codeCells: [0], pageToken: "a.b-c_d" });
  const done = sitting.start();
  await settled();
  assert.deepEqual(Socket.last.offered, [V1_PROTOCOL, "dashboards.page-token.a.b-c_d"]);
  Socket.last.close();
  await settled();
  await sitting.end();
  await done;
  assert.deepEqual(calls.map(({ method }) => method), ["POST", "GET", "DELETE"]);
  for (const { headers } of calls) assert.equal(headers["X-Dashboards-Page-Token"], "a.b-c_d");
});

test("without a page token there is no such header and no such protocol", async () => {
  void session({ codeCells: [0] }).start();
  await settled();
  assert.deepEqual(Socket.last.offered, [V1_PROTOCOL]);
  assert.ok(!("X-Dashboards-Page-Token" in (calls[0]?.headers ?? {})));
});

test("a server that chose the token's protocol is spoken to in the older frames", async () => {
  const done = session({ codeCells: [0], subprotocols: [], pageToken: "t" }).start();
  await settled();
  const socket = Socket.last;
  assert.deepEqual(socket.offered, ["dashboards.page-token.t"]);
  socket.protocol = "dashboards.page-token.t";
  const frames: unknown[] = [];
  Object.assign(socket, { send: (frame: unknown) => void frames.push(frame) });
  socket.open();
  await settled();
  const { header } = JSON.parse(String(frames[0])) as Message;
  const receive = (message: Message): void => socket.onmessage?.({ data: JSON.stringify(message) });
  receive(iopub("stream", { name: "stdout", text: "n0" }, header.msg_id));
  receive({ ...iopub("execute_reply", { status: "ok" }, header.msg_id), channel: "shell" });
  receive(iopub("status", { execution_state: "idle" }, header.msg_id));
  await done;
  assert.equal(outputs(0), "n0");
});

const ENDS: [where: string, provoke: () => void, answer: ((call: Call) => Response | null) | null][] = [
  ["the start is refused", () => {}, ({ method }) => (method === "POST" ? new Response(null, { status: 401 }) : null)],
  ["the handshake is refused", () => Socket.last.close(), ({ method }) => (method === "GET" ? new Response(null, { status: 401 }) : null)],
  ["the server closes the open websocket", () => (Socket.last.open(), Socket.last.close(4401)), null],
];
for (const [where, provoke, answer] of ENDS) {
  for (const [pageToken, words] of [["", "You are not logged in any more.Log in"], ["t", "This page has expired.Load again"]] as const) {
    test(`when ${where} with 401 ${pageToken ? "a page with a token" : "a logged-in page"} says so, and doesn't connect again`, async () => {
      answers = answer ? [answer] : [];
      const done = session({ pageToken }).start();
      await settled();
      provoke();
      await done;
      await settled();
      assert.equal(alertText(), words);
      assert.equal(statusText(), "Not live");
      window.dispatchEvent(new window.Event("online"));
      await settled();
      assert.ok(Socket.all.length <= 1);
      let reloads = 0;
      location.reload = () => void reloads++;
      document.querySelector<HTMLButtonElement>("#dash-alert button")?.click();
      assert.equal(reloads, 1);
    });
  }
}

test("a stale token is renewed before a broken connection is made again", async () => {
  const changes = { ...config, codeCells: [0], pageToken: "old" };
  let renew = (): void => {};
  pageToken.fresh = () =>
    new Promise((resolve) => {
      renew = () => {
        changes.pageToken = "new";
        resolve();
      };
    });
  const kernel = new KernelConnection(changes, "k", "s", () => {});
  Socket.last.open();
  Socket.last.close();
  await settled();
  window.dispatchEvent(new window.Event("online"));
  await settled();
  assert.equal(Socket.all.length, 1);
  renew();
  await settled();
  assert.equal(Socket.last.offered.at(-1), "dashboards.page-token.new");
  kernel.dispose();
  pageToken.fresh = () => {};
});

test("a broken connection is made again with the same session, and a request that got lost is sent again", async () => {
  const done = session({ codeCells: [0] }).start();
  await settled();
  const first = Socket.last;
  first.open();
  await settled();
  first.close();
  await settled();
  assert.match(statusText(), /Reconnecting/);
  await until(() => Socket.last !== first);
  const second = Socket.last;
  assert.equal(second.url, first.url);
  second.open();
  await settled();
  assert.equal(second.lastSent.header.msg_type, "kernel_info_request");
  second.answer();
  await settled();
  assert.equal(second.lastSent.content["code"], "0");
  second.answer({ status: "ok" }, "n0");
  await done;
  assert.equal(outputs(0), "n0");
});

test("what was sent is not lost as long as the kernel has not been asked, or was cut off again before it answered", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] } as never); // the types know an older form
  const kernel = new KernelConnection(config, "k", "s", () => {});
  let lost = 0;
  for (const sent of [kernel.execute("0", () => {}), kernel.request("comm_info_request", {})]) sent.catch(() => lost++);
  const returned: boolean[] = [];
  kernel.onReturn((answered) => {
    const index = returned.push(false) - 1;
    void answered.then(() => (returned[index] = true));
  });
  const comeBack = async (): Promise<Socket> => {
    Socket.last.close();
    await Promise.resolve();
    window.dispatchEvent(new window.Event("online"));
    for (let turn = 0; turn < 5; turn++) await Promise.resolve();
    Socket.last.open();
    return Socket.last;
  };
  const rest = async (): Promise<void> => {
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  };
  Socket.last.open();
  const second = await comeBack();
  assert.equal(second.sent.length, 1);
  const third = await comeBack();
  assert.equal(third.sent.length, 1);
  third.answer({ status: "error", ename: "RateLimited", evalue: "" }, "", false);
  await rest();
  assert.deepEqual([returned, lost], [[false, false], 0]);
  context.mock.timers.tick(1000);
  await rest();
  assert.deepEqual(third.sent.map(({ header }) => header.msg_type), ["kernel_info_request", "kernel_info_request"]);
  third.answer();
  await rest();
  assert.deepEqual([returned, lost], [[false, true], 2]);
  kernel.dispose();
});

test("a cell that the rate limit refused is asked for again", async () => {
  const done = session({ codeCells: [0] }).start();
  await settled();
  Socket.last.open();
  await settled();
  Socket.last.answer({ status: "error", ename: "RateLimited", evalue: "slower" }, "", false);
  await until(() => Socket.last.sent.length === 2);
  Socket.last.answer({ status: "ok" }, "n0");
  await done;
  assert.equal(outputs(0), "n0");
});

test("run again uses the idle kernel, and a new one while cells run", async () => {
  const sitting = session({ codeCells: [0] });
  const done = sitting.start();
  await settled();
  Socket.last.open();
  await settled();
  Socket.last.answer();
  await done;
  const again = sitting.runAgain();
  await settled();
  assert.equal(Socket.last.sent.length, 2);
  void sitting.runAgain();
  await settled();
  await again;
  assert.equal(Socket.all.length, 2);
  assert.equal(calls.filter(({ method }) => method === "DELETE").length, 1);
});

test("each message waits for the listeners of the one before it", async () => {
  const seen: string[] = [];
  const kernel = new KernelConnection(config, "k", "s", () => {});
  kernel.onIOPub(async ({ content }) => {
    const { name, delay } = content as { name: string; delay: number };
    await new Promise((resolve) => setTimeout(resolve, delay));
    seen.push(name);
  });
  Socket.last.open();
  for (const [name, delay] of [["slow", 20], ["quick", 0], ["last", 5]] as const) {
    Socket.last.receive(iopub("comm_msg", { name, delay }));
  }
  await until(() => seen.length === 3);
  assert.deepEqual(seen, ["slow", "quick", "last"]);
  kernel.dispose();
});

test("a hook takes a request's outputs away from the listeners until it is removed", async () => {
  const [hooked, heard]: string[][] = [[], []];
  const kernel = new KernelConnection(config, "k", "s", () => {});
  kernel.onIOPub(({ content }) => void heard?.push(String(content["text"])));
  Socket.last.open();
  kernel.setOutputHook("request", ({ content }) => void hooked?.push(String(content["text"])));
  Socket.last.receive(iopub("stream", { text: "a" }));
  Socket.last.receive(iopub("stream", { text: "b" }, "other"));
  await settled();
  kernel.setOutputHook("request", null);
  Socket.last.receive(iopub("stream", { text: "c" }));
  await settled();
  assert.deepEqual([hooked, heard], [["a"], ["b", "c"]]);
  kernel.dispose();
});

test("a listener may wait for a reply while it holds up the messages behind it", async () => {
  const kernel = new KernelConnection(config, "k", "s", () => {});
  let info: unknown = null;
  kernel.onIOPub(async () => {
    info = (await kernel.request("comm_info_request", {})).content["comms"];
  });
  Socket.last.open();
  Socket.last.receive(iopub("comm_open", {}));
  await settled();
  Socket.last.answer({ status: "ok", comms: "all" }, "", false);
  await settled();
  assert.equal(info, "all");
  kernel.dispose();
});

test("requests end when the connection does", async () => {
  const kernel = new KernelConnection(config, "k", "s", () => {});
  const asked = kernel.request("kernel_info_request", {});
  kernel.dispose();
  await assert.rejects(asked, /gone/);
  await assert.rejects(kernel.request("kernel_info_request", {}), /gone/);
});

test("waiting grows from half a second to a quarter minute, and is never the same for all", () => {
  assert.equal(backoff(0, () => 0), 200);
  assert.equal(backoff(0, () => 1), 400);
  assert.equal(backoff(3, () => 1), 3200);
  assert.equal(backoff(50, () => 1), 15_000);
  assert.equal(backoff(50, () => 1, 5000), 5000);
});
