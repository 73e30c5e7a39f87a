/** The core widgets where nobody vouches for the author: the same, but HTML in their traits is sanitised. */
import { type DOMWidgetView, WidgetModel, WidgetView } from "@jupyter-widgets/base";
import { sanitise } from "../render/sanitise.ts";

export { sanitiseText } from "../render/sanitise.ts";

type Class = typeof WidgetModel | typeof WidgetView;
interface HtmlView extends DOMWidgetView {
  content: HTMLElement;
  typeset(node: HTMLElement): void;
  update(): void;
}

/** These write a trait as HTML. */
const HTML_VIEWS = new Set(["HTMLView", "HTMLMathView"]);
/** This one too, and no widget has it: our own takes its place. */
const REFUSED = "ErrorWidgetView";

const tamed = new WeakMap<Class, Class>();

/** The class to use in place of a class of a core module. Throws for what is no widget: a name comes from the kernel. */
export function tame(name: string, found: Class): Class {
  const isWidget = [WidgetModel, WidgetView].some((base) => found === base || found.prototype instanceof base);
  if (!isWidget || name === REFUSED) throw new Error(`${name} is no widget.`);
  if (!HTML_VIEWS.has(name)) return found;
  let made = tamed.get(found);
  if (!made) {
    made = withSanitisedValue(found as unknown as new (...args: never[]) => HtmlView, name === "HTMLMathView");
    tamed.set(found, made);
  }
  return made;
}

function withSanitisedValue(View: new (...args: never[]) => HtmlView, typesets: boolean): Class {
  const { update: updateDescription } = Object.getPrototypeOf(View.prototype) as HtmlView;
  return class extends View {
    override update(): void {
      this.content.replaceChildren(sanitise(String(this.model.get("value") ?? "")));
      if (typesets) this.typeset(this.content);
      updateDescription.call(this);
    }
  } as unknown as Class;
}
