/**
 * Load generator, a process of its own: keeps `connections` TLS connections busy, one request outstanding on each, over
 * raw sockets, so that it costs less than any server it measures. Takes a {@link LoadOrder} as a message, sends back a
 * {@link LoadReport}.
 */
import { readFileSync } from "node:fs";
import { connect as connectPlain, type Socket } from "node:net";
import { connect } from "node:tls";

export interface LoadOrder {
  readonly port: number;
  readonly connections: number;
  /** Requests that are measured; those of the first tenth, sent before, are not. */
  readonly requests: number;
  /** The whole request in base64, head and body. */
  readonly requestBase64: string;
  /** PEM files for TLS, the client's own where the server asks for them; plain HTTP without. */
  readonly tls?: { readonly ca: string; readonly cert?: string; readonly key?: string };
}

export interface LoadReport {
  readonly seconds: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Answers other than 200; a run with one is void. */
  readonly refused: number;
}

async function run(order: LoadOrder): Promise<LoadReport> {
  const request = Buffer.from(order.requestBase64, "base64");
  const sockets = await Promise.all(Array.from({ length: order.connections }, () => open(order)));
  await drive(sockets, request, Math.ceil(order.requests / 10));
  const startedMs = performance.now();
  const { latenciesMs, refused } = await drive(sockets, request, order.requests);
  const seconds = (performance.now() - startedMs) / 1000;
  for (const socket of sockets) socket.destroy();
  latenciesMs.sort();
  const at = (share: number) => latenciesMs[Math.floor((latenciesMs.length - 1) * share)] ?? 0;
  return { seconds, perSecond: order.requests / seconds, p50Ms: at(0.5), p99Ms: at(0.99), refused };
}

function open({ port, tls }: LoadOrder): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket =
      tls === undefined
        ? connectPlain({ host: "127.0.0.1", port, noDelay: true }, () => resolve(socket))
        : connect(
            {
              host: "127.0.0.1",
              port,
              minVersion: "TLSv1.3",
              ca: readFileSync(tls.ca),
              ...(tls.cert === undefined ? {} : { cert: readFileSync(tls.cert) }),
              ...(tls.key === undefined ? {} : { key: readFileSync(tls.key) }),
            },
            () => resolve(socket),
          );
    socket.setNoDelay(true);
    socket.once("error", reject);
  });
}

const headEnd = Buffer.from("\r\n\r\n");

function drive(
  sockets: readonly Socket[],
  request: Buffer,
  total: number,
): Promise<{ latenciesMs: Float64Array; refused: number }> {
  const latenciesMs = new Float64Array(total);
  let sent = 0;
  let answered = 0;
  let refused = 0;
  return new Promise((resolve, reject) => {
    for (const socket of sockets) {
      let sentAtMs = 0;
      let received: Buffer = Buffer.alloc(0);
      const next = () => {
        if (sent >= total) return;
        sent += 1;
        sentAtMs = performance.now();
        socket.write(request);
      };
      socket.removeAllListeners("data");
      socket.removeAllListeners("error");
      socket.on("error", reject);
      socket.on("data", (chunk: Buffer) => {
        received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
        const end = received.indexOf(headEnd);
        if (end === -1) return;
        const head = received.toString("latin1", 0, end);
        const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
        if (received.length < end + 4 + length) return;
        received = Buffer.alloc(0);
        if (!head.startsWith("HTTP/1.1 200 ")) refused += 1;
        latenciesMs[answered] = performance.now() - sentAtMs;
        answered += 1;
        if (answered === total) resolve({ latenciesMs, refused });
        else next();
      });
      next();
    }
  });
}

process.on("message", (order: LoadOrder) => {
  run(order).then(
    (report) => process.send?.(report),
    (error: unknown) => {
      process.stderr.write(`load: ${error instanceof Error ? error.stack : String(error)}\n`);
      process.exit(1);
    },
  );
});
