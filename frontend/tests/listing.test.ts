import "./page.ts";
import assert from "node:assert/strict";
import { test } from "node:test";
import { matches } from "../src/listing.ts";

test("a search finds names by all its words, without regard to case and accents", () => {
  for (const [name, query, found] of [
    ["Café au lait", "cafe", true],
    ["Café au lait", "LAIT caf", true],
    ["Café au lait", "tea", false],
    ["Sales 2024", "sales 2025", false],
    ["anything", "", true],
    ["Ünïcode ☕", "unicode", true],
  ] as const) {
    assert.equal(matches(name, query), found, `${name} / ${query}`);
  }
});
