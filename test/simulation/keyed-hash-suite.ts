import { hash } from "node:crypto";
import type { ChainSuite } from "../../src/chain/ledger/suite.ts";

/**
 * A suite whose "signature" anyone can make: SHA-256 over the public key and the hash, twice for the length. It costs
 * microseconds, and no node of the simulation forges another's.
 */
export const keyedHashSuite: ChainSuite = {
  name: "sm",
  id: 1,
  algorithm: "sm2",
  sealerSignatureBytes: 64,
  transactionSignatureBytes: 128,
  hash: (...parts) => sha256(parts),
  signingDigest: (publicKey, message) => sha256([publicKey, message]),
  sealerSignature: (_publicKey, _message, rs) => Buffer.from(rs),
  transactionSignature: (publicKey, _message, rs) => Buffer.concat([rs, publicKey.subarray(1)]),
  senderOf(message, signature) {
    const publicKey = Buffer.concat([Buffer.of(4), signature.subarray(64)]);
    return keyedHash(sha256([publicKey, message])).equals(signature.subarray(0, 64)) ? publicKey : undefined;
  },
  verifier: (publicKey) => ({
    publicKey,
    verify: (message, signature) => keyedHash(sha256([publicKey, message])).equals(signature),
  }),
  addressOf: (publicKey) => sha256([publicKey]).subarray(-20),
};

/** What the suite takes for r ‖ s of a signing digest. */
export function keyedHash(digest: Buffer): Buffer {
  return Buffer.concat([digest, digest]);
}

function sha256(parts: readonly Buffer[]): Buffer {
  return hash("sha256", Buffer.concat(parts), "buffer");
}
