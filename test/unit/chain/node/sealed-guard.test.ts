import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, it } from "node:test";
import {
  decodeGuardRecord,
  encodeGuardRecord,
  type GuardRecord,
} from "../../../../src/chain/consensus/guard-record.ts";
import type { GuardEntry } from "../../../../src/chain/node/guard-format.ts";
import type { GuardOutcome, VoteGuard } from "../../../../src/chain/node/replica-host.ts";
import { SealedGuard } from "../../../../src/chain/node/sealed-guard.ts";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";

const block = Buffer.from("a prepared block with a transaction in it");
const commit: GuardRecord = { height: 7, view: 2, phase: "commit", digest: Buffer.alloc(32, 5), prepared: block };
const prepare: GuardRecord = { height: 7, view: 2, phase: "prepare", digest: Buffer.alloc(32, 5) };
const entryOf = (record: GuardRecord): GuardEntry => ({ height: record.height, record: encodeGuardRecord(record) });

/** What would be the file. */
class Kept implements VoteGuard {
  entries: GuardEntry[] = [];
  forgotten = 0;
  outcome: GuardOutcome = "stored";

  get written(): number {
    return this.entries.length;
  }

  closedHeight = 3;

  async store(entry: GuardEntry): Promise<GuardOutcome> {
    this.entries.push(entry);
    return this.outcome;
  }

  async forget(upToHeight: number): Promise<void> {
    this.forgotten = upToHeight;
  }

  get record(): GuardRecord {
    return decodeGuardRecord(this.entries.at(-1)?.record ?? Buffer.alloc(0));
  }
}

function dataKey(byte = 1): SecretBuffer {
  return SecretBuffer.take(Buffer.alloc(32, byte));
}

for (const suite of ["intl", "sm"] as const)
  describe(`the guard of a node whose store is encrypted, ${suite}`, () => {
    const damaged = { code: "GUARD_DAMAGED" };

    it("keeps the prepared block sealed, the promise itself readable, and gives both back", async () => {
      const kept = new Kept();
      using key = dataKey();
      using guard = new SealedGuard(kept, key, suite);
      await guard.store(entryOf(prepare));
      await guard.store(entryOf(commit));
      assert.deepEqual([guard.written, guard.closedHeight], [2, 3]);
      kept.outcome = "passed";
      assert.equal(await guard.store(entryOf(prepare)), "passed");
      kept.entries.pop();
      assert.ok(!Buffer.concat(kept.entries.map(({ record }) => record)).includes("transaction"));
      assert.deepEqual({ ...kept.record, prepared: block }, commit);
      assert.deepEqual(guard.entries, [entryOf(prepare), entryOf(commit)]);
      using again = new SealedGuard(kept, key, suite);
      assert.deepEqual(again.entries, [entryOf(prepare), entryOf(commit)]);
      await guard.forget(7);
      assert.equal(kept.forgotten, 7);
    });

    it("seals the same block to other bytes each time", async () => {
      const kept = new Kept();
      using key = dataKey();
      using guard = new SealedGuard(kept, key, suite);
      await guard.store(entryOf(commit));
      await guard.store(entryOf(commit));
      assert.notDeepEqual(kept.entries[0], kept.entries[1]);
    });

    it("refuses a block of another promise, an altered, a short or a plain one, and every one under another key", async () => {
      const kept = new Kept();
      using key = dataKey();
      using guard = new SealedGuard(kept, key, suite);
      await guard.store(entryOf(commit));
      const { prepared = Buffer.alloc(0) } = kept.record;
      const altered: Partial<GuardRecord>[] = [
        { height: 8 },
        { view: 3 },
        { digest: Buffer.alloc(32, 6) },
        { prepared: block },
        { prepared: randomBytes(200) },
        ...[1, 11, 12, 27, 28, prepared.length - 1].map((length) => ({ prepared: prepared.subarray(0, length) })),
        ...[0, 12, prepared.length - 1].map((at) => {
          const flipped = Buffer.from(prepared);
          flipped.writeUInt8(flipped.readUInt8(at) ^ 1, at);
          return { prepared: flipped };
        }),
      ];
      for (const change of altered) {
        kept.entries = [entryOf({ ...commit, prepared, ...change })];
        assert.throws(() => guard.entries, damaged, JSON.stringify(change));
      }
      kept.entries = [entryOf({ ...commit, prepared })];
      assert.deepEqual(guard.entries, [entryOf(commit)]);
      using other = dataKey(2);
      using stranger = new SealedGuard(kept, other, suite);
      assert.throws(() => stranger.entries, damaged);
      using otherSuite = new SealedGuard(kept, key, suite === "sm" ? "intl" : "sm");
      assert.throws(() => otherSuite.entries, damaged);
    });

    it("passes on that a promise could not be kept", async () => {
      const kept = new Kept();
      kept.store = () => Promise.reject(new Error("the disk is full"));
      using key = dataKey();
      using guard = new SealedGuard(kept, key, suite);
      await assert.rejects(guard.store(entryOf(commit)), /the disk is full/);
    });
  });
