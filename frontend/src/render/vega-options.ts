/**
 * A Vega specification carries options for vega-embed, which can hold style sheets, addresses and selectors of elements
 * of the page. Where nobody vouches for the author, what draws the plot is left, and what reaches beyond it is not.
 */
type Json = Record<string, unknown>;

const HARMLESS = ["width", "height", "padding", "theme", "renderer", "scaleFactor"];

/** The options of the output's metadata that only say how the plot looks. */
export function harmlessOptions(options: object | undefined): Json {
  return Object.fromEntries(Object.entries(options ?? {}).filter(([name, value]) => HARMLESS.includes(name) && typeof value !== "object"));
}

/** The specification without options for vega-embed, and with its inputs in their own place. Data is not walked. */
export function withinItsPlace(spec: Json): Json {
  const { usermeta: _usermeta, ...rest } = spec;
  return walk(rest) as Json;
}

function walk(node: unknown, key = ""): unknown {
  if (Array.isArray(node)) return node.map((child) => walk(child));
  if (node === null || typeof node !== "object") return node;
  return Object.fromEntries(
    Object.entries(node)
      .filter(([name]) => !(key === "bind" && name === "element"))
      .map(([name, child]) => [name, name === "values" || name === "datasets" ? child : walk(child, within(key, name))]),
  );
}

/** A parameter of several fields has an object of bindings: `bind: {field: {input: …, element: …}}`. */
const within = (key: string, name: string) => (key === "bind" || name === "bind" ? "bind" : name);
