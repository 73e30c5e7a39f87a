/** The page's theme, for what cannot take it from CSS (plots, widgets). */

const media = () => window.matchMedia("(prefers-color-scheme: dark)");

/** True when the page shows itself dark: by choice (html[data-theme]) or, on "auto", by the system's setting. */
export function isDark(): boolean {
  const theme = document.documentElement.dataset["theme"];
  return theme === "dark" || (theme !== "light" && media().matches);
}

/** Calls back with every change; returns the function that ends it. */
export function onThemeChange(changed: () => void): () => void {
  const observer = new MutationObserver(changed);
  observer.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  const query = media();
  query.addEventListener("change", changed);
  return () => {
    observer.disconnect();
    query.removeEventListener("change", changed);
  };
}
