import { xsrfHeader } from "./xsrf.ts";

/** A page that the back button brings back is as it was left, whoever has logged out since: it is not left standing then. */
export function checkRestored(): void {
  window.addEventListener("pageshow", async ({ persisted }) => {
    if (!persisted) return;
    const options = { method: "HEAD", redirect: "manual", cache: "no-store", headers: xsrfHeader() } as const;
    const response = await fetch(location.href, options).catch(() => null);
    // To the form, or not there for this viewer; a redirect that is not followed has the status 0.
    if (response && !response.ok && response.status < 500) location.reload();
  });
}
