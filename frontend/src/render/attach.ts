/**
 * Renderers build detached elements; plots need a size and scripts need a document. A marker element inside tells,
 * synchronously, when its parent enters the page, however often the output area moves it before that.
 */
const TAG = "dash-attached";

class Attached extends HTMLElement {
  enter: (() => void) | null = null;
  leave: (() => void) | null = null;

  connectedCallback(): void {
    const enter = this.enter;
    this.enter = null;
    enter?.();
    if (!this.leave) this.remove();
  }

  disconnectedCallback(): void {
    // Moving an element also disconnects it for a moment.
    setTimeout(() => {
      if (this.isConnected || !this.leave) return;
      const leave = this.leave;
      this.leave = null;
      leave();
    });
  }
}

/** Calls `enter` once when `element` is in the page and, if given, `leave` once when it is gone for good. */
export function onAttach(element: HTMLElement, enter: () => void, leave?: () => void): void {
  if (!customElements.get(TAG)) customElements.define(TAG, Attached);
  const marker = document.createElement(TAG) as Attached;
  marker.hidden = true;
  marker.enter = enter;
  marker.leave = leave ?? null;
  element.append(marker);
}

/** Calls back when `element` is in the page *and* has a width (it may sit in a closed tab or a hidden cell for long). */
export function onSized(element: HTMLElement, sized: () => void): void {
  onAttach(element, () => {
    if (element.clientWidth > 0) {
      sized();
      return;
    }
    const observer = new ResizeObserver(() => {
      if (element.clientWidth === 0) return;
      observer.disconnect();
      sized();
    });
    observer.observe(element);
  });
}

/** Runs `draw` once `element` has a size; aria-busy tells people and the page converter that it isn't done yet. */
export function drawWhenSized(element: HTMLElement, draw: () => Promise<unknown>): void {
  onAttach(element, () => {
    // Not in a hidden cell: that never draws, and whoever waits for the page would wait in vain.
    if (element.clientWidth > 0) element.setAttribute("aria-busy", "true");
  });
  onSized(element, () => {
    element.setAttribute("aria-busy", "true");
    const giveUp = setTimeout(() => element.removeAttribute("aria-busy"), 10_000);
    void draw()
      .catch((error: unknown) => {
        console.error(error);
        const note = document.createElement("div");
        note.className = "dash-placeholder";
        note.textContent = "This output could not be drawn.";
        element.replaceChildren(note);
      })
      .finally(() => {
        clearTimeout(giveUp);
        element.removeAttribute("aria-busy");
      });
  });
}
