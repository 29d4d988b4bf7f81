import { pbkdf2, type ScryptOptions, scrypt } from "node:crypto";
import { promisify } from "node:util";
import { SecretBuffer } from "./secret-buffer.ts";

/** Cost of scrypt (RFC 7914). `cost` is N, `blockSize` r, `parallelization` p. Memory is 128·N·r bytes. */
export interface ScryptParameters {
  readonly cost: number;
  readonly blockSize: number;
  readonly parallelization: number;
}

/** 128 MiB and about half a second on a server core. */
export const scryptDefaults: ScryptParameters = { cost: 131_072, blockSize: 8, parallelization: 1 };

/** Parameters come from files that others may have changed: too small gives the passphrase away, too large stops us. */
export const scryptBounds = { minCost: 16_384, maxCost: 131_072, blockSize: 8, maxParallelization: 4 } as const;
const scryptMaxMemoryBytes = 160 * 1024 * 1024;

/**
 * Derives a key from a passphrase by scrypt, off the main thread. The caller disposes of the result.
 *
 * @param salt - At least 16 bytes.
 * @param keyBytes - 16 to 64.
 * @throws {RangeError} For anything outside these ranges or {@link scryptBounds}, before any work is done.
 */
export async function scryptKey(
  passphrase: SecretBuffer,
  salt: Uint8Array,
  keyBytes: number,
  parameters: ScryptParameters = scryptDefaults,
): Promise<SecretBuffer> {
  const { cost, blockSize, parallelization } = parameters;
  const { minCost, maxCost, maxParallelization } = scryptBounds;
  if (!Number.isInteger(Math.log2(cost)) || cost < minCost || cost > maxCost)
    throw new RangeError(`scrypt cost must be a power of 2 from ${minCost} to ${maxCost}, got ${cost}`);
  if (blockSize !== scryptBounds.blockSize)
    throw new RangeError(`scrypt block size must be ${scryptBounds.blockSize}, got ${blockSize}`);
  checkInteger("scrypt parallelization", parallelization, 1, maxParallelization);
  checkInteger("salt length in bytes", salt.length, 16, 64);
  checkInteger("key length in bytes", keyBytes, 16, 64);
  const options = { cost, blockSize, parallelization, maxmem: scryptMaxMemoryBytes };
  return SecretBuffer.take(await passphrase.expose((bytes) => scryptAsync(bytes, salt, keyBytes, options)));
}

/**
 * PBKDF2 (RFC 8018) over HMAC-SHA-256 or HMAC-SM3, off the main thread, to read formats that use it; new passphrases go
 * through {@link scryptKey}. The caller disposes of the result.
 *
 * @param iterations - 1 to 10 000 000; what protects a passphrase today is 600 000.
 * @param keyBytes - 1 to 64.
 * @throws {RangeError} For anything outside these ranges, before any work is done.
 */
export async function pbkdf2Key(
  hash: "sha256" | "sm3",
  passphrase: SecretBuffer,
  salt: Uint8Array,
  iterations: number,
  keyBytes: number,
): Promise<SecretBuffer> {
  checkInteger("PBKDF2 iterations", iterations, 1, 10_000_000);
  checkInteger("key length in bytes", keyBytes, 1, 64);
  return SecretBuffer.take(await passphrase.expose((bytes) => pbkdf2Async(bytes, salt, iterations, keyBytes, hash)));
}

const pbkdf2Async = promisify(pbkdf2);
const scryptAsync: (
  passphrase: Uint8Array,
  salt: Uint8Array,
  keyBytes: number,
  options: ScryptOptions,
) => Promise<Buffer> = promisify(scrypt);

function checkInteger(what: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value) || value < least || value > most)
    throw new RangeError(`${what} must be a whole number from ${least} to ${most}, got ${value}`);
}
