import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject } from "node:crypto";
import { promisify } from "node:util";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { EnclaveError } from "../errors.ts";

/**
 * The key formats of Fabric Private Chaincode: an enclave's signing key is EC on P-256 (`PUBLIC KEY` by RFC 5480,
 * `EC PRIVATE KEY` by RFC 5915), each encryption key is RSA of 3072 bits (`RSA PUBLIC KEY`, `RSA PRIVATE KEY` by RFC 8017).
 * The bytes of the PEM text, its final newline included, are what is hashed and compared.
 */
export const rsaModulusBits = 3072;
/** Of any key that is read. */
export const maxPemBytes = 4096;
const newKeyPair = promisify(generateKeyPair);

/** Public keys by kind and PEM, none but right ones. The same few stand in every policy, credential and message. */
const readKeys = new Map<string, KeyObject>();
const mostReadKeys = 1_000;

/** A new pair, the private key as PEM in a secret buffer. */
export interface KeyPairPem {
  readonly publicPem: Buffer;
  readonly privatePem: SecretBuffer;
}

/** Enclave_VK and Enclave_SK. */
export async function newSigningKeyPair(): Promise<KeyPairPem> {
  const { publicKey, privateKey } = await newKeyPair("ec", { namedCurve: "prime256v1" });
  return { publicPem: verificationKeyPem(publicKey), privatePem: exportPrivate(privateKey, "sec1") };
}

/** Enclave_EK and Enclave_DK, or Chaincode_EK and Chaincode_DK. */
export async function newEncryptionKeyPair(): Promise<KeyPairPem> {
  const { publicKey, privateKey } = await newKeyPair("rsa", { modulusLength: rsaModulusBits, publicExponent: 0x10001 });
  return { publicPem: encryptionKeyPem(publicKey), privatePem: exportPrivate(privateKey, "pkcs1") };
}

/** @throws EnclaveError MALFORMED: not a P-256 public key as this module writes it */
export function readVerificationKey(pem: Uint8Array, name: string): KeyObject {
  return readPublic(pem, name, "ec", verificationKeyPem);
}

/** @throws EnclaveError MALFORMED: not an RSA public key of 3072 bits, exponent 65537, as this module writes it */
export function readEncryptionKey(pem: Uint8Array, name: string): KeyObject {
  return readPublic(pem, name, "rsa", encryptionKeyPem);
}

/** @throws EnclaveError MALFORMED: not a P-256 private key in SEC1 form */
export function readSigningKey(pem: SecretBuffer): KeyObject {
  return readPrivate(pem, "sec1", "ec");
}

/** @throws EnclaveError MALFORMED: not an RSA private key of 3072 bits in PKCS#1 form */
export function readDecryptionKey(pem: SecretBuffer): KeyObject {
  return readPrivate(pem, "pkcs1", "rsa");
}

/** The EK that belongs to a DK, as PEM. */
export function encryptionKeyOf(privateKey: KeyObject): Buffer {
  return encryptionKeyPem(createPublicKey(privateKey));
}

/** The VK that belongs to an SK, as PEM. */
export function verificationKeyOf(privateKey: KeyObject): Buffer {
  return verificationKeyPem(createPublicKey(privateKey));
}

function encryptionKeyPem(key: KeyObject): Buffer {
  return Buffer.from(key.export({ type: "pkcs1", format: "pem" }));
}

function verificationKeyPem(key: KeyObject): Buffer {
  return Buffer.from(key.export({ type: "spki", format: "pem" }));
}

/** The text that Node makes of the PEM lives in its heap for a while (docs/threat-model.md); the bytes are the buffer's alone. */
function exportPrivate(key: KeyObject, type: "sec1" | "pkcs1"): SecretBuffer {
  return SecretBuffer.take(Buffer.from(key.export({ type, format: "pem" })));
}

function readPublic(pem: Uint8Array, name: string, type: "ec" | "rsa", write: (key: KeyObject) => Buffer): KeyObject {
  const text = pem.length <= maxPemBytes ? `${type} ${Buffer.from(pem).toString("latin1")}` : "";
  const known = readKeys.get(text);
  if (known !== undefined) return known;
  let key: KeyObject | undefined;
  try {
    if (pem.length <= maxPemBytes) key = createPublicKey({ key: Buffer.from(pem), format: "pem" });
  } catch {
    // Said below.
  }
  if (key === undefined || !isRight(key, type) || !write(key).equals(pem))
    throw new EnclaveError(
      "MALFORMED",
      `${name} is not the PEM of ${type === "ec" ? "a P-256" : `an RSA-${rsaModulusBits}`} public key as Fabric Private Chaincode writes it`,
    );
  if (readKeys.size >= mostReadKeys) readKeys.clear();
  readKeys.set(text, key);
  return key;
}

function readPrivate(pem: SecretBuffer, format: "sec1" | "pkcs1", type: "ec" | "rsa"): KeyObject {
  let key: KeyObject | undefined;
  try {
    if (pem.byteLength <= maxPemBytes)
      key = pem.expose((bytes) => createPrivateKey({ key: bytes, format: "pem", type: format }));
  } catch {
    // Said below, without the cause: it may quote the text.
  }
  if (key === undefined || !isRight(key, type)) throw new EnclaveError("MALFORMED", "a private key is not of its form");
  return key;
}

function isRight(key: KeyObject, type: "ec" | "rsa"): boolean {
  const details = key.asymmetricKeyDetails;
  if (key.asymmetricKeyType !== type) return false;
  return type === "ec"
    ? details?.namedCurve === "prime256v1"
    : details?.modulusLength === rsaModulusBits && details.publicExponent === 65537n;
}
