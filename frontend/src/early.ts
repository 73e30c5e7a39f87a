/**
 * Written into the page's head by the server: a kernel takes half a second to start, so it is asked for before anything
 * else of the page has loaded. `Session` takes over what comes of it.
 */
import { hideToken } from "./address.ts";
import { randomId, startKernel } from "./api.ts";
import type { DashConfig } from "./types.ts";

hideToken();
const config = JSON.parse(document.getElementById("dash-config")?.textContent ?? "null") as DashConfig;
const sessionId = randomId();
const kernel = startKernel(config, sessionId);
// A refusal is told by whoever takes over.
kernel.catch(() => {});
globalThis.dashEarly = { sessionId, kernel };
