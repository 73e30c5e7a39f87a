/** A plain page in a frame tells its embedder how tall it is. */

function embedder(): string {
  // Where the browser knows it: the referrer is this server after a form in the frame, and nothing if the embedder says so.
  const [origin] = location.ancestorOrigins ?? [];
  if (origin && origin !== "null") return origin;
  try {
    return new URL(document.referrer).origin;
  } catch {
    return location.origin;
  }
}

/** Posts {"type": "jupyter-dashboards:height", "height": CSS px} now and whenever the content's height changes. */
export function reportHeight(): void {
  if (window.parent === window) return;
  const target = embedder();
  let last = -1;
  const report = (): void => {
    const height = Math.ceil(document.body.getBoundingClientRect().height);
    if (height === last) return;
    last = height;
    window.parent.postMessage({ type: "jupyter-dashboards:height", height }, target);
  };
  new ResizeObserver(report).observe(document.body);
  report();
}
