/** The listing's search answers while one types; without this the form asks the server. */
import { hideToken } from "./address.ts";
import { checkRestored } from "./restored.ts";
import { startTheme } from "./theme.ts";
import { xsrfHeader } from "./xsrf.ts";

/** Letters without case and accents: "cafe" finds "Café". */
export const folded = (text: string): string => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

/** Whether every word of the query is in the name. */
export function matches(name: string, query: string): boolean {
  const searched = folded(name);
  return folded(query).split(/\s+/).every((word) => searched.includes(word));
}

function shownTimes(): void {
  for (const time of document.querySelectorAll<HTMLTimeElement>("#dash-list time")) {
    const date = new Date(time.dateTime);
    if (Number.isNaN(date.valueOf())) continue;
    time.title = date.toLocaleString();
    time.textContent = date.toLocaleDateString(undefined, { dateStyle: "medium" });
  }
}

/** A page that answers ?q= has only what matched: the whole list is fetched before the first other search. */
async function completeList(list: HTMLElement): Promise<void> {
  const url = new URL(location.href);
  if (!url.searchParams.get("q")) return;
  url.searchParams.delete("q");
  const response = await fetch(url, { headers: xsrfHeader() }).catch(() => null);
  if (!response?.ok) return;
  const whole = new DOMParser().parseFromString(await response.text(), "text/html").getElementById("dash-list");
  if (whole) list.replaceChildren(...whole.children);
}

async function startSearch(input: HTMLInputElement, list: HTMLElement): Promise<void> {
  await completeList(list);
  shownTimes();
  const entries = [...list.querySelectorAll<HTMLElement>(".dash-entry:not(.dash-entry-up)")];
  const nothing = document.querySelector<HTMLElement>(".dash-empty");
  const words = nothing?.textContent ?? "";
  const shown = (): HTMLElement[] => entries.filter((entry) => !entry.hidden);
  const filter = (): void => {
    for (const entry of entries) {
      entry.hidden = !matches(entry.querySelector(".dash-entry-name")?.textContent ?? "", input.value);
    }
    if (nothing && entries.length) {
      nothing.hidden = shown().length > 0;
      nothing.textContent = input.value ? `Nothing here matches “${input.value}”.` : words;
    }
  };
  input.addEventListener("input", filter);
  if (input.value) filter();
  input.form?.addEventListener("submit", (event) => {
    event.preventDefault();
    shown()[0]?.querySelector("a")?.click();
  });
  addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || document.activeElement === input) return;
    event.preventDefault();
    input.focus();
  });
}

/** Wakes the page; the module itself does nothing where there is no listing (tests import it). */
function begin(): void {
  hideToken();
  startTheme();
  checkRestored();
  const input = document.querySelector<HTMLInputElement>("input#dash-search");
  const list = document.getElementById("dash-list");
  if (input && list) void startSearch(input, list);
}

if (typeof document !== "undefined") begin();
