/** Which installed extensions to ask for what, and in which order. */

/** One entry of the server's list (GET labextensionsUrl). Paths are relative to `url`, the folder of its files. */
export interface Listed {
  name: string;
  load: string;
  extension: string | null;
  mimeExtension: string | null;
  style?: string | null;
  url: string;
}

/** The widget manager and Voila's parts are this client's own job; themes and lexers have nothing to show here. */
const SKIPPED = /^@jupyter-widgets\/jupyterlab-manager$|^@voila-dashboards\/|^jupyterlab_pygments$|theme/;

export function relevant(listed: Listed[]): Listed[] {
  return listed.filter(({ name, extension, mimeExtension }) => (extension || mimeExtension) && !SKIPPED.test(name));
}

/**
 * `wanted` is a widget module ("bqplot") or a mime type ("application/vnd.plotly.v1+json"). The extension of that
 * name first, then those whose name has a word of it, then the rest: each one asked costs a download.
 */
export function searchOrder<T extends { name: string }>(listed: T[], wanted: string): T[] {
  const words = wanted.split(/[^a-z0-9]+/i).filter((word) => word.length > 3 && !/^(application|json|jupyter)/.test(word));
  const score = ({ name }: T) => (name === wanted ? 0 : words.some((word) => name.includes(word)) ? 1 : 2);
  return [...listed].sort((a, b) => score(a) - score(b));
}

const numbers = (version: string) => (version.match(/\d+/g) ?? []).slice(0, 3).map(Number);

function compare(a: string, b: string): number {
  const [left, right] = [numbers(a), numbers(b)];
  for (let i = 0; i < 3; i += 1) if (left[i] !== right[i]) return (left[i] ?? 0) - (right[i] ?? 0);
  return 0;
}

/**
 * The newest entry of the requested major version ("^1.2.0", "~1.2", "1.2.3" or "*"); the newest of all when there is
 * none: a widget that may fail beats one that surely does.
 */
export function bestVersion<T extends { version: string }>(requested: string, entries: T[]): T | undefined {
  const newestFirst = [...entries].sort((a, b) => compare(b.version, a.version));
  const major = numbers(requested)[0];
  return newestFirst.find(({ version }) => numbers(version)[0] === major) ?? newestFirst[0];
}
