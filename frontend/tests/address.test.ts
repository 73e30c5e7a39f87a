import { write } from "./page.ts";
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { hideToken, tidy } from "../src/address.ts";

Object.assign(globalThis, { history: window.history, addEventListener: window.addEventListener.bind(window) });
const go = (url: string): void => window.history.replaceState({ kept: 1 }, "", `http://dash.test${url}`);
const here = (): string => location.pathname + location.search + location.hash;

/** Where a click leads: the link's URL when all listeners have seen the event. */
function followed(selector: string): string {
  const link = document.querySelector(selector) as HTMLAnchorElement;
  let url = "";
  const last = (): void => void (url = link.href);
  window.addEventListener("click", last);
  link.dispatchEvent(new window.MouseEvent("click", { bubbles: true, cancelable: true }));
  window.removeEventListener("click", last);
  return url;
}

beforeEach(() => {
  document.head.innerHTML = "";
});

for (const [before, after] of [
  ["/d/nb?token=secret", "/d/nb"],
  ["/d/nb?token=secret#part", "/d/nb#part"],
  ["/d/nb?a=x%20y&token=secret&b=%7E+z&view=grid#part", "/d/nb?a=x%20y&b=%7E+z&view=grid#part"],
  ["/d/nb?%74oken=secret&tokens=kept&token", "/d/nb?tokens=kept"],
  ["/d/nb?a=token=kept", "/d/nb?a=token=kept"],
  ["/d/nb", "/d/nb"],
] as const) {
  test(`the address ${before} becomes ${after}`, () => {
    go(before);
    document.head.innerHTML = '<base href="/elsewhere/">';
    hideToken();
    assert.equal(here(), after);
    assert.deepEqual(window.history.state, { kept: 1 });
  });
}

test("links to a section and the skip link lead there within the page, whatever its base and its query are", async () => {
  go("/d/nb?view=grid#old");
  document.head.innerHTML = '<base href="/d/folder/">';
  write(`<a class="dash-skip" href="/d/nb#dash-main">Skip</a><a id="section" href="#new">New</a><a id="top" href="#">Top</a>
    <a id="file" href="data.csv">Data</a><a id="other" href="/d/other#new">Other</a>`);
  tidy();
  assert.equal(followed(".dash-skip"), "http://dash.test/d/nb?view=grid#dash-main");
  assert.equal(followed("#section"), "http://dash.test/d/nb?view=grid#new");
  assert.equal(followed("#top"), "http://dash.test/d/nb?view=grid#");
  assert.equal(followed("#other"), "http://dash.test/d/other#new");
  followed("#file");
  assert.equal(document.getElementById("file")?.getAttribute("href"), "data.csv");
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(document.getElementById("section")?.getAttribute("href"), "#new");
});
