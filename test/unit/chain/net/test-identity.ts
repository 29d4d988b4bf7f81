import { hash } from "node:crypto";
import type { HandshakeIdentity } from "../../../../src/chain/net/handshake.ts";
import { generateKeyPair, nodeIdOf, publicKeyOfNodeId } from "../../../../src/crypto/curve.ts";
import type { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { sm2SignDigest, sm2VerifyDigest } from "../../../../src/crypto/sm2-digest.ts";

export interface TestKey {
  readonly nodeId: string;
  readonly scalar: SecretBuffer;
}

export function testKey(): TestKey {
  const { scalar, publicKey } = generateKeyPair("sm2");
  return { scalar, nodeId: nodeIdOf(publicKey) };
}

/** Keys in the order of their node ids. */
export function sortedKeys(count: number): TestKey[] {
  return Array.from({ length: count }, testKey).sort((one, other) => (one.nodeId < other.nodeId ? -1 : 1));
}

export const testGenesis: Buffer = hash("sm3", "test genesis", "buffer");

/** A node that signs with a key of the test and admits the nodes that are named. */
export function testIdentity(
  key: TestKey,
  admitted: readonly TestKey[],
  changes: Partial<HandshakeIdentity> = {},
): HandshakeIdentity {
  const ids = new Set(admitted.map(({ nodeId }) => nodeId));
  return {
    genesisDigest: testGenesis,
    nodeId: key.nodeId,
    hash: (bytes) => hash("sm3", bytes, "buffer"),
    sign: async (digest) => sm2SignDigest(key.scalar, digest),
    verify: (nodeId, digest, signature) => sm2VerifyDigest(publicKeyOfNodeId("sm2", nodeId), digest, signature),
    admits: (nodeId) => ids.has(nodeId),
    ...changes,
  };
}
