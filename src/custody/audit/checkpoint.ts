import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from "node:crypto";
import { CryptoError } from "../../crypto/errors.ts";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import type { Checkpoint } from "../service.ts";

type Unsigned = Omit<Checkpoint, "signature" | "publicKey">;

/** Signs the chain's head with the key manager's own Ed25519 key (RFC 8032), for an anchor outside its reach. */
export class CheckpointSigner {
  readonly #key: KeyObject;
  /** SubjectPublicKeyInfo, base64. */
  readonly publicKey: string;

  /** `privateKey`: PKCS#8 DER; stays the caller's to dispose of. */
  constructor(privateKey: SecretBuffer) {
    this.#key = privateKey.expose((der) => createPrivateKey({ key: der, format: "der", type: "pkcs8" }));
    this.publicKey = createPublicKey(this.#key).export({ format: "der", type: "spki" }).toString("base64");
  }

  /** A new signing key as PKCS#8 DER. */
  static newPrivateKey(): SecretBuffer {
    const { privateKey } = generateKeyPairSync("ed25519");
    return SecretBuffer.take(privateKey.export({ format: "der", type: "pkcs8" }));
  }

  sign(head: Unsigned): Checkpoint {
    const signature = sign(null, signedBytes(head), this.#key).toString("base64");
    return { ...head, signature, publicKey: this.publicKey };
  }
}

/** True when the checkpoint was signed by the key of `publicKey` (SubjectPublicKeyInfo, base64). */
export function checkpointIsSigned(checkpoint: Checkpoint, publicKey: string): boolean {
  const key = createPublicKey({ key: Buffer.from(publicKey, "base64"), format: "der", type: "spki" });
  return verify(null, signedBytes(checkpoint), key, Buffer.from(checkpoint.signature, "base64"));
}

/**
 * Reads a checkpoint file.
 *
 * @throws {CryptoError} `KEY_FORMAT_INVALID` for anything that is not one.
 */
export function parseCheckpoint(text: string): Checkpoint {
  const invalid = () =>
    new CryptoError("KEY_FORMAT_INVALID", "not a checkpoint: it is the JSON that `audit checkpoint` prints");
  if (text.length > 4096) throw invalid();
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalid();
  }
  if (typeof value !== "object" || value === null) throw invalid();
  const { account, epoch, sequence, head, stateVersion, at, signature, publicKey } = value as Record<string, unknown>;
  const numbers = [epoch, sequence, stateVersion].every((each) => Number.isSafeInteger(each) && Number(each) >= 0);
  const texts = [account, at, signature, publicKey].every((each) => typeof each === "string");
  if (!numbers || !texts || typeof head !== "string" || !/^[0-9a-f]{64}$/.test(head)) throw invalid();
  return value as Checkpoint;
}

function signedBytes({ account, epoch, sequence, head, stateVersion, at }: Unsigned): Buffer {
  return Buffer.from(`strongroom/checkpoint/v1\n${JSON.stringify([account, epoch, sequence, head, stateVersion, at])}`);
}
