/** The ipywidgets manager of one kernel: models by comm messages, views by class, without JupyterLab. */
import {
  type DOMWidgetView,
  type IClassicComm,
  type IModelOptions,
  WidgetModel,
  WidgetView,
  JUPYTER_WIDGETS_VERSION,
} from "@jupyter-widgets/base";
import { ManagerBase } from "@jupyter-widgets/base-manager";
import { federatedWidgets } from "../federation.ts";
import { MAYBE_MATH } from "../render/delimiters.ts";
import { loadStylesheet } from "../render/stylesheet.ts";
import { REFUSAL_TEXT } from "../render/untrusted.ts";
import { isDark, onThemeChange } from "../render/theme.ts";
import type { Kernel, Message, RenderContext } from "../types.ts";
import { CommRouter } from "./comm.ts";
import { ErrorModel, ErrorView, reasonOf } from "./errors.ts";
import { labelControls } from "./labels.ts";
import { StoredKernel } from "./stored.ts";

export interface WidgetManager {
  /** Takes an iopub message; resolves when all models have taken it in. Knows messages it has had before. */
  handle(message: Message): Promise<void>;
  /** Fetches the widgets that live in the kernel already (a page that joins a running kernel), or came with the page. */
  restore(): Promise<void>;
  dispose(): void;
}

type Exports = Record<string, unknown>;
const BUILT_IN: Record<string, () => Promise<Exports>> = {
  "@jupyter-widgets/base": () => import("@jupyter-widgets/base") as Promise<unknown> as Promise<Exports>,
  "@jupyter-widgets/controls": () => import("@jupyter-widgets/controls") as Promise<unknown> as Promise<Exports>,
  "@jupyter-widgets/output": () => import("./output.ts") as Promise<unknown> as Promise<Exports>,
};

export class DashWidgetManager extends ManagerBase implements WidgetManager {
  /** Labels, HTMLMath and descriptions look for a typesetter here. */
  readonly _rendermime = { latexTypesetter: { typeset: (node: HTMLElement) => void this.#typeset(node) } };
  readonly #router: CommRouter;
  readonly #handled = new WeakSet<Message>();
  readonly #ends: (() => void)[] = [];
  #restoring: Promise<void> | null = null;
  /** There before the first class is, where the author isn't trusted. */
  #untrusted: typeof import("./untrusted.ts") | null = null;

  constructor(
    readonly kernel: Kernel,
    readonly ctx: RenderContext,
  ) {
    super();
    this.#router = new CommRouter(kernel);
    this.#ends.push(
      kernel.onIOPub((message) => this.handle(message)),
      onThemeChange(markTheme),
      () => this.#router.dispose(),
    );
    markTheme();
  }

  async handle(message: Message): Promise<void> {
    if (this.#handled.has(message)) return;
    this.#handled.add(message);
    if (message.header.msg_type !== "comm_open") return this.#router.handle(message);
    const { comm_id: id, target_name: target } = message.content as { comm_id: string; target_name: string };
    if (target !== this.comm_target_name || this.#router.get(id)) return;
    // Not before the class is there may the next message come: updates of an unfinished model are lost.
    await this.handle_comm_open(this.#router.create(id, target), {
      ...message,
      buffers: message.buffers.map((buffer) => new DataView(buffer)),
    } as never);
  }

  restore(): Promise<void> {
    // Shared while it runs: a page of many views asks once.
    this.#restoring ??= this.#restore().finally(() => {
      this.#restoring = null;
    });
    return this.#restoring;
  }

  async #restore(): Promise<void> {
    if (this.kernel instanceof StoredKernel) await this.set_state(this.kernel.state as never);
    else await this._loadFromKernel();
  }

  dispose(): void {
    for (const end of this.#ends.splice(0)) end();
    // The views stay, as pictures of the last state; models must not try to send.
    this.disconnect();
  }

  /** Shows the cause when a class is missing or its constructor throws; base-manager's own error model throws itself. */
  override async _make_model(options: IModelOptions & { model_id: string }, state: Exports = {}): Promise<WidgetModel> {
    const { model_id, model_name, model_module, model_module_version } = options;
    const comm = options.comm ?? this.#silentComm(model_id);
    let model: WidgetModel;
    try {
      const Model = (await this.loadClass(model_name, model_module, model_module_version)) as typeof WidgetModel;
      const attributes = await Model._deserialize_state(state as never, this as never);
      model = new Model(attributes, { widget_manager: this as never, model_id, comm });
    } catch (error) {
      console.error(`${model_module} ${model_name}:`, error);
      model = this.#errorModel(options, error);
    }
    model.name = model_name;
    model.module = model_module;
    return model;
  }

  /** In a file: without a comm, each widget is marked as cut off from its kernel, and some can't be drawn. */
  #silentComm(id: string): IClassicComm | undefined {
    return this.kernel instanceof StoredKernel ? this.#router.create(id, this.comm_target_name) : undefined;
  }

  override create_view<V extends WidgetView>(model: WidgetModel, options: unknown = {}): Promise<V> {
    const view = (model.state_change = model.state_change.then(() => this.#createView(model, options)));
    const id = crypto.getRandomValues(new Uint32Array(2)).join("-");
    if (model.views) model.views[id] = view;
    void (view as Promise<WidgetView>).then((made) =>
      made.once("remove", () => {
        if (model.views) delete model.views[id];
      }),
    );
    return view as Promise<V>;
  }

  async #createView(model: WidgetModel, options: unknown): Promise<WidgetView> {
    const [name, module, version] = ["_view_name", "_view_module", "_view_module_version"].map((trait) =>
      String(model.get(trait) ?? ""),
    ) as [string, string, string];
    let shown = model;
    try {
      const View = model instanceof ErrorModel ? ErrorView : ((await this.loadClass(name, module, version)) as typeof WidgetView);
      return await this.#rendered(View, model, options);
    } catch (error) {
      console.error(`${module} ${name}:`, error);
      const named = { model_id: `${model.model_id}-error`, model_name: name, model_module: module, model_module_version: version };
      shown = this.#errorModel(named, error);
      return this.#rendered(ErrorView, shown, options);
    }
  }

  async #rendered(View: typeof WidgetView, model: WidgetModel, options: unknown): Promise<WidgetView> {
    const view = new View({ model, options: this.setViewOptions(options) } as never);
    view.listenTo(model, "destroy", view.remove);
    await view.render();
    if (view.el instanceof HTMLElement) {
      const label = () => labelControls(view as DOMWidgetView);
      label();
      view.listenTo(model, "change", label);
      void (view as DOMWidgetView).displayed?.then(label);
    }
    return view;
  }

  async #typeset(node: HTMLElement): Promise<void> {
    if (!MAYBE_MATH.test(node.textContent ?? "")) return;
    node.setAttribute("aria-busy", "true");
    try {
      const { mathStyles, typeset } = await import("../render/math.ts");
      await mathStyles(this.ctx);
      typeset(node);
    } finally {
      node.removeAttribute("aria-busy");
    }
    this.ctx.resized?.();
  }

  #errorModel(options: IModelOptions & { model_id: string }, error: unknown): ErrorModel {
    const state = {
      _model_name: "ErrorModel",
      _model_module: "@jupyter-widgets/base",
      _model_module_version: JUPYTER_WIDGETS_VERSION,
      _view_name: "ErrorView",
      _view_module: "@jupyter-widgets/base",
      _view_module_version: JUPYTER_WIDGETS_VERSION,
      _dom_classes: [],
      layout: null,
      style: null,
    };
    const model = new ErrorModel(state, { widget_manager: this as never, model_id: options.model_id, comm: options.comm });
    model.what = `${options.model_module}.${options.model_name.replace(/(Model|View)$/, "")}`;
    model.reason = reasonOf(error);
    // Else it is also marked as cut off from the kernel.
    model.comm_live = true;
    return model;
  }

  protected override async loadClass(name: string, module: string, version: string): Promise<typeof WidgetModel | typeof WidgetView> {
    const builtIn = BUILT_IN[module];
    // Others run what the author wrote (anywidget's whole purpose), or take it for HTML.
    if (!builtIn && !this.ctx.trusted) throw new Error(REFUSAL_TEXT);
    if (!this.ctx.trusted) this.#untrusted ??= await import("./untrusted.ts");
    const exports = await (builtIn ? builtIn() : federatedWidgets(module, version, this.ctx));
    const found = exports[name];
    if (typeof found !== "function") throw new Error(`${module} ${version} has no class ${name}`);
    return this.#untrusted ? this.#untrusted.tame(name, found as typeof WidgetModel) : (found as typeof WidgetModel);
  }

  /** Descriptions, which may hold HTML. */
  override inline_sanitize(source: string): string {
    const html = super.inline_sanitize(source);
    return this.#untrusted ? this.#untrusted.sanitiseText(html) : html;
  }

  protected override async _create_comm(
    target: string,
    id: string = crypto.getRandomValues(new Uint32Array(4)).join("-"),
    data?: unknown,
    metadata?: Record<string, unknown>,
    buffers?: ArrayBuffer[] | ArrayBufferView[],
  ): Promise<IClassicComm> {
    const comm = this.#router.create(id, target);
    // Without data it is the kernel's comm that is joined, not a new one.
    if (data !== undefined || metadata !== undefined) comm.open(data, undefined, metadata, buffers);
    return comm;
  }

  protected override async _get_comm_info(): Promise<Record<string, unknown>> {
    const reply = await this.kernel.request("comm_info_request", { target_name: this.comm_target_name });
    return (reply.content["comms"] as Record<string, unknown> | undefined) ?? {};
  }
}

/** Several widgets' own code goes by JupyterLab's mark on the body; the sheet's variables must be the root's. */
function markTheme(): void {
  for (const node of [document.documentElement, document.body]) node.dataset["jpThemeLight"] = String(!isDark());
}

const managers = new WeakMap<Kernel, Promise<DashWidgetManager>>();

/** The kernel's manager, made at the first call; the widgets' style sheet has been asked for by then. */
export function widgetManagerFor(kernel: Kernel, ctx: RenderContext): Promise<DashWidgetManager> {
  let manager = managers.get(kernel);
  if (!manager) {
    void loadStylesheet(ctx.config, ctx.config.css.widgets);
    manager = Promise.resolve(new DashWidgetManager(kernel, ctx));
    managers.set(kernel, manager);
  }
  return manager;
}
