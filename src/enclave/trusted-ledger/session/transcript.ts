import {
  createHash,
  createHmac,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  timingSafeEqual,
} from "node:crypto";
import { EnclaveError } from "../../errors.ts";

/**
 * The key agreement between a chaincode enclave (requester) and the ledger enclave (responder): X25519, each side's evidence over
 * everything said before it and its own key, HKDF-SHA-256 (RFC 5869) with the hash of the whole exchange as salt, and
 * HMAC-SHA-256 over every payload after it, under a key for each direction (decision 0621). Nothing that is said is secret.
 */
const name = "strongroom/fpc/v1/tl-session";
export const publicKeyBytes = 32;
export const macBytes = 32;

export type SessionPart = "init" | "offer" | "offer-evidence" | "answer" | "answer-evidence" | "complete";

/** A hash over what was said, in order; every part with its name and length before it. */
export class Transcript {
  readonly #hash = createHash("sha256").update(`${name}\0`);

  add(part: SessionPart, bytes: Uint8Array): this {
    const head = Buffer.alloc(4);
    head.writeUInt32BE(bytes.length);
    this.#hash.update(`${part}\0`).update(head).update(bytes);
    return this;
  }

  /** Of everything added so far; more can be added after. 32 bytes. */
  digest(): Buffer {
    return this.#hash.copy().digest();
  }
}

export interface SessionPair {
  readonly publicKey: Buffer;
  readonly privateKey: KeyObject;
}

export function newSessionPair(): SessionPair {
  const { publicKey, privateKey } = generateKeyPairSync("x25519");
  return { publicKey: Buffer.from(publicKey.export({ format: "jwk" }).x ?? "", "base64url"), privateKey };
}

export interface SessionKeys {
  /** Of what the requester says. */
  readonly requester: Buffer;
  /** Of what the responder says. */
  readonly responder: Buffer;
}

/** @throws EnclaveError MALFORMED: not a public key, or one whose secret anybody knows */
export function agreeOnKeys(privateKey: KeyObject, otherPublicKey: Uint8Array, transcript: Buffer): SessionKeys {
  if (otherPublicKey.length !== publicKeyBytes)
    throw new EnclaveError("MALFORMED", `the other side's session key is not ${publicKeyBytes} bytes long`);
  let secret: Buffer;
  try {
    const x = Buffer.from(otherPublicKey).toString("base64url");
    const publicKey = createPublicKey({ key: { kty: "OKP", crv: "X25519", x }, format: "jwk" });
    // OpenSSL refuses points of small order, whose secret would be zero.
    secret = diffieHellman({ privateKey, publicKey });
  } catch {
    throw new EnclaveError("MALFORMED", "the other side's session key is none that a secret can be agreed on with");
  }
  try {
    const derive = (direction: string) =>
      Buffer.from(hkdfSync("sha256", secret, transcript, `${name}/${direction}`, macBytes));
    return { requester: derive("requester"), responder: derive("responder") };
  } finally {
    secret.fill(0);
  }
}

/** @param purpose - What is authenticated: a MAC of one is none of the other. */
export function makeMac(key: Buffer, purpose: "payload" | "confirmation", bytes: Uint8Array): Buffer {
  return createHmac("sha256", key).update(`${purpose}\0`).update(bytes).digest();
}

export function isMacOf(key: Buffer, purpose: "payload" | "confirmation", bytes: Uint8Array, mac: Uint8Array): boolean {
  return mac.length === macBytes && timingSafeEqual(makeMac(key, purpose, bytes), mac);
}
