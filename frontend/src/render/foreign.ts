/** A mime type that only an installed JupyterLab mime extension knows. */
import { federatedRenderer } from "../federation.ts";
import { drawWhenSized } from "./attach.ts";
import type { RenderJob } from "./index.ts";

export async function render({ mime, data, metadata, ctx }: RenderJob): Promise<HTMLElement> {
  const renderer = await federatedRenderer(mime, ctx);
  const node = document.createElement("div");
  node.className = "dash-foreign";
  node.append(renderer.node);
  drawWhenSized(node, async () => {
    await renderer.renderModel({ data, metadata, setData: () => {} });
    ctx.resized?.();
  });
  return node;
}
