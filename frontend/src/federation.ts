/**
 * Host for the prebuilt JupyterLab extensions that pip installed: custom widgets and mime renderers, from this server
 * and in the version that fits the Python side. The protocol is webpack's module federation as JupyterLab uses it
 * (https://webpack.js.org/concepts/module-federation/, "dynamic remote containers").
 */
import { bestVersion, relevant, searchOrder, type Listed } from "./federation-list.ts";
import { evaluate } from "./federation-eval.ts";
import { hostShares, type ShareScope } from "./federation-shares.ts";
import type { PageTokenHeader, RenderContext } from "./types.ts";
import { xsrfHeader } from "./xsrf.ts";

/** JupyterLab's IRenderMime.IRenderer, as far as it is used. */
export interface MimeRenderer {
  readonly node: HTMLElement;
  renderModel(model: { data: unknown; metadata: unknown; setData(data: unknown): void }): Promise<void>;
}
interface RendererFactory {
  mimeTypes: readonly string[];
  /** JupyterLab's own word for renderers that show something sensible, and safe, of what nobody vouches for. */
  safe?: boolean;
  createRenderer(options: Record<string, unknown>): MimeRenderer;
}
interface Plugin {
  id?: string;
  requires?: unknown[];
  optional?: unknown[];
  activate?(app: unknown, ...services: unknown[]): unknown;
  rendererFactory?: RendererFactory;
}
type Exports = Record<string, unknown>;
/** IWidgetRegistryData of @jupyter-widgets/base. */
interface Registration {
  name: string;
  version: string;
  exports: Exports | Promise<Exports> | (() => Exports | Promise<Exports>);
}
interface Container {
  init(scope: ShareScope): unknown;
  get(module: string): Promise<() => unknown>;
}
interface Remote extends Listed {
  container: Container;
}

declare global {
  interface Window {
    _JUPYTERLAB?: Record<string, Container>;
  }
}

/** Seconds are plenty for a script of this server; a hanging one must not hang all widgets. */
const TIMEOUT = 20_000;

class Federation {
  readonly #registrations: Registration[] = [];
  readonly #activated = new Map<string, Promise<void>>();
  readonly #factories = new Map<string, Promise<RendererFactory[]>>();
  #remotes: Promise<Remote[]> | null = null;

  constructor(private readonly ctx: RenderContext) {}

  /** The classes of a widget module. Rejects, saying what was searched, when no extension provides it. */
  async widgetModule(name: string, version: string): Promise<Exports> {
    const remotes = (await this.#load()).filter((remote) => remote.extension);
    const failures: string[] = [];
    for (const remote of searchOrder(remotes, name)) {
      await this.#activate(remote).catch((error: unknown) => failures.push(`${remote.name}: ${String(error)}`));
      const found = bestVersion(version, this.#registrations.filter((entry) => entry.name === name));
      if (!found) continue;
      return await (typeof found.exports === "function" ? found.exports() : found.exports);
    }
    const why = failures.length > 0 ? ` (${failures.join("; ")})` : "";
    throw new Error(`No installed extension provides the widget module ${name} ${version}${why}`);
  }

  /** A renderer of an installed mime extension. Rejects when there is none. */
  async renderer(mime: string): Promise<MimeRenderer> {
    const remotes = (await this.#load()).filter((remote) => remote.mimeExtension);
    for (const remote of searchOrder(remotes, mime)) {
      // plotly.js is 4.8 MB: not to be loaded only to learn that it can't draw something else.
      if (remote.name === "jupyterlab-plotly" && !mime.includes("plotly")) continue;
      const factories = await this.#mimeFactories(remote).catch((error: unknown) => {
        console.error(`${remote.name}:`, error);
        return [];
      });
      const { trusted } = this.ctx;
      const factory = factories.find(({ mimeTypes, safe }) => mimeTypes.includes(mime) && (trusted || safe));
      if (factory) {
        const sanitizer = { sanitize: trusted ? (text: string) => text : (await import("./render/sanitise.ts")).sanitiseText };
        return factory.createRenderer({ mimeType: mime, resolver: null, linkHandler: null, latexTypesetter: null, sanitizer });
      }
    }
    throw new Error(`No installed extension renders ${mime}`);
  }

  #load(): Promise<Remote[]> {
    this.#remotes ??= this.#loadAll().catch((error: unknown) => {
      // Not for ever: the next widget asks again.
      this.#remotes = null;
      throw error;
    });
    return this.#remotes;
  }

  /** Loads and initialises every container before any module is taken: bqplot takes bqscales from another one's share. */
  async #loadAll(): Promise<Remote[]> {
    const { labextensionsUrl, pageToken } = this.ctx.config;
    const token: PageTokenHeader = pageToken ? { "X-Dashboards-Page-Token": pageToken } : {};
    const headers = { ...xsrfHeader(), ...token };
    const response = await fetch(labextensionsUrl, { credentials: "same-origin", headers });
    if (!response.ok) throw new Error(`The list of extensions answered ${response.status}`);
    const listed = relevant((await response.json()) as Listed[]);
    const scope = hostShares();
    const loaded = await Promise.all(
      listed.map(async (entry): Promise<Remote[]> => {
        try {
          await loadScript(fileUrl(entry, entry.load));
          const container = window._JUPYTERLAB?.[entry.name];
          if (!container) throw new Error("its remote entry defines no container");
          await container.init(scope);
          return [{ ...entry, container }];
        } catch (error) {
          console.error(`Extension ${entry.name} is left out:`, error);
          return [];
        }
      }),
    );
    this.#wrapShares(scope);
    return loaded.flat();
  }

  /** Shared modules are evaluated when first required, which may be deep inside of another's code. */
  #wrapShares(scope: ShareScope): void {
    for (const versions of Object.values(scope)) {
      for (const share of Object.values(versions)) {
        if (share.from === "jupyter-dashboards") continue;
        const { get } = share;
        share.get = async () => {
          const factory = await get();
          return () => evaluate(factory, this.ctx.nonce);
        };
      }
    }
  }

  async #plugins(remote: Remote, module: string): Promise<Plugin[]> {
    const factory = await withTimeout(remote.container.get(module), `${remote.name} does not load`);
    const exported = evaluate(factory, this.ctx.nonce) as { default?: unknown } | Plugin | Plugin[];
    const plugins = (exported as { default?: unknown }).default ?? exported;
    return (Array.isArray(plugins) ? plugins : [plugins]) as Plugin[];
  }

  #activate(remote: Remote): Promise<void> {
    let done = this.#activated.get(remote.name);
    if (!done) {
      done = this.#activateOnce(remote);
      this.#activated.set(remote.name, done);
    }
    return done;
  }

  async #activateOnce(remote: Remote): Promise<void> {
    if (remote.style) await this.#plugins(remote, remote.style).catch(() => []);
    const { IJupyterWidgetRegistry } = await import("@jupyter-widgets/base");
    const registry = { registerWidget: (data: Registration) => void this.#registrations.push(data) };
    for (const plugin of await this.#plugins(remote, remote.extension as string)) {
      const requires = plugin.requires ?? [];
      // Plugins that want anything else are for JupyterLab's own windows.
      if (!plugin.activate || requires.length === 0 || requires.some((token) => token !== IJupyterWidgetRegistry)) continue;
      const optional = (plugin.optional ?? []).map(() => null);
      await plugin.activate({}, ...requires.map(() => registry), ...optional);
    }
  }

  #mimeFactories(remote: Remote): Promise<RendererFactory[]> {
    let found = this.#factories.get(remote.name);
    if (!found) {
      found = this.#plugins(remote, remote.mimeExtension as string).then((plugins) =>
        plugins.flatMap((plugin) => plugin.rendererFactory ?? []),
      );
      this.#factories.set(remote.name, found);
    }
    return found;
  }
}

function fileUrl(entry: Listed, file: string): string {
  // Not relative to the document: an index.ipynb dashboard has a <base> of its own.
  const base = new URL(entry.url.endsWith("/") ? entry.url : `${entry.url}/`, location.origin);
  return new URL(file, base).href;
}

function loadScript(url: string): Promise<void> {
  const script = document.createElement("script");
  script.src = url;
  const loaded = new Promise<void>((resolve, reject) => {
    script.onload = () => resolve();
    script.onerror = () => reject(new Error(`${url} does not load`));
  });
  document.head.append(script);
  return withTimeout(loaded, `${url} does not load`);
}

function withTimeout<T>(work: Promise<T>, complaint: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout>;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${complaint} (no answer in ${TIMEOUT / 1000} s)`)), TIMEOUT);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

let federation: Federation | null = null;
/** One for the page: the extensions' globals and registrations are the page's. */
const pageFederation = (ctx: RenderContext) => (federation ??= new Federation(ctx));

export function federatedWidgets(name: string, version: string, ctx: RenderContext): Promise<Exports> {
  return pageFederation(ctx).widgetModule(name, version);
}

export function federatedRenderer(mime: string, ctx: RenderContext): Promise<MimeRenderer> {
  return pageFederation(ctx).renderer(mime);
}
