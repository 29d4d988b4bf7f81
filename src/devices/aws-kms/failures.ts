import { AwsKmsError, type AwsKmsErrorCode } from "./errors.ts";
import { AnswerTooLarge, wasNeverSent } from "./transport.ts";

/** What was asked, for the message. */
export interface Asked {
  readonly masterKey: string;
  readonly apiKey: string;
  readonly endpoint: string;
  readonly deadlineMs: number;
}

/** By the names that AWS's services give their errors. */
const codesOfNames: Readonly<Record<string, AwsKmsErrorCode>> = {
  AccessDeniedException: "KMS_ACCESS_DENIED",
  NotAuthorizedException: "KMS_ACCESS_DENIED",
  DependencyTimeoutException: "KMS_UNAVAILABLE",
  DisabledException: "KMS_KEY_DISABLED",
  ExpiredTokenException: "KMS_CREDENTIALS_REFUSED",
  IncompleteSignature: "KMS_CREDENTIALS_REFUSED",
  IncompleteSignatureException: "KMS_CREDENTIALS_REFUSED",
  IncorrectKeyException: "KMS_CIPHERTEXT_REFUSED",
  InvalidArnException: "KMS_KEY_NOT_FOUND",
  InvalidCiphertextException: "KMS_CIPHERTEXT_REFUSED",
  InvalidClientTokenId: "KMS_CREDENTIALS_REFUSED",
  InvalidKeyUsageException: "KMS_KEY_STATE",
  InvalidSignatureException: "KMS_CREDENTIALS_REFUSED",
  KMSInternalException: "KMS_UNAVAILABLE",
  KMSInvalidStateException: "KMS_KEY_STATE",
  KeyUnavailableException: "KMS_UNAVAILABLE",
  LimitExceededException: "KMS_THROTTLED",
  MissingAuthenticationTokenException: "KMS_CREDENTIALS_REFUSED",
  NotFoundException: "KMS_KEY_NOT_FOUND",
  RequestExpired: "KMS_CREDENTIALS_REFUSED",
  SignatureDoesNotMatch: "KMS_CREDENTIALS_REFUSED",
  ThrottlingException: "KMS_THROTTLED",
  TooManyRequestsException: "KMS_THROTTLED",
  UnrecognizedClientException: "KMS_CREDENTIALS_REFUSED",
  ValidationException: "KMS_REQUEST_INVALID",
};

/** What a KMS answers in place of doing what it was asked. */
const refusals: ReadonlySet<AwsKmsErrorCode> = new Set([
  "KMS_ACCESS_DENIED",
  "KMS_CREDENTIALS_REFUSED",
  "KMS_KEY_DISABLED",
  "KMS_KEY_NOT_FOUND",
  "KMS_KEY_STATE",
  "KMS_REQUEST_INVALID",
  "KMS_THROTTLED",
]);

/** Codes of Node's TLS when it does not trust the peer. */
const untrusted =
  /^(?:CERT_|ERR_TLS_CERT|DEPTH_ZERO_SELF_SIGNED|SELF_SIGNED_CERT|UNABLE_TO_|ERR_SSL_(?!WRONG_VERSION)|HOSTNAME_MISMATCH|INVALID_CA)/;

/** An error of the SDK or the connection as an `AwsKmsError`. Nothing of the peer's message is kept. */
export function failureOf(error: unknown, asked: Asked): AwsKmsError {
  if (error instanceof AwsKmsError) return error;
  const code = codeOf(error);
  const effect = refusals.has(code) || wasNeverSent(error) ? "none" : "unknown";
  return new AwsKmsError(code, messages(code, asked, nameOf(error)), undefined, effect);
}

function codeOf(error: unknown): AwsKmsErrorCode {
  const name = nameOf(error);
  const known = Object.hasOwn(codesOfNames, name) ? codesOfNames[name] : undefined;
  if (known !== undefined) return known;
  if (name === "TimeoutError" || name === "AbortError") return "KMS_TIMEOUT";
  if (error instanceof AnswerTooLarge || error instanceof SyntaxError) return "KMS_ANSWER_INVALID";
  const system = typeof error === "object" && error !== null && "code" in error ? String(error.code) : "";
  if (untrusted.test(system)) return "KMS_PEER_UNTRUSTED";
  const status = statusOf(error);
  if (status === undefined) return system === "" ? "KMS_ANSWER_INVALID" : "KMS_UNREACHABLE";
  if (status === 429) return "KMS_THROTTLED";
  return status >= 500 ? "KMS_UNAVAILABLE" : "KMS_ANSWER_INVALID";
}

function messages(code: AwsKmsErrorCode, { masterKey, apiKey, endpoint, deadlineMs }: Asked, name: string): string {
  switch (code) {
    case "KMS_ACCESS_DENIED":
      return `access refused: the KMS does not let access key ${apiKey} use ${masterKey}`;
    case "KMS_CREDENTIALS_REFUSED":
      return `access refused: the KMS does not accept access key ${apiKey} (unknown, disabled, or its secret is wrong: ${safe(name)})`;
    case "KMS_KEY_DISABLED":
      return `access refused: ${masterKey} is disabled at the KMS`;
    case "KMS_KEY_NOT_FOUND":
      return `access refused: the KMS has no master key ${masterKey}`;
    case "KMS_KEY_STATE":
      return `access refused: ${masterKey} is pending deletion or import at the KMS, or is not for this use`;
    case "KMS_CIPHERTEXT_REFUSED":
      return `the wrapped key does not open under ${masterKey}: it is altered, under another master key or of another context`;
    case "KMS_PEER_UNTRUSTED":
      return `the certificate of ${endpoint} is not trusted; name its authority with --ca-file, for a chain's nodes with --kms-ca-file`;
    case "KMS_THROTTLED":
      return `the KMS at ${endpoint} refuses for too many requests; try again later`;
    case "KMS_TIMEOUT":
      return `the KMS at ${endpoint} did not answer within ${deadlineMs / 1000} s`;
    case "KMS_UNREACHABLE":
      return `the KMS at ${endpoint} is unreachable`;
    case "KMS_UNAVAILABLE":
      return `the KMS at ${endpoint} answered that it failed; try again later`;
    case "KMS_REQUEST_INVALID":
      return `the KMS at ${endpoint} found the request malformed: is ${masterKey} a master key's name?`;
    default:
      return `what ${endpoint} answered is not a KMS's answer`;
  }
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : "";
}

/** The peer chose the name: only what AWS's names are made of goes on. */
function safe(name: string): string {
  return name.replace(/[^A-Za-z0-9]/g, "").slice(0, 64);
}

function statusOf(error: unknown): number | undefined {
  if (typeof error !== "object" || error === null) return undefined;
  const metadata = "$metadata" in error ? error.$metadata : undefined;
  if (typeof metadata !== "object" || metadata === null || !("httpStatusCode" in metadata)) return undefined;
  return typeof metadata.httpStatusCode === "number" ? metadata.httpStatusCode : undefined;
}
