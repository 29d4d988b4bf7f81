import assert from "node:assert/strict";
import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, it } from "node:test";
import { dataFiles } from "../../../src/custody/data-files.ts";
import type { Caller, Checkpoint } from "../../../src/custody/service.ts";
import { TestKeyManager } from "./key-manager.ts";

const at = (value: number) => ({ value, stamp: value.toString(16).padStart(64, "0") });
const rowOfCounter = "kind = 'counter' AND id = 'node-1/votes'";

/** Whoever can write the key manager's database. */
describe("a counter in the hands of who can write the store", () => {
  let km: TestKeyManager;
  let node: Caller;
  beforeEach(async () => {
    km = await TestKeyManager.make();
    await km.custody.keys.create(km.admin, { alias: "alias/nodes" });
    node = await km.enrol("node-1", "alias/nodes");
    await km.custody.counters.advance(node, { name: "votes", previous: null, next: at(1) });
  });
  afterEach(() => rmSync(join(km.dataDir, ".."), { recursive: true }));

  const onDatabase = <T>(use: (database: DatabaseSync) => T): T => {
    const database = new DatabaseSync(join(km.dataDir, dataFiles.store));
    try {
      return use(database);
    } finally {
      database.close();
    }
  };
  const advance = () => km.custody.counters.advance(node, { name: "votes", previous: at(1), next: at(2) });

  it("is not put back by its row as it was", async () => {
    await km.restart();
    const old = onDatabase((database) => database.prepare(`SELECT * FROM state WHERE ${rowOfCounter}`).get());
    assert.match(String(old?.body), /"value":1,/);
    await advance();
    await km.custody.close();
    onDatabase((database) =>
      database
        .prepare(`UPDATE state SET version = ?, epoch = ?, body = ?, mac = ? WHERE ${rowOfCounter}`)
        .run(...["version", "epoch", "body", "mac"].map((column) => old?.[column] ?? null)),
    );
    await assert.rejects(km.open(), { code: "STATE_TAMPERED" });
  });

  const attacks: readonly (readonly [string, string])[] = [
    ["set lower", `UPDATE state SET body = replace(body, '"value":2', '"value":1') WHERE ${rowOfCounter}`],
    ["given to another node", `UPDATE state SET id = 'node-2/votes' WHERE ${rowOfCounter}`],
    ["marked as deleted", `UPDATE state SET deleted = 1, body = '' WHERE ${rowOfCounter}`],
    ["taken out", `DELETE FROM state WHERE ${rowOfCounter}`],
  ];
  for (const [what, statement] of attacks)
    it(`is not ${what} in the database`, async () => {
      await advance();
      await km.custody.close();
      assert.equal(onDatabase((database) => database.prepare(statement).run()).changes, 1);
      await assert.rejects(km.open(), { code: "STATE_TAMPERED" });
    });

  it("goes back with the whole store, which a checkpoint kept elsewhere catches", async () => {
    await km.custody.close();
    const backup = join(km.dataDir, "..", "backup");
    cpSync(km.dataDir, backup, { recursive: true });
    await km.open();
    await advance();
    const checkpoint: Checkpoint = await km.custody.audit.checkpoint(km.admin);
    await km.custody.close();
    rmSync(km.dataDir, { recursive: true });
    cpSync(backup, km.dataDir, { recursive: true });
    await assert.rejects(km.open(checkpoint), { code: "STATE_ROLLED_BACK" });
    await km.open();
    assert.equal((await km.custody.counters.read(node, "votes"))?.value, 1);
    await km.custody.close();
  });
});
