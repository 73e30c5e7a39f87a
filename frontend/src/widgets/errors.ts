/** What stands in for a widget that could not be made or drawn: the reason, in place of ipywidgets' broken icon. */
import { DOMWidgetModel, DOMWidgetView } from "@jupyter-widgets/base";

export class ErrorModel extends DOMWidgetModel {
  /** The failure's own words. */
  reason = "";
  /** Which class of which module. */
  what = "";
}

export class ErrorView extends DOMWidgetView {
  override render(): void {
    super.render();
    const { what, reason } = this.model as ErrorModel;
    this.el.append(errorNote(what, reason));
  }
}

export function errorNote(what: string, reason: string): HTMLElement {
  const note = document.createElement("div");
  note.className = "dash-error dash-widget-error";
  note.setAttribute("role", "alert");
  const head = document.createElement("strong");
  head.textContent = `The widget ${what} cannot be shown.`;
  note.append(head, document.createElement("br"), reason);
  return note;
}

export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
