import { createHmac, hkdfSync } from "node:crypto";
import { EnclaveError } from "../errors.ts";
import type { ChaincodeGeneration } from "./chaincode-keys.ts";
import { decryptMessage, encryptMessage, ivBytes, tagBytes } from "./message-cipher.ts";

const formatVersion = 1;
const prefixBytes = 1 + 4;
const headBytes = prefixBytes + ivBytes + tagBytes;

/** Where a value of private state lies; it opens nowhere else. */
export interface StateName {
  readonly chaincodeId: string;
  readonly key: string;
}

/**
 * Encrypts a value of private state under SEK by AES-128-GCM, upstream's layout with the generation before it:
 *
 *     version 1 (1) ‖ generation (4, big-endian) ‖ IV (12) ‖ tag (16) ‖ ciphertext
 *
 * The associated data are the chaincode, the key and the generation; upstream has none, so that its host may exchange values.
 *
 * @param txId - Of the transaction: the IV then follows from it, the name and the value (HMAC-SHA-256 under a key of its own), so that
 *   two enclaves with the same keys write the same bytes in the same transaction and endorse alike. Left out: random.
 */
export function encryptState(
  generation: ChaincodeGeneration,
  name: StateName,
  value: Uint8Array,
  txId?: string,
): Buffer {
  const prefix = prefixOf(generation.number);
  const bound = associatedData(prefix, name);
  return generation.stateKey.expose((key) => {
    const iv = txId === undefined ? undefined : derivedIv(key, bound, txId, value);
    return Buffer.concat([prefix, encryptMessage(key, value, bound, iv)]);
  });
}

/** @throws EnclaveError MALFORMED: not a value of private state. @returns The generation that a value is encrypted under */
export function generationOfState(bytes: Uint8Array): bigint {
  if (bytes.length < headBytes || bytes[0] !== formatVersion)
    throw new EnclaveError("MALFORMED", "a value of private state is not of its form");
  return BigInt(Buffer.from(bytes).readUInt32BE(1));
}

/**
 * @param generation - The one that {@link generationOfState} names.
 * @returns Memory of its own.
 * @throws EnclaveError MALFORMED; WRONG_CONTEXT: of another generation; BAD_CIPHERTEXT: altered, of another key or chaincode
 */
export function decryptState(generation: ChaincodeGeneration, name: StateName, bytes: Uint8Array): Buffer {
  if (generationOfState(bytes) !== generation.number)
    throw new EnclaveError("WRONG_CONTEXT", `a value of private state is not under generation ${generation.number}`);
  const bound = associatedData(prefixOf(generation.number), name);
  return generation.stateKey.expose((key) =>
    decryptMessage(key, bytes.subarray(prefixBytes), "a value of private state", bound),
  );
}

function prefixOf(generation: bigint): Buffer {
  const prefix = Buffer.alloc(prefixBytes);
  prefix[0] = formatVersion;
  prefix.writeUInt32BE(Number(generation), 1);
  return prefix;
}

function associatedData(prefix: Buffer, { chaincodeId, key }: StateName): Buffer {
  return Buffer.concat([prefix, withLength(Buffer.from(chaincodeId, "utf8")), withLength(Buffer.from(key, "utf8"))]);
}

/** The same IV comes again only for the same transaction, name and value, whose ciphertext is the same as well. */
function derivedIv(stateKey: Buffer, bound: Buffer, txId: string, value: Uint8Array): Buffer {
  const key = Buffer.from(hkdfSync("sha256", stateKey, Buffer.alloc(0), "strongroom/fpc/v1/state-iv", 32));
  try {
    const hmac = createHmac("sha256", key)
      .update(withLength(bound))
      .update(withLength(Buffer.from(txId, "utf8")));
    return hmac.update(value).digest().subarray(0, ivBytes);
  } finally {
    key.fill(0);
  }
}

function withLength(bytes: Uint8Array): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}
