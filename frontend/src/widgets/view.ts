/** Shows a widget: application/vnd.jupyter.widget-view+json. */
import type { DOMWidgetView } from "@jupyter-widgets/base";
import { MessageLoop } from "@lumino/messaging";
import { Widget } from "@lumino/widgets";
import { onAttach } from "../render/attach.ts";
import type { RenderJob } from "../render/index.ts";
import { loadStylesheet } from "../render/stylesheet.ts";
import { errorNote, reasonOf } from "./errors.ts";
import { widgetManagerFor, type DashWidgetManager } from "./manager.ts";
import { storedKernel } from "./stored.ts";

export async function render({ mime, data, ctx }: RenderJob): Promise<HTMLElement> {
  const id = (data[mime] as { model_id?: unknown } | null)?.model_id;
  const kernel = ctx.kernel ?? storedKernel();
  if (!kernel) throw new Error("a widget needs a kernel");
  if (typeof id !== "string" || id === "") throw new Error("a widget view without model_id");
  const manager = await widgetManagerFor(kernel, ctx);
  const node = document.createElement("div");
  node.className = "dash-widget";
  node.setAttribute("aria-busy", "true");
  // Not awaited: the model may have to come by messages that wait until this output is done with.
  const made = Promise.all([viewOf(manager, id), loadStylesheet(ctx.config, ctx.config.css.widgets)]);
  let view: DOMWidgetView | null = null;
  let gone = false;
  const observer = new ResizeObserver(() => {
    if (view) MessageLoop.postMessage(view.luminoWidget, Widget.ResizeMessage.UnknownSize);
  });
  const show = async () => {
    try {
      [view] = await made;
      if (gone) return view.remove();
      Widget.attach(view.luminoWidget, node);
      observer.observe(node);
    } catch (error) {
      console.error(error);
      node.append(errorNote("here", reasonOf(error)));
    } finally {
      node.removeAttribute("aria-busy");
      ctx.resized?.();
    }
  };
  made.catch(() => {});
  onAttach(
    node,
    () => void show(),
    () => {
      gone = true;
      observer.disconnect();
      if (view) discard(view);
    },
  );
  return node;
}

async function viewOf(manager: DashWidgetManager, id: string): Promise<DOMWidgetView> {
  // A kernel that ran before this page joined it has models whose comm_open nobody here saw.
  if (!manager.has_model(id)) await manager.restore().catch((error: unknown) => console.warn(error));
  const model = await manager.get_model(id);
  return (await manager.create_view(model as never)) as DOMWidgetView;
}

/** The output area has taken the node out of the page already, which Lumino must hear before it may dispose of it. */
function discard(view: DOMWidgetView): void {
  if (view.luminoWidget.isAttached) {
    MessageLoop.sendMessage(view.luminoWidget, Widget.Msg.BeforeDetach);
    MessageLoop.sendMessage(view.luminoWidget, Widget.Msg.AfterDetach);
  }
  view.remove();
}
