import { constants, createCipheriv, createPublicKey, publicEncrypt, randomBytes } from "node:crypto";
import { sm2Encrypt } from "../../../src/crypto/sm2-encryption.ts";
import type { WrappingAlgorithm } from "../../../src/custody/contract/key-attributes.ts";

/** Wraps key material as someone who imports it does, by means of Node and OpenSSL alone. */
export function wrapMaterial(spki: Buffer, algorithm: WrappingAlgorithm, material: Uint8Array): Buffer {
  if (algorithm === "SM2PKE") return sm2Encrypt(spki.subarray(-65), material, "asn1");
  const oaepHash = algorithm.endsWith("SHA_1") ? "sha1" : "sha256";
  const key = createPublicKey({ key: spki, type: "spki", format: "der" });
  const toRsa = (bytes: Uint8Array) =>
    publicEncrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash }, bytes);
  if (algorithm.startsWith("RSAES")) return toRsa(material);
  const wrappingKey = randomBytes(32);
  return Buffer.concat([toRsa(wrappingKey), wrapPadded(wrappingKey, material)]);
}

/** RFC 5649. */
export function wrapPadded(key: Uint8Array, material: Uint8Array): Buffer {
  const cipher = createCipheriv(`id-aes${key.length * 8}-wrap-pad`, key, Buffer.from("a65959a6", "hex"));
  return Buffer.concat([cipher.update(material), cipher.final()]);
}
