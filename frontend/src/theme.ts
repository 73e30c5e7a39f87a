/** Light, dark, or as the system says; remembered per browser. */

const CHOICES = ["auto", "light", "dark"] as const;
type Theme = (typeof CHOICES)[number];
const KEY = "dash-theme";

const isTheme = (value: unknown): value is Theme => CHOICES.includes(value as Theme);

/** Storage may be forbidden (a frame of another site); the choice then holds for this page. */
function stored(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function apply(theme: Theme, button: HTMLElement | null): void {
  document.documentElement.dataset.theme = theme;
  if (button) button.textContent = `Theme: ${theme}`;
}

/** Applies the remembered theme and wakes the page's theme button. */
export function startTheme(): void {
  const button = document.getElementById("dash-theme");
  // An embedder's wish (?theme=dark) goes before what the viewer chose for other pages.
  const wished = new URLSearchParams(location.search).get("theme");
  let theme = [wished, stored(), document.documentElement.dataset.theme].find(isTheme) ?? "auto";
  apply(theme, button);
  if (!button) return;
  button.hidden = false;
  button.addEventListener("click", () => {
    theme = CHOICES[(CHOICES.indexOf(theme) + 1) % CHOICES.length] ?? "auto";
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // Not remembered, but applied.
    }
    apply(theme, button);
  });
}
