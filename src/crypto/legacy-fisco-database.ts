import snappy from "snappyjs";
import { CryptoError } from "./errors.ts";
import { kernelRandomBytes } from "./kernel-random.ts";
import { type LegacyMode, legacyDecrypt, legacyEncrypt, legacyIvBytes, legacyKey } from "./legacy-fisco.ts";
import type { SecretBuffer } from "./secret-buffer.ts";
import { cbcEncryptUnauthenticated } from "./unauthenticated-cipher.ts";

/**
 * How a FISCO BCOS node stores a value; the key names (`table:key`) are always clear, and the value does not say which.
 * `v2-raw`: LevelDB, the PBFT backup, RocksDB before 2.7.0. `v2-snappy`: RocksDB from 2.7.0, compressed first.
 * `v3`: before compatibility_version 3.3.0. `v3.3`: from 3.3.0, the IV after the ciphertext.
 */
export type LegacyDatabaseFormat = "v2-raw" | "v2-snappy" | "v3" | "v3.3";

/** The largest value after decompression: 64 MiB. */
export const maxLegacyValueBytes: number = 1 << 26;

/**
 * The plaintext of a stored database value. An empty value is stored as such by v3; in v2 it is refused.
 *
 * @param dataKey - The readable data key (the passphrase that `decDataKey` returns).
 * @throws {CryptoError} `LEGACY_REFUSED` for another key, mode or format, as far as padding and compression show it.
 */
export function legacyDecryptDatabaseValue(
  format: LegacyDatabaseFormat,
  mode: LegacyMode,
  dataKey: SecretBuffer,
  value: Uint8Array,
): Buffer {
  if (value.length === 0 && (format === "v3" || format === "v3.3")) return Buffer.alloc(0);
  if (format === "v3.3" && value.length < legacyIvBytes) throw new CryptoError("LEGACY_REFUSED");
  const bodyBytes = format === "v3.3" ? value.length - legacyIvBytes : value.length;
  const iv = format === "v3.3" ? value.subarray(bodyBytes) : undefined;
  using plaintext = legacyDecrypt(mode, dataKey, value.subarray(0, bodyBytes), iv);
  return plaintext.expose((bytes) => (format === "v2-snappy" ? decompress(bytes) : Buffer.from(bytes)));
}

/** Writes a value as such a node does, but for `v3.3` under a random IV, where the node's own is always the same one. */
export function legacyEncryptDatabaseValue(
  format: LegacyDatabaseFormat,
  mode: LegacyMode,
  dataKey: SecretBuffer,
  value: Uint8Array,
): Buffer {
  if (value.length > maxLegacyValueBytes)
    throw new RangeError(`a value has at most ${maxLegacyValueBytes} bytes, got ${value.length}`);
  if (value.length === 0 && (format === "v3" || format === "v3.3")) return Buffer.alloc(0);
  if (format === "v2-snappy") return legacyEncrypt(mode, dataKey, snappy.compress(Buffer.from(value)));
  if (format !== "v3.3") return legacyEncrypt(mode, dataKey, value);
  const iv = kernelRandomBytes(legacyIvBytes);
  using key = legacyKey(mode, dataKey);
  const cipher = mode === "standard" ? "aes-256-cbc" : "sm4-cbc";
  return Buffer.concat([cbcEncryptUnauthenticated(cipher, key, iv, value), iv]);
}

function decompress(compressed: Buffer): Buffer {
  // snappyjs leaves zeros where a stream says less than its length, and drops what it says beyond: check before.
  const declared = declaredLength(compressed);
  if (declared === undefined || declared.bytes > maxLegacyValueBytes) throw new CryptoError("LEGACY_REFUSED");
  if (producedBytes(compressed, declared.end) !== declared.bytes) throw new CryptoError("LEGACY_REFUSED");
  try {
    return snappy.uncompress(compressed, maxLegacyValueBytes);
  } catch (cause) {
    throw new CryptoError("LEGACY_REFUSED", undefined, cause);
  }
}

/** The varint at the start of a raw snappy stream, and where it ends. */
function declaredLength(stream: Buffer): { readonly bytes: number; readonly end: number } | undefined {
  let bytes = 0;
  for (let i = 0; i < 5; i++) {
    const byte = stream[i];
    if (byte === undefined) return undefined;
    bytes += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return { bytes, end: i + 1 };
  }
  return undefined;
}

/** How many bytes the elements of a raw snappy stream yield; undefined when the last is cut. */
function producedBytes(stream: Buffer, start: number): number | undefined {
  let produced = 0;
  let at = start;
  while (at < stream.length) {
    const tag = stream.readUInt8(at);
    const kind = tag & 3;
    const short = tag >> 2;
    let length = kind === 1 ? (short & 7) + 4 : short + 1;
    let extra = kind === 3 ? 4 : kind;
    if (kind === 0) {
      const lengthBytes = Math.max(0, short - 59);
      if (at + 1 + lengthBytes > stream.length) return undefined;
      if (lengthBytes > 0) length = stream.readUIntLE(at + 1, lengthBytes) + 1;
      extra = lengthBytes + length;
    }
    at += 1 + extra;
    produced += length;
  }
  return at === stream.length ? produced : undefined;
}
