/** Accessible names for controls that ipywidgets leaves without (no description, slider handles). */
import type { DOMWidgetView } from "@jupyter-widgets/base";

const CONTROLS = 'input:not([type="hidden"]), select, textarea, [role="slider"], [role="textbox"], [role="spinbutton"], progress';

/** Names the view's own controls by the widget's description, tooltip or kind ("Int slider"), where they have none. */
export function labelControls(view: DOMWidgetView): void {
  const name = nameOf(view);
  for (const node of own(view.el, CONTROLS)) {
    if (!isOurs(node) && hasName(node)) continue;
    setName(node, name);
  }
  for (const button of own(view.el, "button")) {
    if (!isOurs(button) && (hasName(button) || button.textContent?.trim())) continue;
    // "fa fa-play": the icon is all there is to say.
    const icon = /\bfa-([a-z-]+)/.exec(button.querySelector("i")?.className ?? "")?.[1];
    if (!button.textContent?.trim()) setName(button, button.title || (icon ? sentence(icon.replaceAll("-", " ")) : name));
  }
  for (const image of own(view.el, "img:not([alt])")) image.setAttribute("alt", name);
}

/** What is in `el`, but for what belongs to the children of a container: those have names of their own. */
const own = (el: HTMLElement, selector: string) =>
  [...(el.matches(selector) ? [el] : []), ...el.querySelectorAll<HTMLElement>(selector)].filter(
    (node) => node.closest(".jupyter-widgets")?.contains(el) ?? true,
  );

const isOurs = (node: HTMLElement) => node.dataset["dashLabel"] !== undefined;

function setName(node: HTMLElement, name: string): void {
  node.dataset["dashLabel"] = "";
  node.setAttribute("aria-label", name);
}

const sentence = (words: string) => words.slice(0, 1).toUpperCase() + words.slice(1);

function nameOf(view: DOMWidgetView): string {
  for (const trait of ["description", "tooltip", "placeholder"]) {
    const value: unknown = view.model.get(trait);
    if (typeof value === "string" && value.trim() !== "") return plainText(value);
  }
  const kind = String(view.model.get("_model_name") ?? "").replace(/Model$/, "");
  const words = kind.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
  return words ? sentence(words) : "Input";
}

/** Descriptions may hold html. A parsed document runs nothing and loads nothing. */
function plainText(html: string): string {
  return new DOMParser().parseFromString(html, "text/html").body.textContent?.trim() || html;
}

function hasName(node: HTMLElement): boolean {
  // A title alone is only shown to a mouse.
  if (node.getAttribute("aria-label")?.trim() || node.getAttribute("aria-labelledby")) return true;
  const labels = [...((node as HTMLInputElement).labels ?? [])];
  return labels.some((label) => label.textContent?.trim() && label.style.display !== "none");
}
