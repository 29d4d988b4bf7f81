import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, beforeEach, describe, it } from "node:test";
import { peerSchema, rowHash } from "../../../../../src/enclave/ledger/embedded/state-database.ts";
import { type StateSnapshot, StateSnapshots } from "../../../../../src/enclave/ledger/embedded/state-snapshots.ts";

describe("a snapshot of a peer's state", () => {
  const folder = mkdtempSync(join(tmpdir(), "snapshots-"));
  const path = join(folder, "peer.db");
  const database = new DatabaseSync(path);
  database.exec(`PRAGMA journal_mode = WAL; ${peerSchema}`);
  const row = { namespace: "trial", key: "a", version: { blockNumber: 1n, position: 0n } };
  const write = (text: string, hash?: Buffer) => {
    const value = Buffer.from(text);
    database
      .prepare("INSERT OR REPLACE INTO state VALUES ('trial', CAST('a' AS BLOB), ?, 1, 0, ?)")
      .run(value, hash ?? rowHash({ ...row, value }));
  };
  const read = (snapshot: StateSnapshot) => Buffer.from(snapshot.get("trial", "a")?.value ?? []).toString();

  beforeEach(() => write("before"));
  after(() => {
    database.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it("does not move, and the next one, which may be of the same connection, has what came since", () => {
    using snapshots = new StateSnapshots(path);
    for (const text of ["one", "two", "three"]) {
      using snapshot = snapshots.take();
      const seen = read(snapshot);
      write(text);
      assert.equal(read(snapshot), seen);
      using newer = snapshots.take();
      assert.equal(read(newer), text);
    }
  });

  it("is one's own, however many are open at once", () => {
    using snapshots = new StateSnapshots(path);
    for (let round = 0; round < 2; round += 1) {
      const texts = Array.from({ length: 10 }, (_, index) => `${round} ${index}`);
      const open = texts.map((text) => {
        write(text);
        return snapshots.take();
      });
      assert.deepEqual(open.map(read), texts);
      for (const snapshot of open) snapshot[Symbol.dispose]();
    }
  });

  it("finds a row that was altered since the one before was let go", () => {
    using snapshots = new StateSnapshots(path);
    {
      using snapshot = snapshots.take();
      assert.equal(read(snapshot), "before");
    }
    write("altered", Buffer.alloc(32));
    using snapshot = snapshots.take();
    assert.throws(() => read(snapshot), { code: "LEDGER_UNAVAILABLE" });
  });

  it("outlives the end of who gave it, and none is open afterwards", () => {
    const snapshots = new StateSnapshots(path);
    const late = snapshots.take();
    snapshots.take()[Symbol.dispose]();
    snapshots[Symbol.dispose]();
    assert.equal(read(late), "before");
    late[Symbol.dispose]();
    assert.throws(() => read(late), /finalized/);
    // Only where nobody else has the file open can it leave WAL.
    assert.equal(database.prepare("PRAGMA journal_mode = DELETE").get()?.journal_mode, "delete");
    database.exec("PRAGMA journal_mode = WAL");
  });
});
