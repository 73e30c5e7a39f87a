/**
 * What is left of an author's CSS where nobody vouches for it: what stays in its place and loads nothing. The same rules
 * as the server's (dashboards/sanitiser.py), by the same table.
 */
import allowed from "./allowed.json" with { type: "json" };

const PROPERTIES = new Set(allowed.properties);
const FUNCTIONS = new Set([...allowed.functions, ""]);

const withoutStrings = (text: string) => text.replace(/"[^"]*"|'[^']*'/g, "");
const spaced = (text: string) => text.replace(/\s+/g, " ");

/** The harmless ones of CSS declarations, each complete in itself. */
export function declarations(text: string): string {
  const kept: string[] = [];
  for (const declaration of spaced(text).split(";")) {
    const colon = declaration.indexOf(":");
    if (colon < 0) continue;
    const name = declaration.slice(0, colon).trim();
    const value = declaration.slice(colon + 1).trim();
    if (value && isProperty(name) && isValue(value)) kept.push(`${name}:${value}`);
  }
  return kept.join(";");
}

/** A style sheet's harmless rules, made to hold in authors' HTML only; "" if none is left. */
export function styleSheet(text: string): string {
  const rules: string[] = [];
  // What the open braces belong to: a media rule, the selector of a rule, or (null) something to leave out.
  const within: (string | null)[] = [];
  for (const [, given = "", brace] of text.replace(/\/\*.*?\*\//gs, " ").matchAll(/([^{}]*)([{}])/g)) {
    const before = spaced(given);
    if (brace === "{") {
      // A statement such as @import may stand before it.
      const head = before.slice(before.lastIndexOf(";") + 1).trim();
      const inside = within.length > 0 ? within.at(-1) : "@media";
      if (!isClosed(head) || inside !== "@media") within.push(null);
      else if (/^@media\b/i.test(head) && !head.includes("@", 1) && within.length === 0) {
        within.push("@media");
        rules.push(`${head}{`);
      } else within.push(head && !head.includes("@") ? head : null);
    } else if (within.length > 0) {
      const closed = within.pop();
      if (closed === "@media") rules.push("}");
      else if (closed) {
        const kept = declarations(before);
        if (kept) rules.push(`${closed}{${kept}}`);
      }
    }
  }
  if (within[0] === "@media") rules.push("}");
  return rules.length > 0 ? `@scope (${allowed.scope}){${rules.join("")}}` : "";
}

/** Whether it or what it begins with is in the table; custom properties are the author's own. */
function isProperty(name: string): boolean {
  if (/^--[\w-]+$/.test(name)) return true;
  if (!/^[a-z-]+$/i.test(name)) return false;
  const words = name.toLowerCase().split("-");
  return words.some((_, last) => PROPERTIES.has(words.slice(0, last + 1).join("-")));
}

function isValue(value: string): boolean {
  if (value.includes("@") || !isClosed(value)) return false;
  return [...withoutStrings(value).matchAll(/([^\s(),+*/]*)\(/g)].every(([, name = ""]) => FUNCTIONS.has(name.toLowerCase()));
}

/** Whether what stands after it cannot become a part of it, nor the other way round. */
function isClosed(text: string): boolean {
  const bare = withoutStrings(text);
  if (/[\\<{};]/.test(text) || /["']|\/\*/.test(bare)) return false;
  const closers: string[] = [];
  for (const character of bare) {
    if (character === "(") closers.push(")");
    else if (character === "[") closers.push("]");
    else if ((character === ")" || character === "]") && closers.pop() !== character) return false;
  }
  return closers.length === 0;
}
