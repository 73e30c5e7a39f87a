"""What is run in a page that is turned into a picture."""

# Whatever talks past the interception. Before any script of the page, in its frames too.
TAKEN = """
for (const name of ["RTCPeerConnection", "webkitRTCPeerConnection", "RTCDataChannel", "WebTransport", "WebSocket",
    "WebSocketStream", "EventSource", "Worker", "SharedWorker", "open"]) {
  try { Object.defineProperty(globalThis, name, { value: undefined, writable: false, configurable: false }); } catch {}
}
try { Object.defineProperty(Navigator.prototype, "sendBeacon", { value: () => false }); } catch {}
// A page that prints itself can't be printed.
try { Object.defineProperty(globalThis, "print", { value() {}, writable: false, configurable: false }); } catch {}
"""

READY = """() => document.readyState !== "loading" && document.body && "ready" in document.body.dataset
  && !document.querySelector('[aria-busy="true"]') && document.fonts.status === "loaded"
  && Array.from(document.images).every((image) => image.complete)"""

# Else a picture that is not in the window yet is unpacked while the page is drawn without it.
UNPACK = """() => Promise.all(Array.from(document.images, (image) => {
  image.decoding = "sync";
  return image.complete && image.decode().catch(() => {});
}))"""

# Nobody can open or scroll a file, and nobody knows the server by the name that it has here: what is folded is unfolded, what
# scrolls is as high as what is in it, links to this page's own origin are text.
UNFOLD = """async () => {
  // Of JSON, what a person would read: a list of thousands of numbers stays one line.
  const isLong = (details) => parseInt(details.querySelector(":scope > summary > .dash-json-size")?.textContent.slice(1)) > 500;
  for (let level = 0; level < 20 && document.getElementsByTagName("*").length < 50000; level++) {
    const closed = Array.from(document.querySelectorAll("details:not([open])")).filter((each) => !isLong(each)).slice(0, 2000);
    if (!closed.length) break;
    for (const details of closed) details.open = true;
    // What is in them is made when they hear that they are open.
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  }
  for (const node of document.querySelectorAll(".dash-output *, .dash-markdown *")) {
    if (["TEXTAREA", "SELECT"].includes(node.tagName) || node.scrollHeight <= node.clientHeight + 1) continue;
    if (!["auto", "scroll"].includes(getComputedStyle(node).overflowY)) continue;
    node.style.setProperty("height", "auto", "important");
    node.style.setProperty("max-height", "none", "important");
  }
  for (const link of document.querySelectorAll("a[href]"))
    if (link.origin === location.origin && !link.getAttribute("href").startsWith("#")) link.removeAttribute("href");
}"""

# What is wider than its place is made narrower, and then smaller, down to a fifth. The answer: how many are cut nevertheless.
FIT = """async () => {
  const fields = new Set(["INPUT", "SELECT", "TEXTAREA"]);
  const share = (node) => (node.clientWidth && node.scrollWidth > node.clientWidth + 1 ? node.clientWidth / node.scrollWidth : 1);
  const scrolls = (node) => !fields.has(node.tagName) && ["auto", "scroll"].includes(getComputedStyle(node).overflowX);
  const roots = document.querySelectorAll(".dash-output, .dash-cell-markdown > .dash-markdown > *");
  const size = (root) => Math.min(...[root, ...Array.from(root.querySelectorAll("*")).filter((node) => share(node) < 1 && scrolls(node))].map(share));
  let tooWide = Array.from(roots, (root) => [root, size(root)]).filter(([, size]) => size < 1);
  if (!tooWide.length) return 0;
  for (const [root] of tooWide)
    for (const cell of root.querySelectorAll("td, th")) {
      cell.style.whiteSpace = "normal";
      // A number or a short word stays whole.
      if (/\\S{25}/.test(cell.textContent)) cell.style.overflowWrap = "anywhere";
    }
  tooWide = tooWide.map(([root]) => [root, size(root)]).filter(([, size]) => size < 1);
  for (const [root, size] of tooWide) root.style.zoom = Math.max(size * 0.995, 0.2);
  // Charts that follow their place hear of it in the next frame.
  if (tooWide.length) await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  return tooWide.filter(([, size]) => size < 0.2).length;
}"""

# Both, in one message. A picture has no sheets, whose height bounds what stands on one.
LAY_OUT = f"""async (isPicture) => {{
  if (isPicture) document.documentElement.dataset.picture = "";
  await ({UNFOLD})();
  return await ({FIT})();
}}"""

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
