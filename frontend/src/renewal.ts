/**
 * Keeps the page's token valid for as long as the server renews it. Only pages with a token load this; it imports
 * nothing of theirs, since a shared chunk would cost every page a request.
 */
import type { DashConfig, PageTokenHeader } from "./types.ts";

/** Milliseconds; a browser takes a longer timer for none. */
const LONGEST_TIMER = 2 ** 31 - 1;
const PATIENCE = 15_000;
/** Answers after which there is nothing left to renew. */
const ENDED: ReadonlySet<number> = new Set([401, 403, 404]);

export class Renewal {
  /** When half of the token's life is over, on the clock: a sleeping computer's timers stand still. */
  #due = 0;
  #seconds = 0;
  #attempt = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #asking: Promise<void> | null = null;
  #ended = false;

  /** `backoff` gives the milliseconds before the nth attempt (from 0); `onEnd` is told when the page's right has ended. */
  constructor(
    private readonly config: DashConfig,
    private readonly backoff: (attempt: number) => number,
    private readonly onEnd: () => void,
  ) {
    this.#renewed(config.pageTokenSeconds);
    window.addEventListener("online", this.#wake);
    document.addEventListener("visibilitychange", this.#wake);
  }

  /** Before a request: renews the token if that is due. Resolves when it is done, or can't be done now; never rejects. */
  fresh(): Promise<void> | void {
    if (!this.#ended && Date.now() >= this.#due) return this.#renew();
  }

  #wake = (): void => void this.fresh();

  #renew(): Promise<void> {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = null;
    });
    return this.#asking;
  }

  async #ask(): Promise<void> {
    clearTimeout(this.#timer);
    const { pageToken = "", pageTokenUrl = "" } = this.config;
    const token: PageTokenHeader = { "X-Dashboards-Page-Token": pageToken };
    try {
      const response = await fetch(pageTokenUrl, {
        method: "POST",
        headers: { "Content-Type": "application/json", ...token },
        body: "{}",
        // What hangs on a connection that slept would hold up the kernel's.
        signal: AbortSignal.timeout(PATIENCE),
      });
      if (ENDED.has(response.status)) return this.#end();
      const answer = response.ok ? ((await response.json()) as { token?: unknown; expires_in?: unknown }) : {};
      if (typeof answer.token !== "string") throw new Error(`the server answered ${response.status}`);
      this.config.pageToken = answer.token;
      this.#renewed(answer.expires_in);
    } catch (error) {
      console.warn("The page's token could not be renewed yet:", error);
      this.#timer = setTimeout(() => void this.#renew(), this.backoff(this.#attempt++));
    }
  }

  /** The next renewal is due after half of `seconds`, and never at once whatever the server says. */
  #renewed(seconds: unknown): void {
    this.#attempt = 0;
    this.#seconds = Number(seconds) || this.#seconds;
    const wait = Math.min(LONGEST_TIMER, Math.max(1000, this.#seconds * 500));
    this.#due = Date.now() + wait;
    this.#timer = setTimeout(() => void this.#renew(), wait);
  }

  #end(): void {
    this.#ended = true;
    window.removeEventListener("online", this.#wake);
    document.removeEventListener("visibilitychange", this.#wake);
    this.onEnd();
  }
}
