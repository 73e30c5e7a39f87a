/**
 * Vega-Lite 3 and 4 had `selection` where 5 and later have `params`
 * (https://vega.github.io/vega-lite/docs/parameter.html, "selection" → "param" in the 5.0 release notes).
 */
type Json = Record<string, unknown>;

const isObject = (value: unknown): value is Json =>
  value !== null && typeof value === "object" && !Array.isArray(value);

/** The spec in today's words; a spec without selections comes back equal. Data is not walked. */
export function upgradeVegaLite(spec: Json): Json {
  const emptyNone = new Set<string>();
  findEmptyNone(spec, emptyNone);
  return walk(spec, emptyNone) as Json;
}

/** `empty: "none"` belonged to the selection; now each use of it says `empty: false`. */
function findEmptyNone(node: unknown, found: Set<string>): void {
  if (Array.isArray(node)) for (const child of node) findEmptyNone(child, found);
  if (!isObject(node)) return;
  if (isObject(node["selection"])) {
    for (const [name, definition] of Object.entries(node["selection"])) {
      if (isObject(definition) && definition["empty"] === "none") found.add(name);
    }
  }
  for (const [key, child] of Object.entries(node)) if (!isData(key)) findEmptyNone(child, found);
}

const isData = (key: string) => key === "data" || key === "datasets";

function walk(node: unknown, emptyNone: Set<string>): unknown {
  if (Array.isArray(node)) return node.map((child) => walk(child, emptyNone));
  if (!isObject(node)) return node;
  const result: Json = {};
  for (const [key, child] of Object.entries(node)) {
    if (isData(key)) result[key] = child;
    else if (key !== "selection") result[key] = walk(child, emptyNone);
    else if (isDefinition(child)) {
      const earlier = Array.isArray(node["params"]) ? (node["params"] as unknown[]) : [];
      result["params"] = [...earlier, ...Object.entries(child).map(([name, one]) => parameter(name, one))];
    } else Object.assign(result, predicate(child, emptyNone, "value" in node || "field" in node || "datum" in node));
  }
  return result;
}

/** A use names selections (a string, and/or/not); a definition maps names to {type: …}. */
function isDefinition(value: unknown): value is Record<string, Json> {
  return isObject(value) && Object.values(value).every((one) => isObject(one) && typeof one["type"] === "string");
}

function parameter(name: string, old: Json): Json {
  const { type, bind, init, empty: _empty, ...rest } = old;
  const select: Json = { ...rest, type: type === "interval" ? "interval" : "point" };
  if (type === "single") select["toggle"] = false;
  return {
    name,
    select,
    ...(bind === undefined ? {} : { bind }),
    ...(init === undefined ? {} : { value: init }),
  };
}

/** `inCondition`: conditions take a composition only under `test`. */
function predicate(use: unknown, emptyNone: Set<string>, inCondition: boolean): Json {
  const compose = (part: unknown): unknown => {
    if (typeof part === "string") return { param: part, ...(emptyNone.has(part) ? { empty: false } : {}) };
    if (Array.isArray(part)) return part.map(compose);
    if (isObject(part)) return Object.fromEntries(Object.entries(part).map(([key, value]) => [key, compose(value)]));
    return part;
  };
  const composed = compose(use) as Json;
  return typeof use === "string" || !inCondition ? composed : { test: composed };
}
