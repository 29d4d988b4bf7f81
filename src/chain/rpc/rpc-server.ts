import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { isIPv4 } from "node:net";
import { answerRpc, type RpcMethod } from "./json-rpc.ts";

export const maxRpcBodyBytes = 1 << 20;
const maxConnections = 2048;
const requestMs = 30_000;
const keptMs = 120_000;

/** JSON-RPC over plain HTTP, for programs on this machine only. */
export class RpcServer implements AsyncDisposable {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /**
   * Listens.
   *
   * @param listen - A loopback address: whoever reaches the port may send transactions and ask for all that is stored.
   * @throws {RangeError} For another address.
   * @throws {Error} With the system's code when the port cannot be listened on.
   */
  static async start(
    listen: { readonly host: string; readonly port: number },
    methods: ReadonlyMap<string, RpcMethod>,
  ): Promise<RpcServer> {
    if (!isLoopback(listen.host)) throw new RangeError(`the RPC listens on loopback only, not on ${listen.host}`);
    const server = createServer((request, response) => {
      // A call that fails by itself has its answer; whatever else goes wrong ends this connection and not the node.
      answer(request, response, methods).catch(() => response.destroy());
    });
    server.maxConnections = maxConnections;
    server.requestTimeout = requestMs;
    server.headersTimeout = requestMs;
    // Longer than clients keep an idle connection: one that ends just as a call is sent looks like a failure.
    server.keepAliveTimeout = keptMs;
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(listen.port, listen.host, resolve);
    });
    // A connection that could not be taken, for want of memory say: the next one may be.
    server.on("error", () => {});
    return new RpcServer(server);
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }
}

export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIPv4(host) && host.startsWith("127."));
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  methods: ReadonlyMap<string, RpcMethod>,
): Promise<void> {
  request.on("error", () => {});
  response.on("error", () => {});
  if (request.method !== "POST") return send(response, 405, "Calls are POST requests\n");
  // A web page in a browser on this machine could reach the port, under its own name or one that resolves to it.
  if (request.headers.origin !== undefined || !isLoopback(hostName(request.headers.host)))
    return send(response, 403, "Calls come from programs on this machine\n");
  const body = await readBody(request);
  if (body === undefined) return send(response, 413, "The request is too large\n");
  const text = await answerRpc(body, methods);
  if (text === undefined) send(response, 204, "");
  else send(response, 200, text, "application/json");
}

function hostName(header: string | undefined): string {
  const name = /^(\[[0-9a-fA-F:]+\]|[^:]*)(?::\d{1,5})?$/.exec(header ?? "")?.[1] ?? "";
  return name.startsWith("[") ? name.slice(1, -1) : name;
}

async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > maxRpcBodyBytes) return undefined;
      chunks.push(chunk);
    }
  } catch {
    return undefined;
  }
  return Buffer.concat(chunks).toString("utf8");
}

function send(response: ServerResponse, status: number, text: string, type = "text/plain"): void {
  const body = Buffer.from(text);
  response.writeHead(status, {
    "content-type": type,
    "content-length": body.length,
    "cache-control": "no-store",
    ...(status === 413 ? { connection: "close" } : {}),
  });
  response.end(body);
}
