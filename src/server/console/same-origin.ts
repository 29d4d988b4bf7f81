import type { IncomingHttpHeaders } from "node:http";
import { ConsoleError } from "./errors.ts";

/** Headers of every answer: nothing but the page's own files is loaded, framed, cached by others or told to others. */
export const securityHeaders: readonly string[] = [
  "content-security-policy",
  [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; "),
  "strict-transport-security",
  "max-age=31536000",
  "x-content-type-options",
  "nosniff",
  "x-frame-options",
  "DENY",
  "referrer-policy",
  "no-referrer",
  "cross-origin-opener-policy",
  "same-origin",
  "cross-origin-resource-policy",
  "same-origin",
  "permissions-policy",
  "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
];

/**
 * The host name of a request must be one of the console's own, or a page elsewhere could have its name point here.
 *
 * @throws {ConsoleError} `HOST_UNKNOWN`.
 */
export function checkHost(host: string | undefined, names: ReadonlySet<string>): void {
  const match = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9.-]+))(?::\d{1,5})?$/i.exec(host ?? "");
  const name = (match?.[1] ?? match?.[2])?.toLowerCase();
  if (name === undefined || !names.has(name)) throw new ConsoleError("HOST_UNKNOWN");
}

/**
 * A request for data comes from the console's own page: by Fetch Metadata, where the browser sends it, and for everything
 * that changes state by its Origin, which must be there.
 *
 * @throws {ConsoleError} `CROSS_SITE`.
 */
export function checkSameOrigin(method: string | undefined, headers: IncomingHttpHeaders): void {
  const site = headers["sec-fetch-site"];
  if (site !== undefined && site !== "same-origin") throw new ConsoleError("CROSS_SITE");
  const { origin } = headers;
  const own = `https://${headers.host}`;
  if (method !== "GET" && origin !== own) throw new ConsoleError("CROSS_SITE");
  if (origin !== undefined && origin !== own) throw new ConsoleError("CROSS_SITE");
}
