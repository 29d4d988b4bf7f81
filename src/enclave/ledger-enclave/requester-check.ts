import type { EndorserState } from "../ercc/can-endorse.ts";
import { findEnclave, requirePolicy } from "../ercc/enclaves.ts";
import { readRecord, recordNames } from "../ercc/records.ts";
import { EnclaveError } from "../errors.ts";
import type { EvidenceJudge } from "../evidence/judge.ts";
import { EvidenceFloorSchema } from "../messages/generated/fpc/evidence_pb.ts";
import { allowsVersion } from "../protocol/policy.ts";
import type { ResponderSettings } from "./session-responder.ts";

/**
 * Whom the ledger enclave talks to: an enclave of the measurement that it is registered with, or, before its registration, of
 * the one that the chaincode's definition or the policy's successor has; judged by the policy document on the ledger.
 *
 * @param registry - As it is now.
 * @throws EnclaveError (from what it returns) POLICY_DENIED: no policy document, or no measurement that it allows; BAD_EVIDENCE
 */
export function requesterCheck(registry: () => EndorserState, judge: EvidenceJudge): ResponderSettings["check"] {
  return async ({ chaincodeId, enclaveId }, statement, evidence) => {
    const state = registry();
    const policy = await requirePolicy(state, chaincodeId);
    const registered = await findEnclave(state, chaincodeId, enclaveId);
    const versions =
      registered === undefined
        ? [(await state.definition(chaincodeId))?.version, policy.successor?.version]
        : [registered.ccParams.version];
    const floor = await readRecord(state, recordNames.floor(), EvidenceFloorSchema);
    let refusal = new EnclaveError(
      "POLICY_DENIED",
      `the policy of ${chaincodeId} allows no measurement of this enclave`,
    );
    for (const measurement of new Set(versions)) {
      if (measurement === undefined || !allowsVersion(policy, measurement)) continue;
      try {
        await judge.judge({ ...evidence, statement, measurement, policy, atMs: state.timestampMs, floor });
        return;
      } catch (error) {
        if (!(error instanceof EnclaveError)) throw error;
        refusal = error;
      }
    }
    throw refusal;
  };
}
