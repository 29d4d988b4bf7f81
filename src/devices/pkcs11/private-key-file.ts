import { createPrivateKey, createPublicKey } from "node:crypto";
import { decodeBase64 } from "../../crypto/base64.ts";
import { readPrivateKey, writePrivateKeyDer } from "../../crypto/pem.ts";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { DeviceError } from "../errors.ts";
import { type CurveName, spkiOfPoint } from "./curves.ts";

/** A private key that was made elsewhere, for a token. */
export class ImportedKey implements Disposable {
  readonly curve: CurveName;
  /** PrivateKeyInfo (RFC 5208, 8410), DER: what a token unwraps. */
  readonly pkcs8: SecretBuffer;
  /** CKA_VALUE: the scalar, or an Ed25519 seed, 32 bytes. */
  readonly value: SecretBuffer;
  /** SubjectPublicKeyInfo, DER, computed from the private key. */
  readonly spki: Buffer;

  /** Takes the secrets over. */
  constructor(curve: CurveName, pkcs8: SecretBuffer, value: SecretBuffer, spki: Buffer) {
    this.curve = curve;
    this.pkcs8 = pkcs8;
    this.value = value;
    this.spki = spki;
  }

  [Symbol.dispose](): void {
    this.pkcs8[Symbol.dispose]();
    this.value[Symbol.dispose]();
  }
}

/** All of an Ed25519 PrivateKeyInfo but its seed (RFC 8410, section 7): version 0, the algorithm, two OCTET STRINGs. */
const ed25519Head = Buffer.from("302e020100300506032b657004220420", "hex");
const ed25519Pem = /^-----BEGIN PRIVATE KEY-----\r?\n([A-Za-z0-9+/]{64})\r?\n-----END PRIVATE KEY-----$/;
/** With \n or \r\n after each line but the last. */
const ed25519PemBytes: readonly number[] = [118, 120];
const namesOfCurves = { p256: "ECC_NIST_P256", secp256k1: "ECC_SECG_P256K1" } as const;

/**
 * Reads the PEM text of a private key on P-256, secp256k1 (PKCS#8 or SEC 1) or Ed25519 (PKCS#8), unencrypted. The caller
 * disposes of it.
 *
 * @param pem - Without its last line end, as secrets are read; stays the caller's.
 * @throws {CryptoError} `KEY_FORMAT_INVALID`.
 * @throws {DeviceError} `DEVICE_UNSUPPORTED` for a key on SM2, which PKCS#11 has no mechanism for.
 */
export function readImportedKey(pem: SecretBuffer): ImportedKey {
  return pem.expose((bytes) => readEd25519(bytes) ?? readEcKey(bytes));
}

function readEcKey(pem: Buffer): ImportedKey {
  const { curve, scalar, publicKey } = readPrivateKey(pem);
  if (curve === "sm2") {
    scalar[Symbol.dispose]();
    throw new DeviceError("DEVICE_UNSUPPORTED", "the key is on SM2, which PKCS#11 has no mechanism for");
  }
  const name = namesOfCurves[curve];
  return new ImportedKey(name, writePrivateKeyDer(curve, scalar, "pkcs8"), scalar, spkiOfPoint(name, publicKey));
}

/** Undefined for text that is no PrivateKeyInfo of an Ed25519 key. */
function readEd25519(pem: Buffer): ImportedKey | undefined {
  const [begin, length] = [pem.indexOf(0x0a) + 1, 64];
  // Only the frame becomes text: the line between holds the key. Of an EC key other lines hold it, too.
  if (!ed25519PemBytes.includes(pem.length) || begin < 28 || begin > 29) return undefined;
  const frame = Buffer.concat([pem.subarray(0, begin), Buffer.alloc(length, "A"), pem.subarray(begin + length)]);
  if (!ed25519Pem.test(frame.toString("latin1"))) return undefined;
  const content = decodeBase64(pem.subarray(begin, begin + length));
  if (content === undefined) return undefined;
  try {
    if (content.length !== ed25519Head.length + 32 || !content.subarray(0, ed25519Head.length).equals(ed25519Head))
      return undefined;
    const spki = createPublicKey(createPrivateKey({ key: content, format: "der", type: "pkcs8" }));
    return new ImportedKey(
      "ED25519",
      SecretBuffer.copyOf(content),
      SecretBuffer.copyOf(content.subarray(ed25519Head.length)),
      spki.export({ format: "der", type: "spki" }),
    );
  } finally {
    content.fill(0);
  }
}
