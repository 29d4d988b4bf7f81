import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, describe, it } from "node:test";
import { SqliteStore } from "../../../src/custody/store/sqlite.ts";
import type { Store, StoreChange, StoredHead, StoredRow } from "../../../src/custody/store/store.ts";
import { ThreadedStore } from "../../../src/custody/store/threaded-store.ts";

const stores: Readonly<Record<string, (path: string) => Promise<Store>>> = {
  SqliteStore: async (path) => new SqliteStore(path),
  ThreadedStore: (path) => ThreadedStore.open(path),
};

const head = (sequence: number, stateVersion = sequence): StoredHead => ({
  epoch: 1,
  stateVersion,
  stateTag: randomBytes(32),
  sequence,
  auditHash: randomBytes(32),
  latestMs: 1_700_000_000_000,
  mac: randomBytes(32),
});

const row = (id: string, version: number, deleted = false): StoredRow => ({
  kind: "public",
  id,
  version,
  epoch: 1,
  deleted,
  body: deleted ? "" : `{"value":"${id}"}`,
  mac: randomBytes(32),
});

const change = (sequence: number, rows: readonly StoredRow[] = []): StoreChange => ({
  rows,
  audit: [
    {
      sequence,
      body: `{"sequence":${sequence}}`,
      hash: randomBytes(32),
      seal: sequence % 2 === 0 ? randomBytes(32) : null,
    },
  ],
  head: head(sequence),
});

/** Bytes as hex, so that a Buffer and a Uint8Array of the same bytes compare equal. */
const bytes = (value: unknown): unknown => {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (Array.isArray(value)) return value.map(bytes);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, bytes(each)]));
};

/** Every store keeps this contract. */
for (const [name, open] of Object.entries(stores))
  describe(`${name} as a store`, () => {
    const folder = mkdtempSync(join(tmpdir(), "strongroom-store-"));
    after(() => rmSync(folder, { recursive: true }));
    let count = 0;
    const newPath = () => join(folder, `${count++}.sqlite`);

    it("is empty when new", async () => {
      const store = await open(newPath());
      assert.equal(await store.readHead(), undefined);
      assert.deepEqual(await store.readRowsAfter(0), []);
      assert.deepEqual(await store.readAudit(0, 10), []);
      await store.close();
    });

    it("gives back after a restart what was committed, byte for byte", async () => {
      const path = newPath();
      const first = change(1, [row("a", 1), row("b", 1)]);
      const second = change(2, [row("a", 2, true)]);
      let store = await open(path);
      assert.equal(await store.commit(undefined, first), true);
      assert.equal(await store.commit(first.head, second), true);
      await store.close();
      store = await open(path);
      assert.deepEqual(bytes((await store.readHead()) ?? {}), bytes(second.head));
      assert.deepEqual(bytes(await store.readRowsAfter(0)), bytes([...first.rows.slice(1), ...second.rows]));
      assert.deepEqual(bytes(await store.readRowsAfter(1)), bytes(second.rows));
      assert.deepEqual(bytes(await store.readAudit(0, 10)), bytes([...first.audit, ...second.audit]));
      assert.deepEqual(bytes(await store.readAudit(1, 1)), bytes(second.audit));
      await store.close();
    });

    it("writes nothing when another writer came first", async () => {
      const path = newPath();
      const [one, two] = [await open(path), await open(path)];
      const first = change(1, [row("a", 1)]);
      assert.equal(await one.commit(undefined, first), true);
      assert.equal(await two.commit(undefined, change(1, [row("b", 1)])), false);
      assert.equal(await two.commit({ ...first.head, mac: randomBytes(32) }, change(2, [row("b", 2)])), false);
      assert.equal((await two.readRowsAfter(0)).length, 1);
      assert.equal(await two.commit(first.head, change(2, [row("b", 2)])), true);
      assert.equal((await one.readRowsAfter(0)).length, 2);
      await one.close();
      await two.close();
    });

    it("writes all of a change or none of it", async () => {
      const store = await open(newPath());
      const first = change(1, [row("a", 1)]);
      await store.commit(undefined, first);
      const broken = { ...change(2, [row("b", 2)]), audit: first.audit };
      await assert.rejects(store.commit(first.head, broken), /UNIQUE|constraint/);
      assert.equal((await store.readRowsAfter(0)).length, 1);
      assert.equal((await store.readHead())?.sequence, 1);
      assert.equal(await store.commit(first.head, change(2)), true);
      await store.close();
    });

    it("refuses a file that is no database, and a store of a newer program", async () => {
      const path = newPath();
      writeFileSync(path, "this is not a database, and long enough to be seen as none".repeat(20));
      await assert.rejects(open(path), { code: "STATE_TAMPERED" });
      const newer = newPath();
      const database = new DatabaseSync(newer);
      database.exec("PRAGMA user_version = 99");
      database.close();
      await assert.rejects(open(newer), { code: "STORE_UNUSABLE", message: /version 99/ });
      await assert.rejects(open(join(folder, "no", "such", "folder.sqlite")), { code: "STORE_UNUSABLE" });
    });
  });
