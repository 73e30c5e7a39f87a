/** Bundles tests/*.test.ts (Node 20 can't read TypeScript) and runs them with Node's own test runner. */
import { spawnSync } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const here = path.dirname(fileURLToPath(import.meta.url));
const outdir = path.join(here, ".tests");
const found = readdirSync(path.join(here, "tests"), { recursive: true }).filter((name) => name.endsWith(".test.ts"));

rmSync(outdir, { recursive: true, force: true });
await esbuild.build({
  absWorkingDir: here,
  entryPoints: found.map((name) => path.join("tests", name)),
  outbase: "tests",
  bundle: true,
  splitting: true,
  platform: "node",
  format: "esm",
  target: "node20",
  // One module instance for all: the lazy chunks of the client must see the test's own document.
  packages: "external",
  outdir,
  outExtension: { ".js": ".mjs" },
  sourcemap: "inline",
  loader: { ".css": "empty" },
  logLevel: "warning",
});
const { status } = spawnSync(
  process.execPath,
  // Files by name: what a folder means here differs between Node 20 and 22.
  ["--enable-source-maps", "--test", "--test-timeout=300000", "--test-reporter=spec", ...found.map((name) => path.join(outdir, name.replace(/ts$/, "mjs")))],
  { stdio: "inherit", cwd: here },
);
process.exitCode = status ?? 1;
