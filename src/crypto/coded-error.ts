/** What each code of a part means, and the exit code of the command that failed so: 1 other failure, 2 usage, 3 refused, 4 unreachable, 5 integrity. */
export type ErrorTable<Code extends string> = Readonly<
  Record<Code, { readonly exit: number; readonly meaning: string }>
>;

export interface ErrorDetails {
  readonly cause?: unknown;
  /** What to type or change. */
  readonly hint?: string | undefined;
}

/** A failure by a code of its part's closed table. Codes are API; messages are for people and never carry a secret. */
export abstract class CodedError<Code extends string> extends Error {
  readonly code: Code;
  /** Of the command line. */
  readonly exitCode: number;
  readonly hint: string | undefined;

  /** @param message - Left out: what the table says. */
  constructor(
    table: ErrorTable<Code>,
    code: Code,
    message: string = table[code].meaning,
    { cause, hint }: ErrorDetails = {},
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.exitCode = table[code].exit;
    this.hint = hint;
  }
}
