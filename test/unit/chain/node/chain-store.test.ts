import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Ledger } from "../../../../src/chain/ledger/ledger.ts";
import { ChainStore, type StoreDatabase } from "../../../../src/chain/node/chain-store.ts";
import { memoryDatabase, TestChain } from "./stored-chain.ts";

const genesis = Buffer.alloc(32, 1);
const guard = { id: Buffer.alloc(16, 2), written: 6 };
const made = await TestChain.create();
const { chain } = made;

async function opened(database: StoreDatabase): Promise<ChainStore> {
  if (await ChainStore.isNew(database)) await ChainStore.create(chain, database, genesis, guard.id);
  return ChainStore.open(chain, database, genesis, guard);
}

const set = await made.transaction({ kind: "set", key: Buffer.from("canary-key"), value: Buffer.from("value") }, 1);
const get = await made.transaction({ kind: "get", key: Buffer.from("canary-key") }, 2);
const first = await made.next([set, get]);
const second = await made.next([]);

describe("a node's store", () => {
  it("gives back blocks, receipts and places of transactions, also after it was opened again", async () => {
    const database = await memoryDatabase();
    const store = await opened(database);
    await store.add(first.final, first.receipts, first.writes, 3);
    await store.add(second.final, second.receipts, second.writes, 6);
    for (const one of [store, await opened(database)]) {
      assert.equal(one.height, 2);
      assert.deepEqual(await one.block(1), first.final);
      assert.deepEqual(await one.receipts(1), first.receipts);
      assert.deepEqual(await one.place(get.hash), { height: 1, index: 1 });
      assert.equal((await one.encodedBlocks(1, 16, 1 << 20)).length, 2);
      assert.equal((await one.encodedBlocks(1, 16, 1)).length, 1);
      assert.equal(await one.block(3), undefined);
      assert.equal(await one.block(0), undefined);
      assert.equal(await one.place(Buffer.alloc(32)), undefined);
    }
  });

  it("restores the ledger, with the state's root compared", async () => {
    const database = await memoryDatabase();
    const store = await opened(database);
    await store.add(first.final, first.receipts, first.writes, 3);
    const ledger = await Ledger.restore(chain, store.stored);
    assert.equal(ledger.height, 1);
    assert.equal(ledger.get(Buffer.from("canary-key"))?.toString(), "value");
    for await (const [key, value] of database.iterator({ gte: Buffer.from("s"), lt: Buffer.from("t") }))
      await database.batch([{ type: "put", key, value: Buffer.concat([value.subarray(0, -1), Buffer.of(0)]) }], {
        sync: true,
      });
    await assert.rejects(Ledger.restore(chain, (await opened(database)).stored), { code: "LEDGER_DAMAGED" });
  });

  it("has no key of the contract in its names", async () => {
    const database = await memoryDatabase();
    const store = await opened(database);
    await store.add(first.final, first.receipts, first.writes, 3);
    for await (const [name] of database.iterator({ gte: Buffer.of(0), lt: Buffer.of(0xff) }))
      assert.ok(!name.includes("canary"));
  });

  it("takes blocks in the order of their heights only", async () => {
    const store = await opened(await memoryDatabase());
    await assert.rejects(store.add(second.final, [], [], 6), { code: "STORE_DAMAGED" });
    await store.add(first.final, first.receipts, first.writes, 3);
    await assert.rejects(store.add(first.final, first.receipts, first.writes, 3), { code: "STORE_DAMAGED" });
  });

  it("is refused beside another guard, and for another chain", async () => {
    const database = await memoryDatabase();
    await opened(database);
    const other = { ...guard, id: Buffer.alloc(16, 3) };
    await assert.rejects(ChainStore.open(chain, database, genesis, other), { code: "GUARD_MISSING" });
    await assert.rejects(ChainStore.open(chain, database, Buffer.alloc(32, 3), guard), { code: "GENESIS_MISMATCH" });
  });

  it("is refused beside an older copy of its guard", async () => {
    const database = await memoryDatabase();
    const store = await opened(database);
    await store.add(first.final, first.receipts, first.writes, 3);
    await store.add(second.final, second.receipts, second.writes, 6);
    for (const written of [0, 3, 5])
      await assert.rejects(ChainStore.open(chain, database, genesis, { ...guard, written }), {
        code: "GUARD_ROLLED_BACK",
        exitCode: 5,
      });
    assert.equal((await ChainStore.open(chain, database, genesis, { ...guard, written: 9 })).height, 2);
  });

  it("that lacks a part is refused", async () => {
    await assert.rejects(ChainStore.open(chain, await memoryDatabase(), genesis, guard), { code: "STORE_DAMAGED" });
  });
});
