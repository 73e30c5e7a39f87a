/**
 * The server's cookie against forged requests, as the header that it wants back: Tornado with every write, JupyterHub with
 * every fetch, without which it takes the login cookie for none.
 */
export function xsrfHeader(): Record<string, string> {
  const value = /(?:^|;\s*)_xsrf=([^;]*)/.exec(document.cookie)?.[1];
  return value ? { "X-XSRFToken": decodeURIComponent(value) } : {};
}
