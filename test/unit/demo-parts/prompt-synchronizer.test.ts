import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, describe, it } from "node:test";
import { type Block, createSealedCliqueBlock } from "@ethereumjs/block";
import { CliqueConsensus, createBlockchain } from "@ethereumjs/blockchain";
import { Chain } from "@ethereumjs/client/dist/esm/src/blockchain/chain.js";
import { Config } from "@ethereumjs/client/dist/esm/src/index.js";
import type { Peer } from "@ethereumjs/client/dist/esm/src/net/peer/peer.js";
import type { PeerPool } from "@ethereumjs/client/dist/esm/src/net/peerpool.js";
import { ConsensusAlgorithm, createCommonFromGethGenesis, type GethGenesis, Hardfork } from "@ethereumjs/common";
import { makeGenesis } from "../../../script/demo-parts/genesis.ts";
import { PromptSynchronizer } from "../../../script/demo-parts/prompt-synchronizer.ts";
import { addressOf } from "../../../script/demo-parts/transaction.ts";

type Options = ConstructorParameters<typeof PromptSynchronizer>[0];

describe("the synchronizer of a node that follows", () => {
  const signerKey = randomBytes(32);
  const otherKey = randomBytes(32);
  const genesis = makeGenesis({ signers: [addressOf(signerKey)], periodSeconds: 1 }) as unknown as GethGenesis;
  const common = createCommonFromGethGenesis(genesis, { chain: "consortium", hardfork: Hardfork.London });
  let config: Config;
  let chain: Chain;
  let synchronizer: PromptSynchronizer;
  let disconnected: number;

  /** Knows of a peer what a synchronizer reads; fake: nothing is behind it. */
  const fakePeer = () => ({ id: "fake", eth: { status: { td: 1n } } }) as unknown as Peer;

  /** `count` sealed blocks on `parent`, of the last minute: a node on top of older ones does not count as up to date. */
  function blocksOn(parent: Block, count: number, key = signerKey, gasLimit = parent.header.gasLimit): Block[] {
    const blocks: Block[] = [];
    let last = parent;
    while (blocks.length < count) {
      const header = {
        ...{ number: last.header.number + 1n, parentHash: last.hash(), difficulty: 2n, gasLimit },
        ...{
          timestamp: BigInt(Math.floor(Date.now() / 1000) - 60 + count + blocks.length),
          extraData: new Uint8Array(97),
        },
        baseFeePerGas: last.header.calcNextBaseFee(),
      };
      last = createSealedCliqueBlock({ header }, key, { common, freeze: false });
      blocks.push(last);
    }
    return blocks;
  }

  /** Resolves once nothing that was set going is left to do. */
  async function settled(): Promise<void> {
    for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve));
  }

  beforeEach(async () => {
    config = new Config({ common, accountCache: 0, storageCache: 0 });
    disconnected = 0;
    const blockchain = await createBlockchain({
      ...{ common: config.chainCommon, validateBlocks: true, validateConsensus: true },
      ...{ hardforkByHeadBlockNumber: true, consensusDict: { [ConsensusAlgorithm.Clique]: new CliqueConsensus() } },
    });
    chain = await Chain.create({ config, blockchain });
    await chain.open();
    const connection = { disconnect: () => disconnected++ };
    Object.assign(config, { server: { rlpx: { getPeers: () => [connection, connection] } } });
    const pool = { peers: [], size: 0 } as unknown as PeerPool;
    synchronizer = new PromptSynchronizer({ config, chain, pool } as unknown as Options);
  });

  afterEach(async () => {
    await chain.close();
  });

  async function announce(...blocks: readonly (Block | undefined)[]): Promise<Peer> {
    const peer = fakePeer();
    for (const block of blocks) if (block !== undefined) await synchronizer.handleNewBlock(block, peer);
    await settled();
    return peer;
  }

  it("puts blocks that were announced before their parents, and then knows the chain's height", async () => {
    const [one, two, three, four] = blocksOn(chain.genesis, 4);
    await announce(three, four, two);
    assert.deepEqual([chain.headers.height, config.syncTargetHeight, config.synchronized], [0n, 4n, false]);
    await announce(one);
    assert.deepEqual([chain.headers.height, config.syncTargetHeight, config.synchronized], [4n, 4n, true]);
  });

  it("catches up with what was announced while a round put older blocks", async () => {
    const blocks = blocksOn(chain.genesis, 5);
    await announce(...blocks.slice(3));
    await chain.putBlocks(blocks.slice(0, 3));
    await settled();
    assert.deepEqual([chain.headers.height, config.synchronized], [5n, true]);
  });

  it("takes an announcement from far ahead as word that the peer is worth asking", async () => {
    const peer = await announce(...blocksOn(chain.genesis, 3).slice(2));
    assert.equal(peer.eth?.updatedBestHeader?.number, 3n);
    assert.ok((peer.eth?.status.td ?? 0n) > chain.blocks.td);
  });

  it("puts no waiting block of another branch", async () => {
    const ours = blocksOn(chain.genesis, 1);
    const theirs = blocksOn(chain.genesis, 2, signerKey, chain.genesis.header.gasLimit - 1n);
    await announce(theirs[1], ours[0]);
    assert.deepEqual([chain.headers.height, chain.headers.latest?.hash()], [1n, ours[0]?.hash()]);
  });

  it("puts no waiting block that nobody allowed has sealed", async () => {
    const [one] = blocksOn(chain.genesis, 1);
    assert.ok(one !== undefined);
    await announce(...blocksOn(one, 1, otherKey), one);
    assert.equal(chain.headers.height, 1n);
  });

  it("keeps at most 64 waiting blocks, the highest", async () => {
    const blocks = blocksOn(chain.genesis, 67);
    await announce(...blocks.slice(2), blocks[0]);
    await announce(blocks[1]);
    assert.equal(chain.headers.height, 2n, "the third was given up for the sixty-seventh");
    await chain.putBlocks(blocks.slice(2, 3));
    await settled();
    assert.equal(chain.headers.height, 67n);
  });

  describe("when it does not get on", () => {
    it("drops every connection after 20 s below the known height, and again 20 s later", async () => {
      await announce(...blocksOn(chain.genesis, 3).slice(2));
      for (const atMs of [1000, 1500, 20_999]) synchronizer.recoverWhenStuck(atMs);
      assert.equal(disconnected, 0);
      synchronizer.recoverWhenStuck(21_000);
      assert.equal(disconnected, 2);
      synchronizer.recoverWhenStuck(40_999);
      assert.equal(disconnected, 2);
      synchronizer.recoverWhenStuck(41_000);
      assert.equal(disconnected, 4);
    });

    it("drops the fetcher whose request nobody answered", async () => {
      await announce(...blocksOn(chain.genesis, 3).slice(2));
      const unanswered = Object.assign(fakePeer(), {
        latest: async () => ({ number: 3n, hash: () => randomBytes(32) }),
      });
      assert.equal(await synchronizer.syncWithPeer(unanswered), true);
      const fetcher = synchronizer.fetcher;
      assert.ok(fetcher !== null && !fetcher.destroyed);
      synchronizer.recoverWhenStuck(0);
      synchronizer.recoverWhenStuck(20_000);
      assert.deepEqual([fetcher.destroyed, synchronizer.fetcher], [true, null]);
    });

    it("leaves connections alone while the height grows", async () => {
      const blocks = blocksOn(chain.genesis, 3);
      await announce(blocks[2]);
      synchronizer.recoverWhenStuck(0);
      await announce(blocks[0]);
      synchronizer.recoverWhenStuck(20_000);
      synchronizer.recoverWhenStuck(39_999);
      assert.equal(disconnected, 0);
    });

    it("leaves connections alone while nobody is known to be ahead, however long", async () => {
      await announce(...blocksOn(chain.genesis, 1));
      for (const atMs of [0, 20_000, 3_600_000]) synchronizer.recoverWhenStuck(atMs);
      assert.equal(disconnected, 0);
    });
  });
});
