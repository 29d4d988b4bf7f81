import { CustodyError } from "../../custody/errors.ts";
import { PolicyError } from "../../custody/policy/errors.ts";
import type { CustodyIdentity, KeyUsage } from "../../custody/service.ts";
import { AwsError } from "./errors.ts";
import { notFound } from "./identifiers.ts";
import { awsKeyUsage } from "./vocabulary.ts";

/** What a failure's message needs to know of the request. */
export interface FailedRequest {
  /** `Decrypt`, … */
  readonly operation: string;
  /** ARN of the caller. */
  readonly principal: string;
  readonly identity: CustodyIdentity;
}

type Words = (error: CustodyError, request: FailedRequest) => AwsError;

/** A failure whose answer has no message. */
const silent =
  (type: string): Words =>
  (cause) =>
    new AwsError(type, undefined, { cause });
/** A failure whose message is custody's, which says it as AWS does. */
const said =
  (type: string): Words =>
  (cause) =>
    new AwsError(type, cause.message, { cause });
/** What is no fault of the request. AWS's clients try these again. */
const serverFault =
  (type: string, status: number, text: string): Words =>
  (cause) =>
    new AwsError(type, text, { status, cause });

const noRecord = serverFault(
  "DependencyTimeoutException",
  503,
  "The request could not be put on record, so nothing was done. You can retry the request.",
);
const internal = serverFault("KMSInternalException", 500, "The request failed inside the key manager.");

/** AWS's words for the codes of custody that its operations meet; any other is a failure inside. */
const words: Readonly<Record<string, Words | undefined>> = {
  ACCESS_DENIED: denied,
  ALGORITHM_INVALID: said("InvalidKeyUsageException"),
  ALIAS_EXISTS: said("AlreadyExistsException"),
  ALIAS_NOT_FOUND: said("NotFoundException"),
  DEVICE_REFUSED: (cause) =>
    new AwsError("KMSInvalidStateException", `${cause.key ?? "The key"} is refused by the key store that holds it.`, {
      cause,
    }),
  DEVICE_UNREACHABLE: serverFault(
    "KeyUnavailableException",
    500,
    "The request was rejected because the key store that holds the key does not answer. You can retry the request.",
  ),
  DRY_RUN: (cause) =>
    new AwsError("DryRunOperationException", "The request would have succeeded, but the DryRun option is set.", {
      cause,
    }),
  GRANT_NOT_FOUND: said("NotFoundException"),
  IMPORT_TOKEN_EXPIRED: silent("ExpiredImportTokenException"),
  IMPORT_TOKEN_INVALID: silent("InvalidImportTokenException"),
  INPUT_INVALID: invalid,
  KEY_DISABLED: (cause) => new AwsError("DisabledException", `${cause.key ?? "The key"} is disabled.`, { cause }),
  KEY_GENERATION_BUSY: (cause) =>
    new AwsError(
      "ThrottlingException",
      "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.",
      { cause },
    ),
  KEY_INCORRECT: (cause) =>
    new AwsError(
      "IncorrectKeyException",
      "The key ID in the request does not identify a CMK that can perform this operation.",
      { cause },
    ),
  KEY_NOT_FOUND: (cause, { identity }) => notFound(identity, cause.facts.reference ?? "", cause),
  KEY_STATE_INVALID: wrongState,
  KEY_UNSUPPORTED: (cause) =>
    new AwsError(
      "UnsupportedOperationException",
      cause.facts.origin === undefined || cause.key === undefined
        ? undefined
        : `${cause.key} origin is ${cause.facts.origin === "external" ? "EXTERNAL" : "AWS_KMS"} which is not valid for this operation.`,
      { cause },
    ),
  KEY_USAGE_INVALID: (cause, { operation }) =>
    new AwsError("InvalidKeyUsageException", wrongUsage(cause.key, cause.usage, operation), { cause }),
  LIMIT_EXCEEDED: (cause, { operation }) =>
    new AwsError(
      "LimitExceededException",
      operation === "RotateKeyOnDemand"
        ? `The on-demand rotations limit has been reached for the given keyId. No more on-demand rotations can be performed for this key: ${cause.key}`
        : cause.message,
      { cause },
    ),
  MAC_INVALID: silent("KMSInvalidMacException"),
  MATERIAL_INCORRECT: silent("IncorrectKeyMaterialException"),
  RECORD_NOT_WRITTEN: noRecord,
  SIGNATURE_INVALID: silent("KMSInvalidSignatureException"),
  TAGS_INVALID: said("TagException"),
  WRAP_REFUSED: silent("InvalidCiphertextException"),
};

/** A failure of custody in AWS's words. Anything that is not foreseen comes back as it is. */
export function inAwsWords(error: unknown, request: FailedRequest): unknown {
  return error instanceof CustodyError ? (words[error.code] ?? internal)(error, request) : error;
}

/**
 * The one answer to a caller who gave a ciphertext and no key: it does not tell a key that is absent from one that is
 * another's, or that the caller may not use.
 */
export function hidden(cause: CustodyError, { operation, principal }: FailedRequest): AwsError {
  const action = operation === "ReEncrypt" ? "kms:ReEncryptFrom" : `kms:${operation}`;
  return new AwsError(
    "AccessDeniedException",
    `User: ${principal} is not authorized to perform: ${action} on the resource associated with this ciphertext ` +
      "because the resource does not exist in this Region, no resource-based policies allow access, or a resource-based " +
      "policy explicitly denies access",
    { cause },
  );
}

/** The same whatever denied it: what did is in the audit record. */
function denied(cause: CustodyError, { operation, principal }: FailedRequest): AwsError {
  const action = cause.facts.action ?? `kms:${operation}`;
  return new AwsError(
    "AccessDeniedException",
    `User: ${principal} is not authorized to perform: ${action} on resource: ${cause.key ?? "*"} ` +
      `because no identity-based policy allows the ${action} action`,
    { cause },
  );
}

function invalid(cause: CustodyError): AwsError {
  const isPolicy = cause.cause instanceof PolicyError && cause.cause.code !== "GRANT_INVALID";
  return new AwsError(isPolicy ? "MalformedPolicyDocumentException" : "ValidationException", cause.message, { cause });
}

const stateWords: Readonly<Record<string, string>> = {
  "pending-deletion": "is pending deletion.",
  "pending-import": "is pending import.",
  disabled: "is disabled.",
  enabled: "is not pending deletion.",
};

/** A key whose material is destroyed is as absent as one that never was. */
function wrongState(cause: CustodyError, { identity }: FailedRequest): AwsError {
  const key = cause.key ?? "";
  if (cause.state === "destroyed") return notFound(identity, key, cause);
  return new AwsError("KMSInvalidStateException", `${key} ${stateWords[cause.state ?? ""] ?? "is in another state."}`, {
    cause,
  });
}

function wrongUsage(key: string | undefined, usage: KeyUsage | undefined, operation: string): string {
  const has = usage === undefined ? "" : ` ${awsKeyUsage(usage)}`;
  return `${key ?? "The key"} key usage is${has} which is not valid for ${operation}.`;
}
