/** The page's own URL: what must not stay in it, and what is meant to stay within it. */

/** Takes the server's token, which logged the viewer in, out of the address bar: addresses are copied and filmed. */
export function hideToken(): void {
  const url = new URL(location.href);
  // Part by part: the notebook reads the others as they were written.
  const parts = url.search.slice(1).split("&");
  const kept = parts.filter((part) => !new URLSearchParams(part).has("token"));
  if (kept.length === parts.length) return;
  url.search = kept.join("&");
  history.replaceState(history.state, "", url.href);
}

/** Lets links to a place in this page lead there although a <base>, or a query in the URL, makes them another page's. */
function stayInPage({ target }: Event): void {
  const link = (target as Element | null)?.closest?.('a[href^="#"], a.dash-skip');
  const href = link?.getAttribute("href");
  if (!link || !href) return;
  link.setAttribute("href", location.href.replace(/#.*/, "") + href.replace(/^[^#]*/, ""));
  // The browser follows it right after this event; the author's scripts find it as they wrote it.
  setTimeout(() => link.setAttribute("href", href));
}

/** Does both; only a page with a query or a <base> needs it. */
export function tidy(): void {
  hideToken();
  for (const type of ["click", "auxclick"]) addEventListener(type, stayInPage);
}
