import type { KeyObject } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { split } from "shamir-secret-sharing";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { EnclaveError } from "../errors.ts";
import { packAny } from "../messages/any.ts";
import {
  type RecoveryMessage,
  RecoveryMessageSchema,
  RecoveryShareSchema,
  type SignedRecoveryMessage,
  SignedRecoveryMessageSchema,
} from "../messages/generated/fpc/key_dist_pb.ts";
import type { Policy } from "../messages/generated/fpc/policy_pb.ts";
import type { ChaincodeGeneration } from "./chaincode-keys.ts";
import { decryptWith, encryptTo, type HybridContext } from "./hybrid-encryption.ts";
import { readEncryptionKey } from "./key-formats.ts";
import { membersHash } from "./policy.ts";
import { sealShares } from "./recovery-check.ts";
import {
  associatedData,
  combineWrappingKey,
  shareHash,
  unwrapGeneration,
  wrappingKeyBytes,
  wrapUnder,
} from "./recovery-wrap.ts";
import { signMessage } from "./signing.ts";

export interface RecoveryParts {
  readonly ccParamsHash: Uint8Array;
  readonly generation: ChaincodeGeneration;
  /** Its organisations get a share each, and its recovery_threshold of them open the keys. */
  readonly policy: Policy;
  readonly issuer: { readonly enclaveId: Uint8Array; readonly sk: KeyObject };
}

/**
 * Puts a generation under a new wrapping key, and shares that by Shamir's scheme over GF(2^8) among the policy's organisations, each
 * share encrypted to its organisation's recovery key, and all of them once more to who holds the generation. Layout of what is
 * wrapped: `wrapUnder`.
 *
 * @throws EnclaveError POLICY_DENIED: the policy wants no recovery shares
 */
export async function issueRecovery(parts: RecoveryParts): Promise<SignedRecoveryMessage> {
  const { ccParamsHash, generation, policy, issuer } = parts;
  const threshold = policy.recoveryThreshold;
  if (threshold === 0) throw new EnclaveError("POLICY_DENIED", "the policy wants no recovery shares of the keys");
  const message = create(RecoveryMessageSchema, {
    ccParamsHash,
    chaincodeEk: generation.ekPem,
    generation: generation.number,
    threshold,
    membersHash: membersHash(policy),
    issuerEnclaveId: issuer.enclaveId,
    policyNumber: policy.number,
  });
  using key = SecretBuffer.random(wrappingKeyBytes);
  using text = generation.encode();
  message.wrappedGeneration = wrapUnder(key, text, associatedData(message));
  const shares = await splitWrappingKey(key, policy.organisations.length, threshold);
  try {
    message.shares = policy.organisations.map(({ mspId, recoveryKey }, index) => {
      const share = shares[index];
      if (share === undefined) throw new RangeError("there are fewer shares than organisations");
      const ek = readEncryptionKey(recoveryKey, "Organisation.recovery_key");
      return create(RecoveryShareSchema, {
        mspId,
        encryptedShare: encryptTo(ek, shareContext(message, mspId), share),
        shareHash: shareHash(message, mspId, share),
      });
    });
    message.sealedShares = sealShares(generation, message, shares);
  } finally {
    for (const share of shares) share[Symbol.dispose]();
  }
  const packed = packAny(RecoveryMessageSchema, message);
  return create(SignedRecoveryMessageSchema, {
    serializedRecovery: packed,
    signature: signMessage("recovery", packed.value, issuer.sk),
  });
}

async function splitWrappingKey(key: SecretBuffer, count: number, threshold: number): Promise<SecretBuffer[]> {
  // The library takes a plain Uint8Array and no Buffer.
  const plain = key.expose((bytes) => new Uint8Array(bytes));
  const shares = await split(plain, count, threshold).finally(() => plain.fill(0));
  return shares.map((share) => SecretBuffer.take(share));
}

/**
 * An organisation opens its own share, to release it.
 *
 * @param recoveryKey - Its private recovery key, RSA-3072.
 * @throws EnclaveError NOT_FOUND: there is no share for the organisation; BAD_CIPHERTEXT
 */
export function openShare(message: RecoveryMessage, mspId: string, recoveryKey: KeyObject): SecretBuffer {
  const share = message.shares.find((one) => one.mspId === mspId);
  if (share === undefined)
    throw new EnclaveError("NOT_FOUND", "the ledger has no recovery share for this organisation");
  const opened = decryptWith(recoveryKey, shareContext(message, mspId), share.encryptedShare);
  if (isShareOf(message, mspId, opened)) return opened;
  opened[Symbol.dispose]();
  throw new EnclaveError("BAD_CIPHERTEXT", `the recovery share of ${mspId} is not the one that was issued`);
}

/** Whether this is the share that was issued to the organisation: who releases a wrong one is found. */
export function isShareOf(message: RecoveryMessage, mspId: string, share: SecretBuffer): boolean {
  const issued = message.shares.find((one) => one.mspId === mspId);
  return issued !== undefined && shareHash(message, mspId, share).equals(issued.shareHash);
}

/**
 * Opens the generation with the shares of at least as many organisations as are needed. Wrong shares are left out: one organisation
 * cannot hold up the others.
 *
 * @param shares - By organisation.
 * @param needed - Not fewer than the message's threshold, which is what it takes to open it.
 * @throws EnclaveError POLICY_DENIED: too few; BAD_CIPHERTEXT: too few without the wrong ones, or they do not open it; EK_MISMATCH
 */
export async function combineShares(
  message: RecoveryMessage,
  shares: ReadonlyMap<string, SecretBuffer>,
  needed: number = message.threshold,
): Promise<ChaincodeGeneration> {
  if (shares.size < needed)
    throw new EnclaveError("POLICY_DENIED", `${shares.size} recovery shares are released, and ${needed} are needed`, {
      hint: "have more organisations release theirs to this enclave: strongroom fpc keys release ID",
    });
  const right = [...shares].filter(([mspId, share]) => isShareOf(message, mspId, share));
  if (right.length < needed) {
    const [wrong] = [...shares.keys()].filter((mspId) => !right.some(([one]) => one === mspId));
    throw new EnclaveError(
      "BAD_CIPHERTEXT",
      `the recovery share that ${wrong} released is not the one that was issued`,
    );
  }
  using key = await combineWrappingKey(right.slice(0, message.threshold).map(([, share]) => share));
  const generation = unwrapGeneration(key, message);
  if (generation.number === message.generation && generation.ekPem.equals(message.chaincodeEk)) return generation;
  generation[Symbol.dispose]();
  throw new EnclaveError("EK_MISMATCH", "the recovered private key is not that of the chaincode key on the ledger");
}

/** What an organisation's share is encrypted for. */
export function shareContext(message: RecoveryMessage, mspId: string): HybridContext {
  return {
    purpose: "recovery-share",
    ccParamsHash: message.ccParamsHash,
    chaincodeEk: message.chaincodeEk,
    sender: message.issuerEnclaveId,
    receiver: Buffer.from(mspId, "utf8"),
    generation: message.generation,
  };
}
