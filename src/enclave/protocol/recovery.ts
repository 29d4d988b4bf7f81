import { createCipheriv, createDecipheriv, createHash, type KeyObject } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { combine, split } from "shamir-secret-sharing";
import { kernelRandomBytes } from "../../crypto/kernel-random.ts";
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
import { ChaincodeGeneration } from "./chaincode-keys.ts";
import { decryptWith, encryptTo, type HybridContext } from "./hybrid-encryption.ts";
import { readEncryptionKey } from "./key-formats.ts";
import { membersHash } from "./policy.ts";
import { signMessage } from "./signing.ts";

/** The wrapping key, and each share of it: as many bytes, and the share's own number. */
const wrappingKeyBytes = 32;
export const shareBytes = wrappingKeyBytes + 1;
const [wrapVersion, ivBytes, tagBytes] = [1, 12, 16] as const;
const headBytes = 1 + ivBytes + tagBytes;

export interface RecoveryParts {
  readonly ccParamsHash: Uint8Array;
  readonly generation: ChaincodeGeneration;
  /** Its organisations get a share each, and its recovery_threshold of them open the keys. */
  readonly policy: Policy;
  readonly issuer: { readonly enclaveId: Uint8Array; readonly sk: KeyObject };
}

/**
 * Puts a generation under a new wrapping key, and shares that by Shamir's scheme over GF(2^8) among the policy's organisations, each
 * share encrypted to its organisation's recovery key. Layout of the wrapped generation (AES-256-GCM):
 *
 *     version 1 (1) ‖ IV (12) ‖ tag (16) ‖ ciphertext
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
  });
  using key = SecretBuffer.random(wrappingKeyBytes);
  message.wrappedGeneration = wrap(key, generation, message);
  // The library takes a plain Uint8Array and no Buffer.
  const plain = key.expose((bytes) => new Uint8Array(bytes));
  const shares = await split(plain, policy.organisations.length, threshold).finally(() => plain.fill(0));
  message.shares = policy.organisations.map(({ mspId, recoveryKey }, index) => {
    using share = SecretBuffer.take(shares[index] ?? new Uint8Array());
    const ek = readEncryptionKey(recoveryKey, "Organisation.recovery_key");
    return create(RecoveryShareSchema, {
      mspId,
      encryptedShare: encryptTo(ek, shareContext(message, mspId), share),
      shareHash: shareHash(message, mspId, share),
    });
  });
  const packed = packAny(RecoveryMessageSchema, message);
  return create(SignedRecoveryMessageSchema, {
    serializedRecovery: packed,
    signature: signMessage("recovery", packed.value, issuer.sk),
  });
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
 * Opens the generation with the shares of at least as many organisations as the message's threshold. Wrong shares are left out: one
 * organisation cannot hold up the others.
 *
 * @param shares - By organisation.
 * @throws EnclaveError POLICY_DENIED: too few; BAD_CIPHERTEXT: too few without the wrong ones, or they do not open it; EK_MISMATCH
 */
export async function combineShares(
  message: RecoveryMessage,
  shares: ReadonlyMap<string, SecretBuffer>,
): Promise<ChaincodeGeneration> {
  const { threshold } = message;
  if (shares.size < threshold)
    throw new EnclaveError(
      "POLICY_DENIED",
      `${shares.size} recovery shares are released, and ${threshold} are needed`,
      {
        hint: "have more organisations release theirs to this enclave: strongroom fpc keys release ID",
      },
    );
  const right = [...shares].filter(([mspId, share]) => isShareOf(message, mspId, share));
  if (right.length < threshold) {
    const [wrong] = [...shares.keys()].filter((mspId) => !right.some(([one]) => one === mspId));
    throw new EnclaveError(
      "BAD_CIPHERTEXT",
      `the recovery share that ${wrong} released is not the one that was issued`,
    );
  }
  const copies = right.slice(0, threshold).map(([, share]) => share.expose((bytes) => new Uint8Array(bytes)));
  let key: SecretBuffer;
  try {
    key = SecretBuffer.take(await combine(copies));
  } catch {
    throw new EnclaveError("BAD_CIPHERTEXT", "the recovery shares do not fit together");
  } finally {
    for (const copy of copies) copy.fill(0);
  }
  using held = key;
  const generation = unwrap(held, message);
  if (generation.number === message.generation && generation.ekPem.equals(message.chaincodeEk)) return generation;
  generation[Symbol.dispose]();
  throw new EnclaveError("EK_MISMATCH", "the recovered private key is not that of the chaincode key on the ledger");
}

function wrap(key: SecretBuffer, generation: ChaincodeGeneration, message: RecoveryMessage): Buffer {
  using text = generation.encode();
  const iv = kernelRandomBytes(ivBytes);
  const cipher = key.expose((bytes) => createCipheriv("aes-256-gcm", bytes, iv)).setAAD(associatedData(message));
  const ciphertext = text.expose((bytes) => Buffer.concat([cipher.update(bytes), cipher.final()]));
  return Buffer.concat([Buffer.of(wrapVersion), iv, cipher.getAuthTag(), ciphertext]);
}

function unwrap(key: SecretBuffer, message: RecoveryMessage): ChaincodeGeneration {
  const wrapped = message.wrappedGeneration;
  const refused = () => new EnclaveError("BAD_CIPHERTEXT", "the recovery shares do not open the generation");
  if (key.byteLength !== wrappingKeyBytes || wrapped.length <= headBytes || wrapped[0] !== wrapVersion) throw refused();
  const iv = wrapped.subarray(1, 1 + ivBytes);
  const decipher = key
    .expose((bytes) => createDecipheriv("aes-256-gcm", bytes, iv, { authTagLength: tagBytes }))
    .setAAD(associatedData(message))
    .setAuthTag(wrapped.subarray(1 + ivBytes, headBytes));
  using text = SecretBuffer.adopt(decipher.update(wrapped.subarray(headBytes)));
  try {
    decipher.final();
    return ChaincodeGeneration.fromBytes(text);
  } catch {
    throw refused();
  }
}

/** Of whom, for how many of whom: all but the shares, each with its length before it. */
function associatedData(message: RecoveryMessage): Buffer {
  const numbers = Buffer.alloc(12);
  numbers.writeBigUInt64BE(message.generation);
  numbers.writeUInt32BE(message.threshold, 8);
  return hashOf("wrapped-generation", [
    message.ccParamsHash,
    message.chaincodeEk,
    numbers,
    message.membersHash,
    message.issuerEnclaveId,
  ]);
}

function shareContext(message: RecoveryMessage, mspId: string): HybridContext {
  return {
    purpose: "recovery-share",
    ccParamsHash: message.ccParamsHash,
    chaincodeEk: message.chaincodeEk,
    sender: message.issuerEnclaveId,
    receiver: Buffer.from(mspId, "utf8"),
    generation: message.generation,
  };
}

/** A share has 256 random bits: its hash tells nothing of it. */
function shareHash(message: RecoveryMessage, mspId: string, share: SecretBuffer): Buffer {
  return share.expose((bytes) => hashOf("share", [associatedData(message), Buffer.from(mspId, "utf8"), bytes]));
}

function hashOf(purpose: string, parts: readonly Uint8Array[]): Buffer {
  const hash = createHash("sha256");
  for (const part of [Buffer.from(`strongroom/fpc/v1/recovery/${purpose}`, "ascii"), ...parts]) {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(part.length);
    hash.update(length).update(part);
  }
  return hash.digest();
}
