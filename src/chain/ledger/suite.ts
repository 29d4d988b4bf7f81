import { createPublicKey, createVerify, hash, type KeyObject } from "node:crypto";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { checkPublicKey, curves, ecPublicKeyOid } from "../../crypto/curve.ts";
import { der, derTags } from "../../crypto/der.ts";
import { keccak256 } from "../../crypto/keccak.ts";
import { sm2SignatureToDer, sm2Za } from "../../crypto/sm2.ts";
import { LedgerError } from "./errors.ts";
import { KnownKeys } from "./known-keys.ts";
import { recoverPublicKey } from "./secp256k1-recovery.ts";
import type { SigningAlgorithm } from "./signer.ts";

export type ChainSuiteName = "sm" | "standard";

/** Checks signatures of one public key, which is decoded once. */
export interface Verifier {
  readonly publicKey: Buffer;
  /** True for a sealer's signature of the hash; a malformed signature is false. */
  verify(hash: Buffer, signature: Buffer): boolean;
}

/**
 * The cryptography of a chain.
 *
 * `sm`: SM3 and SM2 (GM/T 0003, 0004). `standard`: Keccak-256 and ECDSA over secp256k1. Both as FISCO BCOS 3 has them.
 */
export interface ChainSuite {
  readonly name: ChainSuiteName;
  readonly id: 1 | 2;
  readonly algorithm: SigningAlgorithm;
  /** Of votes. `sm`: r ‖ s, 64. `standard`: r ‖ s ‖ v, 65. */
  readonly sealerSignatureBytes: number;
  /** Of transactions. `sm`: r ‖ s ‖ X ‖ Y, 128. `standard`: r ‖ s ‖ v, 65. */
  readonly transactionSignatureBytes: number;
  /** 32 bytes, over the parts joined. */
  hash(...parts: readonly Buffer[]): Buffer;
  /** What a device is asked to sign for `hash` under `publicKey` (`04 ‖ X ‖ Y`). */
  signingDigest(publicKey: Buffer, hash: Buffer): Buffer;
  /**
   * The signature in a vote's form, of the device's r ‖ s.
   *
   * @throws {LedgerError} `SIGNATURE_UNUSABLE` when it does not verify: no peer would take it.
   */
  sealerSignature(publicKey: Buffer, hash: Buffer, rs: Buffer): Buffer;
  /** The signature in a transaction's form, of the device's r ‖ s. Errors as {@link sealerSignature}. */
  transactionSignature(publicKey: Buffer, hash: Buffer, rs: Buffer): Buffer;
  /** The public key (`04 ‖ X ‖ Y`) that has signed a transaction's hash; undefined when the signature is no one's. */
  senderOf(hash: Buffer, signature: Buffer): Buffer | undefined;
  /** @throws {CryptoError} `KEY_FORMAT_INVALID` when `publicKey` is not a point of the curve. */
  verifier(publicKey: Buffer): Verifier;
  /** The last 20 bytes of the hash of X ‖ Y. */
  addressOf(publicKey: Buffer): Buffer;
}

export const hashBytes = 32;
export const addressBytes = 20;

/** Only of senders that have signed something: forged transactions leave nothing here. */
const knownSenders = new KnownKeys<Verifier>();

const sm: ChainSuite = {
  name: "sm",
  id: 1,
  algorithm: "sm2",
  sealerSignatureBytes: 64,
  transactionSignatureBytes: 128,
  hash: sm3,
  signingDigest: (publicKey, message) => sm3(sm2Za(publicKey), message),
  sealerSignature(publicKey, message, rs) {
    if (!smVerifier(publicKey).verify(message, rs)) throw unusable();
    return Buffer.from(rs);
  },
  transactionSignature(publicKey, message, rs) {
    return Buffer.concat([sm.sealerSignature(publicKey, message, rs), publicKey.subarray(1)]);
  },
  senderOf(message, signature) {
    if (signature.length !== 128) return undefined;
    const publicKey = Buffer.concat([Buffer.of(0x04), signature.subarray(64)]);
    try {
      const verifier = knownSenders.get(publicKey) ?? smVerifier(publicKey);
      if (!verifier.verify(message, signature.subarray(0, 64))) return undefined;
      knownSenders.keep(publicKey, verifier);
      return publicKey;
    } catch {
      return undefined; // Not a point of the curve.
    }
  },
  verifier(publicKey) {
    checkPublicKey("sm2", publicKey);
    return smVerifier(publicKey);
  },
  addressOf: (publicKey) => Buffer.from(sm3(publicKey.subarray(1)).subarray(-addressBytes)),
};

const standard: ChainSuite = {
  name: "standard",
  id: 2,
  algorithm: "secp256k1",
  sealerSignatureBytes: 65,
  transactionSignatureBytes: 65,
  hash: keccak,
  signingDigest: (_publicKey, message) => message,
  sealerSignature(publicKey, message, rs) {
    if (rs.length !== 64) throw unusable();
    try {
      const parsed = secp256k1.Signature.fromBytes(rs, "compact");
      // One of s and n - s: the lower is the canonical one (SEC 1 knows both, so a copy could differ).
      const s = parsed.hasHighS() ? secp256k1.Point.Fn.neg(parsed.s) : parsed.s;
      const low = new secp256k1.Signature(parsed.r, s).toBytes("compact");
      for (const v of [0, 1]) {
        const candidate = Buffer.concat([low, Buffer.of(v)]);
        if (recoverPublicKey(message, candidate)?.equals(publicKey)) return candidate;
      }
    } catch {
      // r or s out of range.
    }
    throw unusable();
  },
  transactionSignature: (publicKey, message, rs) => standard.sealerSignature(publicKey, message, rs),
  senderOf: recoverPublicKey,
  verifier(publicKey) {
    checkPublicKey("secp256k1", publicKey);
    return {
      publicKey,
      verify: (message, signature) => standard.senderOf(message, signature)?.equals(publicKey) === true,
    };
  },
  addressOf: (publicKey) => Buffer.from(keccak(publicKey.subarray(1)).subarray(-addressBytes)),
};

export const chainSuites: Readonly<Record<ChainSuiteName, ChainSuite>> = { sm, standard };

function sm3(...parts: readonly Buffer[]): Buffer {
  return hash("sm3", joined(parts), "buffer");
}

function keccak(...parts: readonly Buffer[]): Buffer {
  return keccak256(joined(parts));
}

function joined(parts: readonly Buffer[]): Buffer {
  const [first] = parts;
  return parts.length === 1 && first !== undefined ? first : Buffer.concat(parts);
}

/** OpenSSL decodes the key once, and with it checks that the point is on the curve. */
function smVerifier(publicKey: Buffer): Verifier {
  const key: KeyObject = createPublicKey({ key: smSpki(publicKey), format: "der", type: "spki" });
  const za = sm2Za(publicKey);
  return {
    publicKey,
    verify: (message, signature) =>
      signature.length === 64 &&
      createVerify("sm3").update(za).update(message).verify(key, sm2SignatureToDer(signature)),
  };
}

function smSpki(publicKey: Buffer): Buffer {
  const oids = [ecPublicKeyOid, curves.sm2.oid].map((oid) => der(derTags.objectIdentifier, oid));
  return der(derTags.sequence, der(derTags.sequence, ...oids), der(derTags.bitString, Buffer.of(0), publicKey));
}

function unusable(): LedgerError {
  return new LedgerError("SIGNATURE_UNUSABLE");
}
