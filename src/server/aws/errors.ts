/** A failure in AWS's words: what `__type` says and, where AWS sends one, the message. */
export class AwsError extends Error {
  override readonly name = "AwsError";
  readonly type: string;
  /** HTTP status. AWS KMS answers 400 to whatever is the client's fault. */
  readonly status: number;
  /** Undefined: the answer has no `message` member. */
  readonly text: string | undefined;

  /** @param options - `status`, by default 400; `cause`, such as custody's own error. */
  constructor(type: string, text?: string, options: { readonly status?: number; readonly cause?: unknown } = {}) {
    super(text ?? type, options.cause === undefined ? undefined : { cause: options.cause });
    this.type = type;
    this.text = text;
    this.status = options.status ?? 400;
  }
}

export interface AwsFailure {
  readonly status: number;
  readonly type: string;
  readonly message: string | undefined;
}

/** What to answer to a failed request; undefined for a failure that nobody foresaw. */
export function awsFailureOf(error: unknown): AwsFailure | undefined {
  return error instanceof AwsError ? { status: error.status, type: error.type, message: error.text } : undefined;
}
