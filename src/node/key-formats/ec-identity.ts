import { createHash } from "node:crypto";
import { type CurveName, curves, nodeIdOf } from "../../crypto/curve.ts";
import { keccak256 } from "../../crypto/keccak.ts";
import type { PublicIdentity } from "./format.ts";

const ecPublicKeyOid = Buffer.from("06072a8648ce3d0201", "hex"); // 1.2.840.10045.2.1

/** The identity of an EC public point `04 ‖ X ‖ Y`. */
export function ecIdentity(curve: CurveName, publicKey: Buffer): PublicIdentity {
  const identity = {
    algorithm: curve,
    nodeId: nodeIdOf(publicKey),
    fingerprint: spkiFingerprint(ecSpki(curve, publicKey)),
  };
  return curve === "secp256k1" ? { ...identity, address: ethereumAddress(publicKey) } : identity;
}

/** The last 20 bytes of Keccak-256 over `X ‖ Y` (Ethereum yellow paper, appendix F). */
export function ethereumAddress(publicKey: Buffer): string {
  return `0x${keccak256(publicKey.subarray(1)).subarray(12).toString("hex")}`;
}

/** `enode://<node id>@HOST:PORT`, as geth, Quorum and EthereumJS name a peer. */
export function enodeUrl(identity: PublicIdentity, address: string): string | undefined {
  if (identity.algorithm !== "secp256k1" || identity.nodeId === undefined) return undefined;
  return `enode://${identity.nodeId}@${address}`;
}

/** The v4 node id (EIP-778): Keccak-256 over the node's public point `X ‖ Y`, 64 hex characters. */
export function nodeIdV4(identity: PublicIdentity): string | undefined {
  if (identity.algorithm !== "secp256k1" || identity.nodeId === undefined) return undefined;
  return keccak256(Buffer.from(identity.nodeId, "hex")).toString("hex");
}

/** SHA-256 of a DER SubjectPublicKeyInfo as `sha256:HEX`. */
export function spkiFingerprint(spki: Uint8Array): string {
  return `sha256:${createHash("sha256").update(spki).digest("hex")}`;
}

/** SHA-256 of a whole file that a password locks, as `sha256:HEX`: names the file, says nothing of the key. */
export function fileFingerprint(file: Uint8Array): string {
  return spkiFingerprint(file);
}

/** SubjectPublicKeyInfo (RFC 5480) of an uncompressed point with a named curve; all lengths are below 128. */
export function ecSpki(curve: CurveName, publicKey: Buffer): Buffer {
  const oid = curves[curve].oid;
  const algorithm = sequence(Buffer.concat([ecPublicKeyOid, Buffer.of(0x06, oid.length), oid]));
  return sequence(Buffer.concat([algorithm, Buffer.of(0x03, publicKey.length + 1, 0), publicKey]));
}

function sequence(content: Buffer): Buffer {
  return Buffer.concat([Buffer.of(0x30, content.length), content]);
}
