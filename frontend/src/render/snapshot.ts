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
  await Promise.all(
    scripts.map(async (script) => {
      const mime = script.dataset["mime"] ?? "";
      let value: unknown;
      try {
        value = JSON.parse(script.text);
      } catch {
        return;
      }
      const node = await renderMime({ [mime]: value }, {}, ctx);
      const output = script.closest<HTMLElement>(".dash-output") ?? script.parentElement;
      // A live output may have taken the place meanwhile; and the stored picture beats a placeholder.
      if (!script.isConnected || !output || node.classList.contains("dash-placeholder")) return;
      output.replaceChildren(node);
      // Only a file that was made of a trusted notebook has html here: nothing else would run its scripts.
      await runScripts(node, ctx.nonce);
    }),
  );
}
