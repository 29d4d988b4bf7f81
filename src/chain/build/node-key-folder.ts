import { readdirSync } from "node:fs";
import { join } from "node:path";
import { decodeBase64 } from "../../crypto/base64.ts";
import { type CurveName, checkPublicKey, generateKeyPair, nodeIdOf, publicKeyBytes } from "../../crypto/curve.ts";
import { CryptoError } from "../../crypto/errors.ts";
import { maxKeyFileBytes, readPrivateKey, writePrivateKey } from "../../crypto/pem.ts";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { NodeError } from "../../node/errors.ts";
import { readSecretFile } from "../../node/file-steps.ts";
import { pemOf, subjectPublicKeyInfo } from "./certificate.ts";
import { ChainBuildError } from "./errors.ts";

/** The signing key of one node of a new chain. */
export interface NewNodeKey {
  readonly nodeId: string;
  /** What goes into node.pem: the private key, or the public key where the private one is in a cipher machine. */
  readonly pem: SecretBuffer | string;
  /** The file that it came from. */
  readonly source?: string;
  /** True when that file holds a private key that the cipher machine is to hold alone. */
  readonly sourceIsPrivate?: boolean;
}

/** Fresh keys. The caller disposes of each `pem`. */
export function makeNodeKeys(curve: CurveName, nodes: number): NewNodeKey[] {
  return Array.from({ length: nodes }, () => {
    const { scalar, publicKey } = generateKeyPair(curve);
    using _ = scalar;
    return { nodeId: nodeIdOf(publicKey), pem: writePrivateKey(curve, scalar, "pkcs8") };
  });
}

/**
 * Reads `-n`: one `.pem` for each node, in the order of the names (`node10` after `node9`).
 *
 * @param publicOnly - The keys are in a cipher machine: a file may hold the public key, and of a private one only the public
 *   half is taken.
 * @throws {ChainBuildError} `NODE_KEYS_INVALID` for another number of files, another curve, a key twice, or no key.
 */
export function readNodeKeys(folder: string, curve: CurveName, nodes: number, publicOnly: boolean): NewNodeKey[] {
  let names: string[];
  try {
    names = readdirSync(folder).filter((name) => name.endsWith(".pem"));
  } catch (cause) {
    throw new ChainBuildError("NODE_KEYS_INVALID", `${folder} is not a folder that can be read`, { cause });
  }
  if (names.length !== nodes)
    throw invalid(`${folder} holds ${names.length} .pem files, and the chain has ${nodes} nodes: one key for each`);
  names.sort(new Intl.Collator("en", { numeric: true }).compare);
  const keys: NewNodeKey[] = [];
  try {
    for (const name of names) keys.push(readNodeKey(join(folder, name), curve, publicOnly));
    keys.forEach(({ nodeId, source }, index) => {
      const same = keys.findIndex((each) => each.nodeId === nodeId);
      if (same < index) throw invalid(`${source} and ${keys[same]?.source} are the same key`);
    });
    return keys;
  } catch (error) {
    for (const { pem } of keys) if (typeof pem !== "string") pem[Symbol.dispose]();
    throw error;
  }
}

/**
 * The node id of a PEM file with a node's key, of which the public half is enough.
 *
 * @throws {ChainBuildError} `NODE_KEYS_INVALID` when the file cannot be read, or holds no key on the curve.
 */
export function readNodeId(file: string, curve: CurveName): string {
  return readNodeKey(file, curve, true).nodeId;
}

function readNodeKey(file: string, curve: CurveName, publicOnly: boolean): NewNodeKey {
  using content = readFile(file);
  return content.expose((bytes) => {
    const isPublic = bytes.subarray(0, 26).equals(Buffer.from("-----BEGIN PUBLIC KEY-----"));
    const publicKey = isPublic ? readPublicPem(file, bytes, curve) : undefined;
    if (publicKey !== undefined) {
      if (!publicOnly)
        throw invalid(`${file} holds a public key only: without -H a node needs its private key in a file`);
      return { nodeId: nodeIdOf(publicKey), pem: publicPem(curve, publicKey), source: file };
    }
    const key = readPrivate(file, bytes);
    using scalar = key.scalar;
    if (key.curve !== curve) throw invalid(`${file} is a key on ${key.curve}, this chain's keys are on ${curve}`);
    const nodeId = nodeIdOf(key.publicKey);
    return publicOnly
      ? { nodeId, pem: publicPem(curve, key.publicKey), source: file, sourceIsPrivate: true }
      : { nodeId, pem: writePrivateKey(curve, scalar, "pkcs8"), source: file };
  });
}

function readFile(file: string): SecretBuffer {
  try {
    return readSecretFile(file, maxKeyFileBytes).secret;
  } catch (cause) {
    if (cause instanceof NodeError) throw new ChainBuildError("NODE_KEYS_INVALID", cause.message, { cause });
    throw cause;
  }
}

function readPrivate(file: string, bytes: Buffer): ReturnType<typeof readPrivateKey> {
  try {
    return readPrivateKey(bytes);
  } catch (cause) {
    if (cause instanceof CryptoError)
      throw new ChainBuildError("NODE_KEYS_INVALID", `${file}: ${cause.message}`, { cause });
    throw cause;
  }
}

/** The point of a PEM public key: the one encoding of SubjectPublicKeyInfo that {@link subjectPublicKeyInfo} writes. */
function readPublicPem(file: string, bytes: Buffer, curve: CurveName): Buffer {
  const lines = bytes.toString("latin1").replaceAll("\r\n", "\n").trimEnd().split("\n");
  const content = decodeBase64(Buffer.from(lines.slice(1, -1).join("")));
  const publicKey = content?.subarray(-publicKeyBytes);
  if (
    lines.at(-1) !== "-----END PUBLIC KEY-----" ||
    content === undefined ||
    publicKey?.length !== publicKeyBytes ||
    !subjectPublicKeyInfo(curve, publicKey).equals(content)
  )
    throw invalid(`${file} is not one PEM public key on ${curve}`);
  try {
    checkPublicKey(curve, publicKey);
  } catch (cause) {
    throw new ChainBuildError("NODE_KEYS_INVALID", `${file} is not a point of ${curve}`, { cause });
  }
  return Buffer.from(publicKey);
}

function publicPem(curve: CurveName, publicKey: Buffer): string {
  return pemOf("PUBLIC KEY", subjectPublicKeyInfo(curve, publicKey));
}

function invalid(message: string): ChainBuildError {
  return new ChainBuildError("NODE_KEYS_INVALID", message);
}
