import type { Block } from "@ethereumjs/block";
import type { EthereumClient } from "@ethereumjs/client/dist/esm/src/index.js";
import type { Peer } from "@ethereumjs/client/dist/esm/src/net/peer/peer.js";
import { FullSynchronizer } from "@ethereumjs/client/dist/esm/src/sync/fullsync.js";
import { Event } from "@ethereumjs/client/dist/esm/src/types.js";
import { equalsBytes } from "@ethereumjs/util";

type SynchronizerOptions = ConstructorParameters<typeof FullSynchronizer>[0];

const roundMs = 500;
/** How long a node may stay below its peers before it is taken to have lost its way. Longer than a request may take, 8 s. */
const patienceMs = 20_000;
/** Announced blocks that wait for their parents: more than come in while a round of the synchronizer lasts. */
const mostWaiting = 64;

/**
 * EthereumJS's full synchronizer for a chain whose blocks are seconds apart.
 *
 * The original is made for 12-second blocks. It looks for a peer every 5 s and syncs in 8 s rounds; and it drops the
 * announcement of a block that is more than one ahead, while it knows the peer only by the total difficulty of the
 * handshake, so a follower that misses one announcement during its first sync never notices that the peer went on.
 * Here rounds are short, and such an announcement is taken as what it is: word that the peer is ahead.
 *
 * The announced block itself waits until its parent is there. A round asks for what was newest when it began, so where
 * a round takes longer than a block (a slow or busy machine) rounds alone never reach the newest, and a node takes no
 * transaction before it has.
 *
 * A request that a peer leaves unanswered can leave the original with a peer it never asks again. A node that stays
 * where it is for 20 s while others are ahead therefore begins again: no fetcher, no connections, new ones.
 */
export class PromptSynchronizer extends FullSynchronizer {
  readonly #waiting = new Map<bigint, { readonly block: Block; readonly peer: Peer | undefined }>();
  #connecting = false;
  #heightSeen = -1n;
  #aloneOrNewestAtMs = 0;
  #watch: NodeJS.Timeout | undefined;

  constructor(options: SynchronizerOptions) {
    super(options);
    this.config.events.on(Event.CHAIN_UPDATED, () => void this.#connectWaiting());
  }

  /** Replaces the synchronizer of a client that was created and not yet opened. */
  static install({ config, chain, service }: EthereumClient): void {
    const { pool, txPool, execution } = service;
    service.synchronizer = new PromptSynchronizer({ config, chain, pool, txPool, execution, interval: roundMs });
  }

  override async start(): Promise<boolean> {
    this.#watch ??= setInterval(() => this.recoverWhenStuck(performance.now()), roundMs);
    return (await super.start()) === true;
  }

  override async stop(): Promise<boolean> {
    clearInterval(this.#watch);
    this.#watch = undefined;
    return await super.stop();
  }

  /** One round; ends at once when no peer is ahead, where the original would wait inside and leave rounds piling up. */
  override async sync(): Promise<boolean> {
    if ((await this.best()) === undefined) return false;
    return await super.sync();
  }

  override async handleNewBlock(block: Block, peer?: Peer): Promise<void> {
    const { number } = block.header;
    if (number > this.chain.headers.height + 1n) {
      this.#keepWaiting(block, peer);
      if (peer?.eth === undefined) return;
      peer.eth.updatedBestHeader = block.header;
      // Any figure above ours will do: it only makes the peer worth asking. Its blocks are validated when they come.
      peer.eth.status = { ...peer.eth.status, td: this.chain.blocks.td + 1n };
      if ((this.config.syncTargetHeight ?? 0n) < number) this.config.syncTargetHeight = number;
      return;
    }
    await super.handleNewBlock(block, peer);
  }

  /**
   * Drops the fetcher and every connection when the height has been the same, below the highest that is known, for
   * 20 s; the caller's own dialling makes new connections. Called twice a second from start to stop.
   *
   * @param nowMs - Time of a clock that only goes forward, in milliseconds.
   */
  recoverWhenStuck(nowMs: number): void {
    const { height } = this.chain.headers;
    if (height !== this.#heightSeen || height >= (this.config.syncTargetHeight ?? 0n)) {
      this.#heightSeen = height;
      this.#aloneOrNewestAtMs = nowMs;
      return;
    }
    if (nowMs - this.#aloneOrNewestAtMs < patienceMs) return;
    this.#aloneOrNewestAtMs = nowMs;
    this.config.logger?.warn(`at height ${height} of ${this.config.syncTargetHeight} for too long: connecting anew`);
    this.clearFetcher();
    const { rlpx } = this.config.server ?? {};
    for (const peer of rlpx?.getPeers() ?? []) if ("disconnect" in peer) peer.disconnect();
  }

  #keepWaiting(block: Block, peer: Peer | undefined): void {
    this.#waiting.set(block.header.number, { block, peer });
    if (this.#waiting.size <= mostWaiting) return;
    // The lowest are the ones that a round fetches.
    const lowest = [...this.#waiting.keys()].reduce((one, other) => (one < other ? one : other));
    this.#waiting.delete(lowest);
  }

  /** Puts the waiting blocks that now follow on the newest; one call does it for all that come meanwhile. */
  async #connectWaiting(): Promise<void> {
    if (this.#connecting) return;
    this.#connecting = true;
    try {
      for (;;) {
        const { latest, height } = this.chain.headers;
        for (const number of this.#waiting.keys()) if (number <= height) this.#waiting.delete(number);
        const next = this.#waiting.get(height + 1n);
        if (next === undefined || latest === null) return;
        this.#waiting.delete(height + 1n);
        // Of another branch: left to a round, which steps back.
        if (!equalsBytes(next.block.header.parentHash, latest.hash())) return;
        await super.handleNewBlock(next.block, next.peer);
      }
    } catch (error) {
      this.config.logger?.warn(`an announced block was not put: ${error instanceof Error ? error.message : error}`);
    } finally {
      this.#connecting = false;
    }
  }
}
