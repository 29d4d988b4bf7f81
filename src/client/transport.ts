import type { ClientRequest, IncomingMessage } from "node:http";
import { joinAndWipe, wipeAll } from "../crypto/chunks.ts";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { type ClientErrorCode, clientErrors } from "./errors.ts";

// An import of these by name evaluates every getter of the module: one of node:http's loads a second HTTP client, one of
// node:tls's lists 140 authorities. A launch would wait 25 ms for them.
const { createSecureContext, TLSSocket } = process.getBuiltinModule("node:tls");
const { Agent: HttpAgent, request: httpRequest } = process.getBuiltinModule("node:http");
const { Agent: HttpsAgent, request: httpsRequest } = process.getBuiltinModule("node:https");

/** A client certificate (PEM) and its private key (PKCS#8 PEM). */
export interface ClientIdentity {
  readonly certificatePem: string;
  /** Lent while the transport is made. */
  readonly privateKeyPem: SecretBuffer;
}

/** One server that can be asked: over TLS 1.3, or over a Unix socket. */
export interface Endpoint {
  /** For messages: `https://km-1:8443`, or the socket's path. */
  readonly label: string;
  start(method: string, path: string, headers: Readonly<Record<string, string | number>>): ClientRequest;
  close(): void;
}

/** Connections kept to one server. */
const maxConnections = 32;
/** A connection idle for longer is not used again: the server closes its own after 60 s. */
const idleMs = 50_000;

/**
 * Servers over HTTPS with the certificate of this caller, TLS 1.3 only. Each must chain to `caPem` and prove the name
 * in its URL.
 *
 * @param servers - `https://HOST:PORT`, without a path.
 * @throws {TypeError} For a URL of another shape.
 */
export function tlsEndpoints(servers: readonly string[], caPem: string, identity?: ClientIdentity): Endpoint[] {
  const version = { minVersion: "TLSv1.3", maxVersion: "TLSv1.3" } as const;
  const secureContext =
    identity === undefined
      ? createSecureContext({ ca: caPem, ...version })
      : identity.privateKeyPem.expose((key) =>
          createSecureContext({ ca: caPem, cert: identity.certificatePem, key, ...version }),
        );
  return servers.map((server) => {
    const url = serverUrl(server);
    const agent = new HttpsAgent({ keepAlive: true, maxSockets: maxConnections, timeout: idleMs, secureContext });
    const at = { host: url.hostname.replace(/^\[|\]$/g, ""), port: url.port === "" ? 443 : Number(url.port), agent };
    return {
      label: url.origin,
      start: (method, path, headers) => httpsRequest({ ...at, method, path, headers }),
      close: () => agent.destroy(),
    };
  });
}

/** The administration socket in a key manager's data folder. */
export function socketEndpoint(socketPath: string): Endpoint {
  const agent = new HttpAgent({ keepAlive: true, maxSockets: maxConnections, timeout: idleMs });
  return {
    label: socketPath,
    start: (method, path, headers) => httpRequest({ socketPath, agent, method, path, headers }),
    close: () => agent.destroy(),
  };
}

/** @throws {TypeError} Unless written `https://HOST:PORT`. */
export function serverUrl(server: string): URL {
  const url = URL.parse(server);
  if (url?.protocol !== "https:" || url.pathname !== "/" || url.search !== "" || url.hash !== "" || url.username !== "")
    throw new TypeError(`a server is written https://HOST:PORT, got ${JSON.stringify(server)}`);
  return url;
}

export interface Message {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Lent until the promise settles. */
  readonly body: Uint8Array | undefined;
}

export interface RawAnswer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  /** In memory of its own; the receiver wipes it when it is secret. */
  readonly body: Buffer;
}

/** Why an attempt came to nothing. */
export class TransportFailure extends Error {
  override readonly name = "TransportFailure";
  readonly code: ClientErrorCode;
  /** False when the server can't have seen the request. */
  readonly maybeSeen: boolean;
  /** The connection had been kept from an earlier request, so the server may just have closed it. */
  readonly keptConnection: boolean;

  constructor(code: ClientErrorCode, message: string, maybeSeen: boolean, keptConnection: boolean, cause: unknown) {
    super(message, { cause });
    this.code = code;
    this.maybeSeen = maybeSeen;
    this.keptConnection = keptConnection;
  }
}

/** The largest answer that is read: 10 000 audit records with room to spare. */
const maxAnswerBytes = 32 * 1024 * 1024;

/**
 * Sends one request to one server and reads the whole answer.
 *
 * @throws {TransportFailure} Also when `timeoutMs` has passed.
 */
export function send(endpoint: Endpoint, message: Message, timeoutMs: number): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const request = endpoint.start(message.method, message.path, {
      ...message.headers,
      ...(message.method === "POST" ? { "content-length": message.body?.byteLength ?? 0 } : {}),
    });
    let maybeSeen = false;
    onConnected(request, () => {
      maybeSeen = true;
    });
    const chunks: Buffer[] = [];
    const fail = (cause: Error) => {
      clearTimeout(timer);
      wipeAll(chunks);
      const code = codeOfCause(cause);
      const reason =
        (cause as NodeJS.ErrnoException).code === "ECONNREFUSED"
          ? `no key manager listens at ${endpoint.label} (ECONNREFUSED)`
          : `${endpoint.label}: ${cause.message === "" ? clientErrors[code].meaning : cause.message}`;
      reject(new TransportFailure(code, reason, maybeSeen, request.reusedSocket, cause));
      request.destroy();
    };
    const timer = setTimeout(() => fail(new Error(`no answer within ${Math.round(timeoutMs)} ms`)), timeoutMs);
    request.on("error", fail);
    request.on("response", (response) => {
      let length = 0;
      response.on("data", (chunk: Buffer) => {
        chunks.push(chunk);
        length += chunk.length;
        if (length > maxAnswerBytes) fail(new AnswerTooLarge(`the answer is over ${maxAnswerBytes} bytes`));
      });
      response.on("error", fail);
      response.on("end", () => {
        clearTimeout(timer);
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: joinAndWipe(chunks, length) });
      });
    });
    request.end(message.body);
  });
}

class AnswerTooLarge extends Error {}

/** Calls back once the connection is up, so that the request may have left this host. */
function onConnected(request: ClientRequest, connected: () => void): void {
  request.once("socket", (socket) => {
    const kept = !socket.connecting && (!(socket instanceof TLSSocket) || socket.getPeerFinished() !== undefined);
    if (request.reusedSocket || kept) connected();
    else socket.once(socket instanceof TLSSocket ? "secureConnect" : "connect", connected);
  });
}

/** OpenSSL's verdicts about the server's certificate, as Node names them. */
const serverNotTrusted =
  /^(ERR_TLS_CERT_ALTNAME_INVALID|CERT_\w+|UNABLE_TO_\w+|SELF_SIGNED_CERT_IN_CHAIN|DEPTH_ZERO_SELF_SIGNED_CERT|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_EXCEEDED|HOSTNAME_MISMATCH)$/;

function codeOfCause(cause: Error): ClientErrorCode {
  const code = "code" in cause && typeof cause.code === "string" ? cause.code : "";
  if (serverNotTrusted.test(code)) return "INTEGRITY";
  if (/^ERR_SSL_.*ALERT.*(CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED)/.test(code)) return "REFUSED";
  if (code.startsWith("HPE_") || cause instanceof AnswerTooLarge) return "BAD_ANSWER";
  return "UNREACHABLE";
}
