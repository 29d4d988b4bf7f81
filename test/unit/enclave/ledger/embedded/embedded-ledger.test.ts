import assert from "node:assert/strict";
import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, it } from "node:test";
import { blockMetadata, readBlock } from "../../../../../src/enclave/ledger/block.ts";
import { EmbeddedLedger } from "../../../../../src/enclave/ledger/embedded/embedded-ledger.ts";
import { mspIds, put, TrialFolder, trial, trialName, valueAt } from "./trial-ledger.ts";

const unavailable = { code: "LEDGER_UNAVAILABLE" };
const invalid = { code: "SETTINGS_INVALID" };

describe("an embedded ledger's folder", () => {
  it("is not made where something is, where names are wrong, or with no organisation or peer", async () => {
    using folder = new TrialFolder();
    const organisations = [{ mspId: "Org1MSP", peers: 1 }];
    const create = (change: object) =>
      EmbeddedLedger.create({ folder: folder.path, channelId: "trial", organisations, ...change });
    for (const change of [
      { channelId: "" },
      { channelId: "Trial" },
      { channelId: "a/b" },
      { organisations: [] },
      { organisations: [...organisations, ...organisations] },
      { organisations: [{ mspId: "../Org1MSP", peers: 1 }] },
      { organisations: [{ mspId: "OrdererMSP", peers: 1 }] },
      { organisations: Array.from({ length: 17 }, (_, index) => ({ mspId: `Org${index}MSP`, peers: 1 })) },
      { organisations: [{ mspId: "Org1MSP", peers: 0 }] },
      { organisations: [{ mspId: "Org1MSP", peers: 17 }] },
      { organisations: [{ mspId: "Org1MSP", peers: 1.5 }] },
    ])
      await assert.rejects(create(change), invalid);
    assert.deepEqual(readdirSync(folder.path), []);
    writeFileSync(join(folder.path, "something"), "");
    await assert.rejects(create({}), invalid);
  });

  it("is not opened where there is none, or where its making was cut short", async () => {
    using folder = new TrialFolder();
    await assert.rejects(EmbeddedLedger.open(join(folder.path, "absent")), invalid);
    mkdirSync(join(folder.path, "organisations"));
    await assert.rejects(EmbeddedLedger.open(folder.path), invalid);
  });

  it("keeps private keys and databases from other users", async () => {
    using folder = new TrialFolder();
    await (await folder.create())[Symbol.asyncDispose]();
    const keys = [
      "organisations/Org1MSP/admin.key",
      "organisations/OrdererMSP/orderer.key",
      "organisations/Org2MSP/ca.key",
    ];
    for (const name of keys) assert.equal(statSync(join(folder.path, name)).mode & 0o777, 0o600, name);
    for (const name of ["peers/Org1MSP", "orderer", "organisations/Org1MSP"])
      assert.equal(statSync(join(folder.path, name)).mode & 0o777, 0o700, name);
  });

  it("is one process's at a time: a second one is refused, or waits for as long as it is told", async () => {
    using folder = new TrialFolder();
    const ledger = await folder.create();
    await assert.rejects(EmbeddedLedger.open(folder.path), unavailable);
    const waiting = EmbeddedLedger.open(folder.path, { lockWaitMs: 60_000 });
    await ledger[Symbol.asyncDispose]();
    await using second = await waiting;
    assert.equal(second.channelId, "trial");
  });

  it("opens as it was closed, with its definitions, and without chaincodes", async () => {
    using folder = new TrialFolder();
    const ledger = await folder.create();
    const hash = ledger.channelHash;
    await put(ledger, "Org1MSP", "a", "1");
    await ledger[Symbol.asyncDispose]();
    await using again = await EmbeddedLedger.open(folder.path);
    assert.deepEqual(again.channelHash, hash);
    await assert.rejects(valueAt(again, "Org1MSP", "a"), unavailable);
    again.install(trialName, trial);
    assert.equal(await valueAt(again, "Org3MSP", "a"), "1");
  });
});

describe("an embedded ledger whose files were altered", () => {
  let folder: TrialFolder;
  before(async () => {
    folder = new TrialFolder();
    await using ledger = await folder.create();
    for (const key of ["a", "b", "c"]) await put(ledger, "Org1MSP", key, "1");
  });
  after(() => folder[Symbol.dispose]());

  const peerFile = () => join(folder.path, "peers/Org1MSP/0.db");
  const alter = (path: string, sql: string) => {
    const database = new DatabaseSync(path);
    database.exec(sql);
    database.close();
  };
  /** The peer is made anew from the blocks. */
  const mend = async () => {
    for (const ending of ["", "-wal", "-shm"]) rmSync(`${peerFile()}${ending}`, { force: true });
    await using ledger = await folder.open();
    assert.equal(await valueAt(ledger, "Org1MSP", "a"), "1");
  };

  for (const [what, sql] of [
    ["a value", "UPDATE state SET value = x'ff' WHERE namespace = 'trial'"],
    ["a value's version", "UPDATE state SET position = position + 1 WHERE namespace = 'trial'"],
    ["a value's hash", "UPDATE state SET hash = x'00' WHERE namespace = 'trial'"],
    ["a key", "UPDATE state SET key = CAST(CAST(key AS TEXT) || 'x' AS BLOB) WHERE namespace = 'trial'"],
    ["a value left out", "DELETE FROM state WHERE namespace = 'trial'"],
    ["the definitions left out", "DELETE FROM state WHERE namespace = '_lifecycle'"],
    ["a value more", "INSERT INTO state SELECT 'other', key, value, number, position, hash FROM state LIMIT 1"],
    ["the head's hash of the state", "UPDATE head SET digest = zeroblob(32)"],
    ["the head's block", "UPDATE head SET number = number - 1"],
    ["the head left out", "DELETE FROM head"],
    ["a transaction's id left out", "DELETE FROM transactions"],
    ["a transaction's code", "UPDATE transactions SET code = 1"],
    ["a block", "UPDATE blocks SET block = zeroblob(100) WHERE number = 2"],
    [
      "a block in another's place",
      "UPDATE blocks SET block = (SELECT block FROM blocks WHERE number = 1) WHERE number = 2",
    ],
    ["a block left out", "DELETE FROM blocks WHERE number = 2"],
  ] as const)
    it(`finds ${what} when it opens, and makes the peer anew when its file is gone`, async () => {
      alter(peerFile(), sql);
      await assert.rejects(EmbeddedLedger.open(folder.path), unavailable);
      await mend();
    });

  it("finds a value that is altered while it is open", async () => {
    {
      await using ledger = await folder.open();
      alter(peerFile(), "UPDATE state SET value = x'ff' WHERE namespace = 'trial'");
      await assert.rejects(valueAt(ledger, "Org1MSP", "a"), unavailable);
      assert.equal(await valueAt(ledger, "Org2MSP", "a"), "1");
    }
    await mend();
  });

  it("finds a peer whose whole copy is another channel's", async () => {
    using other = new TrialFolder();
    await (await other.create())[Symbol.asyncDispose]();
    const theirs = join(other.path, "peers/Org1MSP/0.db");
    alter(theirs, "PRAGMA wal_checkpoint(TRUNCATE)");
    alter(
      peerFile(),
      `ATTACH '${theirs}' AS theirs; DELETE FROM main.head; DELETE FROM main.blocks; DELETE FROM main.state;
      DELETE FROM main.transactions; INSERT INTO main.head SELECT * FROM theirs.head;
      INSERT INTO main.blocks SELECT * FROM theirs.blocks; INSERT INTO main.state SELECT * FROM theirs.state;
      INSERT INTO main.transactions SELECT * FROM theirs.transactions;`,
    );
    await assert.rejects(EmbeddedLedger.open(folder.path), unavailable);
    await mend();
  });

  it("finds a peer that has blocks which the orderer has not", async () => {
    const path = join(folder.path, "orderer/blocks.db");
    const copy = new DatabaseSync(path);
    const last = copy.prepare("SELECT * FROM blocks ORDER BY number DESC LIMIT 1").get() ?? assert.fail();
    copy.prepare("DELETE FROM blocks WHERE number = ?").run(last.number ?? null);
    await assert.rejects(EmbeddedLedger.open(folder.path), unavailable);
    copy.prepare("INSERT INTO blocks VALUES (?, ?)").run(last.number ?? null, last.block ?? null);
    copy.close();
    await mend();
  });

  it("finds an altered block of the orderer", async () => {
    const path = join(folder.path, "orderer/blocks.db");
    const copy = new DatabaseSync(path);
    const rows = copy.prepare("SELECT number, block FROM blocks ORDER BY number").all();
    const block = Buffer.from(rows[3]?.block as Uint8Array);
    for (const at of [4, 60, block.length >> 1, block.length - 30]) {
      const altered = Buffer.from(block);
      altered[at] = (altered[at] ?? 0) ^ 1;
      copy.prepare("UPDATE blocks SET block = ? WHERE number = 3").run(altered);
      await assert.rejects(EmbeddedLedger.open(folder.path), unavailable, `byte ${at}`);
    }
    copy.prepare("UPDATE blocks SET block = ? WHERE number = 3").run(block);
    copy.close();
    await mend();
  });
});

describe("peers of an embedded ledger", () => {
  let folder: TrialFolder;
  let ledger: EmbeddedLedger;
  before(async () => {
    folder = new TrialFolder();
    ledger = await folder.create();
  });
  after(async () => {
    await ledger[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  it("come to the same blocks, codes and hash of what they have committed", async () => {
    await put(ledger, "Org1MSP", "same", "1");
    const heights = mspIds.map((mspId) => ledger.peer(mspId).store.height);
    assert.equal(new Set(heights).size, 1);
    const [first, ...others] = mspIds.map((mspId) => ledger.peer(mspId).store.block((heights[0] ?? 0n) - 1n));
    assert.ok(first && (readBlock(first).metadata[blockMetadata.commitHash]?.length ?? 0) > 32);
    for (const other of others) assert.deepEqual(other, first);
  });

  it("are done without where enough others answer, and missed where not", async () => {
    ledger.peer("Org2MSP").isAnswering = false;
    await put(ledger, "Org1MSP", "without", "1");
    ledger.peer("Org3MSP").isAnswering = false;
    await assert.rejects(put(ledger, "Org1MSP", "without", "2"), unavailable);
    await assert.rejects(valueAt(ledger, "Org2MSP", "without"), unavailable);
    ledger.peer("Org2MSP").isAnswering = true;
    ledger.peer("Org3MSP").isAnswering = true;
    assert.equal(await valueAt(ledger, "Org2MSP", "without"), "1");
  });

  it("answer from an old state while they do not follow, and catch up when they do, also by a new start", async () => {
    ledger.peer("Org3MSP").isFollowing = false;
    await put(ledger, "Org1MSP", "behind", "1");
    assert.equal(await valueAt(ledger, "Org3MSP", "behind"), "nothing");
    ledger.peer("Org3MSP").isFollowing = true;
    await put(ledger, "Org1MSP", "other", "1");
    assert.equal(await valueAt(ledger, "Org3MSP", "behind"), "1");
    ledger.peer("Org3MSP").isFollowing = false;
    await put(ledger, "Org1MSP", "behind", "2");
    await ledger[Symbol.asyncDispose]();
    ledger = await folder.open();
    assert.equal(await valueAt(ledger, "Org3MSP", "behind"), "2");
  });

  it("whose answers differ from the others' have nothing ordered", async () => {
    const height = ledger.peer("Org1MSP").store.height;
    ledger.install(trialName, async () => "something else", ["Org2MSP"]);
    await assert.rejects(put(ledger, "Org1MSP", "differs", "1"), unavailable);
    ledger.install(trialName, trial, ["Org2MSP"]);
    assert.equal(ledger.peer("Org1MSP").store.height, height);
  });

  it("that do not follow cannot tell what became of a transaction", async () => {
    ledger.peer("Org1MSP").isFollowing = false;
    await assert.rejects(put(ledger, "Org1MSP", "untold", "1"), unavailable);
    assert.equal(await valueAt(ledger, "Org2MSP", "untold"), "1");
    ledger.peer("Org1MSP").isFollowing = true;
    await put(ledger, "Org2MSP", "told", "1");
    assert.equal(await valueAt(ledger, "Org1MSP", "untold"), "1");
  });

  it("that cannot commit a block stop answering, and say why", async () => {
    const path = join(folder.path, "peers/Org3MSP/0.db");
    const holder = new DatabaseSync(path);
    holder.exec("CREATE TRIGGER full BEFORE INSERT ON blocks BEGIN SELECT RAISE(ABORT, 'no room'); END;");
    await put(ledger, "Org1MSP", "full", "1");
    assert.match(String(ledger.peer("Org3MSP").fault), /no room/);
    await assert.rejects(valueAt(ledger, "Org3MSP", "full"), unavailable);
    holder.exec("DROP TRIGGER full");
    holder.close();
    await ledger[Symbol.asyncDispose]();
    ledger = await folder.open();
    assert.equal(await valueAt(ledger, "Org3MSP", "full"), "1");
  });

  it("hear nothing of what the orderer could not write, and of the next that it can", async () => {
    const height = ledger.peer("Org1MSP").store.height;
    const holder = new DatabaseSync(join(folder.path, "orderer/blocks.db"));
    holder.exec("CREATE TRIGGER full BEFORE INSERT ON blocks BEGIN SELECT RAISE(ABORT, 'no room'); END;");
    await assert.rejects(put(ledger, "Org1MSP", "unwritten", "1"), unavailable);
    assert.equal(ledger.peer("Org1MSP").store.height, height);
    holder.exec("DROP TRIGGER full");
    holder.close();
    await put(ledger, "Org1MSP", "written", "1");
    assert.equal(await valueAt(ledger, "Org3MSP", "unwritten"), "nothing");
    assert.equal(await valueAt(ledger, "Org3MSP", "written"), "1");
  });

  it("and organisations that are not of the channel are told to be so", async () => {
    assert.throws(() => ledger.peer("Org9MSP"), { code: "NOT_FOUND" });
    assert.throws(() => ledger.peer("Org1MSP", 1), { code: "NOT_FOUND" });
    assert.throws(() => ledger.identity("Org9MSP", "client"), { code: "NOT_FOUND" });
    assert.throws(() => ledger.identity("../Org1MSP", "client"), { code: "NOT_FOUND" });
    const identity = ledger.identity("Org1MSP", "client");
    await assert.rejects(ledger.connect({ ...identity, mspId: "Org9MSP" }), { code: "NOT_FOUND" });
  });

  it("answer nobody once the ledger is closed, and end what waits for blocks", async () => {
    const connection = await ledger.connect(ledger.identity("Org1MSP", "client"));
    const blocks = connection.blocks(ledger.peer("Org1MSP").store.height)[Symbol.asyncIterator]();
    const next = blocks.next();
    await ledger[Symbol.asyncDispose]();
    assert.equal((await next).done, true);
    await assert.rejects(connection.evaluate(trialName, "get", ["a"]), unavailable);
    await assert.rejects(connection.submit(trialName, "put", ["a", "1"]), unavailable);
    ledger = await folder.open();
  });
});
