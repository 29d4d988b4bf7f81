import type { Chain } from "../ledger/genesis.ts";
import type { DigestSigner } from "../ledger/signer.ts";
import { type HandshakeIdentity, shortNodeId } from "../net/handshake.ts";

/** The node's side of the P2P handshake: it signs with the key by which it votes, in votes' own form. */
export function chainIdentity(
  chain: Chain,
  self: number,
  genesisDigest: Buffer,
  signer: DigestSigner,
): HandshakeIdentity {
  const { suite, sealers } = chain;
  const nodeId = sealers[self];
  if (nodeId === undefined) throw new RangeError(`the chain has no sealer ${self}`);
  return {
    genesisDigest,
    nodeId,
    hash: (bytes) => suite.hash(Buffer.from(bytes)),
    sign: async (hash) => {
      const rs = await signer.sign(suite.signingDigest(signer.publicKey, hash));
      return suite.sealerSignature(signer.publicKey, hash, rs);
    },
    verify: (peer, hash, signature) => {
      const index = sealers.indexOf(peer);
      return index >= 0 && chain.verify(index, hash, signature);
    },
    admits: (peer) => peer !== nodeId && sealers.includes(peer),
  };
}

/** A sealer in the log: its index and the beginning of its id. */
export function sealerName(chain: Chain, nodeId: string): string {
  return `${chain.sealers.indexOf(nodeId)} ${shortNodeId(nodeId)}`;
}
