import { CodedError } from "../crypto/coded-error.ts";

/** Every way a call of the client can fail: exit code of the command line, meaning. Codes are API, messages are not. */
export const clientErrors = {
  UNREACHABLE: { exit: 4, meaning: "no key manager answered within the deadline" },
  REFUSED: { exit: 3, meaning: "the key manager knows this caller not, or does not agree" },
  INTEGRITY: {
    exit: 5,
    meaning: "the peer is not the key manager that was pinned, or stored state does not authenticate",
  },
  BAD_ANSWER: { exit: 1, meaning: "the answer is not one that a key manager gives" },
  REQUEST_INVALID: { exit: 2, meaning: "the request is malformed or out of range" },
  CONFLICT: { exit: 1, meaning: "the state of the thing does not allow this" },
  NOT_FOUND: { exit: 1, meaning: "there is no such thing" },
  SERVER: { exit: 1, meaning: "the key manager answered that it failed" },
} as const;

export type ClientErrorCode = keyof typeof clientErrors;

/** What the server said about a failure, when it said something. */
export interface ServerVerdict {
  readonly serverCode?: string;
  /** HTTP status. */
  readonly status?: number;
  /** The member of the request that is wrong, such as `context.node`. */
  readonly path?: string;
  /** Also in the key manager's audit record. */
  readonly requestId?: string;
}

export class ClientError extends CodedError<ClientErrorCode> {
  override readonly name = "ClientError";
  /** Code of the server's own error, such as `ACCESS_DENIED`; undefined when no server answered. */
  readonly serverCode: string | undefined;
  readonly status: number | undefined;
  readonly path: string | undefined;
  readonly requestId: string | undefined;

  constructor(code: ClientErrorCode, message?: string, verdict: ServerVerdict = {}, cause?: unknown) {
    super(clientErrors, code, message, { cause });
    this.serverCode = verdict.serverCode;
    this.status = verdict.status;
    this.path = verdict.path;
    this.requestId = verdict.requestId;
  }
}

/**
 * The client's code for a status of the native door; 500 with an integrity code of custody is `INTEGRITY`. What the device of
 * a master key said counts as if the key manager itself had said it.
 */
export function codeOfAnswer(status: number, serverCode: string | undefined): ClientErrorCode {
  if (serverCode === "STATE_ROLLED_BACK" || serverCode === "STATE_TAMPERED") return "INTEGRITY";
  if (serverCode === "DEVICE_FAILED") return "INTEGRITY";
  if (serverCode === "DEVICE_UNREACHABLE") return "UNREACHABLE";
  if (serverCode === "DEVICE_REFUSED" || serverCode === "KEY_DISABLED" || status === 401 || status === 403)
    return "REFUSED";
  if (status === 404) return "NOT_FOUND";
  if (status === 409) return "CONFLICT";
  if (status >= 400 && status < 500) return "REQUEST_INVALID";
  return "SERVER";
}
