import { hkdfSync } from "node:crypto";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { EnclaveError } from "../errors.ts";
import type { RecoveryMessage } from "../messages/generated/fpc/key_dist_pb.ts";
import type { ChaincodeGeneration } from "./chaincode-keys.ts";
import {
  associatedData,
  combineWrappingKey,
  hashOf,
  shareBytes,
  shareHash,
  unwrapGeneration,
  unwrapUnder,
  wrappingKeyBytes,
  wrapUnder,
} from "./recovery-wrap.ts";

/**
 * The shares once more, for who holds the generation to verify: AES-256-GCM over all of them, in the message's order, under
 * HKDF-SHA-256 of the KeyGeneration's bytes. Of SEK and DK both: who had only one of them would learn the other from the shares.
 *
 * @param message - Complete but for `sealed_shares`; what is sealed is bound to all of it.
 */
export function sealShares(
  generation: ChaincodeGeneration,
  message: RecoveryMessage,
  shares: readonly SecretBuffer[],
): Buffer {
  const bytes = Buffer.allocUnsafeSlow(shares.length * shareBytes);
  shares.forEach((share, index) => {
    share.expose((one) => one.copy(bytes, index * shareBytes));
  });
  using text = SecretBuffer.adopt(bytes);
  using key = sealingKey(generation, message);
  return wrapUnder(key, text, boundTo(message));
}

/**
 * That any `threshold` of the shares open this generation, as an enclave that holds it can tell. Not whether each is encrypted to
 * its organisation as it should be: that the organisation sees, with its recovery key (`openShare`).
 *
 * @throws EnclaveError NOT_FOUND: the issue has nothing to verify it by; BAD_CIPHERTEXT: they do not fit, and are of no use
 */
export async function checkShares(generation: ChaincodeGeneration, message: RecoveryMessage): Promise<void> {
  if (message.sealedShares.length === 0)
    throw new EnclaveError("NOT_FOUND", "the recovery shares were issued without what verifies them");
  const shares = unsealShares(generation, message);
  try {
    checkHashes(message, shares);
    using key = await commonKey(shares, message.threshold);
    using opened = unwrapGeneration(key, message);
    const isSame =
      opened.number === generation.number &&
      opened.ekPem.equals(generation.ekPem) &&
      opened.stateKeyCommitment.equals(generation.stateKeyCommitment);
    if (!isSame) throw new EnclaveError("BAD_CIPHERTEXT", "the recovery shares open other keys than the chaincode's");
  } finally {
    for (const share of shares) share[Symbol.dispose]();
  }
}

function unsealShares(generation: ChaincodeGeneration, message: RecoveryMessage): SecretBuffer[] {
  using key = sealingKey(generation, message);
  using text = unwrapUnder(key, message.sealedShares, boundTo(message));
  if (text === undefined || text.byteLength !== message.shares.length * shareBytes)
    throw new EnclaveError("BAD_CIPHERTEXT", "what verifies the recovery shares does not open");
  return text.expose((bytes) =>
    message.shares.map((_, index) => SecretBuffer.copyOf(bytes.subarray(index * shareBytes, (index + 1) * shareBytes))),
  );
}

/** Each is the one that the message shows, and has a number of its own. */
function checkHashes(message: RecoveryMessage, shares: readonly SecretBuffer[]): void {
  // Number 0 would be the wrapping key itself.
  const numbers = new Set([0]);
  for (const [index, { mspId, shareHash: shown }] of message.shares.entries()) {
    const share = shares[index];
    if (share === undefined || !shareHash(message, mspId, share).equals(shown))
      throw new EnclaveError("BAD_CIPHERTEXT", `the recovery share of ${mspId} is not the one that is shown`);
    const number = share.expose((bytes) => bytes[wrappingKeyBytes] ?? 0);
    if (numbers.has(number)) throw new EnclaveError("BAD_CIPHERTEXT", "the recovery shares do not fit together");
    numbers.add(number);
  }
}

/**
 * The one key that any `threshold` of the shares make. The first of them determine polynomials of a degree below the threshold; one
 * more share lies on these if it gives the same key together with all but one of them, for then both polynomials agree in
 * `threshold` points, 0 among them.
 */
async function commonKey(shares: readonly SecretBuffer[], threshold: number): Promise<SecretBuffer> {
  const key = await combineWrappingKey(shares.slice(0, threshold));
  try {
    for (const share of shares.slice(threshold)) {
      using other = await combineWrappingKey([...shares.slice(0, threshold - 1), share]);
      if (!key.equals(other)) throw new EnclaveError("BAD_CIPHERTEXT", "the recovery shares do not fit together");
    }
    return key;
  } catch (error) {
    key[Symbol.dispose]();
    throw error;
  }
}

const sealDomain = Buffer.from("strongroom/fpc/v1/recovery/sealed-shares\u0000", "ascii");

function sealingKey(generation: ChaincodeGeneration, message: RecoveryMessage): SecretBuffer {
  using secret = generation.encode();
  const info = Buffer.concat([sealDomain, boundTo(message)]);
  return SecretBuffer.adopt(
    Buffer.from(secret.expose((bytes) => hkdfSync("sha256", bytes, Buffer.alloc(0), info, wrappingKeyBytes))),
  );
}

/** All of the message but what is sealed. */
function boundTo(message: RecoveryMessage): Buffer {
  const shares = message.shares.flatMap(({ mspId, encryptedShare, shareHash: hash }) => [
    Buffer.from(mspId, "utf8"),
    encryptedShare,
    hash,
  ]);
  return hashOf("sealed-shares", [associatedData(message), message.wrappedGeneration, ...shares]);
}
