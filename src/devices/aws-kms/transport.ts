import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { Socket } from "node:net";
import { getCACertificates } from "node:tls";

interface OutgoingRequest {
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number | undefined;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

interface Answer {
  readonly response: {
    readonly statusCode: number;
    readonly headers: Record<string, string>;
    readonly body: Uint8Array;
  };
}

export interface TransportOptions {
  /** Time for one attempt, in milliseconds. */
  readonly attemptMs: number;
  /** PEM of the certificate that the endpoint chains to; by default the authorities that Node brings. */
  readonly caPem?: string | undefined;
}

/** KMS answers are a few KiB. */
const maxAnswerBytes = 64 * 1024;
const maxConnections = 16;
/** A connection that is kept longer may be ended by the KMS just as a request goes out on it, whose outcome is then unknown. */
const idleConnectionMs = 4000;

/** Failures from before a connection stood: nothing of the request has left. */
const neverSent = new WeakSet<object>();

/** True when nothing of the request that failed so has left this process. */
export function wasNeverSent(error: unknown): boolean {
  return typeof error === "object" && error !== null && neverSent.has(error);
}

/** An attempt that took too long; the SDK tries errors of this name again. */
class AttemptTimeout extends Error {
  override readonly name = "TimeoutError";
}

/** A connection that ended before anything was answered. */
class NoAnswer extends Error {
  override readonly name = "NoAnswer";
  readonly code = "ECONNRESET";
}

/** An answer that is larger than any KMS gives. */
export class AnswerTooLarge extends Error {
  override readonly name = "AnswerTooLarge";
}

/**
 * Sends the SDK's requests: each attempt has a deadline, each answer a largest size, TLS trusts what the integration says
 * and nothing of the process's surroundings (no proxy, no extra authorities).
 */
export class Transport {
  readonly #options: TransportOptions;
  readonly #http: HttpAgent = new HttpAgent({
    keepAlive: true,
    maxSockets: maxConnections,
    timeout: idleConnectionMs,
  });
  readonly #https: HttpsAgent;
  readonly metadata = { handlerProtocol: "http/1.1" } as const;

  constructor(options: TransportOptions) {
    this.#options = options;
    const ca = options.caPem ?? getCACertificates("bundled");
    this.#https = new HttpsAgent({
      keepAlive: true,
      maxSockets: maxConnections,
      timeout: idleConnectionMs,
      ca: ca as string,
    });
  }

  async handle(request: OutgoingRequest, { abortSignal }: { abortSignal?: unknown } = {}): Promise<Answer> {
    const { protocol, hostname, port, method, path, headers, body } = request;
    const secure = protocol === "https:";
    const attempt = AbortSignal.timeout(this.#options.attemptMs);
    const signal = abortSignal instanceof AbortSignal ? AbortSignal.any([attempt, abortSignal]) : attempt;
    const options = {
      host: hostname.replace(/^\[(.*)\]$/, "$1"),
      port: port ?? (secure ? 443 : 80),
      method,
      path,
      headers,
      agent: secure ? this.#https : this.#http,
      signal,
    };
    let connected = false;
    try {
      const answer = await new Promise<IncomingMessage>((resolve, reject) => {
        const sent = (secure ? httpsRequest : httpRequest)(options, resolve);
        sent.once("socket", (socket) => {
          connected = !isConnecting(socket);
          if (!connected)
            socket.once(secure ? "secureConnect" : "connect", () => {
              connected = true;
            });
        });
        sent.once("error", reject);
        // Without an error too: a peer that "switches protocols" ends the connection so.
        sent.once("close", () => reject(new NoAnswer("the connection ended without an answer")));
        sent.end(body);
      });
      return { response: { statusCode: answer.statusCode ?? 0, headers: plain(answer), body: await readAll(answer) } };
    } catch (error) {
      const late = attempt.aborted && !(abortSignal instanceof AbortSignal && abortSignal.aborted);
      const failure = late
        ? new AttemptTimeout(`no answer within ${this.#options.attemptMs} ms`, { cause: error })
        : error;
      if (!connected && typeof failure === "object" && failure !== null) neverSent.add(failure);
      throw failure;
    }
  }

  /** Ends the connections that were kept. */
  destroy(): void {
    this.#http.destroy();
    this.#https.destroy();
  }
}

/** Until then a request waits in this process: with TLS until the peer is trusted. */
function isConnecting(socket: Socket): boolean {
  return socket.connecting || ("secureConnecting" in socket && socket.secureConnecting === true);
}

async function readAll(answer: IncomingMessage): Promise<Uint8Array> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of answer as AsyncIterable<Buffer>) {
    length += piece.length;
    if (length > maxAnswerBytes) throw new AnswerTooLarge(`the answer has over ${maxAnswerBytes} bytes`);
    pieces.push(piece);
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    piece.fill(0);
    at += piece.length;
  }
  return whole;
}

function plain({ headers }: IncomingMessage): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(", ") : (value ?? "")]),
  );
}
