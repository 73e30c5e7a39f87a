/**
 * Plotly figures, drawn by the plotly.js that the Python package brings along (its JupyterLab extension): it always
 * fits the Python side, and pages without a figure never load it.
 */
import { federatedRenderer } from "../federation.ts";
import { drawWhenSized, onAttach } from "./attach.ts";
import type { RenderJob } from "./index.ts";

interface Figure {
  data?: unknown[];
  layout?: { width?: number; height?: number };
  config?: Record<string, unknown>;
  frames?: unknown[];
}
interface Plotly {
  Plots: { resize(node: HTMLElement): Promise<unknown> };
  purge(node: HTMLElement): void;
}

const ELSEWHERE = ["plotlyServerURL", "sendData", "showEditInChartStudio", "showLink", "showSendToCloud", "topojsonURL"];

/** Pixels; what the extension itself takes when the figure says nothing. */
const HEIGHT = 360;

export async function render({ mime, data, metadata, ctx }: RenderJob): Promise<HTMLElement> {
  // plotly.js writes into what it gets, and an update may show the same object again.
  const figure = structuredClone(data[mime]) as Figure | null;
  if (!figure || typeof figure !== "object") throw new Error("not a Plotly figure");
  // Leads to another site, or asks one.
  if (!ctx.trusted && figure.config) for (const name of ELSEWHERE) delete figure.config[name];
  const layout = (figure.layout ??= {});
  const fixedWidth = layout.width !== undefined;
  const renderer = await federatedRenderer(mime, ctx);
  const library = () => (renderer.constructor as unknown as { Plotly?: Plotly | null }).Plotly;

  const node = document.createElement("div");
  node.className = "dash-plotly";
  // Its place from the start, so that nothing below jumps.
  renderer.node.style.height = `${layout.height ?? HEIGHT}px`;
  node.append(renderer.node);
  const observer = new ResizeObserver(() => {
    if (node.clientWidth > 0 && renderer.node.querySelector(".plot-container")) {
      void library()?.Plots.resize(renderer.node).catch(() => {});
    }
  });
  drawWhenSized(node, async () => {
    // The bundle's own PNG, if any, would be shown as a still picture instead.
    await renderer.renderModel({ data: { [mime]: figure }, metadata, setData: () => {} });
    if (!fixedWidth) observer.observe(node);
    ctx.resized?.();
  });
  onAttach(
    node,
    () => {},
    () => {
      observer.disconnect();
      library()?.purge(renderer.node);
    },
  );
  return node;
}
