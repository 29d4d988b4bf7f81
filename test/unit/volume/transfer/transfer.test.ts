import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { volumeDriver } from "../../../../src/volume/drivers.ts";
import { OwnerLock } from "../../../../src/volume/owner-lock.ts";
import { ByteSource } from "../../../../src/volume/transfer/byte-source.ts";
import { type ExportRecord, encodeRecord } from "../../../../src/volume/transfer/entry-record.ts";
import { ExportReader, ExportWriter } from "../../../../src/volume/transfer/export-stream.ts";
import { exportVolume } from "../../../../src/volume/transfer/export-volume.ts";
import { importVolume } from "../../../../src/volume/transfer/import-volume.ts";
import { seed } from "../../../run-settings.ts";
import { FilledStore, isRoot, treeOf } from "./filled-store.ts";

async function* piecesOf(bytes: Buffer, pieceBytes = 65_536): AsyncIterable<Buffer> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

/** There is no volume, and nothing that keeps one from being made. */
async function assertNoVolume(folder: string): Promise<void> {
  const driver = await volumeDriver("sealfs");
  assert.match((await driver.status({ folder })).state, /^(absent|incomplete)$/);
  assert.deepEqual(existsSync(join(folder, "store")), false);
}

const damaged = { code: "VOLUME_EXPORT_DAMAGED" };

describe("export and import of a locked volume", () => {
  it("keeps the store to its owner, whatever was done to the exported one", async () => {
    using store = await FilledStore.make();
    chmodSync(join(store.folder, "store"), 0o777);
    writeFileSync(join(store.folder, "store/program"), "put there");
    chmodSync(join(store.folder, "store/program"), 0o4755);
    const folder = store.target();
    await importVolume({ folder }, store.dataKey, piecesOf(await store.export(), 1000));
    assert.equal(statSync(join(folder, "store")).mode & 0o7777, 0o700);
    assert.equal(statSync(join(folder, "store")).uid, process.getuid?.());
  });

  for (const suite of ["intl", "sm"] as const)
    it(`keeps a store of suite ${suite} as it is: names, modes, owners, times, links and holes`, async () => {
      using store = await FilledStore.make(suite);
      const exported = await store.export();
      const folder = store.target();
      const { description, entries } = await importVolume({ folder }, store.dataKey, piecesOf(exported, 1000));
      assert.equal(description.suite, suite);
      const [before, after] = [treeOf(join(store.folder, "store")), treeOf(join(folder, "store"))];
      // Made anew where they are missing.
      for (const name of ["/keys.lock", "/keys.spare"]) delete before[name];
      assert.deepEqual(after, before);
      assert.ok(entries > 10);
      assert.ok(statSync(join(folder, "store/tree/sparse")).blocks < 200, "holes were filled");
      assert.deepEqual(readFileSync(join(folder, "volume.header")), readFileSync(join(store.folder, "volume.header")));
      assert.equal((await (await volumeDriver("sealfs")).status({ folder })).state, "locked");
    });

  it("keeps extended attributes of users", async (context) => {
    using store = await FilledStore.make();
    const at = (folder: string) => join(folder, "store/tree/large");
    if (spawnSync("setfattr", ["-n", "user.sealed", "-v", "value", at(store.folder)]).status !== 0)
      return context.diagnostic("this machine has no setfattr, or its file system no attributes");
    const folder = store.target();
    await importVolume({ folder }, store.dataKey, piecesOf(await store.export()));
    assert.match(spawnSync("getfattr", ["-d", at(folder)]).stdout.toString(), /user\.sealed="value"/);
  });

  it("shows nothing of a store in the stream, and never the same twice", async () => {
    using store = await FilledStore.make();
    const [first, second] = [await store.export(), await store.export()];
    for (const word of ["folder", "at-all", "a name that is no text", "sparse"])
      assert.equal(first.includes(word), false, word);
    assert.notDeepEqual(first.subarray(-1000), second.subarray(-1000));
  });

  it("leaves the exported volume as it was", async () => {
    using store = await FilledStore.make();
    const before = treeOf(store.folder);
    await store.export();
    assert.deepEqual(treeOf(store.folder), before);
  });

  it("refuses an export that is cut anywhere, and leaves no volume", async () => {
    using store = await FilledStore.make();
    const exported = await store.export();
    const ends = [0, 3, 7, 40, 300, 500, 70_000, exported.length - 30, exported.length - 1];
    for (const end of ends) {
      const folder = store.target(`cut-${end}`);
      const imported = importVolume({ folder }, store.dataKey, piecesOf(exported.subarray(0, end)));
      await assert.rejects(imported, damaged, `cut at ${end}`);
      await assertNoVolume(folder);
    }
  });

  it("refuses a change of any bit that is tried", async () => {
    using store = await FilledStore.make();
    const exported = await store.export();
    let random = Math.abs(seed) % 2 ** 31 || 1;
    for (let i = 0; i < 60; i++) {
      random = (random * 48_271) % 0x7fff_ffff;
      // The prelude and the first chunk's beginning more often than their share.
      const at = random % (i % 2 === 0 ? exported.length : 400);
      const bad = Buffer.from(exported);
      bad.writeUInt8(bad.readUInt8(at) ^ (1 << (i % 8)), at);
      const folder = store.target(`bit-${i}`);
      await assert.rejects(
        importVolume({ folder }, store.dataKey, piecesOf(bad)),
        { code: /^VOLUME_(EXPORT_DAMAGED|WRONG_KEY|HEADER_INVALID)$/ },
        `byte ${at}`,
      );
      await assertNoVolume(folder);
    }
  });

  it("refuses chunks that are left out, repeated or exchanged, and bytes behind the end", async () => {
    using store = await FilledStore.make();
    const exported = await store.export();
    const start = 8 + exported.readUInt16BE(6) + 32;
    const chunks: Buffer[] = [];
    for (let at = start; at < exported.length; ) {
      const bytes = 4 + 28 + (exported.readUInt32BE(at) & 0x7fff_ffff);
      chunks.push(exported.subarray(at, at + bytes));
      at += bytes;
    }
    const [first = Buffer.alloc(0), second = Buffer.alloc(0)] = chunks;
    const rest = chunks.slice(2);
    const prelude = exported.subarray(0, start);
    const streams = {
      "left out": [prelude, second, ...rest],
      repeated: [prelude, first, first, second, ...rest],
      exchanged: [prelude, second, first, ...rest],
      "with more": [exported, Buffer.of(0)],
      "twice over": [exported, ...chunks],
    };
    for (const [name, parts] of Object.entries(streams)) {
      const folder = store.target(name);
      await assert.rejects(importVolume({ folder }, store.dataKey, piecesOf(Buffer.concat(parts))), damaged, name);
      await assertNoVolume(folder);
    }
  });

  it("refuses another data key, and chunks of another volume under this volume's header", async () => {
    using store = await FilledStore.make();
    using other = await FilledStore.make();
    using wrong = SecretBuffer.random(32);
    const folder = store.target();
    const [mine, theirs] = [await store.export(), await other.export()];
    await assert.rejects(importVolume({ folder }, wrong, piecesOf(mine)), { code: "VOLUME_WRONG_KEY" });
    assert.equal(existsSync(folder), false);
    const start = 8 + mine.readUInt16BE(6) + 32;
    const spliced = Buffer.concat([mine.subarray(0, start), theirs.subarray(8 + theirs.readUInt16BE(6) + 32)]);
    await assert.rejects(importVolume({ folder }, store.dataKey, piecesOf(spliced)), damaged);
    await assertNoVolume(folder);
  });

  it("refuses a volume that is there, a folder that holds files, and another kind than the manifest's", async () => {
    using store = await FilledStore.make();
    const exported = await store.export();
    const at = { folder: store.folder };
    await assert.rejects(importVolume(at, store.dataKey, piecesOf(exported)), { code: "VOLUME_EXISTS" });
    const folder = store.target();
    mkdirSync(folder);
    writeFileSync(join(folder, "mine"), "");
    await assert.rejects(importVolume({ folder }, store.dataKey, piecesOf(exported)), {
      code: "VOLUME_PLACE_NOT_EMPTY",
    });
    assert.deepEqual(readdirSync(folder), ["mine"]);
    await assert.rejects(
      importVolume({ folder: store.target("kind") }, store.dataKey, piecesOf(exported), { kind: "gocryptfs" }),
      { code: "VOLUME_KIND_MISMATCH" },
    );
  });

  it("refuses to export what is in use, is not there, or lies under another key", async () => {
    using store = await FilledStore.make();
    using wrong = SecretBuffer.random(32);
    const nowhere = async () => assert.fail("something was written");
    await assert.rejects(exportVolume({ folder: store.folder }, wrong, nowhere), { code: "VOLUME_WRONG_KEY" });
    await assert.rejects(exportVolume({ folder: store.target() }, store.dataKey, nowhere), { code: "VOLUME_ABSENT" });
    const lock = await OwnerLock.acquire(join(store.folder, "volume.lock"), true);
    await assert.rejects(store.export(), { code: "VOLUME_ALREADY_OPEN" });
    lock.release();
  });

  it("refuses to export kinds that have no store of ciphertext", async () => {
    using store = await FilledStore.make();
    const folder = store.target();
    await (await volumeDriver("level")).create({ folder }, store.dataKey);
    const nothing = async () => {};
    await assert.rejects(exportVolume({ folder }, store.dataKey, nothing), { code: "VOLUME_UNSUPPORTED" });
  });

  it("passes on that the disk is full, and lets go of the volume", async () => {
    using store = await FilledStore.make();
    const full = Object.assign(new Error("no space"), { code: "ENOSPC" });
    let written = 0;
    const sink = async (bytes: Buffer) => {
      written += bytes.length;
      if (written > 300_000) throw full;
    };
    await assert.rejects(exportVolume({ folder: store.folder }, store.dataKey, sink), full);
    await store.export();
  });

  it("takes files of other users over where it is told to, and refuses them otherwise unless it is root", async () => {
    using store = await FilledStore.make();
    const exported = await store.export();
    const folder = store.target();
    await importVolume({ folder }, store.dataKey, piecesOf(exported), { owners: "mine" });
    const { uid, mode } = statSync(join(folder, "store/tree/folder/one"));
    assert.deepEqual([uid, mode & 0o7777], [process.getuid?.(), 0o4751]);
    if (isRoot) assert.equal(statSync(join(store.folder, "store/tree/folder/one")).uid, 1234);
  });

  it("starts over what an interrupted import left", async () => {
    using store = await FilledStore.make();
    const exported = await store.export();
    const folder = store.target();
    mkdirSync(join(folder, "store/tree"), { recursive: true });
    writeFileSync(join(folder, "store/tree/half"), "half");
    writeFileSync(join(folder, "volume.creating"), "");
    await importVolume({ folder }, store.dataKey, piecesOf(exported));
    assert.equal(existsSync(join(folder, "store/tree/half")), false);
  });
});

describe("an export made by someone who has the key", () => {
  const entry = { mode: 0o100600, uid: 0, gid: 0, accessedNs: 0n, modifiedNs: 0n, attributes: [] };
  const top: ExportRecord = { kind: "folder", entry: { ...entry, name: "", mode: 0o040700 } };
  const end: ExportRecord = { kind: "end", entries: 2, contentBytes: 0 };
  const leave: ExportRecord = { kind: "leave" };

  async function refuses(records: readonly ExportRecord[], code: RegExp): Promise<void> {
    using store = await FilledStore.make();
    const header = readFileSync(join(store.folder, "volume.header"));
    const pieces: Buffer[] = [];
    using writer = await ExportWriter.begin(header, store.dataKey, async (bytes) => void pieces.push(bytes));
    for (const record of records) await writer.write(encodeRecord(record));
    await writer.finish();
    const folder = store.target();
    await assert.rejects(importVolume({ folder }, store.dataKey, piecesOf(Buffer.concat(pieces))), { code });
    await assertNoVolume(folder);
    assert.deepEqual(readdirSync(store.work).sort(), ["restored", "volume"]);
    rmSync(folder, { recursive: true });
  }

  for (const name of ["..", ".", "a/b", "/etc/passwd", "../out", "a\0b", "", "x".repeat(256)])
    it(`cannot make an entry named ${JSON.stringify(name.slice(0, 20))}`, () =>
      refuses(
        [top, { kind: "symlink", entry: { ...entry, name, mode: 0o120777 }, target: "x" }, leave, end],
        /^VOLUME_EXPORT_DAMAGED$/,
      ));

  it("cannot write through a link, make a name twice, or link to what is outside", async () => {
    const link: ExportRecord = { kind: "symlink", entry: { ...entry, name: "way", mode: 0o120777 }, target: "../.." };
    const folder: ExportRecord = { kind: "folder", entry: { ...entry, name: "way", mode: 0o040700 } };
    await refuses([top, link, folder, leave, leave, end], /^VOLUME_SYSTEM$/);
    await refuses([top, link, link, leave, end], /^VOLUME_SYSTEM$/);
    for (const to of [["way", "volume"], ["way", "..", "volume"], ["absent"], []])
      await refuses([top, link, { kind: "link", name: "out", to }, leave, end], /^VOLUME_(SYSTEM|EXPORT_DAMAGED)$/);
  });

  it("cannot say one thing and hold another", async () => {
    const file: ExportRecord = { kind: "special", entry: { ...entry, name: "fifo", mode: 0o100600 }, device: 0 };
    await refuses([top, file, leave, end], /^VOLUME_EXPORT_DAMAGED$/);
    await refuses([top, leave, end], /^VOLUME_EXPORT_DAMAGED$/);
    await refuses([top, leave], /^VOLUME_EXPORT_DAMAGED$/);
    await refuses([leave], /^VOLUME_EXPORT_DAMAGED$/);
    await refuses([top, end], /^VOLUME_EXPORT_DAMAGED$/);
    const attributes = [["security.capability", Buffer.of(1)]] as const;
    const folder: ExportRecord = { kind: "folder", entry: { ...entry, name: "f", mode: 0o040700, attributes } };
    await refuses([top, folder, leave, leave, end], /^VOLUME_EXPORT_DAMAGED$/);
  });
});

describe("the reader of an export", () => {
  it("gives out nothing behind the end", async () => {
    using store = await FilledStore.make();
    using reader = await ExportReader.begin(new ByteSource(piecesOf(await store.export())), store.dataKey);
    await assert.rejects(reader.take(100_000_000), damaged);
  });
});
