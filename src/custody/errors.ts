import type { KeyOrigin, KeyState, KeyUsage } from "./service.ts";

/**
 * Every way a custody operation can fail: HTTP status on the native door, exit code of the command line, meaning.
 * Codes are API; docs/errors.md is kept equal to this table by a test.
 */
export const custodyErrors = {
  ACCESS_DENIED: { status: 403, exit: 3, meaning: "the principal may not do this with this key under this context" },
  ACCESS_KEY_NOT_FOUND: { status: 404, exit: 1, meaning: "there is no such access key" },
  ALGORITHM_INVALID: { status: 400, exit: 2, meaning: "the algorithm is not one of the master key's spec and usage" },
  ALIAS_EXISTS: { status: 409, exit: 1, meaning: "the alias points at a key already" },
  ALIAS_NOT_FOUND: { status: 404, exit: 1, meaning: "there is no such alias" },
  COUNTER_CONFLICT: {
    status: 409,
    exit: 1,
    meaning: "the counter does not stand where the request says: its node's state was put back, or it runs twice",
  },
  COUNTER_NOT_FOUND: { status: 404, exit: 1, meaning: "the node has no counter of that name" },
  DEVICE_FAILED: {
    status: 502,
    exit: 5,
    meaning: "the device that holds the master key failed, or its answer is wrong",
  },
  DEVICE_REFUSED: { status: 502, exit: 3, meaning: "access refused by the device that holds the master key" },
  DEVICE_UNREACHABLE: { status: 503, exit: 4, meaning: "the device that holds the master key does not answer" },
  DRY_RUN: { status: 412, exit: 1, meaning: "the request would have succeeded; it was a dry run, so nothing was done" },
  ENCLAVE_NOT_FOUND: { status: 404, exit: 1, meaning: "the node has told of no such enclave" },
  GRANT_NOT_FOUND: { status: 404, exit: 1, meaning: "there is no such grant on this key" },
  GROUP_EXISTS: { status: 409, exit: 1, meaning: "a group of that name exists" },
  GROUP_IN_USE: { status: 409, exit: 1, meaning: "the group still has members" },
  GROUP_NOT_FOUND: { status: 404, exit: 1, meaning: "there is no group of that name" },
  IMPORT_TOKEN_EXPIRED: { status: 403, exit: 3, meaning: "the import token is older than 24 hours" },
  IMPORT_TOKEN_INVALID: { status: 403, exit: 3, meaning: "the import token is not one of this key" },
  INPUT_INVALID: { status: 400, exit: 2, meaning: "an argument is missing, malformed or out of range" },
  INTEGRATION_EXISTS: { status: 409, exit: 1, meaning: "an integration of that name exists" },
  INTEGRATION_IN_USE: { status: 409, exit: 1, meaning: "a master key needs the integration" },
  INTEGRATION_NOT_FOUND: { status: 404, exit: 1, meaning: "there is no integration of that name" },
  KEY_DISABLED: { status: 409, exit: 3, meaning: "the master key is disabled" },
  KEY_GENERATION_BUSY: {
    status: 503,
    exit: 1,
    meaning: "too many RSA keys are being made at once, for this caller or for all: try again later",
  },
  KEY_INCORRECT: { status: 403, exit: 3, meaning: "the wrapped key is under another master key than the one named" },
  KEY_NOT_FOUND: { status: 404, exit: 1, meaning: "there is no master key of that id, alias or ARN" },
  KEY_STATE_INVALID: { status: 409, exit: 1, meaning: "the master key's state does not allow this" },
  KEY_UNSUPPORTED: { status: 400, exit: 2, meaning: "the master key's spec or origin is not one for this operation" },
  KEY_USAGE_INVALID: { status: 400, exit: 2, meaning: "the master key is for another usage" },
  LEGACY_REFUSED: { status: 403, exit: 3, meaning: "the cipherDataKey is not registered, or does not decrypt" },
  LIMIT_EXCEEDED: { status: 409, exit: 1, meaning: "the key, user or node has as many of these as it can have" },
  MAC_INVALID: { status: 400, exit: 3, meaning: "the MAC is not the key's over this message" },
  MATERIAL_INCORRECT: {
    status: 400,
    exit: 1,
    meaning: "the material is of another length than the key takes, or not what was imported into it before",
  },
  PRINCIPAL_EXISTS: { status: 409, exit: 1, meaning: "a principal of that name exists" },
  PRINCIPAL_NOT_FOUND: { status: 404, exit: 1, meaning: "there is no principal of that name" },
  RECORD_NOT_WRITTEN: {
    status: 503,
    exit: 1,
    meaning: "the audit record could not be made durable, so nothing was done",
  },
  SIGNATURE_INVALID: { status: 400, exit: 3, meaning: "the signature is not the key's over this message" },
  STATE_ROLLED_BACK: { status: 500, exit: 5, meaning: "the store is older than a checkpoint kept elsewhere" },
  STATE_TAMPERED: { status: 500, exit: 5, meaning: "a row of the store, or the audit chain, does not authenticate" },
  STORE_LOCKED: { status: 503, exit: 1, meaning: "another process holds the data folder" },
  STORE_UNUSABLE: { status: 503, exit: 1, meaning: "the data folder or its store cannot be read or written" },
  TAGS_INVALID: { status: 400, exit: 2, meaning: "the tags are too many, too long, ill-formed or reserved" },
  TOKEN_REFUSED: { status: 403, exit: 3, meaning: "the enrolment token is unknown, used, expired or for another name" },
  WRAP_REFUSED: {
    status: 403,
    exit: 3,
    meaning: "the wrapped key does not open: altered, another context or another key",
  },
} as const;

export type CustodyErrorCode = keyof typeof custodyErrors;

/** What a failure is about, for doors whose answers name it. Nothing here is secret from a caller who may know the key. */
export interface ErrorFacts {
  /** Id of the master key, where it is another than the operation's own. */
  readonly keyId?: string;
  /** ARN of the master key, once the request's reference was resolved. Filled in by `performOnKey`. */
  readonly key?: string;
  /** Of `KEY_DISABLED` and `KEY_STATE_INVALID`: the state that refused. */
  readonly state?: KeyState;
  /** Of `KEY_USAGE_INVALID`: the usage that the key has. */
  readonly usage?: KeyUsage;
  /** Of `KEY_UNSUPPORTED`: the origin, where it is the origin that refused. */
  readonly origin?: KeyOrigin;
  /** Of `KEY_NOT_FOUND`: what the request calls the key. */
  readonly reference?: string;
  /** Of `ACCESS_DENIED`: the permission that was asked for. */
  readonly action?: string;
  /** Of `ACCESS_DENIED`: what decided. For the audit record, never for the caller. */
  readonly deniedBy?: DenialReason;
  /** Of `ACCESS_DENIED` by an explicit deny: the statement, by its Sid or place. For the audit record only. */
  readonly statement?: string;
  /** Of `DEVICE_*`: the code of what an upstream KMS failed with. For the audit record only. */
  readonly upstream?: string;
}

/** Why a request was denied, as the audit record says it. */
export type DenialReason =
  | "access-key-disabled"
  | "certificate-revoked"
  | "explicit-deny"
  | "nothing-allows"
  | "principal-disabled"
  | "principal-unknown";

export class CustodyError extends Error {
  override readonly name = "CustodyError";
  readonly code: CustodyErrorCode;
  #facts: ErrorFacts;

  constructor(
    code: CustodyErrorCode,
    message: string = custodyErrors[code].meaning,
    cause?: unknown,
    facts: ErrorFacts = {},
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.#facts = facts;
  }

  /** See {@link ErrorFacts}. */
  get facts(): ErrorFacts {
    return this.#facts;
  }

  /** ARN of the master key that the failure is about; undefined when none was found. */
  get key(): string | undefined {
    return this.#facts.key;
  }

  /** See {@link ErrorFacts.state}. */
  get state(): KeyState | undefined {
    return this.#facts.state;
  }

  /** See {@link ErrorFacts.usage}. */
  get usage(): KeyUsage | undefined {
    return this.#facts.usage;
  }

  /** Adds what was not known where the error was made; what was, stays. */
  about(facts: ErrorFacts): this {
    this.#facts = { ...facts, ...this.#facts };
    return this;
  }

  /** The command line's exit code for this failure. */
  get exitCode(): number {
    return custodyErrors[this.code].exit;
  }

  /** The native door's HTTP status for this failure. */
  get status(): number {
    return custodyErrors[this.code].status;
  }
}
