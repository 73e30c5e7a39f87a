/** Accessible names for controls that ipywidgets leaves without (no description, slider handles). */
import type { DOMWidgetView } from "@jupyter-widgets/base";

const CONTROLS = 'input:not([type="hidden"]), select, textarea, [role="slider"], [role="textbox"], [role="spinbutton"], progress';

/** Names the view's own controls by the widget's description, tooltip or kind ("Int slider"), where they have none. */
export function labelControls(view: DOMWidgetView): void {
  const name = nameOf(view);
  const nodes = [...view.el.querySelectorAll<HTMLElement>(CONTROLS), ...(view.el.matches(CONTROLS) ? [view.el] : [])];
  for (const node of nodes) {
    const ours = node.dataset["dashLabel"] !== undefined;
    if (!ours && hasName(node)) continue;
    node.dataset["dashLabel"] = "";
    node.setAttribute("aria-label", name);
  }
}

function nameOf(view: DOMWidgetView): string {
  for (const trait of ["description", "tooltip", "placeholder"]) {
    const value: unknown = view.model.get(trait);
    if (typeof value === "string" && value.trim() !== "") return plainText(value);
  }
  const kind = String(view.model.get("_model_name") ?? "").replace(/Model$/, "");
  const words = kind.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
  return words ? words[0]?.toUpperCase() + words.slice(1) : "Input";
}

/** Descriptions may hold html. A parsed document runs nothing and loads nothing. */
function plainText(html: string): string {
  return new DOMParser().parseFromString(html, "text/html").body.textContent?.trim() || html;
}

function hasName(node: HTMLElement): boolean {
  if (node.getAttribute("aria-label")?.trim() || node.getAttribute("aria-labelledby") || node.title) return true;
  const labels = [...((node as HTMLInputElement).labels ?? [])];
  return labels.some((label) => label.textContent?.trim() && label.style.display !== "none");
}
