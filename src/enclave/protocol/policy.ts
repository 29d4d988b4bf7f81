import { createHash, type KeyObject } from "node:crypto";
import { EnclaveError } from "../errors.ts";
import type { CCParameters } from "../messages/generated/fpc/fpc_pb.ts";
import {
  type Organisation,
  OrganisationSchema,
  type Policy,
  PolicySchema,
  type PolicySignature,
  type SignedPolicy,
} from "../messages/generated/fpc/policy_pb.ts";
import { decodeStrict, encode } from "../messages/strict.ts";
import { readVerificationKey } from "./key-formats.ts";
import { checkPolicy } from "./policy-form.ts";
import { isSignedBy, type SignatureDomain, signMessage } from "./signing.ts";

/**
 * The policy document of a private chaincode, whose organisations govern it. Each is signed by the threshold of those that the
 * one before it names, the first by all that it names itself.
 */

/** @throws EnclaveError MALFORMED, naming the field */
export function readPolicy(bytes: Uint8Array): Policy {
  const policy = decodeStrict(PolicySchema, bytes, [
    "channel_id",
    "chaincode_id",
    "number",
    "organisations",
    "threshold",
    "allowed_versions",
    "allowed_attestation_types",
    "evidence_age_seconds",
    "export_lifetime_seconds",
  ]);
  checkPolicy(policy);
  return policy;
}

/** SHA-256 of the canonical bytes: what enclaves pin of the first, and each holds of the one before. */
export function policyHash(policy: Policy): Buffer {
  return createHash("sha256").update(encode(PolicySchema, policy)).digest();
}

/** @param policy - The bytes of the document. */
export function signPolicy(policy: Uint8Array, key: KeyObject): Buffer {
  return signMessage("policy", policy, key);
}

/**
 * @param previous - The policy in force; undefined where there is none, so that this has to be number 1.
 * @throws EnclaveError MALFORMED; WRONG_CONTEXT: another channel, chaincode or line of policies; REPLAY: an older one;
 *   CONFLICT: not the next one; BAD_SIGNATURE: of too few organisations, of others, or a false one
 */
export function verifySignedPolicy(signed: SignedPolicy, previous: Policy | undefined): Policy {
  const policy = readPolicy(signed.policy);
  if (previous !== undefined) {
    if (policy.channelId !== previous.channelId || policy.chaincodeId !== previous.chaincodeId)
      throw new EnclaveError("WRONG_CONTEXT", "the policy is for another channel or chaincode");
    if (policy.number <= previous.number)
      throw new EnclaveError(
        "REPLAY",
        `policy ${policy.number} is not newer than ${previous.number}, which is in force`,
      );
  }
  if (policy.number !== (previous?.number ?? 0n) + 1n)
    throw new EnclaveError("CONFLICT", `policy ${policy.number} does not follow ${previous?.number ?? "none"}`);
  if (previous !== undefined && !policyHash(previous).equals(policy.previousPolicyHash))
    throw new EnclaveError("WRONG_CONTEXT", "the policy follows another one than that in force");
  const signers = previous ?? policy;
  const needed = previous === undefined ? policy.organisations.length : previous.threshold;
  checkSignatures("policy", signed.policy, signed.signatures, signers, needed);
  return policy;
}

/**
 * Each signature has to be a right one, of an organisation of `signers` that has not signed twice.
 *
 * @throws EnclaveError BAD_SIGNATURE, naming the organisation or the count
 */
export function checkSignatures(
  domain: SignatureDomain,
  message: Uint8Array,
  signatures: readonly PolicySignature[],
  signers: Policy,
  needed: number,
): void {
  const seen = new Set<string>();
  for (const { mspId, signature } of signatures) {
    const organisation = signers.organisations.find((one) => one.mspId === mspId);
    // The name comes from outside, and is shown only where the policy has it.
    if (organisation === undefined) throw new EnclaveError("BAD_SIGNATURE", "one who signed is none of the policy's");
    if (seen.has(mspId)) throw new EnclaveError("BAD_SIGNATURE", `${mspId} signed twice`);
    seen.add(mspId);
    if (!isSignedBy(domain, message, signature, readVerificationKey(organisation.policyKey, "Organisation.policy_key")))
      throw new EnclaveError("BAD_SIGNATURE", `the signature of ${mspId} over the ${domain} does not verify`);
  }
  if (seen.size < needed)
    throw new EnclaveError(
      "BAD_SIGNATURE",
      `the ${domain} has signatures of ${seen.size} organisations, and needs ${needed}`,
    );
}

export function organisationOf(policy: Policy, mspId: string): Organisation | undefined {
  return policy.organisations.find((one) => one.mspId === mspId);
}

/** Of the organisations by name and keys, in the order of their names: shares are re-issued when it changes. */
export function membersHash(policy: Policy): Buffer {
  const hash = createHash("sha256");
  const sorted = policy.organisations.toSorted((a, b) => (a.mspId < b.mspId ? -1 : 1));
  for (const organisation of sorted) {
    const bytes = encode(OrganisationSchema, organisation);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    hash.update(length).update(bytes);
  }
  return hash.digest();
}

/** Whether enclaves of this measurement may hold the keys: those in force and the successor. */
export function allowsVersion(policy: Policy, version: string): boolean {
  return policy.allowedVersions.includes(version) || policy.successor?.version === version;
}

/** Whether an export that was put on the ledger at `putAtMs` has had its time at `atMs`. */
export function isExportExpired(policy: Policy, putAtMs: number, atMs: number): boolean {
  return atMs - putAtMs > Number(policy.exportLifetimeSeconds) * 1000;
}

/** Whether enclaves of one organisation may export to those of the other. Only organisations of the policy take part. */
export function allowsExport(policy: Policy, fromMsp: string, toMsp: string): boolean {
  if (organisationOf(policy, fromMsp) === undefined || organisationOf(policy, toMsp) === undefined) return false;
  return (
    policy.exportRules.length === 0 ||
    policy.exportRules.some((rule) => rule.fromMsp === fromMsp && rule.toMsp === toMsp)
  );
}

/**
 * Whether `receiver` may take keys from an enclave of `sender`: the same parameters, or the policy's successor of the same chaincode on
 * the same channel, from a version that the policy allows (decision 0612).
 */
export function mayInherit(policy: Policy, sender: CCParameters, receiver: CCParameters): boolean {
  const isOf = ({ channelId, chaincodeId }: CCParameters) =>
    channelId === policy.channelId && chaincodeId === policy.chaincodeId;
  if (!isOf(sender) || !isOf(receiver)) return false;
  if (sender.version === receiver.version && sender.sequence === receiver.sequence) return true;
  const { successor } = policy;
  return (
    successor !== undefined &&
    receiver.version === successor.version &&
    receiver.sequence === successor.sequence &&
    sender.sequence < receiver.sequence &&
    policy.allowedVersions.includes(sender.version)
  );
}
