/**
 * Builds the client into ../jupyter_dashboards_api/static: hashed ES modules and style sheets, their .br and .gz
 * siblings, and manifest.json, which tells the server the names. Everything is made in memory first, so that a
 * failing build leaves the last good assets in place.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import zlib from "node:zlib";
import * as esbuild from "esbuild";

const here = path.dirname(fileURLToPath(import.meta.url));
const outdir = path.resolve(here, "../jupyter_dashboards_api/static");
const initialBudget = 10 * 1024;
/** Below this a compressed sibling saves less than its own response header costs. */
const smallestCompressed = 256;
const scripts = { dash: "src/main.ts", listing: "src/listing.ts" };
/** Not a file of its own for the browser: the server writes it into the page. */
const inlined = { early: "src/early.ts" };
/** Parts that a page may do without: a file that a notebook was made into leaves out those of them that it has no use for. */
const optional = ["render/foreign", "render/math", "render/plotly", "render/vega", "widgets/manager", "widgets/view"];
const styles = { main: "styles/main.css", widgets: "styles/widgets.css", math: "styles/math.css" };

const gzip = promisify(zlib.gzip);
const brotli = promisify(zlib.brotliCompress);

/** Every browser that runs this client reads woff2: the older copies of each font would only swell the wheel. */
const onlyWoff2 = {
  name: "only-woff2",
  setup(build) {
    build.onLoad({ filter: /katex[^/]*\.css$/ }, ({ path: file }) => ({
      contents: readFileSync(file, "utf8").replace(/,url\([^)]*\.(?:woff|ttf)\)\s*format\("[a-z]+"\)/g, ""),
      loader: "css",
    }));
  },
};

/** sanitize-html brings 80 KB (gzip) of parser for what DOMPurify does with the browser's own. */
const sanitizeShim = {
  name: "sanitize-shim",
  setup(build) {
    build.onResolve({ filter: /^sanitize-html$/ }, () => ({
      path: path.join(here, "src/render/sanitize-html-shim.ts"),
    }));
  },
};

const common = {
  absWorkingDir: here,
  bundle: true,
  minify: true,
  write: false,
  metafile: true,
  outdir,
  legalComments: "none",
  logLevel: "warning",
  entryNames: "[name]-[hash]",
  chunkNames: "chunk-[hash]",
  assetNames: "[name]-[hash]",
  define: { "process.env.NODE_ENV": '"production"', global: "globalThis" },
};

/** One page's script: built alone, as a module shared by two entries would cost both a further request. */
async function buildScript(source, name) {
  const built = await esbuild.build({
    ...common,
    entryPoints: { [name]: source },
    format: "esm",
    splitting: true,
    target: "es2022",
    // A style sheet imported by a lazy chunk would be joined into the entry's: they are entries of their own.
    loader: { ".css": "empty", ".svg": "dataurl" },
    plugins: [sanitizeShim],
  });
  dropIdleImports(built);
  return built;
}

/**
 * esbuild imports its chunk of CommonJS helpers even where it takes nothing from it. That chunk has no input of ours
 * and does nothing by itself, so such an import only costs a request.
 */
function dropIdleImports({ metafile, outputFiles }) {
  const helpers = Object.keys(metafile.outputs).filter((name) => Object.keys(metafile.outputs[name].inputs).length === 0);
  for (const file of outputFiles) {
    const output = metafile.outputs[path.relative(here, file.path)];
    for (const helper of helpers) {
      const idle = `import"./${path.basename(helper)}";`;
      if (!output || !file.text.includes(idle)) continue;
      file.contents = Buffer.from(file.text.replace(idle, ""));
      output.imports = output.imports.filter(({ path: name }) => name !== helper);
    }
  }
}

async function buildAll() {
  const built = await Promise.all(Object.entries(scripts).map(([name, source]) => buildScript(source, name)));
  const js = {
    outputFiles: built.flatMap(({ outputFiles }) => outputFiles),
    metafile: { outputs: Object.assign({}, ...built.map(({ metafile }) => metafile.outputs)) },
  };
  const inline = await esbuild.build({ ...common, entryPoints: inlined, format: "iife", target: "es2022" });
  js.outputFiles.push(...inline.outputFiles);
  Object.assign(js.metafile.outputs, inline.metafile.outputs);
  const css = await esbuild.build({
    ...common,
    entryPoints: styles,
    target: "es2022",
    loader: { ".woff2": "file", ".woff": "file", ".ttf": "file", ".svg": "dataurl", ".png": "dataurl", ".gif": "dataurl" },
    plugins: [onlyWoff2],
  });
  return { js, css };
}

/** The output file of an entry point. */
function outputOf(metafile, source) {
  const found = Object.entries(metafile.outputs).find(([, output]) => output.entryPoint === source);
  if (!found) throw new Error(`no output for ${source}`);
  return found[0];
}

/** The chunks that a script loads before its first line runs, in the order of discovery. */
function staticImports(metafile, name, seen = new Set()) {
  for (const { path: file, kind } of metafile.outputs[name].imports) {
    if (kind !== "import-statement" || seen.has(file) || !metafile.outputs[file]) continue;
    seen.add(file);
    staticImports(metafile, file, seen);
  }
  return [...seen];
}

function writeManifest(js, css) {
  const entry = (source) => {
    const file = outputOf(js.metafile, source);
    return { js: path.basename(file), preload: staticImports(js.metafile, file).map((chunk) => path.basename(chunk)) };
  };
  const sheet = (name) => path.basename(outputOf(css.metafile, styles[name]));
  const manifest = {
    entries: {
      dash: { ...entry(scripts.dash), css: sheet("main") },
      listing: { ...entry(scripts.listing), css: sheet("main") },
    },
    inline: { early: path.basename(outputOf(js.metafile, inlined.early)) },
    css: { widgets: sheet("widgets"), math: sheet("math") },
    optional: Object.fromEntries(optional.map((name) => [name, path.basename(outputOf(js.metafile, `src/${name}.ts`))])),
  };
  const names = [...Object.keys(js.metafile.outputs), ...Object.keys(css.metafile.outputs)].map((n) => path.basename(n));
  const version = createHash("sha256").update(names.sort().join("\n")).digest("hex").slice(0, 12);
  writeFileSync(path.join(outdir, "manifest.json"), `${JSON.stringify({ ...manifest, version }, null, 2)}\n`);
  return manifest;
}

/** Writes the files with their compressed siblings; returns name -> [bytes, gzip bytes, brotli bytes]. */
async function writeFiles(files) {
  const sizes = new Map();
  for (const { path: file, contents } of files) {
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, contents);
    const name = path.basename(file);
    if (!/\.(js|css|svg|json)$/.test(name)) continue;
    const packed = await gzip(contents, { level: 9 });
    const brotlied = await brotli(contents, {
      params: {
        [zlib.constants.BROTLI_PARAM_QUALITY]: 11,
        [zlib.constants.BROTLI_PARAM_SIZE_HINT]: contents.byteLength,
      },
    });
    sizes.set(name, [contents.byteLength, packed.byteLength, brotlied.byteLength]);
    if (contents.byteLength < smallestCompressed) continue;
    writeFileSync(`${file}.gz`, packed);
    writeFileSync(`${file}.br`, brotlied);
  }
  return sizes;
}

/** What a chunk mostly consists of: hashed names say nothing in a table of sizes. */
function topic(metafile, name) {
  const output = Object.entries(metafile.outputs).find(([file]) => path.basename(file) === name)?.[1];
  if (!output) return "";
  const source = output.entryPoint ?? Object.entries(output.inputs).sort((a, b) => b[1].bytesInOutput - a[1].bytesInOutput)[0]?.[0];
  return (source ?? "").replace(/^node_modules\//, "");
}

const { js, css } = await buildAll();
// The build backend's .stamp goes too: it would vouch for assets that are no longer there.
if (existsSync(outdir)) rmSync(outdir, { recursive: true });
mkdirSync(outdir, { recursive: true });
const sizes = await writeFiles([...js.outputFiles, ...css.outputFiles]);
const manifest = writeManifest(js, css);

console.log("   bytes    gzip  brotli  file");
for (const [name, [raw, gz, br]] of [...sizes].sort((a, b) => b[1][0] - a[1][0])) {
  const columns = [raw, gz, br].map((size) => String(size).padStart(8)).join("").slice(0);
  console.log(`${columns}  ${name}  ${topic(js.metafile, name) || topic(css.metafile, name)}`);
}
const initial = [manifest.inline.early, manifest.entries.dash.js, ...manifest.entries.dash.preload];
const spent = initial.reduce((sum, name) => sum + (sizes.get(name)?.[1] ?? 0), 0);
console.log(`initial JS of a dashboard: ${spent} bytes gzip of ${initialBudget} (${initial.length} files)`);
if (spent > initialBudget) {
  console.error("The initial JS is over its budget.");
  process.exitCode = 1;
}
