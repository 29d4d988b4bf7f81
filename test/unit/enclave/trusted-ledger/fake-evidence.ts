import { createHash } from "node:crypto";
import { EnclaveError } from "../../../../src/enclave/errors.ts";
import type { Evidence } from "../../../../src/enclave/trusted-ledger/session/attestation.ts";

/** Fake evidence: names who speaks and the hash of the statement. It proves nothing, and says that it is fake. */
export function fakeEvidence(who: string): (statement: Uint8Array) => Promise<Evidence> {
  return async (statement) => ({
    attestation: Buffer.from(`fake attestation of ${who}`),
    evidence: Buffer.from(textOf(who, statement)),
  });
}

/** Takes {@link fakeEvidence} of `who` and no other. */
export function fakeCheck(who: string): (statement: Uint8Array, evidence: Evidence) => Promise<void> {
  return async (statement, { evidence }) => {
    if (Buffer.from(evidence).toString() !== textOf(who, statement))
      throw new EnclaveError("BAD_EVIDENCE", `the fake evidence is not ${who}'s over this statement`);
  };
}

function textOf(who: string, statement: Uint8Array): string {
  return `fake evidence of ${who} over ${createHash("sha256").update(statement).digest("hex")}`;
}
