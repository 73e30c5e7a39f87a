/** The modules that extensions take from their host, as JupyterLab would give them. */

interface Share {
  get(): Promise<() => unknown> | (() => unknown);
  from: string;
  loaded?: 1;
}
/** webpack's share scope: package name -> version -> share. */
export type ShareScope = Record<string, Record<string, Share>>;

/** Versions as in package.json (a test compares): containers choose, and refuse, by them. */
export const HOST_MODULES: Record<string, [version: string, load: () => Promise<unknown>]> = {
  "@jupyter-widgets/base": ["6.0.12", () => import("@jupyter-widgets/base")],
  "@jupyter-widgets/base-manager": ["1.0.13", () => import("@jupyter-widgets/base-manager")],
  "@jupyter-widgets/controls": ["5.0.13", () => import("@jupyter-widgets/controls")],
  "@jupyter-widgets/output": ["6.0.12", () => import("@jupyter-widgets/output")],
  "@lumino/algorithm": ["2.0.5", () => import("@lumino/algorithm")],
  "@lumino/coreutils": ["2.2.3", () => import("@lumino/coreutils")],
  "@lumino/disposable": ["2.1.6", () => import("@lumino/disposable")],
  "@lumino/messaging": ["2.0.5", () => import("@lumino/messaging")],
  "@lumino/signaling": ["2.1.6", () => import("@lumino/signaling")],
  "@lumino/widgets": ["2.10.0", () => import("@lumino/widgets")],
};

/** A new scope with the host's modules; each is loaded when first asked for. */
export function hostShares(): ShareScope {
  return Object.fromEntries(
    Object.entries(HOST_MODULES).map(([name, [version, load]]) => {
      const get = async () => {
        const module = await load();
        return () => module;
      };
      // `loaded` keeps a container's own copy of the same version from taking the place.
      return [name, { [version]: { get, from: "jupyter-dashboards", loaded: 1 } }];
    }),
  );
}
