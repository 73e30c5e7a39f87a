/** The kernels API over HTTP: start, ask, end. */
import type { DashConfig, PageTokenHeader } from "./types.ts";
import { xsrfHeader } from "./xsrf.ts";

/** The server's refusal to start a kernel. */
export class StartError extends Error {
  constructor(
    readonly status: number,
    message: string,
    /** Seconds after which it is worth asking again; null when it never is. */
    readonly retryAfter: number | null,
  ) {
    super(message);
  }
}

/** What went wrong at the start, whichever script saw it: the early one has a class of its own of this name. */
export function asStartError(error: unknown): StartError {
  return error instanceof Error && "retryAfter" in error ? (error as StartError) : new StartError(0, String(error), null);
}

/** A kernel that was asked for before this page's script had loaded (`early.ts`). */
export interface Early {
  sessionId: string;
  kernel: Promise<string>;
}

declare global {
  var dashEarly: Early | undefined;
}

/** The early kernel, once: who starts another one has to ask for it. */
export function takeEarly(): Early | undefined {
  const early = globalThis.dashEarly;
  globalThis.dashEarly = undefined;
  return early;
}

export const randomId = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** What comes before a request that needs a valid page token; renewal.ts, where it is loaded, renews a stale one here. */
export const pageToken: { fresh(): Promise<void> | void } = { fresh() {} };

function headers(config: DashConfig): Record<string, string> {
  const token: PageTokenHeader = config.pageToken ? { "X-Dashboards-Page-Token": config.pageToken } : {};
  return { "Content-Type": "application/json", ...xsrfHeader(), ...token };
}

const kernelUrl = (config: DashConfig, id: string): string => `${config.kernelsUrl}/${encodeURIComponent(id)}`;

async function refusal(response: Response): Promise<StartError> {
  const body = (await response.json().catch(() => ({}))) as { message?: unknown };
  const message = typeof body.message === "string" ? body.message : `The server answered ${response.status}.`;
  const seconds = Number(response.headers.get("Retry-After"));
  const worthRetrying = response.status === 503 || response.status === 429 || response.status === 502;
  return new StartError(response.status, message, worthRetrying ? Math.max(1, seconds || 10) : null);
}

/** Starts a kernel for this page's notebook and returns its id. Throws StartError. */
export async function startKernel(config: DashConfig, sessionId: string): Promise<string> {
  let response: Response;
  try {
    await pageToken.fresh();
    response = await fetch(config.kernelsUrl, {
      method: "POST",
      headers: headers(config),
      body: JSON.stringify({ path: config.path, query: location.search.slice(1), session_id: sessionId }),
    });
  } catch {
    throw new StartError(0, "The server can't be reached.", 5);
  }
  if (!response.ok) throw await refusal(response);
  return ((await response.json()) as { id: string }).id;
}

/** The HTTP status of asking for the kernel; 0 when the server can't be asked now. */
export async function kernelStatus(config: DashConfig, id: string): Promise<number> {
  try {
    await pageToken.fresh();
    return (await fetch(kernelUrl(config, id), { headers: headers(config) })).status;
  } catch {
    return 0;
  }
}

/** Ends a kernel; `keepalive` lets the request outlive the page. */
export function deleteKernel(config: DashConfig, id: string): Promise<unknown> {
  return fetch(kernelUrl(config, id), { method: "DELETE", headers: headers(config), keepalive: true }).catch(() => null);
}

/** The websocket of a kernel, at the page's own host whatever form `kernelsUrl` has. */
export function channelsUrl(config: DashConfig, id: string, sessionId: string): string {
  const url = new URL(`${kernelUrl(config, id)}/channels`, location.origin);
  url.protocol = url.protocol.replace("http", "ws");
  url.searchParams.set("session_id", sessionId);
  return url.href;
}

/** What a websocket offers: the kernel's protocols, then the page's token, as a browser lets it carry no header. */
export function offeredProtocols({ subprotocols, pageToken: token }: DashConfig): string[] {
  return token ? [...subprotocols, `dashboards.page-token.${token}`] : subprotocols;
}
