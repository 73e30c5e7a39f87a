/** What the page says around its cells: status, progress, alerts, the time of the results. */

export interface Action {
  label: string;
  run: () => void;
}

const find = (id: string): HTMLElement | null => document.getElementById(id);

export class Page {
  readonly #status = find("dash-status");
  readonly #alert = find("dash-alert");
  readonly #cells = find("dash-cells");
  readonly #run = find("dash-run") as HTMLButtonElement | null;
  readonly #bar = document.createElement("div");
  /** Whether what is shown may be of a run of this page's own, not only what was stored. */
  ran = false;
  #countdown: ReturnType<typeof setInterval> | undefined;

  constructor(onRun: () => void) {
    this.#bar.className = "dash-progress";
    this.#bar.setAttribute("role", "progressbar");
    this.#bar.setAttribute("aria-label", "Running cells");
    this.#bar.hidden = true;
    document.body.prepend(this.#bar);
    // Beside the buttons, where there are any; plain pages keep it in a corner.
    if (this.#status) document.querySelector(".dash-tools")?.prepend(this.#status);
    this.#run?.addEventListener("click", onRun);
    find("dash-view")?.addEventListener("change", (event) => {
      const url = new URL(location.href);
      url.searchParams.set("view", (event.target as HTMLSelectElement).value);
      location.assign(url);
    });
  }

  status(text: string): void {
    // Writing it again would have it read out again.
    if (this.#status && this.#status.textContent !== text) this.#status.textContent = text;
  }

  /** `done` of `total` cells have run; null when nothing runs. */
  progress(done: number | null, total = 1): void {
    const busy = done !== null;
    this.#cells?.setAttribute("aria-busy", String(busy));
    this.#bar.hidden = !busy;
    if (!busy) return;
    const share = total ? done / total : 0;
    this.#bar.style.setProperty("--done", String(Math.max(0.02, share)));
    this.#bar.setAttribute("aria-valuenow", String(Math.round(100 * share)));
  }

  /** Whether the kernel works, be it on a cell or on what a widget asked of it. */
  kernelBusy(busy: boolean): void {
    document.body.dataset.kernel = busy ? "busy" : "idle";
  }

  /** Whether what is shown is connected to a kernel. */
  live(live: boolean): void {
    document.body.dataset.live = live ? "yes" : "no";
  }

  offerRun(offered: boolean): void {
    this.ran ||= offered;
    if (this.#run) this.#run.hidden = !offered;
  }

  /** The results on the page are those of now. */
  fresh(): void {
    const time = document.querySelector<HTMLTimeElement>("#dash-asof time");
    if (!time) return;
    time.dateTime = new Date().toISOString();
    this.localTimes();
  }

  /** The server writes UTC; a viewer reads the clock on the wall. */
  localTimes(): void {
    for (const time of document.querySelectorAll<HTMLTimeElement>("#dash-asof time, .dash-foot time")) {
      const date = new Date(time.dateTime);
      if (Number.isNaN(date.valueOf())) continue;
      time.textContent = date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
    }
  }

  /** Says what went wrong, with what can be done about it. */
  alert(text: string, actions: Action[] = []): void {
    clearInterval(this.#countdown);
    if (!this.#alert) return;
    const words = document.createElement("p");
    words.textContent = text;
    const buttons = actions.map(({ label, run }) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = label;
      button.addEventListener("click", () => {
        this.dismiss();
        run();
      });
      return button;
    });
    this.#alert.replaceChildren(words, ...buttons);
  }

  /** An alert whose action happens by itself after `seconds`. */
  alertWithCountdown(text: string, seconds: number, action: Action): void {
    this.alert(text, [action]);
    const left = document.createElement("span");
    left.className = "dash-countdown";
    // Not for screen readers: the region would be read out every second.
    left.setAttribute("aria-hidden", "true");
    this.#alert?.firstElementChild?.append(" ", left);
    const end = Date.now() + seconds * 1000;
    const tick = (): void => {
      const remaining = Math.ceil((end - Date.now()) / 1000);
      left.textContent = `Trying again in ${Math.max(0, remaining)} s.`;
      if (remaining > 0) return;
      this.dismiss();
      action.run();
    };
    this.#countdown = setInterval(tick, 1000);
    tick();
  }

  dismiss(): void {
    clearInterval(this.#countdown);
    this.#alert?.replaceChildren();
  }
}
