/**
 * Vega and Vega-Lite by one Vega 6, which also takes older specs. Expressions are interpreted from their syntax tree,
 * since the page's CSP has no unsafe-eval. What a spec may fetch is the CSP's connect-src to decide.
 */
import embed, { type EmbedOptions, type Result, type VisualizationSpec } from "vega-embed";
import { expressionInterpreter } from "vega-interpreter";
import { onAttach, drawWhenSized } from "./attach.ts";
import type { RenderJob } from "./index.ts";
import { isDark, onThemeChange } from "./theme.ts";
import { harmlessOptions, withinItsPlace } from "./vega-options.ts";
import { upgradeVegaLite } from "./vega-upgrade.ts";

/** Rows from which a picture is drawn faster than one SVG element for each; below, SVG prints and reads better. */
const MANY_ROWS = 3000;

function rows(node: unknown): number {
  if (Array.isArray(node)) return node.length;
  if (node === null || typeof node !== "object") return 0;
  const { values, datasets, data } = node as { values?: unknown; datasets?: Record<string, unknown>; data?: unknown };
  const own = Array.isArray(data) ? data.map(rows).reduce((sum, n) => sum + n, 0) : rows(data);
  return own + rows(values) + Object.values(datasets ?? {}).reduce<number>((sum, one) => sum + rows(one), 0);
}

export function render({ mime, data, metadata, ctx }: RenderJob): HTMLElement {
  const lite = mime.includes("vegalite");
  const given = data[mime];
  const parsed = (typeof given === "string" ? JSON.parse(given) : structuredClone(given)) as Record<string, unknown>;
  if (parsed === null || typeof parsed !== "object") throw new Error("not a Vega specification");
  const upgraded = lite ? upgradeVegaLite(parsed) : parsed;
  const spec = ctx.trusted ? upgraded : withinItsPlace(upgraded);
  // Only good for a console warning that the spec is of another version.
  delete spec["$schema"];
  const hints = metadata[mime] as { embed_options?: EmbedOptions } | undefined;

  const node = document.createElement("div");
  node.className = "dash-vega";
  const plot = document.createElement("div");
  node.append(plot);
  let shown: Result | null = null;
  const draw = async () => {
    shown?.finalize();
    shown = await embed(plot, spec as unknown as VisualizationSpec, {
      // Its menu leads to an editor on the web.
      actions: false,
      renderer: rows(spec) < MANY_ROWS ? "svg" : "canvas",
      ...(isDark() ? { theme: "dark", config: { background: "transparent" } } : {}),
      ...(ctx.trusted ? hints?.embed_options : harmlessOptions(hints?.embed_options)),
      mode: lite ? "vega-lite" : "vega",
      ast: true,
      expr: expressionInterpreter,
    } as EmbedOptions);
    // Brushes and other marks without a name would be read out as unnamed pictures.
    for (const mark of plot.querySelectorAll("[role^=graphics]:not([aria-label])")) mark.setAttribute("aria-hidden", "true");
    ctx.resized?.();
  };
  drawWhenSized(node, draw);
  let unwatch = () => {};
  onAttach(
    node,
    () => {
      unwatch = onThemeChange(() => void (shown && draw().catch((error: unknown) => console.error(error))));
    },
    () => {
      unwatch();
      shown?.finalize();
    },
  );
  return node;
}
