/**
 * The Output widget. While its `msg_id` is set, the kernel's outputs for that request come here; the model keeps them
 * as nbformat outputs and writes them back, so that `out.outputs` in the kernel, and a later view, know them.
 */
import { DOMWidgetView } from "@jupyter-widgets/base";
import { OutputModel as BaseOutputModel } from "@jupyter-widgets/output";
import { type NbOutput, OutputArea } from "../outputs.ts";
import type { Kernel, Message, RenderContext } from "../types.ts";
import { appendOutput, type StoredOutput } from "./output-list.ts";

/** What the manager hands to models and views of this module. */
export interface OutputHost {
  readonly kernel: Kernel;
  readonly ctx: RenderContext;
}

/** Fields are set in `initialize`: backbone calls that from its constructor, before a class field or #private exists. */
export class OutputModel extends BaseOutputModel {
  declare clearNext: boolean;

  override defaults(): Backbone.ObjectHash {
    return { ...super.defaults(), msg_id: "", outputs: [] };
  }

  override initialize(attributes: Backbone.ObjectHash, options: { model_id: string; comm?: unknown; widget_manager: never }): void {
    super.initialize(attributes, options);
    this.clearNext = false;
    this.listenTo(this, "change:msg_id", () => {
      this.unhook((this.previous("msg_id") as string | undefined) ?? "");
      this.hook();
    });
    this.listenTo(this, "comm:close", () => this.unhook(this.get("msg_id") as string));
    this.hook();
  }

  get host(): OutputHost {
    return this.widget_manager as unknown as OutputHost;
  }

  private hook(): void {
    const id = this.get("msg_id") as string;
    if (id) this.host.kernel.setOutputHook(id, (message) => this.take(message));
  }

  private unhook(id: string): void {
    if (id) this.host.kernel.setOutputHook(id, null);
  }

  private take(message: Message): void {
    if (message.header.msg_type === "clear_output") {
      if (message.content["wait"] === true) this.clearNext = true;
      else this.store([], message);
      return;
    }
    const before = this.clearNext ? [] : (this.get("outputs") as StoredOutput[]);
    if (this.clearNext) this.trigger("dash:clear");
    this.clearNext = false;
    this.store(appendOutput(before, message), message);
  }

  private store(outputs: StoredOutput[], message: Message): void {
    // Views show the message itself; the changed list is for the kernel and for views to come.
    this.set("outputs", outputs, { fromKernelOutput: true });
    this.trigger("dash:output", message);
    this.save_changes();
  }
}

export class OutputView extends DOMWidgetView {
  override render(): void {
    super.render();
    this.el.classList.add("jupyter-widgets", "widget-output", "dash-outputs");
    const { ctx } = (this.model as OutputModel).host;
    const area = new OutputArea(this.el, ctx);
    this.el.setAttribute("aria-busy", "true");
    void area.replaceAll(this.model.get("outputs") as NbOutput[]).then(() => this.el.removeAttribute("aria-busy"));
    this.listenTo(this.model, "dash:clear", () => area.clear(true));
    this.listenTo(this.model, "dash:output", (message: Message) => void area.handle(message));
    this.listenTo(this.model, "change:outputs", (_model: unknown, outputs: NbOutput[], options: { fromKernelOutput?: true }) => {
      if (!options.fromKernelOutput) void area.replaceAll(outputs);
    });
  }
}
