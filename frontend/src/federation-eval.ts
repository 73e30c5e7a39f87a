/**
 * Some extensions build functions from text while they load (lodash templates in leaflet-measure, part of ipyleaflet),
 * which the page's CSP refuses without 'unsafe-eval'. The text is the extension's own then, as trusted as its file: so
 * while a module is being evaluated (that is synchronous), `Function` goes through a script with the page's nonce.
 * Later calls, where text may come from data, meet the CSP as before.
 */
const native = globalThis.Function;
let active = "";
let count = 0;

const permitted = new Proxy(native, {
  apply: (target, self, parts: unknown[]) => (active ? compile(parts) : Reflect.apply(target, self, parts)),
  construct: (target, parts: unknown[]) => (active ? compile(parts) : (Reflect.construct(target, parts) as object)),
});

/** Runs a federated module's factory. Without a nonce nothing is permitted that the CSP does not. */
export function evaluate<T>(factory: () => T, nonce: string): T {
  if (!nonce) return factory();
  const [outerFunction, outerNonce] = [globalThis.Function, active];
  globalThis.Function = permitted;
  active = nonce;
  try {
    return factory();
  } finally {
    globalThis.Function = outerFunction;
    active = outerNonce;
  }
}

function compile(parts: unknown[]): (...values: unknown[]) => unknown {
  const slot = `dash function ${(count += 1)}`;
  const slots = window as unknown as Record<string, ((...values: unknown[]) => unknown) | undefined>;
  const script = document.createElement("script");
  script.nonce = active;
  const body = String(parts.at(-1) ?? "");
  script.text = `window["${slot}"] = function anonymous(${parts.slice(0, -1).join(",")}\n) {\n${body}\n};`;
  document.head.append(script);
  script.remove();
  const made = slots[slot];
  delete slots[slot];
  if (!made) throw new SyntaxError("The text is not a function.");
  return made;
}
