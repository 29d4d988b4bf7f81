import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import {
  decryptionFailures,
  encodeHexBytes,
  type FiscoCall,
  joinAnswers,
  maxBodyBytes,
  readFiscoRequest,
  readHexParameter,
  writeError,
  writeResult,
} from "../client/fisco-json-rpc.ts";
import { suites } from "../crypto/suite.ts";
import { fiscoDataKey, readWrapped, releaseDataKey } from "./data-key.ts";
import { NodeError } from "./errors.ts";
import type { KeyManager } from "./key-manager.ts";
import type { LoadedManifest } from "./manifest-reader.ts";
import { peerUid } from "./peer-uid.ts";
import { fiscoMode } from "./sealed-key.ts";

const maxConnections = 16;
const timeoutMs = 10_000;

/**
 * The key manager as one unmodified FISCO BCOS node sees it: JSON-RPC over plain HTTP on loopback, answered as the original
 * answers (docs/nodes.md). It knows one call, `decDataKey` of this node's own cipher_data_key; it answers it only to the
 * node's user, only within a window after the start and only so many times, and asks the key manager each time.
 */
export class Sidecar {
  readonly #server: Server;
  readonly #loaded: LoadedManifest;
  readonly #keyManager: Pick<KeyManager, "unwrap">;
  readonly #tell: (message: string) => void;
  readonly #uid: number;
  readonly #cipherDataKey: string;
  readonly #closed = Promise.withResolvers<void>();
  #answersLeft: number;
  #timer: NodeJS.Timeout | undefined;

  private constructor(loaded: LoadedManifest, keyManager: Pick<KeyManager, "unwrap">, tell: (message: string) => void) {
    this.#loaded = loaded;
    this.#keyManager = keyManager;
    this.#tell = tell;
    this.#uid = loaded.manifest.sidecar.uid ?? process.getuid?.() ?? 0;
    this.#cipherDataKey = readWrapped(loaded).toString("hex");
    this.#answersLeft = loaded.manifest.sidecar.answers;
    this.#server = createServer(
      { headersTimeout: timeoutMs, requestTimeout: timeoutMs, maxHeaderSize: 8192, requireHostHeader: false },
      (request, response) => {
        this.#answer(request, response).catch(() => request.socket.destroy());
      },
    );
    this.#server.maxConnections = maxConnections;
    this.#server.on("clientError", (_error, socket) => socket.destroy());
    this.#server.prependListener("connection", (socket: Socket) => this.#admit(socket));
  }

  /**
   * Listens on 127.0.0.1 at the manifest's port, until the window is over or every answer is given.
   *
   * @throws {NodeError} `DATA_KEY_MISSING`; `FILE_UNUSABLE` when the port is taken.
   */
  static async start(
    loaded: LoadedManifest,
    keyManager: Pick<KeyManager, "unwrap">,
    tell: (message: string) => void,
  ): Promise<Sidecar> {
    const sidecar = new Sidecar(loaded, keyManager, tell);
    await sidecar.#listen();
    return sidecar;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo | null)?.port ?? 0;
  }

  /** Resolves when it has stopped: by itself, or by {@link close}. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  close(): Promise<void> {
    clearTimeout(this.#timer);
    this.#server.close(() => this.#closed.resolve());
    this.#server.closeIdleConnections();
    return this.closed;
  }

  async #listen(): Promise<void> {
    const { port, windowSeconds } = this.#loaded.manifest.sidecar;
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", (cause) =>
        reject(
          new NodeError("FILE_UNUSABLE", `the sidecar cannot listen on 127.0.0.1:${port}: ${cause.message}`, { cause }),
        ),
      );
      this.#server.listen({ host: "127.0.0.1", port }, resolve);
    });
    this.#timer = setTimeout(() => {
      this.#tell(`the sidecar's window of ${windowSeconds} s is over; it has stopped`);
      void this.close();
    }, windowSeconds * 1000);
  }

  /** Closes a connection of another user before a byte of it is read. */
  #admit(socket: Socket): void {
    const uid = peerUid(socket);
    if (uid === this.#uid) return;
    this.#tell(`the sidecar closed a connection of user ${uid ?? "unknown"}: it answers user ${this.#uid} only`);
    socket.destroy();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method !== "POST") return send(response, 405, Buffer.from("Not allowed HTTP Method"));
    // The node sends neither header; a browser does with every POST.
    if (request.headers.origin !== undefined || request.headers["sec-fetch-site"] !== undefined)
      return send(response, 403, Buffer.from("Requests from web pages are refused\n"));
    const body = await readBody(request);
    if (body === undefined) return send(response, 413, Buffer.from("The request is too large\n"));
    const { batch, calls } = readFiscoRequest(body);
    const answers: Buffer[] = [];
    for (const call of calls) answers.push(await this.#call(call));
    body.fill(0);
    send(response, 200, joinAnswers(batch, answers));
    if (this.#answersLeft === 0) response.once("close", () => void this.close());
  }

  async #call(call: FiscoCall): Promise<Buffer> {
    if (call.method === null) return writeError(call.id, call.error);
    const [parameter] = call.params;
    if (call.method !== "decDataKey" || parameter === undefined) return writeError(call.id, "methodNotFound");
    const failures = decryptionFailures[fiscoMode(this.#loaded.manifest)];
    const cipherDataKey = readHexParameter(parameter);
    if (cipherDataKey.length === 0 || cipherDataKey.length % 32 !== 0) {
      // A sealed box need not be whole cipher blocks; of other input the original complains by its length.
      if (cipherDataKey !== this.#cipherDataKey) return writeResult(call.id, "", 1, failures.length);
    }
    if (cipherDataKey !== this.#cipherDataKey || this.#answersLeft === 0) {
      this.#tell("the sidecar refused a cipher_data_key that is not this node's, or its answers are used up");
      return writeResult(call.id, "", 1, failures.padding);
    }
    this.#answersLeft -= 1;
    try {
      using dataKey = await releaseDataKey(this.#loaded, this.#keyManager);
      using text = fiscoDataKey(suites[this.#loaded.manifest.dataKey.suite], dataKey);
      const hex = text.expose(encodeHexBytes);
      try {
        return writeResult(call.id, hex, 0, "success");
      } finally {
        hex.fill(0);
      }
    } catch (error) {
      this.#tell(`the sidecar could not answer: ${(error as Error).message}`);
      return writeResult(call.id, "", 1, failures.padding);
    }
  }
}

/** Header order is the original's (libmicrohttpd): Date, Content-Type, Access-Control-Allow-Origin, Content-Length. */
function send(response: ServerResponse, status: number, body: Buffer): void {
  response.sendDate = false;
  response.removeHeader("Connection");
  const type = status === 200 || status === 405 ? "application/json" : "text/plain";
  response.writeHead(status, [
    ...["Date", new Date().toUTCString(), "Content-Type", type],
    ...(type === "application/json" ? ["Access-Control-Allow-Origin", "*"] : []),
    ...["Content-Length", String(body.length)],
  ]);
  response.once("close", () => body.fill(0));
  response.end(body);
}

/** The body, or undefined when it is too large. */
async function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    size += piece.length;
    if (size > maxBodyBytes.nodesOnly) return undefined;
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}
