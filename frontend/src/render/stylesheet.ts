/** Style sheets that only some pages need. */
import type { DashConfig } from "../types.ts";

const loading = new Map<string, Promise<void>>();

/** Adds a built style sheet to the page, once; resolves when it applies, and also when it fails or takes too long. */
export function loadStylesheet(config: DashConfig, name: string): Promise<void> {
  let done = loading.get(name);
  if (!done) {
    const link = document.createElement("link");
    link.rel = "stylesheet";
    link.href = config.staticUrl + name;
    done = new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, 5000);
      link.onload = link.onerror = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    loading.set(name, done);
    // Before the page's own sheet, so that this one keeps the last word.
    document.head.prepend(link);
  }
  return done;
}
