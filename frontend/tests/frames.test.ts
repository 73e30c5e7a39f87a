import assert from "node:assert/strict";
import { test } from "node:test";
import { FrameError, V1_PROTOCOL, decodeFrame, decodeLegacy, decodeV1, encodeFrame, encodeLegacy, encodeV1 } from "../src/frames.ts";
import type { Message } from "../src/types.ts";

const message = (buffers: ArrayBuffer[] = []): Message => ({
  channel: "shell",
  header: { msg_id: "1", msg_type: "execute_request", session: "s", username: "", version: "5.3", date: "now" },
  parent_header: {},
  metadata: { a: [1, null, "ü"] },
  content: { code: "2", text: "héllo 🌍" },
  buffers,
});
const bytes = (...values: number[]): ArrayBuffer => new Uint8Array(values).buffer;

test("a message survives the way through a v1 frame, buffers and all", () => {
  for (const buffers of [[], [bytes(1, 2, 3)], [bytes(), bytes(255), bytes(0, 0)]]) {
    assert.deepEqual(decodeV1(encodeV1(message(buffers))), message(buffers));
  }
});

test("a v1 frame begins with its number of offsets and the place of the channel", () => {
  const view = new DataView(encodeV1(message([bytes(7)])));
  assert.equal(view.getBigUint64(0, true), 7n);
  assert.equal(view.getBigUint64(8, true), 64n);
  assert.equal(Number(view.getBigUint64(8 * 7, true)), view.byteLength);
});

test("a message survives the older protocol as text, and as binary with buffers", () => {
  assert.equal(typeof encodeLegacy(message()), "string");
  for (const buffers of [[], [bytes(1, 2, 3), bytes(9)]]) {
    assert.deepEqual(decodeLegacy(encodeLegacy(message(buffers))), message(buffers));
  }
});

test("the agreed protocol decides the frame", () => {
  assert.ok(encodeFrame(V1_PROTOCOL, message()) instanceof ArrayBuffer);
  assert.equal(typeof encodeFrame("", message()), "string");
  assert.deepEqual(decodeFrame("", encodeFrame("", message())), message());
});

test("a table that claims a count it can't have is refused at once", () => {
  const giant = new Uint8Array(64).fill(255).buffer;
  assert.throws(() => decodeV1(giant), FrameError);
  assert.throws(() => decodeLegacy(giant), FrameError);
  for (let length = 0; length < 60; length++) assert.throws(() => decodeV1(new ArrayBuffer(length)), FrameError);
});

test("offsets beyond the frame or running backwards are refused", () => {
  const frame = encodeV1(message());
  new DataView(frame).setBigUint64(8 * 3, 2n ** 40n, true);
  assert.throws(() => decodeV1(frame), FrameError);
  const backwards = encodeV1(message());
  new DataView(backwards).setBigUint64(8 * 4, 1n, true);
  assert.throws(() => decodeV1(backwards), FrameError);
});

test("no truncation or flipped byte leaves the decoder other than by an error or a message", () => {
  const frame = new Uint8Array(encodeV1(message([bytes(1, 2)])));
  for (let i = 0; i < frame.length; i++) {
    assert.throws(() => decodeV1(frame.slice(0, i).buffer), (error) => error instanceof Error);
    const flipped = frame.slice();
    flipped[i] = (flipped[i] ?? 0) ^ 0x5a;
    try {
      assert.equal(typeof decodeV1(flipped.buffer).header.msg_type, "string");
    } catch (error) {
      assert.ok(error instanceof FrameError || error instanceof SyntaxError || error instanceof TypeError, String(error));
    }
  }
});

test("what isn't a kernel message is refused", () => {
  assert.throws(() => decodeLegacy('{"channel": "shell"}'), FrameError);
  assert.throws(() => decodeLegacy('{"channel": "other", "header": {"msg_type": "x"}}'), FrameError);
  assert.throws(() => decodeLegacy("null"), Error);
});
