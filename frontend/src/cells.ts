/** The output areas of the notebook's code cells, by index. */
import { OutputArea } from "./outputs.ts";
import type { RenderContext } from "./types.ts";

export interface Cell {
  index: number;
  area: OutputArea;
  /** The cell's element; null for a cell that the view hides. */
  section: HTMLElement | null;
}

/** Cells that the view hides run too, and their style sheets and scripts must work: unseen, but in the document. */
function hiddenOutputs(): HTMLElement {
  let store = document.getElementById("dash-hidden");
  if (!store) {
    store = document.createElement("div");
    store.id = "dash-hidden";
    store.hidden = true;
    document.body.append(store);
  }
  const outputs = document.createElement("div");
  outputs.className = "dash-outputs";
  store.append(outputs);
  return outputs;
}

export function findCells(ctx: RenderContext): Cell[] {
  return ctx.config.codeCells.map((index) => {
    const section = document.querySelector<HTMLElement>(`.dash-cell[data-cell-index="${index}"]`);
    const outputs = section?.querySelector<HTMLElement>(".dash-outputs") ?? hiddenOutputs();
    return { index, section, area: new OutputArea(outputs, ctx) };
  });
}
