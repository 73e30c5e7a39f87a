/**
 * Author scripts. Those that arrive in html are inert (innerHTML never runs them, and the page's CSP refuses what has
 * no nonce), so each is created anew with the nonce.
 */
const TIMEOUT = 10_000;
const RUNNABLE = /^(?:(?:text|application)\/(?:x-)?(?:java|ecma)script|module|importmap)?$/i;
const started = new WeakSet<Element>();
/** A later output may need what an earlier one's `src` loads: one queue for the page. */
let queue: Promise<void> = Promise.resolve();

/** Runs the scripts below `root` in document order, `src` ones awaited, each at most once. No nonce: runs nothing. */
export function run(root: HTMLElement, nonce: string): Promise<void> {
  if (!nonce) return Promise.resolve();
  const scripts = [...root.querySelectorAll("script")].filter(
    (script) => RUNNABLE.test(script.type.trim()) && !started.has(script),
  );
  if (scripts.length === 0) return Promise.resolve();
  scripts.forEach((script) => started.add(script));
  queue = queue.then(async () => {
    for (const script of scripts) if (script.isConnected) await restart(script, nonce);
  });
  return queue;
}

async function restart(old: HTMLScriptElement, nonce: string): Promise<void> {
  const script = document.createElement("script");
  for (const { name, value } of [...old.attributes]) if (name !== "nonce") script.setAttribute(name, value);
  script.nonce = nonce;
  script.async = false;
  script.text = old.text;
  started.add(script);
  // An inline classic script has run when replaceWith returns; the others report later, or (a broken one) never.
  const waits = script.hasAttribute("src") || script.type === "module";
  const done = new Promise<void>((resolve) => {
    if (!waits) {
      resolve();
      return;
    }
    const timer = setTimeout(resolve, TIMEOUT);
    script.onload = script.onerror = () => {
      clearTimeout(timer);
      resolve();
    };
  });
  old.replaceWith(script);
  await done;
}

/**
 * A script that runs `code` when it enters the page, with `element` (the output's node) in scope as in other Jupyter
 * front ends, where top-level declarations aren't global either.
 */
export function outputScript(code: string, nonce: string): HTMLScriptElement {
  const script = document.createElement("script");
  script.nonce = nonce;
  script.text = `(function (element) {${code}\n}).call(window, document.currentScript.parentElement);`;
  started.add(script);
  return script;
}

type Handlers = [element: Element, name: string, code: string][];

/** Takes the inline event handlers (onclick="…") out of parsed, not yet inserted html: the CSP would refuse them. */
export function takeHandlers(fragment: DocumentFragment): Handlers {
  const found: Handlers = [];
  for (const element of fragment.querySelectorAll("*")) {
    for (const { name, value } of [...element.attributes]) {
      if (!/^on[a-z]+$/i.test(name)) continue;
      element.removeAttribute(name);
      found.push([element, name.toLowerCase(), value]);
    }
  }
  return found;
}

/** Gives the handlers back, as functions that a script with the nonce has made. */
export function giveHandlers(handlers: Handlers, nonce: string): void {
  if (!nonce) return;
  const slots = window as unknown as { dashHandler?: ((event: Event) => unknown) | undefined };
  for (const [element, name, code] of handlers) {
    const script = document.createElement("script");
    script.nonce = nonce;
    script.text = `window.dashHandler = function (event) {${code}\n};`;
    document.head.append(script);
    script.remove();
    if (slots.dashHandler) Object.assign(element, { [name]: slots.dashHandler });
    slots.dashHandler = undefined;
  }
}
