import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { encodeBase64 } from "../crypto/base64.ts";
import { der, derTags } from "../crypto/der.ts";
import { SecretBuffer } from "../crypto/secret-buffer.ts";

/** A fresh P-256 key pair for TLS client authentication. */
export interface ClientKeyPair {
  readonly privateKey: KeyObject;
  /** PKCS#8 PEM. The caller disposes of it. */
  readonly privateKeyPem: SecretBuffer;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Buffer;
}

export function makeClientKeyPair(): ClientKeyPair {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const pkcs8 = SecretBuffer.take(privateKey.export({ type: "pkcs8", format: "der" }));
  const privateKeyPem = privateKeyPemOf(pkcs8);
  pkcs8[Symbol.dispose]();
  return { privateKey, privateKeyPem, spki: publicKey.export({ type: "spki", format: "der" }) };
}

/** The PEM text (RFC 7468) of a PKCS#8 private key, without passing through a string. */
export function privateKeyPemOf(pkcs8: SecretBuffer): SecretBuffer {
  const digits = pkcs8.expose(encodeBase64);
  const lines: Buffer[] = [Buffer.from("-----BEGIN PRIVATE KEY-----\n")];
  for (let at = 0; at < digits.length; at += 64) lines.push(digits.subarray(at, at + 64), Buffer.from("\n"));
  const text = Buffer.concat([...lines, Buffer.from("-----END PRIVATE KEY-----\n")]);
  digits.fill(0);
  return SecretBuffer.take(text);
}

const utf8String = 0x0c;
const set = 0x31;
const commonName = Buffer.from("550403", "hex"); // 2.5.4.3
const ecdsaWithSha256 = Buffer.from("2a8648ce3d040302", "hex"); // 1.2.840.10045.4.3.2

/**
 * A certification request (PKCS#10, RFC 2986) in DER: subject `CN=<name>`, no attributes, signed with ECDSA and SHA-256.
 */
export function makeCertificateRequest(name: string, { privateKey, spki }: ClientKeyPair): Buffer {
  const attribute = der(
    derTags.sequence,
    der(derTags.objectIdentifier, commonName),
    der(utf8String, Buffer.from(name)),
  );
  const subject = der(derTags.sequence, der(set, attribute));
  const info = der(derTags.sequence, der(derTags.integer, Buffer.of(0)), subject, spki, der(derTags.explicit0));
  const algorithm = der(derTags.sequence, der(derTags.objectIdentifier, ecdsaWithSha256));
  const signature = sign("sha256", info, privateKey);
  return der(derTags.sequence, info, algorithm, der(derTags.bitString, Buffer.of(0), signature));
}
