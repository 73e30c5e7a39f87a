/**
 * HTML of pages that nobody vouches for, with what an author may show and nothing that acts. The server has the same rules
 * for stored outputs (dashboards/sanitiser.py says where the two differ); a test keeps the tables the same.
 */
import createPurify from "dompurify";
import allowed from "./allowed.json" with { type: "json" };
import { declarations, styleSheet } from "./css.ts";

type Table = Record<string, string[]>;

/** Marks our own Markdown's formulas until they are typeset. */
const FORMULA = "data-dash-tex";
const SVG = new Set(allowed.svg.map((name) => name.toLowerCase()));
const SVG_ATTRIBUTES = new Set(allowed.svgAttributes.map((name) => name.toLowerCase()));
const ATTRIBUTES = allowed.attributes as Table;
const EVERYWHERE = new Set([...(ATTRIBUTES["*"] ?? []), FORMULA]);
const MEDIA = /^(?:img|audio|video|source)$/;
/** Ours, and those that webpack's containers look for in `window`. */
const RESERVED_ID = /^(?:dash-|_|webpack)/i;
const VISIBLE = "audio, hr, img, input, meter, progress, svg, table, video";

const CONFIG = {
  ALLOWED_TAGS: [...allowed.tags, ...allowed.svg],
  ALLOWED_ATTR: [...Object.values(ATTRIBUTES).flat(), ...allowed.svgAttributes, FORMULA],
  ALLOW_DATA_ATTR: false,
  ALLOWED_URI_REGEXP: /^(?:(?:https?|mailto|tel):|[^a-z]|[a-z+.-]+(?:[^a-z+.\-:]|$))/i,
  FORBID_CONTENTS: (
    "annotation-xml embed foreignobject head iframe math noembed noframes noscript object plaintext script select style " +
    "template textarea title xmp"
  ).split(" "),
  IN_PLACE: true as const,
};

// An instance of its own: hooks would hold for whatever else uses the library.
const purify = createPurify(window);
// It would hand everything back as it is.
if (!purify.isSupported) throw new Error("This browser can't sanitise HTML.");
let sheets: string[] = [];

purify.addHook("uponSanitizeElement", (node, { tagName }) => {
  if (tagName === "style") sheets.push(styleSheet(node.textContent ?? ""));
});

purify.addHook("uponSanitizeAttribute", (node, event) => {
  const kept = attribute(node.tagName.toLowerCase(), event.attrName, event.attrValue);
  if (kept === null) event.keepAttr = false;
  else event.attrValue = kept;
});

purify.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName === "A") node.setAttribute("rel", "noopener noreferrer");
  if (node.tagName === "INPUT") {
    // Task lists; a field would have nowhere to send its text, but could ask for it.
    node.setAttribute("type", "checkbox");
    node.setAttribute("disabled", "");
  }
});

/** The harmless part of the HTML, with its style sheets at its end. */
export function sanitise(source: string): DocumentFragment {
  sheets = [];
  // The document of a template's content runs and loads nothing. What is never written as text again can't be read as
  // something else. (Chromium reports event handlers to the console when it parses them, wherever that is.)
  const template = document.createElement("template");
  template.innerHTML = source;
  const root = template.content.ownerDocument.createElement("div");
  root.append(template.content);
  purify.sanitize(root, CONFIG);
  const fragment = document.createDocumentFragment();
  fragment.append(...root.childNodes);
  const styles = sheets.join("");
  if (styles) {
    const style = document.createElement("style");
    style.textContent = styles;
    fragment.append(style);
  }
  return fragment;
}

/** The same as text, for code that writes HTML itself. */
export function sanitiseText(source: string): string {
  const holder = document.createElement("div");
  holder.append(sanitise(source));
  return holder.innerHTML;
}

/** Whether nothing of the source is to be seen in what was left of it, and what was taken out would have been. */
export function nothingButScripts(source: string, fragment: DocumentFragment): boolean {
  if (!/<(script|iframe|object|embed)\b/i.test(source) || fragment.querySelector(VISIBLE)) return false;
  return ![...fragment.childNodes].some((node) => node.nodeName !== "STYLE" && node.textContent?.trim());
}

/** What becomes of an attribute; null: it goes. */
function attribute(tag: string, name: string, value: string): string | null {
  const inSvg = SVG.has(tag);
  const known = EVERYWHERE.has(name) || name.startsWith("aria-") || (inSvg ? SVG_ATTRIBUTES.has(name) : ATTRIBUTES[tag]?.includes(name));
  if (!known) return null;
  if (name === "style") return declarations(value) || null;
  if (name === "id") return RESERVED_ID.test(value) ? null : value;
  if (name === "class") {
    // The page's own looks, such as that of its bar.
    const words = value.split(/\s+/).filter((word) => word && !word.toLowerCase().startsWith("dash-"));
    return words.join(" ") || null;
  }
  if (name === "target") return value === "_blank" ? value : null;
  if (inSvg) return svgAttribute(name, value);
  const data = value.trim().toLowerCase().startsWith("data:");
  return data && !(MEDIA.test(tag) && /^\s*data:(?:image|audio|video)\//i.test(value)) ? null : value;
}

/** References lead to the same picture only. */
function svgAttribute(name: string, value: string): string | null {
  if (name === "href" || name === "xlink:href") return value.startsWith("#") ? value : null;
  return [...value.matchAll(/url\(\s*["']?([^)]?)/gi)].some(([, first]) => first !== "#") ? null : value;
}
