import assert from "node:assert/strict";
import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, beforeEach, describe, it } from "node:test";
import { parseCheckpoint } from "../../../src/custody/audit/checkpoint.ts";
import { openCustody } from "../../../src/custody/open.ts";
import { TestKeyManager } from "./key-manager.ts";

describe("audit", () => {
  const managers: TestKeyManager[] = [];
  let km: TestKeyManager;
  beforeEach(async () => {
    km = await TestKeyManager.make();
    managers.push(km);
  });
  after(async () => {
    for (const each of managers) await each.end().catch(() => {});
  });

  it("has one record for each request, done or refused, with who, what, which key and which context", async () => {
    const key = await km.custody.keys.create(km.admin, { alias: "alias/k" });
    const node = await km.enrol("n1", "alias/k");
    const { wrapped } = await km.custody.data.generateDataKeyWithoutPlaintext(node, {
      key: "alias/k",
      context: { node: "n1" },
    });
    await assert.rejects(km.custody.data.unwrap(node, { wrapped, context: { node: "n9" } }));
    const records = await km.custody.audit.read(km.admin, { after: 0, limit: 100 });
    assert.deepEqual(
      records.map((record) => record.sequence),
      records.map((_, index) => index + 1),
    );
    const { at: _, eventId, ...last } = records.at(-1) ?? { at: "", eventId: "" };
    assert.match(eventId, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.deepEqual(last, {
      sequence: records.length,
      door: "native",
      principal: node.principal,
      accessKeyId: null,
      peer: "127.0.0.1",
      userAgent: null,
      action: "kms:Decrypt",
      key: key.keyId,
      context: { node: "n9" },
      result: "refused",
      error: "ACCESS_DENIED",
      requestId: "test",
      detail: { deniedBy: "nothing-allows" },
    });
  });

  it("is caught when cut off or rolled back behind a checkpoint kept elsewhere", async () => {
    await km.custody.keys.create(km.admin, {});
    await km.custody.close();
    const copy = `${km.dataDir}-old`;
    cpSync(km.dataDir, copy, { recursive: true });
    await km.open();
    await km.custody.keys.create(km.admin, {});
    const checkpoint = parseCheckpoint(JSON.stringify(await km.custody.audit.checkpoint(km.admin)));
    assert.equal((await km.custody.audit.verify(km.admin, checkpoint)).ok, true);
    await km.custody.close();
    await (await openCustody({ dataDir: km.dataDir, unlock: km.unlock, checkpoint })).close();
    rmSync(km.dataDir, { recursive: true });
    cpSync(copy, km.dataDir, { recursive: true });
    await assert.rejects(km.open(checkpoint), { code: "STATE_ROLLED_BACK", exitCode: 5 });
    await km.open();
    const verdict = await km.custody.audit.verify(km.admin, checkpoint);
    assert.equal(verdict.ok, false);
    assert.match(verdict.firstBad?.reason ?? "", /records were cut off|rolled back|differs/);
  });

  it("opens no store with a checkpoint that somebody else signed", async () => {
    const other = await TestKeyManager.make();
    managers.push(other);
    const theirs = await other.custody.audit.checkpoint(other.admin);
    const mine = await km.custody.audit.checkpoint(km.admin);
    await km.custody.close();
    for (const bad of [
      theirs,
      { ...theirs, account: mine.account },
      { ...mine, publicKey: theirs.publicKey, signature: theirs.signature },
    ])
      await assert.rejects(km.open(bad), { code: "STATE_ROLLED_BACK" });
    await km.open(mine);
  });

  it("is verified while it grows", async () => {
    let growing = true;
    const grow = (async () => {
      while (growing) await km.custody.keys.create(km.admin, {});
    })();
    for (let round = 0; round < 20; round++) {
      const verdict = await km.custody.audit.verify(km.admin);
      assert.equal(verdict.ok, true, JSON.stringify(verdict));
    }
    growing = false;
    await grow;
  });

  it("takes no checkpoint that was altered or that another key manager signed", async () => {
    const other = await TestKeyManager.make();
    managers.push(other);
    const mine = await km.custody.audit.checkpoint(km.admin);
    const theirs = await other.custody.audit.checkpoint(other.admin);
    for (const bad of [
      theirs,
      { ...mine, sequence: mine.sequence - 1 },
      { ...mine, head: "0".repeat(64) },
      { ...mine, publicKey: theirs.publicKey },
    ])
      assert.equal((await km.custody.audit.verify(km.admin, bad)).ok, false);
    for (const text of ["", "{}", "[]", "null", JSON.stringify({ ...mine, head: 1 }), "x".repeat(5000)])
      assert.throws(() => parseCheckpoint(text), { code: "KEY_FORMAT_INVALID" });
  });

  it("does not let a store open whose last records were removed", async () => {
    await km.custody.close();
    const database = new DatabaseSync(join(km.dataDir, "store.sqlite"));
    database.exec("DELETE FROM audit WHERE sequence = (SELECT max(sequence) FROM audit)");
    database.close();
    await assert.rejects(km.open(), { code: "STATE_TAMPERED", exitCode: 5 });
  });

  it("counts refusals of strangers and writes them in one record", async () => {
    for (let round = 0; round < 1000; round++) km.custody.countRefusal("native", "10.0.0.1", "no certificate");
    await km.restart();
    const records = await km.custody.audit.read(km.admin, { after: 0, limit: 100 });
    const summaries = records.filter((record) => record.action === "strongroom:Refusals");
    assert.deepEqual(
      summaries.map((record) => record.detail),
      [{ reason: "no certificate", count: 1000 }],
    );
  });

  it("is refused to a second process or a wrong secret, with nothing changed", async () => {
    await assert.rejects(openCustody({ dataDir: km.dataDir, unlock: km.unlock }), {
      code: "STORE_LOCKED",
      exitCode: 1,
    });
    await km.custody.close();
    const other = new TestKeyManager();
    await assert.rejects(openCustody({ dataDir: km.dataDir, unlock: other.unlock }), {
      code: "UNLOCK_REFUSED",
      exitCode: 5,
    });
    await assert.rejects(openCustody({ dataDir: join(km.dataDir, "nothing"), unlock: km.unlock }), {
      code: "STORE_UNUSABLE",
    });
  });
});
