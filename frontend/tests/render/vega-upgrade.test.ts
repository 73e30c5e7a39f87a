import assert from "node:assert/strict";
import { test } from "node:test";
import { upgradeVegaLite } from "../../src/render/vega-upgrade.ts";

test("a selection becomes a parameter", () => {
  const spec = { selection: { brush: { type: "interval", encodings: ["x"], bind: "scales" } } };
  assert.deepEqual(upgradeVegaLite(spec), {
    params: [{ name: "brush", select: { type: "interval", encodings: ["x"] }, bind: "scales" }],
  });
});

test("single and multi become points, their start value too", () => {
  const spec = { selection: { one: { type: "single", init: { x: 1 } }, many: { type: "multi" } } };
  assert.deepEqual(upgradeVegaLite(spec)["params"], [
    { name: "one", select: { type: "point", toggle: false }, value: { x: 1 } },
    { name: "many", select: { type: "point" } },
  ]);
});

test("conditions, filters and domains name the parameter", () => {
  const spec = {
    selection: { pick: { type: "multi", empty: "none" } },
    transform: [{ filter: { selection: { not: "pick" } } }],
    encoding: {
      color: { condition: { selection: "pick", value: "red" }, value: "grey" },
      size: { condition: { selection: { and: ["pick", "other"] }, value: 9 } },
      x: { field: "a", scale: { domain: { selection: "brush" } } },
    },
  };
  const { transform, encoding } = upgradeVegaLite(spec) as { transform: unknown; encoding: unknown };
  assert.deepEqual(transform, [{ filter: { not: { param: "pick", empty: false } } }]);
  assert.deepEqual(encoding, {
    color: { condition: { param: "pick", empty: false, value: "red" }, value: "grey" },
    size: { condition: { test: { and: [{ param: "pick", empty: false }, { param: "other" }] }, value: 9 } },
    x: { field: "a", scale: { domain: { param: "brush" } } },
  });
});

test("data is not touched, and today's specs come back equal", () => {
  const spec = { data: { values: [{ selection: "a" }] }, params: [{ name: "p", value: 1 }], mark: "bar" };
  assert.deepEqual(upgradeVegaLite(spec), spec);
});
