import { config as plain } from "./page.ts";
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { Renewal } from "../src/renewal.ts";

let calls: { url: string; options: RequestInit }[] = [];
let answer: () => Response = () => Response.error();
let ends = 0;

Object.assign(globalThis, {
  fetch: async (url: string, options: RequestInit) => {
    calls.push({ url, options });
    return answer();
  },
});

const page = () => ({ ...plain, pageToken: "t0", pageTokenUrl: "/_api/page-token", pageTokenSeconds: 600 });
const renewal = (config = page()): Renewal => new Renewal(config, (attempt) => 1000 * (attempt + 1), () => void ends++);
const granted = (token: string, expires_in = 600) => () => Response.json({ token, expires_in });
/** Lets what was promised happen; the clock of the test stands still. */
const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
};

/** The test's clock, in milliseconds, and what waits for it. */
let now = 0;
let waiting = new Map<number, { at: number; run: () => void }>();
let timers = 0;
Date.now = () => now;
Object.assign(globalThis, {
  setTimeout: (run: () => void, wait: number) => {
    // As a browser does it with what is too long for it.
    waiting.set(++timers, { at: now + (wait < 2 ** 31 ? wait : 0), run });
    return timers;
  },
  clearTimeout: (timer: number) => void waiting.delete(timer),
});
async function pass(seconds: number): Promise<void> {
  now += 1000 * seconds;
  for (const [timer, { at, run }] of waiting) {
    if (at > now) continue;
    waiting.delete(timer);
    run();
  }
  await settled();
}
/** The computer sleeps: the clock goes on, its timers don't. */
const sleep = (seconds: number): void => void (now += 1000 * seconds);
const becomesVisible = (): void => void document.dispatchEvent(new window.Event("visibilitychange"));

beforeEach(() => {
  calls = [];
  ends = 0;
  waiting = new Map();
});

afterEach(async () => {
  // Those of this test must not wake with the next one's.
  answer = () => new Response(null, { status: 401 });
  sleep(1e10);
  becomesVisible();
  await settled();
});

test("a token is renewed with itself at half of its life, and the next one at half of that one's", async () => {
  const config = page();
  renewal(config);
  answer = granted("t1", 100);
  await pass(299);
  assert.equal(calls.length, 0);
  await pass(1);
  assert.equal(calls[0]?.url, "/_api/page-token");
  assert.equal(calls[0]?.options.method, "POST");
  assert.equal(calls[0]?.options.body, "{}");
  assert.equal((calls[0]?.options.headers as Record<string, string>)["X-Dashboards-Page-Token"], "t0");
  assert.equal(config.pageToken, "t1");
  await pass(49);
  assert.equal(calls.length, 1);
  await pass(1);
  assert.equal((calls[1]?.options.headers as Record<string, string>)["X-Dashboards-Page-Token"], "t1");
});

test("a failing network or server is asked again, later each time", async () => {
  const config = page();
  renewal(config);
  answer = () => {
    throw new TypeError("no network");
  };
  await pass(300);
  answer = () => new Response("<h1>Bad gateway</h1>", { status: 502 });
  await pass(1);
  assert.equal(calls.length, 2);
  await pass(1);
  assert.equal(calls.length, 2);
  answer = granted("t1");
  await pass(1);
  assert.equal(calls.length, 3);
  assert.equal(config.pageToken, "t1");
  assert.equal(ends, 0);
});

for (const status of [401, 403, 404]) {
  test(`the answer ${status} ends the page's right, and nobody asks again`, async () => {
    const over = renewal();
    answer = () => Response.json({ message: "over" }, { status });
    await pass(300);
    assert.equal(ends, 1);
    await pass(10_000);
    becomesVisible();
    await over.fresh();
    assert.equal(calls.length, 1);
    assert.equal(ends, 1);
  });
}

test("after a sleep the token is renewed when the page is seen again, once for all who ask", async () => {
  const config = page();
  const waked = renewal(config);
  answer = granted("t1");
  becomesVisible();
  assert.equal(waked.fresh(), undefined);
  assert.equal(calls.length, 0);
  sleep(400);
  becomesVisible();
  window.dispatchEvent(new window.Event("online"));
  await waked.fresh();
  assert.equal(calls.length, 1);
  assert.equal(config.pageToken, "t1");
  assert.equal(waked.fresh(), undefined);
});

test("who waits for a fresh token goes on when none can be had now", async () => {
  const waiting = renewal();
  answer = () => new Response(null, { status: 503 });
  sleep(400);
  await waiting.fresh();
  assert.equal(calls.length, 1);
  assert.equal(ends, 0);
});

for (const seconds of [0, -1, 1e12]) {
  test(`a life of ${seconds} seconds leads to no stream of requests`, async () => {
    renewal({ ...page(), pageTokenSeconds: seconds });
    answer = granted("t1", seconds);
    await pass(0.5);
    assert.equal(calls.length, 0);
  });
}
