// For a page that is a file of its own: scripts that an installed extension would load from the server are in the page.
(() => {
  const files = JSON.parse(document.getElementById("dash-files").textContent);
  const { get, set } = Object.getOwnPropertyDescriptor(HTMLScriptElement.prototype, "src");
  const named = new WeakMap();
  Object.defineProperty(HTMLScriptElement.prototype, "src", {
    configurable: true,
    enumerable: true,
    // An extension finds its other files beside the one that runs.
    get() { return named.get(this) ?? get.call(this); },
    set(url) {
      const text = files[String(url).split("?")[0]];
      if (text === undefined) return void set.call(this, url);
      named.set(this, url);
      set.call(this, URL.createObjectURL(new Blob([text], { type: "text/javascript" })));
    },
  });
  // The origin of a file is the text "null", which is no base of a URL.
  globalThis.URL = class extends URL {
    constructor(url, base) { super(url, base === "null" ? undefined : base); }
  };
})();
