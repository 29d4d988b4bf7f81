import type { KeyObject } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { EnclaveError } from "../errors.ts";
import { packAny, unpackAny } from "../messages/any.ts";
import {
  type RecoveryMessage,
  type ReleasedShareMessage,
  ReleasedShareMessageSchema,
  type SignedRecoveryMessage,
  type SignedReleasedShareMessage,
  SignedReleasedShareMessageSchema,
} from "../messages/generated/fpc/key_dist_pb.ts";
import type { Policy } from "../messages/generated/fpc/policy_pb.ts";
import type { ReadCredentials } from "./attested-data.ts";
import type { ChaincodeGeneration } from "./chaincode-keys.ts";
import { enclaveIdOf, readEnclaveId } from "./enclave-id.ts";
import { checkGeneration, checkHash, checkMspId, checkSignature } from "./fields.ts";
import { decryptWith, encryptTo, type HybridContext } from "./hybrid-encryption.ts";
import { readEncryptionKey, readVerificationKey } from "./key-formats.ts";
import { organisationOf } from "./policy.ts";
import { combineShares } from "./recovery.ts";
import { checkLength, readRecovery, recoveryHash } from "./recovery-form.ts";
import { encryptedShareBytes } from "./recovery-wrap.ts";
import { signMessage, verifyMessage } from "./signing.ts";

export interface ReleaseParts {
  readonly recovery: SignedRecoveryMessage;
  readonly mspId: string;
  /** The organisation's own, opened. */
  readonly share: SecretBuffer;
  /** A new enclave whose evidence the organisation trusts; the share is encrypted to its attested EK. */
  readonly receiver: ReadCredentials;
}

/** An organisation lets an enclave have its share. @param policyKey - The organisation's private policy key. */
export function releaseShare(parts: ReleaseParts, policyKey: KeyObject): SignedReleasedShareMessage {
  const { recovery, mspId, share, receiver } = parts;
  const { generation, chaincodeEk } = readRecovery(recovery);
  const message = create(ReleasedShareMessageSchema, {
    ccParamsHash: receiver.ccParamsHash,
    generation,
    mspId,
    receiverEnclaveId: receiver.enclaveId.bytes,
    recoveryHash: recoveryHash(recovery),
  });
  const ek = readEncryptionKey(receiver.ekPem, "AttestedData.enclave_ek");
  message.encryptedShare = encryptTo(ek, contextOf(message, chaincodeEk), share);
  const packed = packAny(ReleasedShareMessageSchema, message);
  return create(SignedReleasedShareMessageSchema, {
    serializedRelease: packed,
    signature: signMessage("releasedShare", packed.value, policyKey),
  });
}

/** What it says, whoever signed it. @throws EnclaveError MALFORMED, naming the field */
export function readReleasedShare(signed: SignedReleasedShareMessage): ReleasedShareMessage {
  checkSignature(signed.signature, "SignedReleasedShareMessage.signature");
  const message = unpackAny(
    ReleasedShareMessageSchema,
    signed.serializedRelease,
    "SignedReleasedShareMessage.serialized_release",
    ReleasedShareMessageSchema.fields.map((field) => field.name),
  );
  checkHash(message.ccParamsHash, "ReleasedShareMessage.cc_params_hash");
  checkGeneration(message.generation, "ReleasedShareMessage.generation");
  checkMspId(message.mspId, "ReleasedShareMessage.msp_id");
  readEnclaveId(message.receiverEnclaveId, "ReleasedShareMessage.receiver_enclave_id");
  checkLength(message.encryptedShare, encryptedShareBytes, "ReleasedShareMessage.encrypted_share");
  checkHash(message.recoveryHash, "ReleasedShareMessage.recovery_hash");
  return message;
}

/**
 * @param policy - The one in force.
 * @throws EnclaveError MALFORMED; UNAUTHORIZED: of none of the policy's organisations; BAD_SIGNATURE
 */
export function verifyReleasedShare(signed: SignedReleasedShareMessage, policy: Policy): ReleasedShareMessage {
  const message = readReleasedShare(signed);
  const organisation = organisationOf(policy, message.mspId);
  if (organisation === undefined)
    throw new EnclaveError("UNAUTHORIZED", "a share is released by an organisation that is not in the policy");
  const key = readVerificationKey(organisation.policyKey, "Organisation.policy_key");
  verifyMessage("releasedShare", signed.serializedRelease?.value ?? new Uint8Array(), signed.signature, key);
  return message;
}

/**
 * How many organisations have to release theirs: what opens the issue, or more where the policy in force wants more than its own did.
 *
 * @throws EnclaveError POLICY_DENIED: it wants no recovery
 */
export function sharesNeeded({ threshold }: RecoveryMessage, policy: Policy): number {
  if (policy.recoveryThreshold === 0)
    throw new EnclaveError(
      "POLICY_DENIED",
      `policy ${policy.number}, which is in force, wants no recovery of the keys`,
    );
  return Math.max(threshold, policy.recoveryThreshold);
}

export interface RecoveringEnclave {
  /** Enclave_DK. */
  readonly dk: KeyObject;
  readonly vkPem: Uint8Array;
  readonly ccParamsHash: Uint8Array;
}

/**
 * The generation out of the shares that organisations released to this enclave. A release that is of no use is left out as long as
 * there are enough without it. Whether the recovery message is the one of the ledger is the caller's to check, before.
 *
 * @throws EnclaveError POLICY_DENIED: too few are released, or the policy wants no recovery; with too few right ones, the first refusal: MALFORMED; UNAUTHORIZED;
 *   BAD_SIGNATURE; WRONG_CONTEXT: for another enclave or chaincode, or two of one organisation; REPLAY: of other recovery shares
 *   than these; BAD_CIPHERTEXT. EK_MISMATCH
 */
export async function recoverGeneration(
  recovery: SignedRecoveryMessage,
  released: readonly SignedReleasedShareMessage[],
  policy: Policy,
  enclave: RecoveringEnclave,
): Promise<ChaincodeGeneration> {
  const message = readRecovery(recovery);
  const needed = sharesNeeded(message, policy);
  const shares = new Map<string, SecretBuffer>();
  let refusal: EnclaveError | undefined;
  try {
    for (const signed of released)
      try {
        const release = verifyReleasedShare(signed, policy);
        checkRelease(release, recovery, message, enclave);
        if (shares.has(release.mspId))
          throw new EnclaveError("WRONG_CONTEXT", `${release.mspId} is given twice among the released shares`);
        const context = contextOf(release, message.chaincodeEk);
        shares.set(release.mspId, decryptWith(enclave.dk, context, release.encryptedShare));
      } catch (error) {
        if (!(error instanceof EnclaveError)) throw error;
        refusal ??= error;
      }
    if (shares.size < needed && refusal !== undefined) throw refusal;
    return await combineShares(message, shares, needed);
  } finally {
    for (const share of shares.values()) share[Symbol.dispose]();
  }
}

function checkRelease(
  release: ReleasedShareMessage,
  recovery: SignedRecoveryMessage,
  message: RecoveryMessage,
  enclave: RecoveringEnclave,
): void {
  const isForThisOne =
    enclaveIdOf(enclave.vkPem).bytes.equals(release.receiverEnclaveId) &&
    Buffer.from(enclave.ccParamsHash).equals(release.ccParamsHash);
  if (!isForThisOne) throw new EnclaveError("WRONG_CONTEXT", "a share is released to another enclave or chaincode");
  if (!recoveryHash(recovery).equals(release.recoveryHash) || release.generation !== message.generation)
    throw new EnclaveError("REPLAY", `${release.mspId} released a share of others than those in force`);
}

function contextOf(message: ReleasedShareMessage, chaincodeEk: Uint8Array): HybridContext {
  return {
    purpose: "released-share",
    ccParamsHash: message.ccParamsHash,
    chaincodeEk,
    sender: Buffer.from(message.mspId, "utf8"),
    receiver: message.receiverEnclaveId,
    generation: message.generation,
    nonce: message.recoveryHash,
  };
}
