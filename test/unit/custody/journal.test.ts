import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, beforeEach, describe, it } from "node:test";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { verifyChain } from "../../../src/custody/audit/verify.ts";
import { CustodyError } from "../../../src/custody/errors.ts";
import { Journal } from "../../../src/custody/journal.ts";
import type { Caller } from "../../../src/custody/service.ts";
import { Authenticator } from "../../../src/custody/state/authenticator.ts";
import { change } from "../../../src/custody/state/records.ts";
import { SqliteStore } from "../../../src/custody/store/sqlite.ts";
import { RootKey } from "../../../src/devices/root-key.ts";

const caller: Caller = { principal: "arn:test", door: "local", peer: "test", requestId: "1" };
const folder = mkdtempSync(join(tmpdir(), "strongroom-journal-"));
after(() => rmSync(folder, { recursive: true }));

const root = new RootKey(randomUUID(), "intl", SecretBuffer.random(32));
let path: string;

async function open(options: { create?: boolean; rootKey?: RootKey; clock?: () => number } = {}) {
  const authenticator = new Authenticator(options.rootKey ?? root);
  const store = new SqliteStore(path);
  try {
    const journal = await Journal.load(store, authenticator, {
      clock: options.clock ?? Date.now,
      create: options.create ?? false,
    });
    await journal.begin();
    return { journal, store, authenticator };
  } catch (error) {
    await store.close();
    throw error;
  }
}

/** Writes a public row by the journal. */
function put(journal: Journal, name: string, value: string) {
  return journal.perform(caller, { action: "test:Put", detail: { name } }, () => ({
    value: undefined,
    changes: [change("public", name, { value })],
  }));
}

function tamper(sql: string, ...values: (string | number | Uint8Array)[]) {
  const database = new DatabaseSync(path);
  database.prepare(sql).run(...values);
  database.close();
}

describe("journal over SQLite", () => {
  beforeEach(async () => {
    path = join(folder, `${randomUUID()}.sqlite`);
    const { journal, store } = await open({ create: true });
    await put(journal, "a", "1");
    await put(journal, "b", "2");
    await store.close();
  });

  it("has every record and every change after a restart", async () => {
    const { journal, store, authenticator } = await open();
    assert.deepEqual(journal.state.get("public", "a"), { value: "1" });
    assert.equal(journal.head.sequence, 2);
    assert.equal(journal.head.epoch, 2);
    assert.equal((await verifyChain(store, journal.head, authenticator, { account: "" })).ok, true);
    await store.close();
  });

  it("records a refusal, and the operation's error reaches the caller", async () => {
    const { journal, store } = await open();
    const refused = journal.perform(caller, { action: "test:No" }, () => {
      throw new CustodyError("ACCESS_DENIED");
    });
    await assert.rejects(refused, { code: "ACCESS_DENIED" });
    const [entry] = await store.readAudit(2, 1);
    assert.match(entry?.body ?? "", /"errorCode":"ACCESS_DENIED".*"result":"refused"/);
    await store.close();
  });

  it("decides anew when the state moved under a decision, and drops what it had decided", async () => {
    const { journal, store } = await open();
    const seen: (string | undefined)[] = [];
    const dropped: string[] = [];
    const slow = journal.perform(
      caller,
      { action: "test:Slow" },
      async () => {
        const value = journal.state.get("public", "a")?.value ?? "";
        seen.push(value);
        if (seen.length === 1) await put(journal, "a", "changed");
        return { value };
      },
      (value) => dropped.push(value),
    );
    assert.equal(await slow, "changed");
    assert.deepEqual(seen, ["1", "changed"]);
    assert.deepEqual(dropped, ["1"]);
    await store.close();
  });

  it("lets concurrent writers through one after the other, each on the state it sees", async () => {
    const { journal, store, authenticator } = await open();
    await Promise.all(
      Array.from({ length: 100 }, () =>
        journal.perform(caller, { action: "test:Count" }, () => ({
          value: undefined,
          changes: [change("public", "n", { value: String(Number(journal.state.get("public", "n")?.value ?? 0) + 1) })],
        })),
      ),
    );
    assert.equal(journal.state.get("public", "n")?.value, "100");
    const verdict = await verifyChain(store, journal.head, authenticator, { account: "" });
    assert.deepEqual([verdict.ok, verdict.records], [true, 102]);
    await store.close();
  });

  it("takes in what another writer of the same store committed before it answers", async () => {
    const first = await open();
    const second = await open();
    await put(second.journal, "a", "second");
    const seen = await first.journal.perform(caller, { action: "test:Get" }, () => ({
      value: first.journal.state.get("public", "a")?.value,
    }));
    assert.equal(seen, "second");
    await first.store.close();
    await second.store.close();
  });

  it("does not open under another root key", async () => {
    using other = new RootKey(randomUUID(), "intl", SecretBuffer.random(32));
    await assert.rejects(open({ rootKey: other }), { code: "STATE_TAMPERED" });
  });

  const attacks: readonly (readonly [string, () => void])[] = [
    ["a changed row", () => tamper("UPDATE state SET body = '{\"value\":\"9\"}' WHERE id = 'a'")],
    ["a deleted row", () => tamper("DELETE FROM state WHERE id = 'a'")],
    ["a row marked deleted", () => tamper("UPDATE state SET deleted = 1, body = '' WHERE id = 'a'")],
    ["a row of another version", () => tamper("UPDATE state SET version = 2 WHERE id = 'a'")],
    ["a row under another name", () => tamper("UPDATE state SET id = 'c' WHERE id = 'a'")],
    ["a changed head", () => tamper("UPDATE head SET sequence = sequence - 1")],
    ["another epoch", () => tamper("UPDATE head SET epoch = 7")],
    ["a later clock", () => tamper("UPDATE head SET latest_ms = 1")],
  ];
  for (const [what, attack] of attacks)
    it(`does not open a store with ${what}`, async () => {
      attack();
      await assert.rejects(open(), { code: "STATE_TAMPERED" });
    });

  it("does not open a store in which one row was put back to what it was", async () => {
    const database = new DatabaseSync(path);
    const old = database.prepare("SELECT * FROM state WHERE id = 'a'").get() as Record<string, string>;
    database.close();
    const { journal, store } = await open();
    await put(journal, "a", "newer");
    await store.close();
    tamper(
      "UPDATE state SET version = ?, epoch = ?, body = ?, mac = ? WHERE id = 'a'",
      ...["version", "epoch", "body", "mac"].map((column) => old[column] ?? ""),
    );
    await assert.rejects(open(), { code: "STATE_TAMPERED" });
  });

  it("stops answering when the store goes back under a running server", async () => {
    const { journal, store } = await open();
    const database = new DatabaseSync(path);
    const old = database.prepare("SELECT * FROM head").get() as Record<string, number | Uint8Array>;
    await put(journal, "a", "newer");
    database
      .prepare("UPDATE head SET epoch=?, state_version=?, state_tag=?, sequence=?, audit_hash=?, latest_ms=?, mac=?")
      .run(
        ...["epoch", "state_version", "state_tag", "sequence", "audit_hash", "latest_ms", "mac"].map(
          (c) => old[c] ?? 0,
        ),
      );
    database.close();
    await assert.rejects(put(journal, "a", "x"), { code: "STATE_TAMPERED" });
    await assert.rejects(put(journal, "a", "x"), { code: "STATE_TAMPERED" });
    assert.match(journal.trouble ?? "", /went back/);
    await store.close();
  });

  it("names the first audit record that was altered, cut out or rewritten", async () => {
    const { journal, store, authenticator } = await open();
    for (let index = 0; index < 8; index++) await put(journal, "a", String(index));
    const verify = () => verifyChain(store, journal.head, authenticator, { account: "" });
    tamper("UPDATE audit SET body = replace(body, 'test:Put', 'test:Get') WHERE sequence = 5");
    assert.deepEqual((await verify()).firstBad, { sequence: 5, reason: "the record was altered" });
    tamper("DELETE FROM audit WHERE sequence = 4");
    assert.deepEqual((await verify()).firstBad, { sequence: 4, reason: "the record is missing" });
    tamper("DELETE FROM audit WHERE sequence > 2");
    assert.deepEqual((await verify()).firstBad, { sequence: 3, reason: "the record is missing" });
    await store.close();
  });

  it("refuses requests while no record can be written, and recovers by itself", async () => {
    const { journal, store } = await open();
    const real = store.commit.bind(store);
    store.commit = () => Promise.reject(new Error("database or disk is full"));
    await assert.rejects(put(journal, "a", "lost"), { code: "RECORD_NOT_WRITTEN" });
    assert.match(journal.trouble ?? "", /disk is full/);
    assert.equal(await journal.probe(), false);
    store.commit = real;
    assert.equal(await journal.probe(), true);
    assert.equal(journal.trouble, undefined);
    await put(journal, "a", "kept");
    assert.equal(journal.state.get("public", "a")?.value, "kept");
    await store.close();
  });

  it("never lets time run backwards for expiries", async () => {
    let now = 2_000_000_000_000;
    const { journal, store } = await open({ clock: () => now });
    await put(journal, "a", "x");
    now -= 3_600_000;
    assert.equal(journal.nowMs(), 2_000_000_000_000);
    await put(journal, "a", "y");
    assert.equal(journal.nowMs(), 2_000_000_000_000);
    await store.close();
  });

  it("lets requests that change nothing pass changes that never end", async () => {
    const { journal, store } = await open();
    let storming = true;
    const storm = Array.from({ length: 16 }, async () => {
      while (storming) await put(journal, "storm", String(Math.random()));
    });
    for (let round = 0; round < 20; round++)
      await journal.perform(caller, { action: "test:Get" }, async () => {
        for (let turn = 0; turn < 20; turn++) await Promise.resolve();
        return { value: 0 };
      });
    storming = false;
    await Promise.all(storm);
    await store.close();
  });

  it("answers what it has taken before it closes, and takes nothing more", async () => {
    const { journal, store } = await open();
    const taken = put(journal, "a", "last");
    const worked = Promise.withResolvers<void>();
    const slow = journal.perform(caller, { action: "test:Slow" }, async () => {
      await worked.promise;
      return { value: 0 };
    });
    await new Promise(setImmediate);
    await taken;
    await journal.close();
    await store.close();
    worked.resolve();
    await assert.rejects(slow, { code: "STORE_UNUSABLE" });
    await assert.rejects(put(journal, "a", "late"), { code: "STORE_UNUSABLE" });
  });

  it("keeps no large context of a refused request", async () => {
    const { journal, store } = await open();
    const context = { node: "x".repeat(5000) };
    const refused = journal.perform(caller, { action: "test:No", context }, () => {
      throw new CustodyError("ACCESS_DENIED");
    });
    await assert.rejects(refused, { code: "ACCESS_DENIED" });
    const [entry] = await store.readAudit(2, 1);
    assert.ok((entry?.body.length ?? 0) < 1000);
    await store.close();
  });

  it("gets over a clock that was far in the future once", async () => {
    let now = 2_000_000_000_000;
    const { journal, store } = await open({ clock: () => now });
    await put(journal, "a", "x");
    now -= 25 * 60 * 60 * 1000;
    assert.equal(journal.nowMs(), now);
    await put(journal, "a", "y");
    const [set] = await store.readAudit(3, 1);
    assert.match(set?.body ?? "", /"eventSource":"strongroom","eventName":"ClockSetBack"/);
    now += 1000;
    assert.equal(journal.nowMs(), now);
    await store.close();
  });
});
