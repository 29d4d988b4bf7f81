import { ClientError, codeOfAnswer, type ServerVerdict } from "./errors.ts";
import { headers as doorHeaders, type Operation, type OperationName, operations } from "./operations.ts";
import { type Endpoint, type Message, type RawAnswer, send, TransportFailure } from "./transport.ts";

export interface ExchangeOptions {
  /** Time for a call in all, every server and attempt together, in milliseconds. @defaultValue `10000` */
  readonly deadlineMs?: number;
  /** Time for one attempt at one server, in milliseconds. @defaultValue `4000` */
  readonly attemptMs?: number;
}

/** For operations that work through everything there is. */
const slowAttemptMs = 60 * 60 * 1000;

/**
 * Asks the first server that answers. It goes on to the next when one can't be reached, is too slow, or says 503; but
 * when the server may have seen the request, only if asking twice is safe (`Operation.safe`). A connection that was
 * kept and turns out closed is replaced once at the same server, under the same rule.
 */
export class Exchange {
  readonly #endpoints: readonly Endpoint[];
  readonly #deadlineMs: number;
  readonly #attemptMs: number;
  /** The server that answered last is asked first. */
  #preferred = 0;

  constructor(endpoints: readonly Endpoint[], { deadlineMs = 10_000, attemptMs = 4000 }: ExchangeOptions = {}) {
    if (endpoints.length === 0) throw new TypeError("a client needs at least one server");
    this.#endpoints = endpoints;
    this.#deadlineMs = deadlineMs;
    this.#attemptMs = attemptMs;
  }

  /**
   * One operation. `body` is lent until the promise settles; the answer's body is the caller's to wipe when secret.
   *
   * @throws {ClientError}
   */
  async ask(
    name: OperationName,
    body?: Uint8Array,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<RawAnswer> {
    const operation: Operation = operations[name];
    const type = operation.input === "secret" ? "application/octet-stream" : "application/json";
    const message: Message = {
      method: operation.method,
      path: operation.path,
      headers: body === undefined ? headers : { "content-type": type, ...headers },
      body,
    };
    const answer = await this.#firstAnswer(message, operation);
    if (answer.status >= 200 && answer.status < 300) return answer;
    throw failureOf(answer);
  }

  close(): void {
    for (const endpoint of this.#endpoints) endpoint.close();
  }

  async #firstAnswer(message: Message, { safe, slow = false }: Operation): Promise<RawAnswer> {
    const attemptMs = slow ? slowAttemptMs : this.#attemptMs;
    const endsAtMs = performance.now() + Math.max(attemptMs, this.#deadlineMs);
    const failures: TransportFailure[] = [];
    let unavailable: RawAnswer | undefined;
    let fresh = false;
    for (let tried = 0; tried < this.#endpoints.length; ) {
      const remainingMs = endsAtMs - performance.now();
      // Timers are of whole milliseconds, rounded down: less than one left is none.
      if (remainingMs < 1) break;
      const index = (this.#preferred + tried) % this.#endpoints.length;
      const endpoint = this.#endpoints[index] as Endpoint;
      try {
        const answer = await send(endpoint, message, Math.min(attemptMs, remainingMs));
        if (answer.status !== 503 || !safe) {
          this.#preferred = index;
          return answer;
        }
        unavailable = answer;
      } catch (error) {
        if (!(error instanceof TransportFailure)) throw error;
        failures.push(error);
        if (error.code === "REFUSED" || (error.maybeSeen && !safe)) break;
        if (error.keptConnection && !fresh) {
          fresh = true;
          continue;
        }
      }
      tried += 1;
      fresh = false;
    }
    if (unavailable !== undefined) return unavailable;
    throw summary(failures);
  }
}

/** The failure to tell of: a refusal or a wrong server before one that was just not there. */
function summary(failures: readonly TransportFailure[]): ClientError {
  const told =
    failures.find((failure) => failure.code === "REFUSED") ??
    failures.find((failure) => failure.code === "INTEGRITY") ??
    failures.at(-1);
  if (told === undefined) return new ClientError("UNREACHABLE");
  const doubt = told.maybeSeen && told.code === "UNREACHABLE" ? " (the request may have been carried out)" : "";
  return new ClientError(told.code, `${told.message}${doubt}`, {}, told.cause);
}

/** The error that an answer other than 2xx stands for. */
function failureOf(answer: RawAnswer): ClientError {
  const header = answer.headers[doorHeaders.requestId];
  const requestId = typeof header === "string" ? { requestId: header } : {};
  const verdict: ServerVerdict = { status: answer.status, ...requestId };
  let error: unknown;
  try {
    error = (parseJson(answer) as { error?: unknown }).error;
  } catch {
    return new ClientError("BAD_ANSWER", `the server answered ${answer.status} without a reason`, verdict);
  }
  if (typeof error !== "object" || error === null || !("code" in error) || !("message" in error))
    return new ClientError("BAD_ANSWER", `the server answered ${answer.status} without a reason`, verdict);
  const serverCode = String(error.code);
  const path = "path" in error && typeof error.path === "string" ? { path: error.path } : {};
  const message = path.path ? `${path.path}: ${String(error.message)}` : String(error.message);
  return new ClientError(codeOfAnswer(answer.status, serverCode), message, { ...verdict, serverCode, ...path });
}

/**
 * The JSON object of an answer.
 *
 * @throws {ClientError} `BAD_ANSWER`.
 */
export function parseJson(answer: RawAnswer): object {
  try {
    const value: unknown = JSON.parse(answer.body.toString("utf8"));
    if (typeof value === "object" && value !== null) return value;
  } catch {
    // falls through: the parser's message would quote the answer
  }
  throw new ClientError("BAD_ANSWER", "the answer is not a JSON object", { status: answer.status });
}
