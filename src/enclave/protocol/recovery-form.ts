import { createHash } from "node:crypto";
import { EnclaveError } from "../errors.ts";
import { unpackAny } from "../messages/any.ts";
import {
  type RecoveryMessage,
  RecoveryMessageSchema,
  type SignedRecoveryMessage,
} from "../messages/generated/fpc/key_dist_pb.ts";
import type { Policy } from "../messages/generated/fpc/policy_pb.ts";
import { enclaveIdOf, readEnclaveId } from "./enclave-id.ts";
import { checkGeneration, checkHash, checkMspId, checkSignature, maxGeneration } from "./fields.ts";
import { readEncryptionKey, readVerificationKey } from "./key-formats.ts";
import { membersHash } from "./policy.ts";
import { maxOrganisations } from "./policy-form.ts";
import { encryptedShareBytes, longestWrappedBytes, shareBytes, wrappedBytes } from "./recovery-wrap.ts";
import { verifyMessage } from "./signing.ts";

/** ERCC demands them; what was issued before there were any is read as well. */
const addedLater: ReadonlySet<string> = new Set(["policy_number", "sealed_shares"]);

/** What it says, whoever signed it. @throws EnclaveError MALFORMED, naming the field */
export function readRecovery(signed: SignedRecoveryMessage): RecoveryMessage {
  checkSignature(signed.signature, "SignedRecoveryMessage.signature");
  const message = unpackAny(
    RecoveryMessageSchema,
    signed.serializedRecovery,
    "SignedRecoveryMessage.serialized_recovery",
    RecoveryMessageSchema.fields.map((field) => field.name).filter((name) => !addedLater.has(name)),
  );
  checkHash(message.ccParamsHash, "RecoveryMessage.cc_params_hash");
  readEncryptionKey(message.chaincodeEk, "RecoveryMessage.chaincode_ek");
  checkGeneration(message.generation, "RecoveryMessage.generation");
  checkHash(message.membersHash, "RecoveryMessage.members_hash");
  readEnclaveId(message.issuerEnclaveId, "RecoveryMessage.issuer_enclave_id");
  if (message.policyNumber > maxGeneration)
    throw new EnclaveError("MALFORMED", "RecoveryMessage.policy_number is not a policy's number");
  const { shares, threshold } = message;
  if (shares.length > maxOrganisations || new Set(shares.map((share) => share.mspId)).size < shares.length)
    throw new EnclaveError("MALFORMED", "RecoveryMessage.shares is too many, or two of one organisation");
  if (threshold < 2 || threshold > shares.length)
    throw new EnclaveError("MALFORMED", "RecoveryMessage.threshold is not a number from 2 to that of the shares");
  for (const share of shares) {
    checkMspId(share.mspId, "RecoveryShare.msp_id");
    checkHash(share.shareHash, "RecoveryShare.share_hash");
    checkLength(share.encryptedShare, encryptedShareBytes, "RecoveryShare.encrypted_share");
  }
  const { length } = message.wrappedGeneration;
  if (length <= wrappedBytes(0) || length > longestWrappedBytes)
    throw new EnclaveError("MALFORMED", "RecoveryMessage.wrapped_generation is of a length that no keys have");
  if (message.sealedShares.length > 0)
    checkLength(message.sealedShares, wrappedBytes(shares.length * shareBytes), "RecoveryMessage.sealed_shares");
  return message;
}

/**
 * Everything in these messages has its length: what one organisation puts on the ledger all others have to read, through frames and
 * answers that have a longest.
 *
 * @throws EnclaveError MALFORMED
 */
export function checkLength({ length }: Uint8Array, expected: number, name: string): void {
  if (length === 0) throw new EnclaveError("MALFORMED", `${name} is missing or empty`);
  if (length !== expected)
    throw new EnclaveError("MALFORMED", `${name} is of ${length} bytes, where it has ${expected}`);
}

/**
 * @param vkPem - Of the issuer's credentials.
 * @param policy - The one in force.
 * @throws EnclaveError MALFORMED; WRONG_CONTEXT: it speaks of another enclave; BAD_SIGNATURE; POLICY_DENIED: for other
 *   organisations than the policy's, or another number of them than opens the keys
 */
export function verifyRecovery(signed: SignedRecoveryMessage, vkPem: Uint8Array, policy: Policy): RecoveryMessage {
  const message = readRecovery(signed);
  const vk = readVerificationKey(vkPem, "AttestedData.enclave_vk");
  if (!enclaveIdOf(vkPem).bytes.equals(message.issuerEnclaveId))
    throw new EnclaveError("WRONG_CONTEXT", "the recovery shares are issued by another enclave");
  verifyMessage("recovery", signed.serializedRecovery?.value ?? new Uint8Array(), signed.signature, vk);
  const names = new Set(message.shares.map((share) => share.mspId));
  const isOfMembers =
    names.size === policy.organisations.length && policy.organisations.every((one) => names.has(one.mspId));
  if (!isOfMembers || !isForPolicy(message, policy))
    throw new EnclaveError(
      "POLICY_DENIED",
      "the recovery shares are not for the organisations and number of the policy",
    );
  return message;
}

/** Whether shares are for exactly these organisations, by name and keys, and as many as the policy wants of them open the keys. */
export function isForPolicy(message: RecoveryMessage, policy: Policy): boolean {
  return membersHash(policy).equals(message.membersHash) && message.threshold === policy.recoveryThreshold;
}

/** SHA-256 of the RecoveryMessage as it was signed, by which a released share names it. */
export function recoveryHash(signed: SignedRecoveryMessage): Buffer {
  return createHash("sha256")
    .update(signed.serializedRecovery?.value ?? new Uint8Array())
    .digest();
}
