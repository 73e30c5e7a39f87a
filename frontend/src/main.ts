/** The dashboard page comes alive: what the server wrote is hydrated, then a kernel takes over cell by cell. */
import { pageToken } from "./api.ts";
import { findCells } from "./cells.ts";
import { reportHeight } from "./embed.ts";
import { backoff } from "./kernel.ts";
import { Page } from "./page.ts";
import { hydrateSnapshot } from "./render/index.ts";
import { checkRestored } from "./restored.ts";
import { scrollersChanged } from "./scrollers.ts";
import { Session } from "./session.ts";
import { startTheme } from "./theme.ts";
import type { DashConfig, RenderContext } from "./types.ts";

function readConfig(): DashConfig {
  return JSON.parse(document.getElementById("dash-config")?.textContent ?? "null") as DashConfig;
}

/** The token that the page came with outlives no long visit. */
async function keepToken(config: DashConfig, session: Session): Promise<void> {
  const { Renewal } = await import("./renewal.ts");
  const renewal = new Renewal(config, backoff, () => session.expire());
  pageToken.fresh = () => renewal.fresh();
}

/** Runs elsewhere may bring the stored results up to date while the page is open. */
async function stayFresh(ctx: RenderContext, page: Page): Promise<void> {
  const { follow } = await import("./refresh.ts");
  follow({ ctx, page, fresh: () => pageToken.fresh(), hydrate: hydrateSnapshot });
}

async function begin(config: DashConfig): Promise<void> {
  // Most pages have nothing of what this is for.
  if (location.search || document.querySelector("base")) void import("./address.ts").then(({ tidy }) => tidy());
  startTheme();
  checkRestored();
  if (config.plain) reportHeight();
  const ctx: RenderContext = {
    config,
    // The attribute is emptied by the browser, the property isn't.
    nonce: (config.trusted && document.querySelector<HTMLScriptElement>("script[nonce]")?.nonce) || "",
    trusted: config.trusted,
    kernel: null,
    resized: scrollersChanged,
  };
  addEventListener("resize", scrollersChanged);
  scrollersChanged();
  const main = document.getElementById("dash-cells") ?? document.body;
  const hydrated = hydrateSnapshot(main, ctx);
  const page = new Page(() => void session.runAgain());
  const session = new Session(ctx, page, findCells(ctx));
  page.localTimes();
  // Prose alone needs no kernel.
  const runs = config.live && config.codeCells.length > 0;
  if (config.pageToken && (runs || config.refreshUrl)) void keepToken(config, session);
  if (config.refreshUrl) void hydrated.then(() => stayFresh(ctx, page));
  if (runs) {
    addEventListener("pagehide", (event) => {
      // A page kept for the back button keeps its kernel too; the server ends it if nobody returns.
      if (!event.persisted) void session.end();
    });
    await session.start();
  }
  await hydrated;
  // Tells converters and tests that what was to happen by itself has happened.
  document.body.dataset.ready = "";
}

void begin(readConfig());
