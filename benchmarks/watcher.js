// Runs in each page before anything else. At every frame it looks for two texts and notes when each was first
// visible: in a text node that is no script's, inside a box that is laid out and not hidden.
(({ first, last, stored }) => {
  const seen = { first: null, last: null };
  const lastPattern = new RegExp(last);
  let finish;
  window.__benchmark = { seen, done: new Promise((resolve) => (finish = resolve)) };

  const visible = (node) => {
    const element = node.parentElement;
    if (!element || !element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true })) return false;
    const range = document.createRange();
    range.selectNodeContents(node);
    return [...range.getClientRects()].some(({ width, height }) => width > 0 && height > 0);
  };
  const skipped = new Set(["SCRIPT", "STYLE", "TEMPLATE", "NOSCRIPT"]);

  const look = () => {
    if (document.body) {
      const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT, (node) => {
        if (node.nodeType === Node.TEXT_NODE) return NodeFilter.FILTER_ACCEPT;
        return skipped.has(node.tagName) ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_SKIP;
      });
      for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        const text = node.data;
        if (seen.first === null && text.includes(first) && visible(node)) seen.first = performance.now();
        const found = seen.last === null ? lastPattern.exec(text) : null;
        if (found && found[1] !== stored && visible(node)) seen.last = performance.now();
      }
    }
    if (seen.first !== null && seen.last !== null) finish(true);
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})
