import type { Server } from "node:http";
import type { AddressInfo, ListenOptions } from "node:net";
import { listenFailure } from "./errors.ts";

/** Limits of the doors that speak HTTP. Times are generous for a slow link, and short for one that only holds on. */
export const httpLimits = {
  headersTimeout: 10_000,
  requestTimeout: 20_000,
  keepAliveTimeout: 60_000,
  connectionsCheckingInterval: 2_000,
  maxHeaderSize: 24 * 1024,
  noDelay: true,
  requireHostHeader: true,
} as const;

/** Connections in all, to one listener. */
export const maxConnections = 2048;
/** A connection on which nothing moves, not even an answer that the peer does not read, is closed after this. */
export const idleTimeoutMs = 120_000;
/** How long requests that are being worked on may take to end when the server closes. */
const drainMs = 10_000;

/** @throws {ServerError} */
export function listen(server: Server, name: string, options: ListenOptions): Promise<void> {
  const address = options.path ?? hostPort(options.host ?? "", options.port ?? 0);
  return new Promise((resolve, reject) => {
    const fail = (cause: Error) => reject(listenFailure(name, address, cause));
    server.once("error", fail);
    server.listen(options, () => {
      server.removeListener("error", fail);
      resolve();
    });
  });
}

/** `HOST:PORT` of a listener, IPv6 in brackets. */
export function addressOf(server: Server): string {
  const { address, port } = server.address() as AddressInfo;
  return hostPort(address, port);
}

export function hostPort(host: string, port: number): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** Stops listening, lets requests that have begun end, closes the rest. */
export function drain(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const force = setTimeout(() => server.closeAllConnections(), drainMs);
    server.close(() => {
      clearTimeout(force);
      resolve();
    });
    server.closeIdleConnections();
  });
}

/** Answers malformed HTTP in one line and closes; `count` is told why. Meant for a server's `clientError`. */
export function refuseMalformed(server: Server, count: (reason: string) => void): void {
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    const code = error.code ?? "UNKNOWN";
    count(code);
    const status =
      code === "ERR_HTTP_REQUEST_TIMEOUT"
        ? "408 Request Timeout"
        : code === "HPE_HEADER_OVERFLOW"
          ? "431 Request Header Fields Too Large"
          : code.startsWith("HPE_")
            ? "400 Bad Request"
            : undefined;
    if (status !== undefined && socket.writable) socket.write(`HTTP/1.1 ${status}\r\nconnection: close\r\n\r\n`);
    socket.destroy();
  });
}
