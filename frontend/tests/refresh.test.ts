import { config, context, settled, write } from "./page.ts";
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { Page } from "../src/page.ts";
import { Refresh, delay, fits, hasParameters } from "../src/refresh.ts";
import type { DashConfig } from "../src/types.ts";

const T0 = "2026-11-26T06:00:00.000000Z";
const T1 = "2026-11-26T07:00:00.000000Z";
const T2 = "2026-11-26T08:00:00.000000Z";

/** A socket whose other end is the test. */
class Socket {
  static all: Socket[] = [];
  onclose: ((event: { code: number }) => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;

  constructor(
    readonly url: string,
    readonly offered: string[],
  ) {
    Socket.all.push(this);
  }

  close(): void {
    this.onclose?.({ code: 1005 });
  }

  tell(time: string | null): void {
    this.onmessage?.({ data: JSON.stringify({ executed_at: time, heartbeat: 1000 }) });
  }
}

let asked: { url: string; headers: Record<string, string> }[] = [];
let answer: () => Response | Promise<Response>;

Object.assign(globalThis, {
  WebSocket: Socket,
  DOMParser: (window as unknown as { DOMParser: unknown }).DOMParser,
  MutationObserver: (window as unknown as { MutationObserver: unknown }).MutationObserver,
  fetch: async (url: string, { headers }: { headers: Record<string, string> }) => {
    asked.push({ url, headers });
    return answer();
  },
});

const cell = (index: number, words: string): string =>
  `<section class="dash-cell dash-cell-code" data-cell-index="${index}"><div class="dash-outputs"><pre>${words}</pre></div></section>`;
const heading = (index: number, words: string): string =>
  `<section class="dash-cell dash-cell-markdown" data-cell-index="${index}"><div class="dash-markdown"><h1>${words}</h1></div></section>`;
const cells = (inner: string): string => `<div id="dash-cells" aria-busy="false">${inner}</div>`;

function results(time: string | null, inner: string, changes: Record<string, unknown> = {}): Response {
  const about = { executed_at: time, as_of: time, view: "report", code_cells: [0, 2, 5], ...changes };
  return new Response(`<script type="application/json" id="dash-results">${JSON.stringify(about)}</script>${cells(inner)}`);
}

let page: Page;
let hydrated: string[];

async function opened(changes: Partial<DashConfig> = {}): Promise<Socket> {
  page = new Page(() => {});
  hydrated = [];
  const urls = { refreshUrl: "/_api/refresh/folder/nb.ipynb", resultsUrl: "/_api/results/folder/nb.ipynb" };
  const ctx = { ...context(), config: { ...config, ...urls, executedAt: T0, ...changes } };
  const hydrate = async (root: HTMLElement): Promise<void> => void hydrated.push(root.textContent ?? "");
  new Refresh({ ctx, page, fresh() {}, hydrate }, 0);
  await settled();
  return Socket.all.at(-1) as Socket;
}

const busy = async (value: boolean, live = "yes"): Promise<void> => {
  if (!value) document.body.dataset["live"] = live;
  document.getElementById("dash-cells")?.setAttribute("aria-busy", String(value));
  await settled();
};
const words = (): string => document.getElementById("dash-cells")?.textContent ?? "";
const note = (): HTMLElement => document.querySelector(".dash-newer") as HTMLElement;
const asOf = (): string => document.querySelector<HTMLTimeElement>("#dash-asof time")?.dateTime ?? "";

const visit = (query: string): void => {
  const { happyDOM } = window as unknown as { happyDOM: { setURL(url: string): void } };
  happyDOM.setURL(`http://dash.test/dashboards/folder/nb${query}`);
};

beforeEach(() => {
  visit("");
  asked = [];
  Socket.all = [];
  answer = () => results(T1, heading(1, "new title") + cell(0, "new0") + cell(2, "new2"));
  delete document.body.dataset["live"];
  write(`<span id="dash-asof">As of <time datetime="${T0}">then</time></span>
    ${cells(heading(1, "title") + cell(0, "s0") + cell(2, "s2"))}`);
});

// Nothing connects any more: its timer would keep the tests from ending.
afterEach(() => Socket.all.forEach((socket) => socket.onclose?.({ code: 4401 })));

test("newer results take the place of the stored ones, and the page says of when they are", async () => {
  const socket = await opened();
  assert.equal(socket.url, "ws://dash.test/_api/refresh/folder/nb.ipynb");
  const area = document.querySelector('[data-cell-index="0"] .dash-outputs');
  socket.tell(T1);
  await settled();
  await settled();
  assert.equal(words(), "new titlenew0new2");
  assert.equal(asOf(), T1);
  assert.equal(document.querySelector('[data-cell-index="0"] .dash-outputs'), area);
  assert.deepEqual(hydrated.sort(), ["new title", "new0", "new2"]);
  assert.equal(asked[0]?.url, "/_api/results/folder/nb.ipynb?view=report");
  assert.match(note().textContent ?? "", /Newer results are shown/);
});

test("what the page has already, what is older and what is no run's is no news", async () => {
  const socket = await opened();
  for (const time of [T0, null, "2026-11-25T06:00:00.000000Z"]) socket.tell(time);
  await settled();
  assert.equal(asked.length, 0);
  assert.equal(words(), "titles0s2");
});

test("a cell whose results are the same is left alone", async () => {
  const socket = await opened();
  socket.tell(T1);
  await settled();
  await settled();
  const same = document.querySelector('[data-cell-index="2"] pre');
  answer = () => results(T2, heading(1, "new title") + cell(0, "newest") + cell(2, "new2"));
  socket.tell(T2);
  await settled();
  await settled();
  assert.equal(words(), "new titlenewestnew2");
  assert.equal(document.querySelector('[data-cell-index="2"] pre'), same);
});

test("an answer that doesn't come is asked for again with the next message", async () => {
  const socket = await opened();
  const good = answer;
  answer = () => new Response("", { status: 503 });
  socket.tell(T1);
  await settled();
  assert.equal(words(), "titles0s2");
  answer = good;
  socket.tell(T1);
  await settled();
  await settled();
  assert.equal(asOf(), T1);
});

test("an answer that is older than what was told is not the last one", async () => {
  const socket = await opened();
  const good = answer;
  answer = () => results(T0, cell(0, "old"));
  socket.tell(T1);
  await settled();
  assert.equal(words(), "titles0s2");
  answer = good;
  socket.tell(T2);
  await settled();
  await settled();
  assert.equal(asOf(), T1);
  answer = () => results(T2, heading(1, "new title") + cell(0, "newest") + cell(2, "new2"));
  socket.tell(T2);
  await settled();
  await settled();
  assert.equal(asOf(), T2);
});

test("a page that has computed its own results offers newer ones, and shows them when it is asked to", async () => {
  const socket = await opened();
  await busy(true);
  page.ran = true;
  socket.tell(T1);
  await busy(false);
  assert.equal(asked.length, 0);
  const button = note().querySelector("button");
  assert.equal(note().textContent, "Newer results Show");
  button?.click();
  await settled();
  await settled();
  assert.equal(words(), "new titlenew0new2");
  assert.equal(note().querySelector("button"), null);
  assert.equal(page.ran, false);
});

test("results without the parameters of the page's address are not offered in place of its own", async () => {
  visit("?region=north");
  const socket = await opened();
  page.ran = true;
  socket.tell(T1);
  await settled();
  assert.equal(note().textContent, "");
  assert.equal(asked.length, 0);
});

test("results that the page computes after a run are newer than that run's", async () => {
  const socket = await opened();
  page.ran = true;
  socket.tell(T1);
  await settled();
  assert.ok(note().querySelector("button"));
  await busy(true);
  await busy(false);
  assert.equal(note().textContent, "");
  socket.tell(T1);
  await settled();
  assert.equal(note().textContent, "");
  await busy(true);
  await busy(false, "no");
  socket.tell(T2);
  await settled();
  assert.ok(note().querySelector("button"));
});

test("nothing is replaced while the page computes; when that fails before any cell has run, it is", async () => {
  const socket = await opened();
  await busy(true);
  socket.tell(T1);
  await settled();
  assert.equal(asked.length, 0);
  await busy(false, "no");
  await settled();
  assert.equal(words(), "new titlenew0new2");
});

/** Holds the answer to the next question until it is let go. */
function heldAnswer(): () => void {
  const [given, later] = [answer(), answer];
  let release = (): void => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  answer = async () => {
    answer = later;
    await held;
    return given;
  };
  return () => release();
}

test("results that the page has computed while older ones came are not replaced by those", async () => {
  const socket = await opened();
  page.ran = true;
  socket.tell(T1);
  await settled();
  const release = heldAnswer();
  note().querySelector("button")?.click();
  await settled();
  await busy(true);
  await busy(false);
  release();
  await settled();
  await settled();
  assert.equal(asked.length, 1);
  assert.equal(words(), "titles0s2");
  assert.equal(page.ran, true);
  assert.equal(asOf(), T0);
});

test("what is told while older results come is shown after them", async () => {
  const socket = await opened();
  const release = heldAnswer();
  socket.tell(T1);
  await settled();
  answer = () => results(T2, heading(1, "title") + cell(0, "newest") + cell(2, "s2"));
  socket.tell(T2);
  await settled();
  release();
  for (let turn = 0; turn < 4; turn++) await settled();
  assert.equal(asked.length, 2);
  assert.equal(words(), "titlenewests2");
  assert.equal(asOf(), T2);
});

test("a live widget stays where it is", async () => {
  const widget = document.querySelector('[data-cell-index="2"] .dash-outputs') as HTMLElement;
  widget.innerHTML = '<div class="jupyter-widgets">slider</div>';
  const socket = await opened();
  page.ran = true;
  socket.tell(T1);
  await settled();
  note().querySelector("button")?.click();
  await settled();
  await settled();
  assert.equal(words(), "new titlenew0slider");
  assert.equal(page.ran, true);
});

test("a dashboard whose cells are others now is loaded again, unless it has no kernel that they belong to", async () => {
  answer = () => results(T1, cell(0, "one") + cell(1, "two"), { code_cells: [0, 1] });
  let socket = await opened();
  socket.tell(T1);
  await settled();
  await settled();
  assert.equal(note().textContent, "This dashboard has changed. Load again");
  assert.equal(words(), "titles0s2");
  note().remove();
  socket = await opened({ live: false });
  socket.tell(T1);
  await settled();
  await settled();
  assert.equal(words(), "onetwo");
});

test("a page's token goes with the socket and the question", async () => {
  const socket = await opened({ pageToken: "the.page.token" });
  assert.deepEqual(socket.offered, ["dashboards.page-token.the.page.token"]);
  socket.tell(T1);
  await settled();
  assert.deepEqual(asked[0]?.headers, { "X-Dashboards-Page-Token": "the.page.token" });
});

test("a right that has ended is not asked for again; a lost connection is, later and later", async () => {
  const socket = await opened();
  socket.onclose?.({ code: 4401 });
  await settled();
  assert.equal(Socket.all.length, 1);
  const waits = [0, 1, 5, 30].map((attempt) => delay(attempt, () => 1));
  assert.deepEqual(waits, [1000, 2000, 32_000, 300_000]);
  assert.equal(delay(0, () => 0), 500);
});

test("cells fit when they are the same ones in the same order", () => {
  const root = (inner: string): HTMLElement => {
    const node = document.createElement("div");
    node.innerHTML = inner;
    return node;
  };
  assert.ok(fits(root(cell(0, "a") + heading(1, "b")), root(cell(0, "c") + heading(1, "d"))));
  for (const other of [cell(0, "a"), heading(0, "a") + heading(1, "b"), heading(1, "b") + cell(0, "a")]) {
    assert.ok(!fits(root(cell(0, "a") + heading(1, "b")), root(other)));
  }
});

test("an address gives parameters when it says more than how the page looks", () => {
  for (const search of ["", "?view=grid&theme=dark&token=x"]) assert.ok(!hasParameters(search));
  for (const search of ["?region=north", "?view=grid&x"]) assert.ok(hasParameters(search));
});
