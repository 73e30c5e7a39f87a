"""What is run in a page that is turned into a picture."""

# Whatever talks past the interception. Before any script of the page, in its frames too.
TAKEN = """
for (const name of ["RTCPeerConnection", "webkitRTCPeerConnection", "RTCDataChannel", "WebTransport", "WebSocket",
    "WebSocketStream", "EventSource", "Worker", "SharedWorker", "open"]) {
  try { Object.defineProperty(globalThis, name, { value: undefined, writable: false, configurable: false }); } catch {}
}
try { Object.defineProperty(Navigator.prototype, "sendBeacon", { value: () => false }); } catch {}
"""

READY = """() => document.readyState !== "loading" && document.body && "ready" in document.body.dataset
  && !document.querySelector('[aria-busy="true"]') && document.fonts.status === "loaded"
  && Array.from(document.images).every((image) => image.complete)"""

# Else a picture that is not in the window yet is unpacked while the page is drawn without it.
UNPACK = """() => Promise.all(Array.from(document.images, (image) => {
  image.decoding = "sync";
  return image.complete && image.decode().catch(() => {});
}))"""

# Nobody can scroll a file: what is wider than its place is made smaller, down to a fifth.
FIT = """async () => {
  const fields = new Set(["INPUT", "SELECT", "TEXTAREA"]);
  const share = (node) => (node.clientWidth && node.scrollWidth > node.clientWidth + 1 ? node.clientWidth / node.scrollWidth : 1);
  const scrolls = (node) => !fields.has(node.tagName) && ["auto", "scroll"].includes(getComputedStyle(node).overflowX);
  const roots = document.querySelectorAll(".dash-output, .dash-cell-markdown > .dash-markdown > *");
  const needed = Array.from(roots, (root) => {
    const wide = [root, ...Array.from(root.querySelectorAll("*")).filter((node) => share(node) < 1 && scrolls(node))];
    return [root, Math.min(...wide.map(share))];
  });
  const tooWide = needed.filter(([, size]) => size < 1);
  for (const [root, size] of tooWide) root.style.zoom = Math.max(size * 0.995, 0.2);
  // Charts that follow their place hear of it in the next frame.
  if (tooWide.length) await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
}"""

# Letters and signs that no font has: they are drawn like a letter that there is not.
BOXES = r"""() => {
  const context = new OffscreenCanvas(32, 32).getContext("2d", { willReadFrequently: true });
  context.font = `16px ${getComputedStyle(document.body ?? document.documentElement).fontFamily}`;
  const drawn = (letter) => {
    context.clearRect(0, 0, 32, 32);
    context.fillText(letter, 4, 22);
    return context.getImageData(0, 0, 32, 32).data.join();
  };
  const box = drawn("\u0378");
  const shown = document.body?.innerText.match(/(?!\p{ASCII})[\p{L}\p{N}\p{S}]/gu) ?? [];
  return Array.from(new Set(shown)).slice(0, 300).filter((letter) => drawn(letter) === box).slice(0, 10).join(" ");
}"""

# The window's height is the least that a document says it has.
HEIGHT = """() => {
  const { scrollHeight, clientHeight } = document.documentElement;
  return Math.ceil(scrollHeight > clientHeight ? scrollHeight : document.body.getBoundingClientRect().bottom);
}"""
