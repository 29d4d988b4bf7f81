import { EnclaveError } from "../errors.ts";
import type { AttestationFields, AttestationType } from "./attestation-json.ts";

/** What a verifier may look at besides the evidence. */
export interface VerifierContext {
  /** SHA-256 of what has to be attested. */
  readonly statementHash: Buffer;
  /** The time it is judged at, milliseconds since 1970. */
  readonly atMs: number;
  /** PEM of the roots that the policy names for this type. */
  readonly roots: readonly Uint8Array[];
}

/** What evidence was found to say, all of it verified. It is for the judge to say whether that is what was wanted. */
export interface Finding {
  /** SHA-256 of what is attested, as the quote has it. */
  readonly statementHash: Buffer;
  /** 64 upper-case hex digits. */
  readonly measurement: string;
  readonly madeAtMs: number;
  /** Where the maker of the platform tells of its state. */
  readonly tcb?: TcbFinding;
}

export interface TcbFinding {
  readonly status: string;
  readonly advisories: readonly string[];
  /** The lowest of the collateral's. */
  readonly evaluationNumber: number;
  /** The oldest of the collateral's. */
  readonly issuedAtMs: number;
}

/** Verifies evidence of one type. */
export interface EvidenceVerifier {
  readonly type: AttestationType;
  /** @throws EnclaveError BAD_EVIDENCE */
  verify(evidence: AttestationFields, context: VerifierContext): Promise<Finding>;
}

export function badEvidence(message: string): EnclaveError {
  return new EnclaveError("BAD_EVIDENCE", message);
}

/** Gives the error of `read` out as BAD_EVIDENCE, so that what is malformed inside evidence is bad evidence. */
export function asBadEvidence<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof EnclaveError && error.code === "BAD_EVIDENCE") throw error;
    throw badEvidence(`${what}: ${error instanceof EnclaveError ? error.message : "cannot be read"}`);
  }
}

/** A time in ISO 8601; what no calendar has, as a number. */
export function timeText(ms: number): string {
  return Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : `${ms} ms`;
}
