import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { type CounterClient, counterAnchor, type VolumeHead } from "../../../src/volume/anchor.ts";
import { volumeDriver } from "../../../src/volume/drivers.ts";
import { makeSealedStore } from "../../../src/volume/sealfs/server/make-store.ts";
import { OpenedVolume } from "../../../src/volume/sealfs/server/opened-volume.ts";
import { rekeyVolume } from "../../../src/volume/sealfs-rekey.ts";

function testFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "strongroom-anchored-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function key(fill: number): SecretBuffer {
  return SecretBuffer.take(Buffer.alloc(32, fill));
}

/** A key manager's counters, in memory. */
function counters(): CounterClient {
  const kept = new Map<string, { readonly value: number; readonly stamp: string }>();
  return {
    readCounter: async (name) => kept.get(name) ?? null,
    async advanceCounter({ name, next }) {
      kept.set(name, next);
      return next;
    },
  };
}

describe("a re-keying of a volume with an anchor", () => {
  it("refuses an older copy, again and again, which it would otherwise lift above what was kept", async (t) => {
    const folder = testFolder(t);
    const place = { folder: join(folder, "volume") };
    const older = { folder: join(folder, "older") };
    using first = key(1);
    using second = key(2);
    using third = key(3);
    const anchor = counterAnchor(async () => counting);
    const counting = counters();
    const driver = await volumeDriver("sealfs");
    await driver.create(place, first, { parameters: { anchor: "key-manager" } });
    await driver.anchor(place, first, anchor);
    cpSync(place.folder, older.folder, { recursive: true });
    await rekeyVolume(place, first, second, anchor);
    await driver.anchor(place, second, anchor);

    const table = readFileSync(join(older.folder, "store/keys"));
    for (let time = 0; time < 3; time += 1)
      await assert.rejects(rekeyVolume(older, first, third, anchor), { code: "VOLUME_ROLLED_BACK" });
    assert.deepEqual(readFileSync(join(older.folder, "store/keys")), table);
    await rekeyVolume(place, second, third, anchor);
  });

  it("is refused without the anchor, and changes nothing", async (t) => {
    const place = { folder: join(testFolder(t), "volume") };
    using first = key(1);
    using second = key(2);
    const driver = await volumeDriver("sealfs");
    await driver.create(place, first, { parameters: { anchor: "key-manager" } });
    const table = readFileSync(join(place.folder, "store/keys"));
    await assert.rejects(rekeyVolume(place, first, second), { code: "VOLUME_PARAMETER_INVALID" });
    assert.deepEqual(readFileSync(join(place.folder, "store/keys")), table);
  });
});

describe("a store that was compared with an anchor", () => {
  it("is opened as it stood then, and no other", async (t) => {
    using tableKey = key(7);
    const handover = {
      store: join(testFolder(t), "store"),
      mountPoint: "/",
      volumeId: "00010203-0405-0607-0809-0a0b0c0d0e0f",
      suite: "intl" as const,
      layout: { blockBytes: 4096, integrity: "tree" as const },
      names: "plain" as const,
    };
    await makeSealedStore(handover, tableKey);
    const open = ({ sequence, link }: VolumeHead) =>
      OpenedVolume.open(
        { ...handover, anchored: { sequence, link: link.toString("hex") } },
        tableKey,
        () => {},
        "serve",
      );
    const looked = await OpenedVolume.open(handover, tableKey, () => {}, "check");
    const { head } = looked.keys.table;
    looked.close();
    for (const other of [
      { ...head, sequence: head.sequence + 1 },
      { ...head, sequence: head.sequence - 1 },
      { ...head, link: Buffer.alloc(16) },
    ])
      await assert.rejects(open(other), { code: "KEY_TABLE_ROLLED_BACK" });
    const opened = await open(head);
    assert.equal(opened.wasClean, true, "what was refused has begun no session");
    opened.close();
    await assert.rejects(open(head), { code: "KEY_TABLE_ROLLED_BACK" });
  });
});
