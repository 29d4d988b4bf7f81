import { createPrivateKey, createPublicKey } from "node:crypto";
import { decodeBase64, encodeBase64 } from "../../crypto/base64.ts";
import { CryptoError } from "../../crypto/errors.ts";
import { readPrivateKey } from "../../crypto/pem.ts";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { NodeError } from "../errors.ts";
import { ecIdentity, ecSpki, fileFingerprint, spkiFingerprint } from "./ec-identity.ts";
import type { KeyFormat, PublicIdentity } from "./format.ts";
import { type JsonBytes, readJsonBytes } from "./json-bytes.ts";
import { pemOf } from "./pem-text.ts";

export const argon2Variants = ["d", "i", "id"] as const;

/** What a lock by password costs. */
export interface Argon2Cost {
  readonly variant: (typeof argon2Variants)[number];
  readonly memoryKiB: number;
  readonly passes: number;
  readonly parallelism: number;
}

/** A private key under a password: Argon2 (RFC 9106, version 1.3), then NaCl's secretbox. */
export interface ArgonLock {
  readonly cost: Argon2Cost;
  readonly salt: Buffer;
  /** 24 bytes. */
  readonly nonce: Buffer;
  /** Tag (16), then the key. */
  readonly box: Buffer;
}

/** An encryption key of Constellation or Tessera with its public half. */
export interface EnclaveKey {
  readonly identity: PublicIdentity;
  /** What the `.pub` file holds: 32 bytes of Curve25519, or the DER SubjectPublicKeyInfo of an EC key. */
  readonly publicKey: Buffer;
}

export const x25519Bytes = 32;
const maxFileBytes = 4096;
const maxPrivateKeyBytes = 1024;
/** PKCS#8 (RFC 8410) and SubjectPublicKeyInfo of X25519, up to the 32 bytes of the key. */
const x25519Pkcs8 = Buffer.from("302e020100300506032b656e04220420", "hex");
const x25519SpkiHeaderBytes = 12;

/** The most that a lock may cost: four times Tessera's own in work, Tessera's own 1 GiB in memory. */
const most = { memoryKiB: 1024 * 1024, work: 4 * 10 * 1024 * 1024, parallelism: 64, passes: 10_000 };

/**
 * `.key` files of Constellation, Orion and Tessera, `unlocked` or `argon2sbox`: Curve25519, or a PKCS#8 EC key for Tessera's EC
 * encryptor. A locked file says nothing of its public key, which lies in the `.pub` file beside it.
 */
export const tesseraKey: KeyFormat = {
  name: "tessera-key",
  writtenBy: "Constellation, Tessera, Orion: .key files, unlocked or argon2sbox",
  owners: ["constellation", "tessera", "goquorum"],
  detected: true,
  readPublicIdentity(file) {
    const key = readTesseraKey(file);
    if (!("secret" in key)) return { algorithm: "locked", fingerprint: file.expose(fileFingerprint) };
    using secret = key.secret;
    return enclaveKeyOf(secret).identity;
  },
  unlock: async (file, password) => {
    const { openTesseraKey } = await import("./tessera-lock.ts");
    const { secret, identity } = await openTesseraKey(file, password);
    secret[Symbol.dispose]();
    return identity;
  },
};

/**
 * Reads a `.key` file: the secret itself when it is unlocked (the caller disposes of it), else its lock.
 *
 * @throws {NodeError} `KEY_FILE_INVALID`, also for a lock beyond 1 GiB of memory or four times Tessera's work.
 */
export function readTesseraKey(file: SecretBuffer): { readonly secret: SecretBuffer } | { readonly lock: ArgonLock } {
  return file.expose((bytes) => {
    if (bytes.length > maxFileBytes) throw malformed();
    const top = readJsonBytes(bytes, malformed);
    const data = tableIn(top, "data");
    refuseOthers(top, ["type", "data"]);
    if (isText(top, "type", "unlocked")) {
      refuseOthers(data, ["bytes"]);
      return { secret: SecretBuffer.take(base64In(data, "bytes", 1, maxPrivateKeyBytes)) };
    }
    if (!isText(top, "type", "argon2sbox")) throw malformed();
    refuseOthers(data, ["aopts", "snonce", "asalt", "sbox"]);
    return {
      lock: {
        cost: costIn(tableIn(data, "aopts")),
        salt: base64In(data, "asalt", 8, 64),
        nonce: base64In(data, "snonce", 24, 24),
        box: base64In(data, "sbox", 17, maxPrivateKeyBytes + 16),
      },
    };
  });
}

/** The public half of a private key: 32 bytes of Curve25519, or PKCS#8. @throws {NodeError} `KEY_FILE_INVALID`. */
export function enclaveKeyOf(secret: SecretBuffer): EnclaveKey {
  const { identity, publicKey } = secret.expose(secret.byteLength === x25519Bytes ? x25519KeyOf : ecKeyOf);
  return { identity: { ...identity, publicKey: encodeBase64(publicKey).toString() }, publicKey };
}

/** The text of a `.pub` file: base64 without a line end. */
export function writeTesseraPublicKey(publicKey: Uint8Array): Buffer {
  return encodeBase64(publicKey);
}

/** The key of a `.pub` file; one line end after it is let pass. @throws {NodeError} `KEY_FILE_INVALID`. */
export function readTesseraPublicKey(file: Buffer): Buffer {
  const end = file.at(-1) === 0x0a ? file.length - 1 : file.length;
  const key = file.length > maxFileBytes ? undefined : decodeBase64(file.subarray(0, end));
  if (key !== undefined && key.length >= x25519Bytes) return key;
  throw new NodeError("KEY_FILE_INVALID", "the file is not the base64 of a public key");
}

/** @throws {NodeError} `KEY_FILE_INVALID` for a cost out of bounds (RFC 9106 section 3.1 and the limits here). */
export function checkArgon2Cost({ memoryKiB, passes, parallelism }: Argon2Cost): void {
  const bounded = passes >= 1 && passes <= most.passes && parallelism >= 1 && parallelism <= most.parallelism;
  if (bounded && memoryKiB >= 8 * parallelism && memoryKiB <= most.memoryKiB && memoryKiB * passes <= most.work) return;
  throw new NodeError(
    "KEY_FILE_INVALID",
    `an argon2 cost of ${memoryKiB} KiB, ${passes} passes, ${parallelism} lanes is out of bounds`,
    { hint: "8 KiB a lane to 1048576 KiB, 1 to 64 lanes, memory times passes at most 41943040" },
  );
}

function x25519KeyOf(secret: Buffer): EnclaveKey {
  const pkcs8 = Buffer.concat([x25519Pkcs8, secret]);
  try {
    const spki = createPublicKey(createPrivateKey({ key: pkcs8, format: "der", type: "pkcs8" })).export({
      type: "spki",
      format: "der",
    });
    const publicKey = spki.subarray(x25519SpkiHeaderBytes);
    const fingerprint = spkiFingerprint(spki);
    return { identity: { algorithm: "x25519", fingerprint }, publicKey };
  } finally {
    pkcs8.fill(0);
  }
}

function ecKeyOf(pkcs8: Buffer): EnclaveKey {
  using pem = pemOf("PRIVATE KEY", pkcs8);
  try {
    const { scalar, curve, publicKey } = pem.expose(readPrivateKey);
    scalar[Symbol.dispose]();
    const spki = ecSpki(curve, publicKey);
    return { identity: ecIdentity(curve, publicKey), publicKey: spki };
  } catch (cause) {
    if (!(cause instanceof CryptoError)) throw cause;
    throw new NodeError("KEY_FILE_INVALID", "the key is neither 32 bytes of Curve25519 nor a PKCS#8 EC key", { cause });
  }
}

function costIn(options: JsonBytes): Argon2Cost {
  refuseOthers(options, ["variant", "memory", "iterations", "parallelism", "version"]);
  const variant = argon2Variants.find((name) => isText(options, "variant", name));
  const [memoryKiB, passes, parallelism] = ["memory", "iterations", "parallelism"].map((name) => options.get(name));
  const version = options.get("version");
  // Where a file names the version at all, it must be 1.3 (0x13): the only one that is derived here.
  const named = ["1.3", "13"].some((name) => isText(options, "version", name));
  const current = version === undefined || version === 0x13 || named;
  if (variant === undefined || !current) throw malformed();
  if (typeof memoryKiB !== "number" || typeof passes !== "number" || typeof parallelism !== "number") throw malformed();
  const cost = { variant, memoryKiB, passes, parallelism };
  checkArgon2Cost(cost);
  return cost;
}

function tableIn(table: JsonBytes, name: string): JsonBytes {
  const value = table.get(name);
  if (value === undefined || typeof value === "number" || Buffer.isBuffer(value)) throw malformed();
  return value;
}

function base64In(table: JsonBytes, name: string, least: number, longest: number): Buffer {
  const value = table.get(name);
  const bytes = Buffer.isBuffer(value) ? decodeBase64(value) : undefined;
  if (bytes !== undefined && bytes.length >= least && bytes.length <= longest) return bytes;
  bytes?.fill(0);
  throw malformed();
}

function isText(table: JsonBytes, name: string, expected: string): boolean {
  const value = table.get(name);
  return Buffer.isBuffer(value) && value.equals(Buffer.from(expected));
}

function refuseOthers(table: JsonBytes, known: readonly string[]): void {
  for (const name of table.keys()) if (!known.includes(name)) throw malformed();
}

function malformed(): NodeError {
  return new NodeError("KEY_FILE_INVALID", "the file is not a Constellation or Tessera key, unlocked or argon2sbox");
}
