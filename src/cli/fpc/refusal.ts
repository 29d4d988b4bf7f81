import { EnclaveError, type EnclaveErrorCode } from "../../enclave/errors.ts";
import { CommandFailure, type ExitCode } from "../failure.ts";

/** What to do about a refusal that brought no hint of its own. */
const advice: Partial<Record<EnclaveErrorCode, string>> = {
  UNAUTHORIZED: "act as an admin of the organisation whose enclave it is (--org)",
  NOT_REGISTERED:
    "strongroom fpc enclave list shows which enclaves the ledger has; strongroom fpc enclave create registers one",
  BAD_SIGNATURE: "have as many organisations sign as the policy's threshold: strongroom fpc policy show",
  ALREADY_SET:
    "strongroom fpc status shows what the ledger has; an enclave without keys has them exported to it and imports them",
  POLICY_DENIED:
    "strongroom fpc status shows the definition and the policy in force, strongroom fpc enclave show what an enclave was made for",
  WRONG_CONTEXT: "strongroom fpc enclave show compares the enclave's version and sequence with the chaincode's",
  EK_MISMATCH: "have the keys in force exported to the enclave (strongroom fpc keys export), then import them",
  NOT_PROVISIONED: "strongroom fpc keys export by an enclave that holds the keys, then strongroom fpc keys import",
  CONFLICT: "something else came first: look at strongroom fpc status, and call again",
  BAD_CIPHERTEXT:
    "it was encrypted to another key: of a recovery share, the organisation's recovery key has to be the one that the policy names",
  UNSEAL_FAILED:
    "put the newest sealed blob in its place, or create another enclave (--enclave) and have the keys exported to it",
  BAD_EVIDENCE: "let the enclave attest again, or create another one",
  REPLAY: "have the message made anew: call the step again",
  NOT_FOUND: "strongroom fpc status shows what there is",
  LEDGER_UNAVAILABLE:
    "see that the peers run and can be reached (on Fabric: gateway in the connection settings), and call again",
  KEY_MANAGER_REFUSED:
    "its administrator sees why: strongroom audit search --denied --node HOST at the key manager, HOST being whose --identity it is; the enclave's files stay as they are",
  KEY_MANAGER_UNREACHABLE:
    "start it, and call again; where it has another address now: strongroom fpc enclave create with --key-manager, --identity and --master-key",
};

/** A refusal as the command line tells it: its reason class, what happened, and what to do. Other errors stay as they are. */
export function toFailure(error: unknown): unknown {
  if (!(error instanceof EnclaveError)) return error;
  const { code, message, exitCode, hint = advice[code] } = error;
  return new CommandFailure(exitCode as ExitCode, `${code}: ${message}`, hint);
}

/** Runs a command's work, whose refusals come out as {@link toFailure} makes them. */
export async function tellingRefusals<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw toFailure(error);
  }
}
