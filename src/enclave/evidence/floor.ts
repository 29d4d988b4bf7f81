import { create } from "@bufbuild/protobuf";
import {
  type EvidenceFloor,
  EvidenceFloorEntrySchema,
  EvidenceFloorSchema,
} from "../messages/generated/fpc/evidence_pb.ts";
import type { AttestationType } from "./attestation-json.ts";
import { badEvidence, type TcbFinding } from "./verifier.ts";

/**
 * The client picks the transaction's time, so an attacker could pick one at which old collateral, from before a flaw became
 * known, was still good. What the ledger has seen once is therefore the least that it accepts: no lower TCB evaluation number,
 * and no collateral issued before the newest that it has seen less {@link collateralSlackMs}.
 */
export const collateralSlackMs = 31 * 24 * 3_600_000;

/**
 * @returns The floor as this finding raises it; undefined where it is no higher
 * @throws EnclaveError BAD_EVIDENCE: below the floor
 */
export function keepFloor(
  type: AttestationType,
  { evaluationNumber, issuedAtMs }: TcbFinding,
  floor: EvidenceFloor | undefined,
): EvidenceFloor | undefined {
  const before = floor?.entries.find((one) => one.attestationType === type);
  const leastNumber = before?.tcbEvaluationNumber ?? 0;
  const newestSeconds = Number(before?.collateralIssuedSeconds ?? 0n);
  if (evaluationNumber < leastNumber)
    throw badEvidence(`its TCB evaluation number is ${evaluationNumber}, and the ledger has seen ${leastNumber}`);
  if (issuedAtMs < newestSeconds * 1000 - collateralSlackMs)
    throw badEvidence("its collateral is much older than what the ledger has seen");
  const issuedSeconds = Math.floor(issuedAtMs / 1000);
  if (evaluationNumber <= leastNumber && issuedSeconds <= newestSeconds) return undefined;
  const entry = create(EvidenceFloorEntrySchema, {
    attestationType: type,
    tcbEvaluationNumber: Math.max(evaluationNumber, leastNumber),
    collateralIssuedSeconds: BigInt(Math.max(issuedSeconds, newestSeconds)),
  });
  const others = floor?.entries.filter((one) => one.attestationType !== type) ?? [];
  const entries = [...others, entry].sort((a, b) => (a.attestationType < b.attestationType ? -1 : 1));
  return create(EvidenceFloorSchema, { entries });
}
