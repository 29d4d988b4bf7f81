import { createDecipheriv } from "node:crypto";
import { keySpecs } from "../crypto/key-specs.ts";
import { OpensslKey } from "../crypto/openssl-key.ts";
import { SecretBuffer } from "../crypto/secret-buffer.ts";
import { hkdf, suites } from "../crypto/suite.ts";
import type { WrappingAlgorithm, WrappingKeySpec } from "./contract/key-attributes.ts";
import type { KeySpec } from "./service.ts";

/** AES Key Wrap with Padding under a 256-bit key, in OpenSSL's name, and its alternative initial value (RFC 5649, 3). */
const keyWrapCipher = "id-aes256-wrap-pad";
const keyWrapInitialValue = Buffer.from("a65959a6", "hex");
const keyWrapKeyBytes = 32;

interface Wrapping {
  readonly encryption: "RSAES_OAEP_SHA_1" | "RSAES_OAEP_SHA_256" | "SM2PKE";
  /** RSA encrypts an AES key that wraps the material, which comes after it. */
  readonly withKeyWrap: boolean;
}

const wrappings: Readonly<Record<WrappingAlgorithm, Wrapping>> = {
  RSAES_OAEP_SHA_1: { encryption: "RSAES_OAEP_SHA_1", withKeyWrap: false },
  RSAES_OAEP_SHA_256: { encryption: "RSAES_OAEP_SHA_256", withKeyWrap: false },
  RSA_AES_KEY_WRAP_SHA_1: { encryption: "RSAES_OAEP_SHA_1", withKeyWrap: true },
  RSA_AES_KEY_WRAP_SHA_256: { encryption: "RSAES_OAEP_SHA_256", withKeyWrap: true },
  SM2PKE: { encryption: "SM2PKE", withKeyWrap: false },
};

export const wrappingKeySpecs: readonly WrappingKeySpec[] = ["RSA_2048", "RSA_3072", "RSA_4096", "SM2"];

/** Whether there is such an algorithm, and it goes with such a wrapping key. */
export function wrapsWith(spec: WrappingKeySpec, algorithm: WrappingAlgorithm): boolean {
  if (!Object.hasOwn(wrappings, algorithm) || !wrappingKeySpecs.includes(spec)) return false;
  return (algorithm === "SM2PKE") === (spec === "SM2");
}

/**
 * Takes material out of its wrapping; undefined for whatever does not unwrap, whatever the reason. The caller disposes of
 * the result.
 *
 * @param pkcs8 - The wrapping key's private half; stays the caller's to dispose of.
 */
export async function unwrapMaterial(
  spec: WrappingKeySpec,
  algorithm: WrappingAlgorithm,
  pkcs8: SecretBuffer,
  wrapped: Uint8Array,
): Promise<SecretBuffer | undefined> {
  const { encryption, withKeyWrap } = wrappings[algorithm];
  using privateKey = await OpensslKey.ofPrivateKey(spec, pkcs8);
  if (!withKeyWrap) return await privateKey.decrypt(encryption, wrapped);
  const facts = keySpecs[spec];
  const rsaBytes = facts.kind === "rsa" ? facts.modulusBits / 8 : 0;
  using wrappingKey = await privateKey.decrypt(encryption, wrapped.subarray(0, rsaBytes));
  if (wrappingKey?.byteLength !== keyWrapKeyBytes) return undefined;
  return unwrapPadded(wrappingKey, wrapped.subarray(rsaBytes));
}

function unwrapPadded(key: SecretBuffer, wrapped: Uint8Array): SecretBuffer | undefined {
  try {
    const decipher = key.expose((bytes) => createDecipheriv(keyWrapCipher, bytes, keyWrapInitialValue));
    const unwrapped = decipher.update(wrapped);
    decipher.final();
    return SecretBuffer.take(unwrapped);
  } catch {
    return undefined;
  }
}

/** How long imported material is, in bytes: as long as the cipher's key. */
export function materialBytes(spec: KeySpec): number {
  return spec === "SM4" ? 16 : 32;
}

const sm4Info = Buffer.from("strongroom/import/sm4/v1");

/**
 * The box secret S (32 bytes) that imported material stands for: the material itself for AES_256; for SM4, whose keys have 16
 * bytes, HKDF-SM3 of them with an empty salt and the info "strongroom/import/sm4/v1". The caller disposes of it.
 */
export function boxSecretOf(spec: KeySpec, material: SecretBuffer): SecretBuffer {
  return spec === "SM4" ? hkdf(suites.sm, material, Buffer.alloc(0), sm4Info, 32) : material.clone();
}
