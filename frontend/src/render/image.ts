/** Pictures. */
import { textOf } from "./basic.ts";
import type { RenderJob } from "./index.ts";

type ImageMetadata = { alt?: unknown; width?: unknown; height?: unknown; isolated?: unknown };

/** Jupyter keys metadata by mime type; IPython also puts `isolated` and friends beside. */
export function metadataOf(metadata: Record<string, unknown>, mime: string): ImageMetadata {
  const own = metadata[mime];
  return { ...metadata, ...(own !== null && typeof own === "object" ? own : {}) } as ImageMetadata;
}

export async function render({ mime, data, metadata, ctx }: RenderJob): Promise<HTMLElement> {
  const hints = metadataOf(metadata, mime);
  // In an <img> it loads nothing, and its style sheet is its own.
  if (mime === "image/svg+xml" && hints.isolated !== true && ctx.trusted) return inlineSvg(textOf(data[mime]), hints);
  const image = document.createElement("img");
  const payload = textOf(data[mime]);
  image.src =
    mime === "image/svg+xml"
      ? `data:image/svg+xml,${encodeURIComponent(payload)}`
      : `data:${mime};base64,${payload.replace(/\s/g, "")}`;
  image.alt = altOf(hints);
  if (Number(hints.width) > 0) image.width = Number(hints.width);
  if (Number(hints.height) > 0) image.height = Number(hints.height);
  // Decoded before it is shown: the old picture stays until then, nothing flashes or jumps. Broken: next mime type.
  await image.decode();
  ctx.resized?.();
  return image;
}

function altOf({ alt }: ImageMetadata): string {
  return typeof alt === "string" && alt !== "" ? alt : "Output image";
}

async function inlineSvg(source: string, hints: ImageMetadata): Promise<HTMLElement> {
  const { default: purify } = await import("dompurify");
  const node = document.createElement("div");
  node.className = "dash-svg";
  // Inline it can take the page's fonts and be selected; its scripts go, as they do in an <img>.
  node.append(
    purify.sanitize(source, {
      USE_PROFILES: { svg: true, svgFilters: true },
      ADD_TAGS: ["use"],
      RETURN_DOM_FRAGMENT: true,
    }),
  );
  const svg = node.querySelector("svg");
  if (!svg) throw new Error("not an svg document");
  if (!svg.querySelector(":scope > title") && !svg.hasAttribute("aria-label")) {
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", altOf(hints));
  }
  return node;
}
