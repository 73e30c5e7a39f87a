/** Brings the server's stored outputs to life: maths, and plots whose data came along. It has left out all scripts. */
import type { RenderContext } from "../types.ts";
import { MAYBE_MATH } from "./delimiters.ts";
import { renderMime, runScripts } from "./index.ts";

const PROSE = ".dash-markdown, .dash-html, .dash-latex";

export async function hydrate(root: HTMLElement, ctx: RenderContext): Promise<void> {
  await Promise.all([typesetSnapshot(root, ctx), drawBundles(root, ctx)]);
}

async function typesetSnapshot(root: HTMLElement, ctx: RenderContext): Promise<void> {
  const nodes = [...root.querySelectorAll<HTMLElement>(PROSE)].filter((node) => MAYBE_MATH.test(node.textContent ?? ""));
  if (nodes.length === 0) return;
  const { mathStyles, typeset } = await import("./math.ts");
  await mathStyles(ctx);
  for (const node of nodes) typeset(node);
  ctx.resized?.();
}

async function drawBundles(root: HTMLElement, ctx: RenderContext): Promise<void> {
  const scripts = [...root.querySelectorAll<HTMLScriptElement>("script.dash-mime")];
  // Made at once, put into the page in order: a script of one output may look for an element of the one before it.
  const drawn = scripts.map((script) => draw(script, ctx));
  for (const [index, script] of scripts.entries()) {
    const node = await drawn[index];
    const output = script.closest<HTMLElement>(".dash-output") ?? script.parentElement;
    // A live output may have taken the place meanwhile; and the stored picture beats a placeholder.
    if (!node || !script.isConnected || !output || node.classList.contains("dash-placeholder")) continue;
    output.replaceChildren(node);
    // Only a file that was made of a trusted notebook has html here: nothing else would run its scripts.
    await runScripts(node, ctx.nonce);
  }
}

async function draw(script: HTMLScriptElement, ctx: RenderContext): Promise<HTMLElement | null> {
  try {
    return await renderMime({ [script.dataset["mime"] ?? ""]: JSON.parse(script.text) as unknown }, {}, ctx);
  } catch {
    return null;
  }
}
