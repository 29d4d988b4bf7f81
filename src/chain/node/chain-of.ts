import type { ChainGenesis } from "../build/genesis-reader.ts";
import { Chain } from "../ledger/genesis.ts";

/** The chain that config.genesis describes. It names no time, so the genesis block has the time 0 on every node. */
export function chainOf(genesis: ChainGenesis): Chain {
  return new Chain({
    suite: genesis.smCrypto ? "sm" : "standard",
    chainId: genesis.chainId,
    groupId: genesis.groupId,
    timestampMs: 0,
    sealers: genesis.sealers.map(({ nodeId }) => nodeId),
  });
}
