/**
 * Websocket frames of kernel messages, both ways: the binary v1 protocol, and the older JSON one that servers with a
 * kernel gateway still speak. Rule: "v1.kernel.websocket.jupyter.org" of the Jupyter Server documentation
 * (https://jupyter-server.readthedocs.io/en/latest/developers/websocket-protocols.html).
 */
import type { Channel, Message } from "./types.ts";

export const V1_PROTOCOL = "v1.kernel.websocket.jupyter.org";

/** Channel, four JSON parts and this many buffers: a table that claims more is not believed. */
const MAX_BUFFERS = 4096;
/** Offsets beside those of the buffers: the five parts' beginnings and the end of the last one. */
const FIXED_OFFSETS = 6;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export class FrameError extends Error {}

const CHANNELS: ReadonlySet<string> = new Set<Channel>(["shell", "iopub", "stdin", "control"]);

/** Checks what the rest of the client relies on; a message without it is not one. */
function asMessage(parts: Record<string, unknown>, buffers: ArrayBuffer[]): Message {
  const { channel, header } = parts;
  const type = (header as { msg_type?: unknown } | null)?.msg_type;
  if (typeof channel !== "string" || !CHANNELS.has(channel) || typeof type !== "string") {
    throw new FrameError("not a kernel message");
  }
  return {
    channel: channel as Channel,
    header: header as Message["header"],
    parent_header: (parts.parent_header ?? {}) as Message["parent_header"],
    metadata: (parts.metadata ?? {}) as Message["metadata"],
    content: (parts.content ?? {}) as Message["content"],
    buffers,
  };
}

/** Cuts `frame` at the given byte offsets, which must rise within it; n offsets give n - 1 slices. */
function slices(frame: ArrayBuffer, offsets: number[]): ArrayBuffer[] {
  return offsets.slice(1).map((end, i) => {
    const start = offsets[i] as number;
    if (end < start || end > frame.byteLength) throw new FrameError("offsets out of range");
    return frame.slice(start, end);
  });
}

const parse = (part: ArrayBuffer | undefined): unknown => JSON.parse(decoder.decode(part));

function offsetsV1(view: DataView): number[] {
  const count = view.byteLength < 8 ? 0n : view.getBigUint64(0, true);
  if (count < FIXED_OFFSETS || count > FIXED_OFFSETS + MAX_BUFFERS || 8n * (count + 1n) > view.byteLength) {
    throw new FrameError("bad offset table");
  }
  return Array.from({ length: Number(count) }, (_, i) => Number(view.getBigUint64(8 * (i + 1), true)));
}

/** Decodes one v1 frame. Throws FrameError or SyntaxError for anything that isn't one. */
export function decodeV1(frame: ArrayBuffer): Message {
  const [channel, header, parent, metadata, content, ...buffers] = slices(frame, offsetsV1(new DataView(frame)));
  return asMessage(
    {
      channel: decoder.decode(channel),
      header: parse(header),
      parent_header: parse(parent),
      metadata: parse(metadata),
      content: parse(content),
    },
    buffers,
  );
}

/** Joins `parts` behind a table that `writeOffset` fills with the byte offset of each part's beginning and the end. */
function join(parts: Uint8Array[], tableBytes: number, writeTable: (view: DataView, offsets: number[]) => void): ArrayBuffer {
  const offsets = [tableBytes];
  for (const part of parts) offsets.push((offsets.at(-1) as number) + part.byteLength);
  const frame = new Uint8Array(offsets.at(-1) as number);
  parts.forEach((part, i) => frame.set(part, offsets[i]));
  writeTable(new DataView(frame.buffer), offsets);
  return frame.buffer;
}

const bytes = (value: unknown): Uint8Array => encoder.encode(JSON.stringify(value));

export function encodeV1(message: Message): ArrayBuffer {
  const parts = [
    encoder.encode(message.channel),
    bytes(message.header),
    bytes(message.parent_header),
    bytes(message.metadata),
    bytes(message.content),
    ...message.buffers.map((buffer) => new Uint8Array(buffer)),
  ];
  return join(parts, 8 * (parts.length + 2), (view, offsets) => {
    view.setBigUint64(0, BigInt(offsets.length), true);
    offsets.forEach((offset, i) => view.setBigUint64(8 * (i + 1), BigInt(offset), true));
  });
}

/** Decodes a frame of the older protocol: JSON text, or binary with big-endian 32-bit offsets when there are buffers. */
export function decodeLegacy(frame: string | ArrayBuffer): Message {
  if (typeof frame === "string") return asMessage(JSON.parse(frame) as Record<string, unknown>, []);
  const view = new DataView(frame);
  const count = view.byteLength < 4 ? 0 : view.getUint32(0);
  if (count < 1 || count > MAX_BUFFERS + 1 || 4 * (count + 1) > view.byteLength) throw new FrameError("bad offset table");
  const offsets = Array.from({ length: count }, (_, i) => view.getUint32(4 * (i + 1)));
  const [json, ...buffers] = slices(frame, [...offsets, frame.byteLength]);
  return asMessage(parse(json) as Record<string, unknown>, buffers);
}

export function encodeLegacy(message: Message): string | ArrayBuffer {
  const { buffers, ...rest } = message;
  if (buffers.length === 0) return JSON.stringify(rest);
  const parts = [bytes(rest), ...buffers.map((buffer) => new Uint8Array(buffer))];
  return join(parts, 4 * (parts.length + 1), (view, offsets) => {
    view.setUint32(0, parts.length);
    offsets.slice(0, -1).forEach((offset, i) => view.setUint32(4 * (i + 1), offset));
  });
}

/** Decodes what a websocket with the agreed sub-protocol gave. */
export const decodeFrame = (protocol: string, frame: string | ArrayBuffer): Message =>
  protocol === V1_PROTOCOL && typeof frame !== "string" ? decodeV1(frame) : decodeLegacy(frame);

export const encodeFrame = (protocol: string, message: Message): string | ArrayBuffer =>
  protocol === V1_PROTOCOL ? encodeV1(message) : encodeLegacy(message);
