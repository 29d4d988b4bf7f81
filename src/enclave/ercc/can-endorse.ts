import { EnclaveError } from "../errors.ts";
import type { EvidenceJudge, Verdict } from "../evidence/judge.ts";
import { EvidenceFloorSchema } from "../messages/generated/fpc/evidence_pb.ts";
import type { CCParameters } from "../messages/generated/fpc/fpc_pb.ts";
import type { Policy } from "../messages/generated/fpc/policy_pb.ts";
import { allowsVersion, organisationOf } from "../protocol/policy.ts";
import { findEnclave, isRevoked, type RegisteredEnclave, requirePolicy } from "./enclaves.ts";
import { endorsingOrganisations } from "./endorsement-policy.ts";
import { readRecord, recordNames } from "./records.ts";
import type { ChaincodeDefinition, RegistryState } from "./registry-state.ts";

/** What the question takes of a state: a follower of blocks has it as well as a transaction. */
export type EndorserState = Pick<RegistryState, "get" | "definition" | "timestampMs">;

/**
 * Whether an enclave may endorse for a chaincode, and so may be given its keys (decision 0609): it is registered; the chaincode's
 * definition has its measurement and sequence, or the policy names them as the successor; the policy document allows the
 * measurement and has its organisation; the organisation's peers count in the endorsement policy; it is not revoked; and its
 * evidence holds at the state's time, within the policy's age and above the ledger's floor.
 *
 * @param enclaveId - Upper-case hexadecimal.
 */
export async function canEndorse(
  state: EndorserState,
  evidence: EvidenceJudge,
  chaincodeId: string,
  enclaveId: string,
): Promise<boolean> {
  return (await whyNotEndorse(state, evidence, chaincodeId, enclaveId)) === undefined;
}

/** @throws EnclaveError POLICY_DENIED, with what does not hold */
export async function requireEndorser(
  state: EndorserState,
  evidence: EvidenceJudge,
  chaincodeId: string,
  enclaveId: string,
): Promise<void> {
  const reason = await whyNotEndorse(state, evidence, chaincodeId, enclaveId);
  if (reason === undefined) return;
  const { message, hint } = reason;
  throw new EnclaveError("POLICY_DENIED", `enclave ${enclaveId} may not endorse for ${chaincodeId}: ${message}`, {
    hint,
  });
}

/** What of {@link canEndorse} does not hold, with what to do; undefined where all does. */
export async function whyNotEndorse(
  state: EndorserState,
  evidence: EvidenceJudge,
  chaincodeId: string,
  enclaveId: string,
): Promise<{ readonly message: string; readonly hint?: string | undefined } | undefined> {
  const enclave = await findEnclave(state, chaincodeId, enclaveId);
  if (enclave === undefined) return { message: "it is not registered", hint: "register it first" };
  try {
    const policy = await requirePolicy(state, chaincodeId);
    const definition = await state.definition(chaincodeId);
    checkDefinition(enclave.ccParams, definition, policy);
    checkOrganisation(enclave.mspId, definition, policy);
    if (await isRevoked(state, chaincodeId, enclaveId))
      return { message: "it is revoked", hint: "create another enclave, under another name (--enclave)" };
    await judgeEvidence(state, evidence, enclave, policy);
    return undefined;
  } catch (error) {
    if (error instanceof EnclaveError) return error;
    throw error;
  }
}

/**
 * @throws EnclaveError NOT_FOUND: the channel has no such chaincode; POLICY_DENIED: its definition or the policy has another
 *   measurement or sequence
 */
export function checkDefinition(
  ccParams: CCParameters,
  definition: ChaincodeDefinition | undefined,
  policy: Policy,
): asserts definition is ChaincodeDefinition {
  if (definition === undefined)
    throw new EnclaveError("NOT_FOUND", `the channel has no chaincode ${ccParams.chaincodeId}`);
  if (!isDefined(ccParams, definition, policy)) {
    const isOfVersion = ccParams.version === definition.version;
    throw new EnclaveError(
      "POLICY_DENIED",
      isOfVersion
        ? `the chaincode's sequence is ${definition.sequence}, the enclave's ${ccParams.sequence}`
        : "the enclave's measurement is not the version of the chaincode's definition",
      {
        hint: isOfVersion
          ? "let it attest again while the policy names that sequence as the successor's, or create another enclave (upgrade the chaincode)"
          : "upgrade the chaincode to that measurement, or create an enclave of the version that is defined",
      },
    );
  }
  if (!allowsVersion(policy, ccParams.version))
    throw new EnclaveError("POLICY_DENIED", "the policy does not allow the enclave's measurement", {
      hint: "the organisations allow it by their next policy (upgrade the chaincode)",
    });
}

/** Whether parameters are those of the definition in force, or of the successor that the policy names. */
export function isDefined(ccParams: CCParameters, definition: ChaincodeDefinition, policy: Policy): boolean {
  return [definition, policy.successor].some(
    (one) => one !== undefined && one.version === ccParams.version && one.sequence === ccParams.sequence,
  );
}

function checkOrganisation(mspId: string, definition: ChaincodeDefinition, policy: Policy): void {
  if (organisationOf(policy, mspId) === undefined)
    throw new EnclaveError("POLICY_DENIED", `${mspId} is not among the policy's organisations`, {
      hint: "the organisations add it by their next policy",
    });
  if (!endorsingOrganisations(definition.validationParameter).has(mspId))
    throw new EnclaveError("POLICY_DENIED", `no peer of ${mspId} counts in the chaincode's endorsement policy`, {
      hint: "upgrade the chaincode's endorsement policy to one that has the organisation",
    });
}

/** @throws EnclaveError BAD_EVIDENCE; POLICY_DENIED: the policy does not allow the attestation's type */
export async function judgeEvidence(
  state: EndorserState,
  evidence: EvidenceJudge,
  enclave: RegisteredEnclave,
  policy: Policy,
): Promise<Verdict> {
  return await evidence.judge({
    statement: enclave.statement,
    attestation: enclave.attestation,
    evidence: enclave.evidence,
    measurement: enclave.ccParams.version,
    policy,
    atMs: state.timestampMs,
    floor: await readRecord(state, recordNames.floor(), EvidenceFloorSchema),
  });
}
