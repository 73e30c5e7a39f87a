/** Boxes that scroll must be reachable without a mouse, and only those: others would be stops with nothing to do. */

const BOXES = ".dash-cell, .dash-html, .dash-markdown pre, .dash-markdown table, .dash-math-display";
const FOCUSABLE = "a[href], button, input, select, textarea, summary, [tabindex]";
/** Milliseconds in which changes are taken together: looking at sizes makes the browser lay the page out. */
const PAUSE = 300;

let timer: ReturnType<typeof setTimeout> | undefined;

function check(box: HTMLElement): void {
  const scrolls = box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1;
  if (scrolls && !box.querySelector(FOCUSABLE)) box.tabIndex = 0;
  else if (box.tabIndex === 0) box.removeAttribute("tabindex");
}

/** Looks again at what scrolls, a moment after the last call. */
export function scrollersChanged(): void {
  clearTimeout(timer);
  timer = setTimeout(() => document.querySelectorAll<HTMLElement>(BOXES).forEach(check), PAUSE);
}
