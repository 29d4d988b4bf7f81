import { headers, type Operation, type OperationName, operations } from "../../../src/client/operations.ts";
import type { ClientIdentity } from "../../../src/client/transport.ts";
import {
  type Endpoint,
  type RawAnswer,
  send,
  socketEndpoint,
  TransportFailure,
  tlsEndpoints,
} from "../../../src/client/transport.ts";

/** One answer that has reached its caller, as the audit chain must tell of it. */
export interface Answered {
  readonly requestId: string;
  readonly operation: OperationName;
  /** Undefined for one that was carried out, else the code of the refusal. */
  readonly refusal: string | undefined;
}

/** The server was killed before its answer came. */
export class NoAnswer extends Error {
  override readonly name = "NoAnswer";
}

/** A refusal, with the server's own code. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly code: string;

  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

/** Asks a key manager as its client does, and notes every answer that came: done or refused. */
export class AnsweredCaller implements Disposable {
  readonly #endpoint: Endpoint;
  readonly #answered: Answered[];

  private constructor(endpoint: Endpoint, answered: Answered[]) {
    this.#endpoint = endpoint;
    this.#answered = answered;
  }

  static overSocket(path: string, answered: Answered[]): AnsweredCaller {
    return new AnsweredCaller(socketEndpoint(path), answered);
  }

  static overTls(url: string, caPem: string, identity: ClientIdentity, answered: Answered[]): AnsweredCaller {
    const [endpoint] = tlsEndpoints([url], caPem, identity);
    if (endpoint === undefined) throw new TypeError("no server");
    return new AnsweredCaller(endpoint, answered);
  }

  /**
   * One request, sent once.
   *
   * @param secret - The body, for operations whose input is secret.
   * @throws {NoAnswer} When the connection broke before a whole answer was read.
   * @throws {Refusal} For any answer other than 2xx.
   */
  async ask(operation: OperationName, input?: object, secret?: Uint8Array): Promise<RawAnswer> {
    const { method, path }: Operation = operations[operation];
    const json = input === undefined ? undefined : Buffer.from(JSON.stringify(input));
    const type = secret === undefined ? "application/json" : "application/octet-stream";
    const message = {
      method,
      path,
      headers: {
        ...(json === undefined ? {} : { "content-type": type }),
        ...(secret === undefined || json === undefined ? {} : { [headers.input]: json.toString("base64") }),
      },
      body: secret ?? json,
    };
    const answer = await send(this.#endpoint, message, 10_000).catch((error: unknown) => {
      throw error instanceof TransportFailure ? new NoAnswer(error.message, { cause: error }) : error;
    });
    const done = answer.status >= 200 && answer.status < 300;
    const refusal = done ? undefined : String(JSON.parse(answer.body.toString()).error.code);
    const requestId = answer.headers[headers.requestId];
    if (typeof requestId !== "string") throw new Error(`${operation} was answered without a request id`);
    this.#answered.push({ requestId, operation, refusal });
    if (refusal !== undefined) throw new Refusal(refusal);
    return answer;
  }

  [Symbol.dispose](): void {
    this.#endpoint.close();
  }
}

/** The JSON of an answer. */
export function jsonOf<T>(answer: RawAnswer): T {
  return JSON.parse(answer.body.toString()) as T;
}
