import { Agent, type IncomingMessage, request } from "node:http";
import type { Json } from "../rpc/json-rpc.ts";
import { ChainClientError } from "./errors.ts";

export interface RpcEndpoint {
  readonly host: string;
  readonly port: number;
  /** For one call, in milliseconds. @defaultValue `60_000`: a transaction waits for its block */
  readonly timeoutMs?: number;
}

const maxAnswerBytes = 16 << 20;
/** Of a node's own words in an error. */
const maxReasonCharacters = 300;

/** Kept connections to one node's RPC. */
export class RpcConnection implements Disposable {
  readonly #endpoint: RpcEndpoint;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 512 });
  #nextId = 1;

  constructor(endpoint: RpcEndpoint) {
    this.#endpoint = endpoint;
  }

  /**
   * Calls one method; returns `result`, whose form is not checked.
   *
   * @param leastMs - How long at least it is waited for, whatever the endpoint's time is.
   * @throws {ChainClientError} `UNREACHABLE`, `ANSWER_INVALID`, `REFUSED`.
   */
  async call(method: string, params: readonly Json[], leastMs = 0): Promise<unknown> {
    const id = this.#nextId++;
    const text = await this.#post(JSON.stringify({ jsonrpc: "2.0", id, method, params }), leastMs);
    let answer: unknown;
    try {
      answer = JSON.parse(text);
    } catch (cause) {
      throw new ChainClientError("ANSWER_INVALID", undefined, { cause });
    }
    if (typeof answer !== "object" || answer === null || !("id" in answer) || answer.id !== id)
      throw new ChainClientError("ANSWER_INVALID");
    if ("error" in answer) throw refusal(answer.error);
    if (!("result" in answer)) throw new ChainClientError("ANSWER_INVALID");
    return answer.result;
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }

  #post(body: string, leastMs: number): Promise<string> {
    const { host, port, timeoutMs = 60_000 } = this.#endpoint;
    return new Promise((resolve, reject) => {
      const unreachable = (cause: Error) =>
        reject(
          new ChainClientError("UNREACHABLE", `the node at ${host}:${port} does not answer: ${cause.message}`, {
            cause,
          }),
        );
      let isAnswered = false;
      const asked = request(
        {
          host,
          port,
          method: "POST",
          agent: this.#agent,
          signal: AbortSignal.timeout(Math.max(timeoutMs, leastMs)),
          headers: { "content-type": "application/json", "content-length": Buffer.byteLength(body) },
        },
        (response) => {
          isAnswered = true;
          readAnswer(response).then(resolve, reject);
        },
      );
      asked.once("error", unreachable);
      // Without an answer and without an error: a node that "switches protocols" ends the connection so.
      asked.once("close", () => {
        if (!isAnswered) unreachable(new Error("it ended the connection"));
      });
      asked.end(body);
    });
  }
}

async function readAnswer(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > maxAnswerBytes) throw new ChainClientError("ANSWER_INVALID", "the node's answer is too large");
      chunks.push(chunk);
    }
  } catch (cause) {
    if (cause instanceof ChainClientError) throw cause;
    throw new ChainClientError("UNREACHABLE", "the node ended the connection within its answer", { cause });
  }
  if (response.statusCode !== 200)
    throw new ChainClientError("ANSWER_INVALID", `the node answered with HTTP status ${response.statusCode}`);
  return Buffer.concat(chunks).toString("utf8");
}

function refusal(error: unknown): ChainClientError {
  if (typeof error !== "object" || error === null || !("message" in error) || typeof error.message !== "string")
    return new ChainClientError("ANSWER_INVALID");
  const rpcCode = "code" in error && typeof error.code === "number" ? error.code : undefined;
  return new ChainClientError("REFUSED", oneLine(error.message), rpcCode === undefined ? {} : { rpcCode });
}

/** The node chose the text: it stays one line, short, and steers no terminal. */
function oneLine(text: string): string {
  const short = text.length > maxReasonCharacters ? `${text.slice(0, maxReasonCharacters)}…` : text;
  return short.replace(/[\p{C}\u2028\u2029]/gu, "?");
}
