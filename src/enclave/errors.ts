import { CodedError, type ErrorDetails } from "../crypto/coded-error.ts";

/**
 * Every reason for which a step of the protocol of chaincode keys is refused, or a command about it fails, with the exit code
 * of the command. Codes are API: chaincode puts them first in the message of an aborted transaction, `CODE: text`.
 */
export const enclaveErrors = {
  UNAUTHORIZED: {
    exit: 3,
    meaning:
      "the caller is no member of the channel, no admin, or none of the organisation whose enclave this is about",
  },
  NOT_REGISTERED: { exit: 3, meaning: "the ledger has no credentials of this enclave" },
  BAD_SIGNATURE: { exit: 3, meaning: "a signature does not verify, or too few organisations signed" },
  ALREADY_SET: { exit: 3, meaning: "the ledger has a chaincode key already, or a record that is written once" },
  KEYS_EXIST: { exit: 3, meaning: "the enclave holds chaincode keys already" },
  POLICY_DENIED: { exit: 3, meaning: "the chaincode's definition or the policy document does not allow it" },
  WRONG_CONTEXT: { exit: 3, meaning: "a message is for another channel, chaincode, enclave or generation" },
  EK_MISMATCH: { exit: 5, meaning: "a chaincode key is not the one that the ledger or the private key has" },
  NOT_PROVISIONED: { exit: 3, meaning: "the enclave does not hold the chaincode's keys" },
  MALFORMED: { exit: 2, meaning: "a message or argument is not of the form that is defined for it" },
  BAD_CIPHERTEXT: {
    exit: 5,
    meaning: "a ciphertext does not open under the key and context that it is said to be for",
  },
  UNSEAL_FAILED: {
    exit: 5,
    meaning: "a sealed blob is of another enclave, platform or version, is altered, or is an older one",
  },
  NOT_FOUND: { exit: 2, meaning: "there is no such record, enclave or chaincode" },
  CONFLICT: { exit: 1, meaning: "another transaction came first, or the slot is taken: read the state again" },
  BAD_EVIDENCE: { exit: 3, meaning: "an enclave's evidence does not prove what it is said to" },
  REPLAY: { exit: 3, meaning: "a message or answer is an older one, or was made for another request" },
  LEDGER_UNAVAILABLE: { exit: 4, meaning: "the ledger, or enough of its peers, does not answer" },
  ENCLAVE_ENDED: { exit: 4, meaning: "the enclave's process is not there, or ended before it had answered" },
  KEY_MANAGER_REFUSED: { exit: 3, meaning: "the key manager does not agree that the enclave opens" },
  KEY_MANAGER_UNREACHABLE: {
    exit: 4,
    meaning: "the key manager, without which the enclave does not open, does not answer",
  },
  KEY_MANAGER_FAILED: {
    exit: 5,
    meaning:
      "the peer is not the key manager that the host is enrolled at, or its answer is not one that a key manager gives",
  },
  SETTINGS_INVALID: { exit: 2, meaning: "a setting or argument is unknown, missing or of the wrong form" },
  STORE_FAILED: { exit: 1, meaning: "the host could not keep a sealed blob, so the enclave took the step back" },
} as const;

export type EnclaveErrorCode = keyof typeof enclaveErrors;

export class EnclaveError extends CodedError<EnclaveErrorCode> {
  override readonly name = "EnclaveError";

  constructor(code: EnclaveErrorCode, message?: string, details?: ErrorDetails) {
    super(enclaveErrors, code, message, details);
  }
}

const longestHint = 500;

/** The text of an error as it goes through a ledger or over a process boundary: `CODE: message`, and its hint on a line of its own. */
export function toAbortText({ code, message, hint }: EnclaveError): string {
  const text = `${code}: ${oneLine(message)}`;
  return hint === undefined ? text : `${text}\nhint: ${oneLine(hint).slice(0, longestHint)}`;
}

/** The error that {@link toAbortText} made, found anywhere in `text` (peers put words of their own before it); undefined where there is none. */
export function fromAbortText(text: string): EnclaveError | undefined {
  // Others' words may look like a code; ours is the first that is one.
  for (const match of text.matchAll(/\b([A-Z][A-Z_]{3,}): /g)) {
    const [prefix, code = ""] = match;
    if (!Object.hasOwn(enclaveErrors, code)) continue;
    const [message, next = ""] = text.slice(match.index + prefix.length).split("\n", 2);
    const hint = /^hint: (.+)$/.exec(next)?.[1]?.slice(0, longestHint);
    return new EnclaveError(code as EnclaveErrorCode, message, { hint });
  }
  return undefined;
}

function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, " ");
}
