/**
 * The door to all renderers. This module is part of every page's first download: only the table lives here, the
 * renderers themselves come when the first output asks for them.
 */
import type { MimeBundle, RenderContext } from "../types.ts";

/** One output to draw. `data` and `metadata` are the whole bundle's: some types need their neighbours (bokeh, svg). */
export interface RenderJob {
  mime: string;
  data: MimeBundle;
  metadata: Record<string, unknown>;
  ctx: RenderContext;
}

/** Returns a detached element; what needs a place in the page (sizes, scripts) waits for it by render/attach.ts. */
export type Render = (job: RenderJob) => HTMLElement | Promise<HTMLElement>;
type Loader = () => Promise<{ render: Render }>;

const TIMEOUT = 10_000;
const basic: Loader = () => import("./basic.ts");
const json: Loader = () => import("./json.ts");
const markdown: Loader = () => import("./markdown.ts");
const image: Loader = () => import("./image.ts");

/** Best first. `true`: never replaced by text/plain, which is a repr nobody wants to read ("Figure({…" or "IntSlider(…"). */
const TABLE: [pattern: RegExp, load: Loader, rich?: true][] = [
  [/^application\/vnd\.jupyter\.widget-view\+json$/, () => import("../widgets/view.ts"), true],
  [/^application\/vnd\.plotly\.v1\+json$/, () => import("./plotly.ts"), true],
  [/^application\/vnd\.vega(lite)?\.v\d+[+.]json$/, () => import("./vega.ts"), true],
  [/^application\/vnd\.bokehjs_(load|exec)\.v0\+json$/, basic, true],
  [/^text\/html$/, basic],
  [/^text\/markdown$/, markdown],
  [/^image\/svg\+xml$/, image],
  [/^text\/latex$/, markdown],
  [/^image\/(png|jpeg|gif|webp|bmp)$/, image],
  [/^application\/(geo\+)?json$/, json],
  [/^(application|text)\/javascript$/, basic],
  [/^text\/plain$/, basic],
];

const rowOf = (mime: string) => TABLE.find(([pattern]) => pattern.test(mime));
const rankOf = (mime: string) => TABLE.findIndex(([pattern]) => pattern.test(mime));

/** The types of a bundle that can be tried, best first. */
export function candidates(data: MimeBundle): string[] {
  const known = Object.keys(data).filter(rowOf).sort((a, b) => rankOf(a) - rankOf(b));
  const rich = known[0] !== undefined && rowOf(known[0])?.[2];
  // A type nobody here knows may belong to an installed extension; ask only when text would be all there is to show.
  const foreign = known.every((mime) => mime === "text/plain")
    ? Object.keys(data).filter((mime) => !rowOf(mime) && /^application\/(vnd|x-)/.test(mime))
    : [];
  return [...foreign, ...known.filter((mime) => !rich || mime !== "text/plain")];
}

/** The type that is tried first, or null when nothing in the bundle can be shown. */
export function preferredMime(data: MimeBundle): string | null {
  return candidates(data)[0] ?? null;
}

/** Never rejects: a failing or never-settling renderer (10 s) gives way to the next type, at last to a placeholder. */
export async function renderMime(
  data: MimeBundle,
  metadata: Record<string, unknown>,
  ctx: RenderContext,
): Promise<HTMLElement> {
  for (const mime of candidates(data)) {
    const load: Loader = rowOf(mime)?.[1] ?? (() => import("./foreign.ts"));
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      return await Promise.race([
        load().then(({ render }) => render({ mime, data, metadata, ctx })),
        new Promise<never>((_, reject) => {
          timer = setTimeout(() => reject(new Error("no answer in 10 s")), TIMEOUT);
        }),
      ]);
    } catch (error) {
      console.warn(`${mime} could not be shown:`, error);
    } finally {
      clearTimeout(timer);
    }
  }
  const placeholder = document.createElement("div");
  placeholder.className = "dash-placeholder";
  placeholder.textContent = "This output cannot be shown here.";
  return placeholder;
}

/** Brings the renderers that the stored outputs will need again, while the kernel starts. */
export function preload(): void {
  const shown = document.querySelectorAll<HTMLElement>(".dash-output[data-mime]");
  for (const mime of new Set(["text/plain", ...Array.from(shown, (output) => output.dataset.mime ?? "")])) {
    void rowOf(mime)?.[1]().catch(() => {});
  }
}

/** Typesets what the server left (maths) and draws its `script.dash-mime` bundles, inside `root`. */
export async function hydrateSnapshot(root: HTMLElement, ctx: RenderContext): Promise<void> {
  return (await import("./snapshot.ts")).hydrate(root, ctx);
}

/** Runs the author's scripts of an html output in document order, each at most once. */
export async function runScripts(root: HTMLElement, nonce: string): Promise<void> {
  return (await import("./scripts.ts")).run(root, nonce);
}
