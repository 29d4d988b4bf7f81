import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { generateKeyPair } from "../../../../src/crypto/curve.ts";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { sm2Encrypt } from "../../../../src/crypto/sm2-encryption.ts";
import {
  type EnvelopeSet,
  type EnvelopeTable,
  openEnvelopeTable,
  type StagedEnvelopes,
} from "../../../../src/database/gm/envelope-table.ts";
import { rewrapAll } from "../../../../src/database/gm/rewrap.ts";
import { type SubKeyOpener, softOpener } from "../../../../src/database/gm/sub-key-envelope.ts";
import { RecordFileTable, type Step } from "./record-file-table.ts";

const folders = mkdtempSync(join(tmpdir(), "strongroom-rewrap-"));
after(() => rmSync(folders, { recursive: true, force: true }));

const [oldKey, newKey, thirdKey] = [generateKeyPair("sm2"), generateKeyPair("sm2"), generateKeyPair("sm2")];
const subKeys: ReadonlyMap<string, SecretBuffer> = new Map(
  ["table", "data/enc/autogen/1", "data/enc/autogen/2", "wal/enc/autogen/1", "index/enc"].map((name) => [
    name,
    SecretBuffer.random(16),
  ]),
);
const size = subKeys.size;

function newTable(): string {
  const folder = mkdtempSync(join(folders, "table-"));
  RecordFileTable.create(folder, oldKey.publicKey, subKeys);
  return folder;
}

function openerOf({ scalar, publicKey }: typeof oldKey): Promise<SubKeyOpener> {
  return softOpener(scalar, publicKey);
}

async function rewrap(folder: string, to: Buffer = newKey.publicKey, step?: Step) {
  await using opener = await openerOf(oldKey);
  using table = await openEnvelopeTable(folder, opener, [(path, with_) => RecordFileTable.open(path, with_, step)]);
  return await rewrapAll(table, { opener, newPublicKey: to, batchEnvelopes: 2 });
}

/** That the whole table opens under this key, to the sub-keys that were put in. */
async function mustOpenUnder(folder: string, key: typeof oldKey): Promise<void> {
  await using opener = await openerOf(key);
  using table = await RecordFileTable.open(folder, opener);
  const { publicKey, envelopes } = table?.inForce() ?? assert.fail("no table");
  assert.equal(publicKey.equals(key.publicKey), true);
  assert.deepEqual([...envelopes.keys()].sort(), [...subKeys.keys()].sort());
  for (const [name, envelope] of envelopes) {
    using opened = await opener.open(envelope);
    assert.equal(opened?.equals(subKeys.get(name) ?? assert.fail(name)), true, name);
  }
}

/** Hands on to another table; a test overrides what it wants to go wrong. */
class TableAround implements EnvelopeTable {
  readonly inner: EnvelopeTable;
  constructor(inner: EnvelopeTable) {
    this.inner = inner;
  }
  inForce(): EnvelopeSet {
    return this.inner.inForce();
  }
  staged(): StagedEnvelopes | undefined {
    return this.inner.staged();
  }
  startStaging(publicKey: Buffer): void {
    this.inner.startStaging(publicKey);
  }
  stage(envelopes: Parameters<EnvelopeTable["stage"]>[0]): void {
    this.inner.stage(envelopes);
  }
  putStagedInForce(): void {
    this.inner.putStagedInForce();
  }
  previous(): EnvelopeSet | undefined {
    return this.inner.previous();
  }
  dropPrevious(): void {
    this.inner.dropPrevious();
  }
  [Symbol.dispose](): void {
    this.inner[Symbol.dispose]();
  }
}

async function rewrapAround(folder: string, around: (inner: EnvelopeTable) => EnvelopeTable): Promise<unknown> {
  await using opener = await openerOf(oldKey);
  const inner = await RecordFileTable.open(folder, opener);
  using table = around(inner ?? assert.fail("no table"));
  return await rewrapAll(table, { opener, newPublicKey: newKey.publicKey });
}

describe("the change of the master key", () => {
  it("puts every sub-key into an envelope to the new key, and keeps none to the old", async () => {
    const folder = newTable();
    const old = readFileSync(join(folder, "keys"), "utf8");
    assert.deepEqual(await rewrap(folder), { total: size, rewrapped: size, resumed: 0 });
    await mustOpenUnder(folder, newKey);
    for (const envelope of old.match(/30[0-9a-f]{200,}/g) ?? assert.fail("no envelopes"))
      assert.equal(readFileSync(join(folder, "keys"), "utf8").includes(envelope), false);
  });

  it("tells its progress, batch by batch", async () => {
    const told: string[] = [];
    await using opener = await openerOf(oldKey);
    using table = (await RecordFileTable.open(newTable(), opener)) ?? assert.fail("no table");
    const onProgress = (done: number, total: number) => void told.push(`${done}/${total}`);
    await rewrapAll(table, { opener, newPublicKey: newKey.publicKey, batchEnvelopes: 2, onProgress });
    assert.deepEqual(told, ["2/5", "4/5", "5/5"]);
  });

  it("says that the new envelopes are in force while the old ones are still kept", async () => {
    const folder = newTable();
    await using opener = await openerOf(oldKey);
    using table = (await RecordFileTable.open(folder, opener)) ?? assert.fail("no table");
    let told = 0;
    const onInForce = () => {
      told += 1;
      assert.equal(table.inForce().publicKey.equals(newKey.publicKey), true);
      assert.equal(table.previous()?.publicKey.equals(oldKey.publicKey), true);
    };
    await rewrapAll(table, { opener, newPublicKey: newKey.publicKey, onInForce });
    assert.equal(told, 1);
    assert.equal(table.previous(), undefined);
  });

  it("leaves one whole set in force after a kill at any step, and goes on where it was", async () => {
    let steps = 0;
    await rewrap(newTable(), newKey.publicKey, () => {
      steps += 1;
    });
    assert.equal(steps, 2 + 3 * 3 + 3 + 2);
    for (let killedAt = 1; killedAt <= steps; killedAt++) {
      const folder = newTable();
      let step = 0;
      let last = "";
      const kill = (what: string) => {
        step += 1;
        last = what;
        if (step === killedAt) throw new Error("killed");
      };
      await assert.rejects(rewrap(folder, newKey.publicKey, kill), /killed/);
      if (last === "dropped") {
        await assert.rejects(rewrap(folder), { code: "MASTER_KEY_MISMATCH" });
      } else {
        const changed = ["the change", "staged removed", "before dropping"].includes(last);
        await mustOpenUnder(folder, changed ? newKey : oldKey);
        const report = await rewrap(folder);
        assert.equal(report.rewrapped + report.resumed, size, last);
        if (last === "before the change") assert.equal(report.resumed, size);
        if (last === "a batch") assert.notEqual(report.resumed, 0);
      }
      await mustOpenUnder(folder, newKey);
    }
  });

  it("starts anew when an earlier run was for another new key", async () => {
    const folder = newTable();
    const killAtTheEnd = (what: string) => {
      if (what === "before the change") throw new Error("killed");
    };
    await assert.rejects(rewrap(folder, thirdKey.publicKey, killAtTheEnd), /killed/);
    assert.deepEqual(await rewrap(folder), { total: size, rewrapped: size, resumed: 0 });
    await mustOpenUnder(folder, newKey);
  });

  it("starts anew when a sub-key was made, dropped or changed since the earlier run", async () => {
    const killAtTheEnd = (what: string) => {
      if (what === "before the change") throw new Error("killed");
    };
    const [ofTable, ofIndex] = [subKeys.get("table"), subKeys.get("index/enc")];
    assert.ok(ofTable && ofIndex);
    for (const others of [
      new Map([["table", ofTable]]),
      new Map([...subKeys, ["index/enc", SecretBuffer.random(16)] as const]),
    ]) {
      const folder = newTable();
      await assert.rejects(rewrap(folder, newKey.publicKey, killAtTheEnd), /killed/);
      RecordFileTable.create(folder, oldKey.publicKey, others);
      assert.deepEqual(await rewrap(folder), { total: others.size, rewrapped: others.size, resumed: 0 });
    }
    // The envelopes of the others are new as well here, so that what was staged replaces none of them.
    const folder = newTable();
    await assert.rejects(rewrap(folder, newKey.publicKey, killAtTheEnd), /killed/);
    RecordFileTable.create(folder, oldKey.publicKey, new Map([...subKeys, ["more", SecretBuffer.random(16)] as const]));
    assert.deepEqual(await rewrap(folder), { total: size + 1, rewrapped: size + 1, resumed: 0 });
  });

  it("refuses a table that is for another key, and changes nothing", async () => {
    const folder = newTable();
    const before = readFileSync(join(folder, "keys"));
    await using opener = await openerOf(thirdKey);
    await assert.rejects(RecordFileTable.open(folder, opener), { code: "MASTER_KEY_MISMATCH", exitCode: 3 });
    const right = await openerOf(oldKey);
    using table = (await RecordFileTable.open(folder, right)) ?? assert.fail("no table");
    const wrong = rewrapAll(table, { opener, newPublicKey: newKey.publicKey });
    await assert.rejects(wrong, { code: "MASTER_KEY_MISMATCH", exitCode: 3 });
    assert.deepEqual(readFileSync(join(folder, "keys")), before);
  });

  it("stops at a sub-key whose envelope does not open, names it, and changes nothing in force", async () => {
    const folder = newTable();
    const foreign = sm2Encrypt(thirdKey.publicKey, Buffer.alloc(16, 1), "asn1");
    const replaced = rewrapAround(
      folder,
      (inner) =>
        new (class extends TableAround {
          override inForce(): EnvelopeSet {
            const { publicKey, envelopes } = super.inForce();
            return { publicKey, envelopes: new Map([...envelopes, ["index/enc", foreign]]) };
          }
        })(inner),
    );
    await assert.rejects(replaced, { code: "ENVELOPE_REFUSED", exitCode: 5, message: /index\/enc/ });
    await mustOpenUnder(folder, oldKey);
  });

  it("stops at a sub-key that is no sub-key's length", async () => {
    const folder = newTable();
    await using opener = await openerOf(oldKey);
    using table = (await RecordFileTable.open(folder, opener)) ?? assert.fail("no table");
    const short: SubKeyOpener = { ...opener, open: async () => SecretBuffer.random(15) };
    await assert.rejects(rewrapAll(table, { opener: short, newPublicKey: newKey.publicKey }), {
      code: "ENVELOPE_REFUSED",
    });
  });

  for (const [what, alter] of [
    ["one is missing", (all: Map<string, Buffer>) => void all.delete("index/enc")],
    ["one is too many", (all: Map<string, Buffer>) => void all.set("more", Buffer.from(all.get("table") ?? ""))],
    ["two are exchanged", (all: Map<string, Buffer>) => void all.set("index/enc", Buffer.from(all.get("table") ?? ""))],
    ["one has a bit changed", (all: Map<string, Buffer>) => void all.get("index/enc")?.writeUInt8(0, 60)],
  ] as const)
    for (const where of ["staged", "in force"] as const)
      it(`keeps the old envelopes when, of what is ${where}, ${what} in what is read back`, async () => {
        const folder = newTable();
        let dropped = false;
        const altered = rewrapAround(
          folder,
          (inner) =>
            new (class extends TableAround {
              #changed = false;
              override staged(): StagedEnvelopes | undefined {
                const found = super.staged();
                if (where !== "staged" || found === undefined) return found;
                const all = new Map([...found.envelopes].map(([name, { envelope }]) => [name, Buffer.from(envelope)]));
                alter(all);
                const envelopes = new Map(
                  [...all].map(([name, envelope]) => [name, { envelope, replaces: Buffer.alloc(32) }]),
                );
                return { publicKey: found.publicKey, envelopes };
              }
              override putStagedInForce(): void {
                super.putStagedInForce();
                this.#changed = true;
              }
              override inForce(): EnvelopeSet {
                const { publicKey, envelopes } = super.inForce();
                const all = new Map([...envelopes].map(([name, envelope]) => [name, Buffer.from(envelope)]));
                if (where === "in force" && this.#changed) alter(all);
                return { publicKey, envelopes: all };
              }
              override dropPrevious(): void {
                dropped = true;
              }
            })(inner),
        );
        await assert.rejects(altered, { code: "ENVELOPE_TABLE_DAMAGED", exitCode: 5 });
        assert.equal(dropped, false);
        if (where === "staged") await mustOpenUnder(folder, oldKey);
        await using opener = await openerOf(oldKey);
        using table = (await RecordFileTable.open(folder, opener)) ?? assert.fail("no table");
        const kept = where === "staged" ? table.inForce() : table.previous();
        assert.equal(kept?.publicKey.equals(oldKey.publicKey), true);
        assert.equal(kept?.envelopes.size, size);
      });

  it("is one run at a time", async () => {
    const folder = newTable();
    await using opener = await openerOf(oldKey);
    using _held = (await RecordFileTable.open(folder, opener)) ?? assert.fail("no table");
    await assert.rejects(rewrap(folder), { code: "ENVELOPE_TABLE_BUSY", exitCode: 1 });
  });

  it("does not take a staged envelope that someone else has made", async () => {
    const folder = newTable();
    const killAtTheEnd = (what: string) => {
      if (what === "before the change") throw new Error("killed");
    };
    await assert.rejects(rewrap(folder, newKey.publicKey, killAtTheEnd), /killed/);
    const file = join(folder, "keys.next");
    const lines = readFileSync(file, "utf8").split("\n");
    const forged = sm2Encrypt(newKey.publicKey, Buffer.alloc(16, 1), "asn1").toString("hex");
    writeFileSync(file, lines.map((line) => line.replace(/30[0-9a-f]{200,}/, forged)).join("\n"));
    await assert.rejects(rewrap(folder), { code: "ENVELOPE_TABLE_DAMAGED" });
    await mustOpenUnder(folder, oldKey);
  });
});

describe("a place without a key table", () => {
  it("is told as such", async () => {
    await using opener = await openerOf(oldKey);
    const absent = { code: "ENVELOPE_TABLE_ABSENT", exitCode: 2, message: `${folders} holds no key table` };
    await assert.rejects(openEnvelopeTable(folders, opener), absent);
    await assert.rejects(
      openEnvelopeTable(folders, opener, [(path, with_) => RecordFileTable.open(path, with_)]),
      absent,
    );
  });
});
