import type { Block } from "@ethereumjs/block";
import type { EthereumClient } from "@ethereumjs/client/dist/esm/src/index.js";
import type { Peer } from "@ethereumjs/client/dist/esm/src/net/peer/peer.js";
import { FullSynchronizer } from "@ethereumjs/client/dist/esm/src/sync/fullsync.js";

const roundMs = 500;

/**
 * EthereumJS's full synchronizer for a chain whose blocks are seconds apart.
 *
 * The original is made for 12-second blocks. It looks for a peer every 5 s and syncs in 8 s rounds; and it drops the
 * announcement of a block that is more than one ahead, while it knows the peer only by the total difficulty of the
 * handshake, so a follower that misses one announcement during its first sync never notices that the peer went on.
 * Here rounds are short, and such an announcement is taken as what it is: word that the peer is ahead.
 */
export class PromptSynchronizer extends FullSynchronizer {
  /** Replaces the synchronizer of a client that was created and not yet opened. */
  static install({ config, chain, service }: EthereumClient): void {
    const { pool, txPool, execution } = service;
    service.synchronizer = new PromptSynchronizer({ config, chain, pool, txPool, execution, interval: roundMs });
  }

  /** One round; ends at once when no peer is ahead, where the original would wait inside and leave rounds piling up. */
  override async sync(): Promise<boolean> {
    if ((await this.best()) === undefined) return false;
    return await super.sync();
  }

  override async handleNewBlock(block: Block, peer?: Peer): Promise<void> {
    const { number } = block.header;
    if (peer?.eth !== undefined && number > this.chain.headers.height + 1n) {
      peer.eth.updatedBestHeader = block.header;
      // Any figure above ours will do: it only makes the peer worth asking. Its blocks are validated when they come.
      peer.eth.status = { ...peer.eth.status, td: this.chain.blocks.td + 1n };
      if ((this.config.syncTargetHeight ?? 0n) < number) this.config.syncTargetHeight = number;
      return;
    }
    await super.handleNewBlock(block, peer);
  }
}
