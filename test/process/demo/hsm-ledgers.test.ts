import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { guardedVotes, isLinked, type LedgerBlock } from "../../../script/demo-parts/hsm/ledgers.ts";
import { encodeGuardRecord } from "../../../src/chain/consensus/guard-record.ts";
import { GuardFile } from "../../../src/chain/node/guard-file.ts";

/** A guard's file with a prepare vote for each view that is given. */
async function votesIn(views: readonly number[]): Promise<Awaited<ReturnType<typeof guardedVotes>>> {
  const folder = mkdtempSync(join(tmpdir(), "strongroom-guard-"));
  try {
    const [path, stateDigest] = [join(folder, "guard"), Buffer.alloc(32, 7)];
    GuardFile.create(path, stateDigest);
    await using guard = await GuardFile.open(path, stateDigest);
    for (const [index, view] of views.entries()) {
      const vote = { height: 5, view, phase: "prepare", digest: Buffer.alloc(32, index) } as const;
      await guard.append({ height: 5, record: encodeGuardRecord(vote) });
    }
    return await guardedVotes(path, join(folder, "copy"));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe("what the cipher card demo looks for", () => {
  it("finds two votes of one height, view and phase in a guard", async () => {
    assert.deepEqual(await votesIn([0, 1, 1, 2]), { votes: 4, doubled: ["height 5, view 1, prepare"] });
  });

  it("finds nothing in a guard whose votes are all of different views", async () => {
    assert.deepEqual(await votesIn([0, 1, 2]), { votes: 3, doubled: [] });
  });

  it("sees that a block does not follow the one before", () => {
    const block = { height: 1, parentHash: "0x00", proposer: 0, signers: [], isProved: true };
    const [first, second]: readonly LedgerBlock[] = [
      { ...block, hash: "0x01" },
      { ...block, height: 2, hash: "0x02", parentHash: "0x01" },
    ];
    assert.ok(first !== undefined && second !== undefined);
    assert.ok(isLinked([first, second]));
    assert.ok(!isLinked([first, { ...second, parentHash: "0x03" }]));
    assert.ok(!isLinked([second, first]));
  });
});
