import { EnclaveError } from "../errors.ts";
import type { Policy, TrustedLedgerParameters } from "../messages/generated/fpc/policy_pb.ts";
import { checkChaincodeId, checkChannelId, checkMeasurement, checkMspId } from "./fields.ts";
import { readEncryptionKey, readVerificationKey } from "./key-formats.ts";

/** What a policy may name. Intel ended the service that judged `epid-*`, so no policy can allow them. */
export const attestationTypes = ["simulated", "tpm", "sgx-dcap", "tdx-dcap", "nitro"] as const;
export type AttestationType = (typeof attestationTypes)[number];

/** Intel's, of its trusted computing base. Nothing makes `Revoked` acceptable. */
export const tcbStatuses = [
  "UpToDate",
  "SWHardeningNeeded",
  "ConfigurationNeeded",
  "ConfigurationAndSWHardeningNeeded",
  "OutOfDate",
  "OutOfDateConfigurationNeeded",
] as const;
export type TcbStatus = (typeof tcbStatuses)[number];

/** As many as shares can be made for. */
export const maxOrganisations = 255;
const maxRootBytes = 65_536;
/** A hundred years: a number that stays exact in milliseconds. */
const maxSeconds = 3_153_600_000n;

/** What a policy says has to be possible, and to mean one thing. @throws EnclaveError MALFORMED, naming the field */
export function checkPolicy(policy: Policy): void {
  checkChannelId(policy.channelId, "Policy.channel_id");
  checkChaincodeId(policy.chaincodeId, "Policy.chaincode_id");
  if (policy.number === 1n ? policy.previousPolicyHash.length > 0 : policy.previousPolicyHash.length !== 32)
    throw malformed("previous_policy_hash", "is not the SHA-256 of the policy before, or there is none before");
  checkOrganisations(policy);
  checkEvidenceRules(policy);
  for (const rule of policy.exportRules)
    for (const mspId of [rule.fromMsp, rule.toMsp])
      if (!policy.organisations.some((one) => one.mspId === mspId))
        throw malformed("export_rules", "names an organisation that is not in the policy");
  checkDistinct(
    policy.exportRules.map((rule) => `${rule.fromMsp} ${rule.toMsp}`),
    "export_rules",
  );
  if (policy.successor !== undefined) {
    checkMeasurement(policy.successor.version, "Successor.version");
    if (policy.successor.sequence < 1n)
      throw new EnclaveError("MALFORMED", "Successor.sequence is not a number from 1");
  }
  if (policy.trustedLedger !== undefined) checkTrustedLedger(policy.trustedLedger);
  checkSeconds(policy.evidenceAgeSeconds, "evidence_age_seconds");
  checkSeconds(policy.exportLifetimeSeconds, "export_lifetime_seconds");
}

function checkOrganisations({ organisations, threshold, recoveryThreshold }: Policy): void {
  if (organisations.length > maxOrganisations)
    throw malformed("organisations", `is more than ${maxOrganisations} organisations`);
  for (const { mspId, policyKey, recoveryKey } of organisations) {
    checkMspId(mspId, "Organisation.msp_id");
    readVerificationKey(policyKey, "Organisation.policy_key");
    if (recoveryThreshold > 0 || recoveryKey.length > 0) readEncryptionKey(recoveryKey, "Organisation.recovery_key");
  }
  const distinct = (values: readonly Uint8Array[], field: string) =>
    checkDistinct(
      values.map((value) => Buffer.from(value).toString("latin1")),
      field,
    );
  checkDistinct(
    organisations.map(({ mspId }) => mspId),
    "organisations",
  );
  // One who holds two organisations' keys would count twice.
  distinct(
    organisations.map(({ policyKey }) => policyKey),
    "organisations",
  );
  distinct(
    organisations.map(({ recoveryKey }) => recoveryKey).filter((key) => key.length > 0),
    "organisations",
  );
  if (threshold > organisations.length) throw malformed("threshold", "is more than there are organisations");
  if (recoveryThreshold === 1 || recoveryThreshold > organisations.length)
    throw malformed("recovery_threshold", "is neither 0 nor a number from 2 to that of the organisations");
}

/** What enclaves will be made with: a policy that says what none can open would lock the chaincode. */
function checkTrustedLedger(parameters: TrustedLedgerParameters): void {
  const { erccName, firstPolicyHash, organisations, quorum, tlccMrenclave, tlccAttestationType } = parameters;
  checkChaincodeId(erccName, "TrustedLedgerParameters.ercc_name");
  if (firstPolicyHash.length > 0)
    throw new EnclaveError("MALFORMED", "TrustedLedgerParameters.first_policy_hash is set: no policy has its own hash");
  if ((tlccMrenclave === "") === (organisations.length === 0))
    throw malformed("trusted_ledger", "names neither organisations nor a ledger enclave, or both");
  if (tlccMrenclave !== "") {
    checkMeasurement(tlccMrenclave, "TrustedLedgerParameters.tlcc_mrenclave");
    checkKnown([tlccAttestationType], attestationTypes, "trusted_ledger");
    return;
  }
  for (const { mspId } of organisations) checkMspId(mspId, "QuorumOrganisation.msp_id");
  checkDistinct(
    organisations.map(({ mspId }) => mspId),
    "trusted_ledger",
  );
  if (quorum < 1 || quorum > organisations.length)
    throw new EnclaveError(
      "MALFORMED",
      "TrustedLedgerParameters.quorum is not a number from 1 to that of the organisations",
    );
}

function checkEvidenceRules(policy: Policy): void {
  for (const version of policy.allowedVersions) checkMeasurement(version, "Policy.allowed_versions");
  checkDistinct(policy.allowedVersions, "allowed_versions");
  checkKnown(policy.allowedAttestationTypes, attestationTypes, "allowed_attestation_types");
  checkKnown(policy.allowedTcbStatuses, tcbStatuses, "allowed_tcb_statuses");
  const roots = policy.attestationRoots;
  if (!roots.every((one) => isOneOf(attestationTypes, one.attestationType)))
    throw malformed("attestation_roots", `has one that is none of ${attestationTypes.join(", ")}`);
  checkDistinct(
    roots.map((one) => `${one.attestationType} ${Buffer.from(one.root).toString("latin1")}`),
    "attestation_roots",
  );
  for (const { root } of roots)
    if (root.length === 0 || root.length > maxRootBytes)
      throw new EnclaveError("MALFORMED", "AttestationRoot.root is missing, empty or too long");
}

function checkKnown(values: readonly string[], known: readonly string[], field: string): void {
  if (!values.every((value) => isOneOf(known, value)))
    throw malformed(field, `has one that is none of ${known.join(", ")}`);
  checkDistinct(values, field);
}

function isOneOf(known: readonly string[], value: string): boolean {
  return known.includes(value);
}

function checkDistinct(values: readonly string[], field: string): void {
  if (new Set(values).size < values.length) throw malformed(field, "has the same twice");
}

function checkSeconds(seconds: bigint, field: string): void {
  if (seconds < 1n || seconds > maxSeconds)
    throw malformed(field, "is not a number of seconds from 1 to a hundred years");
}

function malformed(field: string, how: string): EnclaveError {
  return new EnclaveError("MALFORMED", `Policy.${field} ${how}`);
}
