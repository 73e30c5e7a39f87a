/** Light, dark, or as the system says; remembered per browser. */

const CHOICES = ["auto", "light", "dark"] as const;
type Theme = (typeof CHOICES)[number];
const KEY = "dash-theme";

const isTheme = (value: unknown): value is Theme => CHOICES.includes(value as Theme);

function apply(theme: Theme, button: HTMLElement | null): void {
  document.documentElement.dataset.theme = theme;
  if (button) button.textContent = `Theme: ${theme}`;
}

/** Wakes the page's theme button. What the page or its URL asks for, else the remembered theme, is there from its head. */
export function startTheme(): void {
  const button = document.getElementById("dash-theme");
  const wished = new URLSearchParams(location.search).get("theme");
  let theme = [wished, document.documentElement.dataset.theme].find(isTheme) ?? "auto";
  apply(theme, button);
  if (!button) return;
  button.hidden = false;
  button.addEventListener("click", () => {
    theme = CHOICES[(CHOICES.indexOf(theme) + 1) % CHOICES.length] ?? "auto";
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // Forbidden, as in a frame of another site: not remembered, but applied.
    }
    apply(theme, button);
  });
}
