import { CodedError } from "../../crypto/coded-error.ts";

/** Every way a call to an AWS KMS can fail, with the command line's exit code. Nothing falls back to plaintext. */
export const awsKmsErrors = {
  KMS_ACCESS_DENIED: { exit: 3, meaning: "the KMS does not let this access key use the master key" },
  KMS_ANSWER_INVALID: { exit: 5, meaning: "the answer is not one that a KMS gives" },
  KMS_CIPHERTEXT_REFUSED: {
    exit: 5,
    meaning: "the KMS cannot open the wrapped key: altered, under another master key or another context",
  },
  KMS_CREDENTIALS_REFUSED: {
    exit: 3,
    meaning: "the KMS does not accept the access key: unknown, ended, or its secret is wrong",
  },
  KMS_KEY_CHANGED: { exit: 5, meaning: "the KMS's signature is not one of the public key that it showed at the start" },
  KMS_KEY_DISABLED: { exit: 3, meaning: "the master key is disabled at the KMS" },
  KMS_KEY_NOT_FOUND: { exit: 3, meaning: "the KMS has no such master key" },
  KMS_KEY_STATE: { exit: 3, meaning: "the master key is pending deletion or import at the KMS, or of another usage" },
  KMS_KEY_UNSUITABLE: { exit: 2, meaning: "the key at the KMS is not of the kind or usage that is needed" },
  KMS_PEER_UNTRUSTED: { exit: 5, meaning: "the endpoint's certificate is not one that is trusted for it" },
  KMS_REQUEST_INVALID: { exit: 2, meaning: "the KMS found the request malformed" },
  KMS_SETTINGS_INVALID: { exit: 2, meaning: "a setting of the integration is missing, malformed or out of range" },
  KMS_SETTINGS_TAMPERED: {
    exit: 5,
    meaning: "the sealed secret does not open with these settings: something was altered",
  },
  KMS_THROTTLED: { exit: 4, meaning: "the KMS keeps refusing for too many requests" },
  KMS_TIMEOUT: { exit: 4, meaning: "the KMS did not answer in time" },
  KMS_UNAVAILABLE: { exit: 4, meaning: "the KMS answered that it failed" },
  KMS_UNREACHABLE: { exit: 4, meaning: "the KMS cannot be reached" },
} as const;

export type AwsKmsErrorCode = keyof typeof awsKmsErrors;

/** `none`: the KMS surely did nothing, for it refused, or the request never left. `unknown`: it may have done it. */
export type AwsKmsEffect = "none" | "unknown";

/** A failure of an upstream KMS. The message is ours: what the peer says is never passed on but for its error's name. */
export class AwsKmsError extends CodedError<AwsKmsErrorCode> {
  override readonly name = "AwsKmsError";
  /** What became of the request, or of its last attempt: a signature that may have been made is not asked for again. */
  readonly effect: AwsKmsEffect;

  constructor(code: AwsKmsErrorCode, message?: string, cause?: unknown, effect: AwsKmsEffect = "unknown") {
    super(awsKmsErrors, code, message, { cause });
    this.effect = effect;
  }
}
