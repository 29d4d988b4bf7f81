import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { encodeGuardRecord } from "../../../../src/chain/consensus/guard-record.ts";
import { ChainStore } from "../../../../src/chain/node/chain-store.ts";
import { ConfirmedGuard } from "../../../../src/chain/node/confirmed-guard.ts";
import { GuardFile } from "../../../../src/chain/node/guard-file.ts";
import { ReplicaHost } from "../../../../src/chain/node/replica-host.ts";
import { memoryDatabase, TestChain } from "./stored-chain.ts";

const made = await TestChain.create();
const { chain } = made;
const stateDigest = Buffer.alloc(32, 9);
const log = { write: () => {} };
const patienceMs = 20_000;

/** The guard of a node that has voted on heights 1 to `heights`, whose blocks it had; a folder that goes with it. */
class VotedNode implements Disposable {
  readonly folder: string = mkdtempSync(join(tmpdir(), "strongroom-lost-store-"));
  readonly guard: string = join(this.folder, "guard");

  static async make(heights: number): Promise<VotedNode> {
    const node = new VotedNode();
    GuardFile.create(node.guard, stateDigest);
    await using file = await GuardFile.open(node.guard, stateDigest);
    await using guard = await ConfirmedGuard.open(file, { log });
    for (let height = 1; height <= heights; height++) {
      const digest = Buffer.alloc(32, height);
      // So long that the file is written anew once the block is stored.
      const prepared = Buffer.alloc(3 << 20, 1);
      await guard.store({ height, record: encodeGuardRecord({ height, view: 0, phase: "commit", digest, prepared }) });
    }
    await guard.forget(heights);
    return node;
  }

  /** Starts a replica beside a store in which nothing is, gives it work, and counts what it asks its device for: `least` or more. */
  async signaturesWithNewStore(self: number, least: number): Promise<number> {
    const database = await memoryDatabase();
    await using file = await GuardFile.open(this.guard, stateDigest);
    await using guard = await ConfirmedGuard.open(file, { log });
    await ChainStore.create(chain, database, stateDigest, file.id);
    let signed = 0;
    const host = await ReplicaHost.restore({
      chain,
      self,
      store: await ChainStore.open(chain, database, stateDigest, { id: file.id, written: guard.written }),
      guard,
      signer: {
        algorithm: "sm2",
        publicKey: chain.publicKeyOf(self) ?? Buffer.alloc(0),
        sign: async () => {
          signed += 1;
          return Buffer.alloc(64, 1);
        },
      },
      outward: { send: () => {}, sendToAll: () => {}, disconnect: () => {} },
      log,
      settings: { blockTimeMs: 1, viewTimeoutMs: 50 },
      fatal: () => {},
    });
    host.start();
    const transaction = await made.transaction({ kind: "set", key: Buffer.from("k"), value: Buffer.from("v") }, 1);
    await host.submit(transaction.encoded);
    for (const latest = performance.now() + patienceMs; host.view < 1 || signed < least; await pause(2))
      if (performance.now() > latest)
        throw new Error(`the replica has signed ${signed} times and is in view ${host.view}`);
    await pause(20);
    await host.stop();
    return signed;
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

describe("a node whose store is lost, and whose guard has forgotten what it promised there", () => {
  it("signs nothing at the heights that it had blocks of", async () => {
    using node = await VotedNode.make(2);
    assert.equal(await node.signaturesWithNewStore(chain.proposerOf(1, 0), 0), 0);
  });

  it("signs at heights that it has not come to", async () => {
    using node = await VotedNode.make(0);
    assert.ok((await node.signaturesWithNewStore(chain.proposerOf(1, 0), 1)) > 0);
  });
});
