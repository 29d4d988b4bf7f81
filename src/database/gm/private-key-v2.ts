import { scalarBytes } from "../../crypto/curve.ts";
import { type ScryptParameters, scryptDefaults, scryptKey } from "../../crypto/kdf.ts";
import { kernelRandomBytes } from "../../crypto/kernel-random.ts";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { aeadOpen, aeadSeal, nonceBytes, suites, tagBytes } from "../../crypto/suite.ts";
import type { PrivateKeyToOpen, PrivateKeyToSeal } from "./private-key.ts";

const prefix = "strongroom-gm-v2.";
const label = "strongroom/gm-private-key/v2";
const version = 2;
const suite = suites.sm;
const saltBytes = 32;
const headerBytes = 5 + saltBytes;
const containerBytes = headerBytes + nonceBytes + scalarBytes + tagBytes;

/** True for text that begins as a container does, whatever follows. */
export function isContainer(text: string): boolean {
  return text.startsWith(prefix);
}

/**
 * Seals a private key into a container with a salt of its own: `strongroom-gm-v2.` and, in base64url without padding,
 *
 *     version 2 (1) ‖ suite 2 (1) ‖ log2 N (1) ‖ r (1) ‖ p (1) ‖ salt (32) ‖ nonce (12) ‖ ciphertext (32) ‖ tag (16)
 *
 * sealed with SM4-GCM (RFC 8998) under scrypt(pincode, salt, N, r, p, 16 bytes), with the associated data
 * "strongroom/gm-private-key/v2" ‖ the first 37 bytes ‖ 04 ‖ X ‖ Y.
 */
export async function sealContainer(
  { scalar, publicKey, pincode }: PrivateKeyToSeal,
  parameters: ScryptParameters = scryptDefaults,
): Promise<string> {
  const { cost, blockSize, parallelization } = parameters;
  const salt = kernelRandomBytes(saltBytes);
  const header = Buffer.concat([Buffer.of(version, suite.id, Math.log2(cost), blockSize, parallelization), salt]);
  using key = await scryptKey(pincode, salt, suite.keyBytes, parameters);
  const nonce = kernelRandomBytes(nonceBytes);
  const sealed = key.expose((keyBytes) =>
    scalar.expose((number) => aeadSeal(suite, keyBytes, nonce, associatedData(header, publicKey), number)),
  );
  return prefix + Buffer.concat([header, nonce, sealed]).toString("base64url");
}

/** Undefined for what has not the form or does not authenticate. The caller disposes of the number. */
export async function openContainer({ text, publicKey, pincode }: PrivateKeyToOpen): Promise<SecretBuffer | undefined> {
  const container = canonicalBytes(text.slice(prefix.length));
  if (container?.length !== containerBytes) return undefined;
  const header = container.subarray(0, headerBytes);
  const [formatVersion, suiteId, costBits = 0, blockSize = 0, parallelization = 0] = header;
  if (formatVersion !== version || suiteId !== suite.id) return undefined;
  const key = await stretched(pincode, header.subarray(5), { cost: 2 ** costBits, blockSize, parallelization });
  if (key === undefined) return undefined;
  using kept = key;
  const nonce = container.subarray(headerBytes, headerBytes + nonceBytes);
  const sealed = container.subarray(headerBytes + nonceBytes);
  return kept.expose((keyBytes) => aeadOpen(suite, keyBytes, nonce, associatedData(header, publicKey), sealed));
}

/** Undefined for costs that are too small to protect a pincode or too large to pay. */
async function stretched(
  pincode: SecretBuffer,
  salt: Buffer,
  parameters: ScryptParameters,
): Promise<SecretBuffer | undefined> {
  try {
    return await scryptKey(pincode, salt, suite.keyBytes, parameters);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function associatedData(header: Buffer, publicKey: Buffer): Buffer {
  return Buffer.concat([Buffer.from(label), header, publicKey]);
}

/** Of the one base64url text that these bytes have; undefined for any other. */
function canonicalBytes(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64url");
  return bytes.toString("base64url") === text ? bytes : undefined;
}
