import { createHash } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { EnclaveError } from "../../../../src/enclave/errors.ts";
import type { EvidenceJudge, EvidenceToJudge, Verdict } from "../../../../src/enclave/evidence/judge.ts";
import {
  EvidenceFloorEntrySchema,
  EvidenceFloorSchema,
} from "../../../../src/enclave/messages/generated/fpc/evidence_pb.ts";

export interface FakeEvidence {
  readonly madeAtMs: number;
  readonly tcbEvaluationNumber?: number;
}

/** Evidence that nothing attests: it only says what it would be about. */
export function fakeEvidence(statement: Uint8Array, evidence: FakeEvidence): Buffer {
  const statementHash = createHash("sha256").update(statement).digest("hex");
  return Buffer.from(JSON.stringify({ fake: true, statementHash, ...evidence }));
}

/**
 * A FAKE judge of evidence: it believes whatever {@link fakeEvidence} says, so that tests of the registry can say what holds.
 * Real evidence is judged in the tests of src/enclave/evidence. It keeps the statement, the policy's age and the floor.
 */
export class FakeJudge implements EvidenceJudge {
  readonly asked: EvidenceToJudge[] = [];

  async judge(input: EvidenceToJudge): Promise<Verdict> {
    this.asked.push(input);
    const refuse = (why: string): never => {
      throw new EnclaveError("BAD_EVIDENCE", why);
    };
    const { madeAtMs, statementHash, tcbEvaluationNumber = 0 } = JSON.parse(Buffer.from(input.evidence).toString());
    if (statementHash !== createHash("sha256").update(input.statement).digest("hex"))
      refuse("the quote is about another statement");
    if (input.atMs - madeAtMs > Number(input.policy.evidenceAgeSeconds) * 1000) refuse("it is too old");
    const least = input.floor?.entries[0]?.tcbEvaluationNumber ?? 0;
    if (tcbEvaluationNumber < least) refuse("its TCB evaluation number is below the floor");
    const entries = [create(EvidenceFloorEntrySchema, { attestationType: "simulated", tcbEvaluationNumber })];
    return {
      type: "simulated",
      measurement: input.measurement,
      madeAtMs,
      tcbStatus: undefined,
      advisories: [],
      raisedFloor: tcbEvaluationNumber > least ? create(EvidenceFloorSchema, { entries }) : undefined,
    };
  }
}
