/** What the console itself answers, beside the codes of custody and of the native door. Codes are API. */
export const consoleErrors = {
  SIGN_IN_REFUSED: { status: 401, meaning: "the code is unknown, used or expired, or the certificate is not a user's" },
  SESSION_ENDED: { status: 401, meaning: "there is no session, or it has ended: sign in again" },
  CROSS_SITE: { status: 403, meaning: "the request was not made by the console's own page" },
  HOST_UNKNOWN: { status: 421, meaning: "the console is not served under this host name" },
  TOO_MANY_ATTEMPTS: { status: 429, meaning: "too many failed attempts to sign in: wait a little" },
  STREAMS_BUSY: { status: 503, meaning: "too many pages are open at once" },
  INTEGRATIONS_UNAVAILABLE: { status: 501, meaning: "this key manager keeps no integrations" },
} as const;

export type ConsoleErrorCode = keyof typeof consoleErrors;

/** A request that the console refuses before custody is asked. */
export class ConsoleError extends Error {
  override readonly name = "ConsoleError";
  readonly code: ConsoleErrorCode;

  constructor(code: ConsoleErrorCode, message: string = consoleErrors[code].meaning) {
    super(message);
    this.code = code;
  }

  get status(): number {
    return consoleErrors[this.code].status;
  }
}
