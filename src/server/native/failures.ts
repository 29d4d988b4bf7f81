import { CustodyError } from "../../custody/errors.ts";

/** What the native door itself answers, beside the codes of custody. Codes are API. */
export const doorErrors = {
  UNAUTHENTICATED: { status: 401, meaning: "no certificate of an enabled principal of this key manager" },
  ROUTE_NOT_FOUND: { status: 404, meaning: "there is no such operation" },
  METHOD_NOT_ALLOWED: { status: 405, meaning: "the operation is called with another method" },
  MEDIA_TYPE_INVALID: { status: 415, meaning: "the body is not of the media type that the operation takes" },
  BUSY: { status: 503, meaning: "too many enrolments at once: try again" },
  INTERNAL: { status: 500, meaning: "the key manager failed; its log names this request id" },
} as const;

export type DoorErrorCode = keyof typeof doorErrors;

/** A request that the door refuses before custody is asked. */
export class DoorError extends Error {
  override readonly name = "DoorError";
  readonly code: DoorErrorCode;

  constructor(code: DoorErrorCode, message: string = doorErrors[code].meaning) {
    super(message);
    this.code = code;
  }

  get status(): number {
    return doorErrors[this.code].status;
  }
}

/** A request whose form is wrong. `path` is the member, such as `context.node`; empty for the whole body. */
export class InputError extends CustodyError {
  readonly path: string;

  constructor(path: string, message: string) {
    super("INPUT_INVALID", message);
    this.path = path;
  }
}

export interface FailureAnswer {
  readonly status: number;
  readonly code: string;
  readonly body: Buffer;
}

/** The answer to a request that failed. An error that no one foresaw is told to `onUnexpected`, never to the caller. */
export function failureAnswer(
  error: unknown,
  requestId: string,
  onUnexpected: (error: unknown, requestId: string) => void,
): FailureAnswer {
  const known = error instanceof CustodyError || error instanceof DoorError ? error : new DoorError("INTERNAL");
  if (known !== error) onUnexpected(error, requestId);
  const path = known instanceof InputError ? { path: known.path } : {};
  const body = { error: { code: known.code, message: known.message, ...path }, requestId };
  return { status: known.status, code: known.code, body: Buffer.from(JSON.stringify(body)) };
}
