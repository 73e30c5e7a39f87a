/**
 * Keeps an open page's stored results up to date: the server tells when a run has written newer ones. They take the
 * place of the stored ones that are shown; a page that has computed its own only offers them, since its viewer may be
 * at work with what is there. Imports nothing of the page's first script, since a shared chunk would cost every page a
 * request.
 */
import type { Page } from "./page.ts";
import type { PageTokenHeader, RenderContext } from "./types.ts";

/** What the page lends to this module. */
export interface Lent {
  ctx: RenderContext;
  page: Page;
  /** Renews the page's token if that is due. */
  fresh(): Promise<void> | void;
  hydrate(root: HTMLElement, ctx: RenderContext): Promise<void>;
}

/** What the server says of the results that it sends. */
interface About {
  executed_at: string | null;
  as_of: string | null;
  view: string;
  code_cells: number[];
}

/** The server's close code: the caller has logged out, or their link or page has ended. */
const UNAUTHORIZED = 4401;
const FIRST_DELAY = 1000;
const LONGEST_DELAY = 300_000;
/** Milliseconds over which the pages of a crowd spread their requests for the same results. */
const SPREAD = 1500;
/** Milliseconds that new images may take before they are shown as they come. */
const IMAGES = 3000;
/** Milliseconds for which a replaced cell keeps its height, for plots that draw themselves later. */
const HOLD = 250;
const LIVE_WIDGET = ".jupyter-widgets, .lm-Widget";

const byId = (id: string): HTMLElement | null => document.getElementById(id);
const cellsOf = (root: ParentNode): HTMLElement[] => [...root.querySelectorAll<HTMLElement>("[data-cell-index]")];
/** The parts of a cell that results replace; their element stays, since a kernel's outputs go there. */
const contentOf = (cell: Element): HTMLElement | null => cell.querySelector<HTMLElement>(":scope > .dash-outputs, :scope > .dash-markdown");

/** Which cells there are, and of which kind. */
const shapeOf = (root: ParentNode): string =>
  cellsOf(root)
    .map((cell) => `${cell.dataset.cellIndex}${cell.classList.contains("dash-cell-code") ? "c" : "m"}`)
    .join();

/** Whether the new cells can take the place of those of the page one by one. */
export const fits = (present: ParentNode, next: ParentNode): boolean => shapeOf(present) === shapeOf(next);

/** Whether the address gives the notebook parameters: what is stored was computed without them. */
export function hasParameters(search: string): boolean {
  return [...new URLSearchParams(search).keys()].some((name) => name !== "view" && name !== "theme" && name !== "token");
}

/** Milliseconds before the nth attempt (from 0) to connect again. */
export const delay = (attempt: number, random: () => number = Math.random): number =>
  Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** attempt) * (0.5 + random() / 2);

/** New images are there when they are shown, unless they take too long. */
async function loaded(root: ParentNode): Promise<void> {
  const images = [...root.querySelectorAll("img")].map((image) => image.decode?.().catch(() => {}));
  if (images.length) await Promise.race([Promise.all(images), new Promise((resolve) => setTimeout(resolve, IMAGES))]);
}

export class Refresh {
  /** The newest run of which the page knows; up to `#seen` there is nothing to be done. */
  #latest: string;
  #seen: string;
  /** What was known when the page's own run began. */
  #before: string;
  #busy: boolean;
  /** How often the page has run. */
  #runs = 0;
  #attempt = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #socket: WebSocket | null = null;
  #working = false;
  /** The stored content that each cell has now, as the server wrote it: what is the same need not be drawn again. */
  #shown = new Map<string, string>();
  readonly #cells = byId("dash-cells");
  readonly #note = document.createElement("div");

  constructor(
    private readonly lent: Lent,
    private readonly spread = SPREAD,
  ) {
    this.#latest = this.#seen = this.#before = lent.ctx.config.executedAt ?? "";
    // Empty from the start: screen readers announce what changes, not what appears.
    this.#note.className = "dash-newer";
    this.#note.setAttribute("aria-live", "polite");
    const asOf = byId("dash-asof");
    if (lent.ctx.config.plain || !asOf) document.body.append(this.#note);
    else asOf.before(this.#note);
    this.#busy = this.#isBusy();
    if (this.#cells) {
      new MutationObserver(() => this.#ran()).observe(this.#cells, { attributes: true, attributeFilter: ["aria-busy"] });
    }
    window.addEventListener("online", () => this.#again(0));
    this.#connect();
  }

  /** What the server has told: when a run made what is stored, if one did. */
  told(executedAt: unknown): void {
    // What is older, or no run's, is not newer than what is shown: somebody has changed the notebook by hand.
    if (typeof executedAt === "string" && executedAt > this.#latest) this.#latest = executedAt;
    void this.#consider();
  }

  #isBusy(): boolean {
    return this.#cells?.getAttribute("aria-busy") === "true";
  }

  /** The page's own run has begun or ended. */
  #ran(): void {
    if (this.#busy === this.#isBusy()) return;
    this.#busy = !this.#busy;
    if (this.#busy) {
      this.#runs++;
      this.#before = this.#latest;
    } else {
      // Computed after that run: newer than what it has stored.
      if (document.body.dataset.live === "yes" && this.#before > this.#seen) this.#seen = this.#before;
      if (this.#latest <= this.#seen) this.#note.replaceChildren();
      void this.#consider();
    }
  }

  async #consider(): Promise<void> {
    if (this.#latest <= this.#seen || this.#busy || this.#working) return;
    if (!this.lent.page.ran) return this.#show(true);
    if (!hasParameters(location.search)) this.#offer("Newer results", "Show", () => void this.#show(false));
  }

  #offer(text: string, label: string, run: () => void): void {
    if (this.#note.dataset.latest === this.#latest && this.#note.firstChild) return;
    this.#note.dataset.latest = this.#latest;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.title = `As of ${new Date(this.#latest).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" })}`;
    button.addEventListener("click", run);
    this.#note.replaceChildren(`${text} `, button);
  }

  /** Gets the results and shows them; by itself (`alone`), or because the viewer wants to see them. */
  async #show(alone: boolean): Promise<void> {
    const { config } = this.lent.ctx;
    if (this.#working) return;
    this.#working = true;
    const runs = this.#runs;
    let shown = false;
    try {
      if (alone) await new Promise((resolve) => setTimeout(resolve, Math.random() * this.spread));
      await this.lent.fresh();
      const token: PageTokenHeader = config.pageToken ? { "X-Dashboards-Page-Token": config.pageToken } : {};
      const response = await fetch(`${config.resultsUrl}?view=${encodeURIComponent(config.view)}`, { headers: token });
      if (!response.ok) throw new Error(`the server answered ${response.status}`);
      const next = new DOMParser().parseFromString(await response.text(), "text/html");
      const about = JSON.parse(next.getElementById("dash-results")?.textContent ?? "null") as About;
      // A run of the page's own has begun meanwhile; its end asks again.
      if (this.#busy || runs !== this.#runs || (alone && this.lent.page.ran)) return;
      // Changed by hand meanwhile, or not yet what was told: the next message asks again.
      if (!about.executed_at || about.executed_at <= this.#seen) return;
      const sameCells = String(about.code_cells) === String(config.codeCells) && about.view === config.view;
      if (config.live && !(sameCells && fits(document, next))) {
        return this.#offer("This dashboard has changed.", "Load again", () => location.reload());
      }
      const all = await this.#replace(next, runs);
      if (runs !== this.#runs) return;
      this.#seen = about.executed_at;
      if (this.#seen > this.#latest) this.#latest = this.#seen;
      // What is shown is nobody's own work any more.
      if (all) this.lent.page.ran = false;
      this.#tell(about.as_of);
      shown = true;
    } catch (error) {
      // The next message from the server asks again.
      console.warn("Newer results could not be shown yet:", error);
    } finally {
      this.#working = false;
    }
    // Told of while these were fetched.
    if (shown) void this.#consider();
  }

  /** Says of when the results are, and to screen readers that they are new. */
  #tell(asOf: string | null): void {
    const time = document.querySelector<HTMLTimeElement>("#dash-asof time");
    if (time && asOf) time.dateTime = asOf;
    this.lent.page.localTimes();
    const words = document.createElement("span");
    words.className = "dash-hidden-text";
    words.textContent = `Newer results are shown, as of ${time?.textContent ?? "now"}.`;
    this.#note.replaceChildren(words);
  }

  /** Puts the new cells into the page; whether all of them, as live widgets stay. */
  async #replace(next: Document, runs: number): Promise<boolean> {
    if (!fits(document, next)) {
      const cells = next.getElementById("dash-cells");
      if (!cells || !this.#cells) return false;
      this.#shown.clear();
      this.#cells.className = cells.className;
      this.#cells.style.cssText = cells.style.cssText;
      await this.#fill(this.#cells, cells, runs);
      return true;
    }
    const present = new Map(cellsOf(document).map((cell) => [cell.dataset.cellIndex ?? "", contentOf(cell)]));
    let all = true;
    await Promise.all(
      cellsOf(next).map(async (cell) => {
        const index = cell.dataset.cellIndex ?? "";
        const [old, content] = [present.get(index), contentOf(cell)];
        if (!old || !content) return;
        if (old.querySelector(LIVE_WIDGET)) {
          all = false;
          return;
        }
        // What a kernel has written is not what the server wrote.
        if (!this.lent.page.ran && this.#shown.get(index) === content.innerHTML) return;
        this.#shown.set(index, content.innerHTML);
        await this.#fill(old, content, runs);
      }),
    );
    return all;
  }

  async #fill(place: HTMLElement, content: HTMLElement, runs: number): Promise<void> {
    const fragment = document.createDocumentFragment();
    fragment.append(...[...content.childNodes].map((node) => document.importNode(node, true)));
    await loaded(fragment);
    // A run of the page's own has begun while they came.
    if (runs !== this.#runs) return;
    if (place.offsetHeight) place.style.minHeight = `${place.offsetHeight}px`;
    place.replaceChildren(fragment);
    await this.lent.hydrate(place, this.lent.ctx);
    setTimeout(() => {
      place.style.minHeight = "";
      this.lent.ctx.resized?.();
    }, HOLD);
  }

  async #connect(): Promise<void> {
    await this.lent.fresh();
    const { refreshUrl = "", pageToken } = this.lent.ctx.config;
    const url = new URL(refreshUrl, location.origin);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url.href, pageToken ? [`dashboards.page-token.${pageToken}`] : []);
    this.#socket = socket;
    socket.onmessage = ({ data }) => {
      this.#attempt = 0;
      const { executed_at, heartbeat } = JSON.parse(String(data)) as { executed_at?: unknown; heartbeat?: unknown };
      // A connection that a sleeping computer has lost says nothing of it.
      this.#again(3000 * (Number(heartbeat) || 60));
      this.told(executed_at);
    };
    socket.onclose = ({ code }) => {
      if (socket !== this.#socket) return;
      this.#socket = null;
      clearTimeout(this.#timer);
      if (code !== UNAUTHORIZED) this.#again(delay(this.#attempt++));
    };
  }

  /** Connects anew after so many milliseconds, unless something comes before. */
  #again(milliseconds: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const old = this.#socket;
      this.#socket = null;
      old?.close();
      void this.#connect();
    }, milliseconds);
  }
}

/** Follows this page's results from now on. */
export function follow(lent: Lent): void {
  new Refresh(lent);
}
