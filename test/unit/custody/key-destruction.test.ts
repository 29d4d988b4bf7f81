import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import type { AuditRecord } from "../../../src/custody/service.ts";
import { SqliteStore } from "../../../src/custody/store/sqlite.ts";
import { AwsKmsDevice } from "../../../src/devices/aws-kms/device.ts";
import { SoftDevice } from "../../../src/devices/soft.ts";
import { TestKeyManager } from "./key-manager.ts";

const dayMs = 24 * 60 * 60 * 1000;

describe("a master key whose waiting time has passed", () => {
  let km: TestKeyManager;
  beforeEach(async () => {
    km = await TestKeyManager.make();
  });
  afterEach(() => km.end());

  const leaving = async (days: number): Promise<string> => {
    const { keyId } = await km.custody.keys.create(km.admin, {});
    await km.custody.keys.scheduleDeletion(km.admin, keyId, days);
    return keyId;
  };
  const stateOf = async (key: string) => (await km.custody.keys.describe(km.admin, key)).state;
  const deletions = async (): Promise<readonly AuditRecord[]> =>
    (await km.custody.audit.read(km.admin, { after: 0, limit: 10_000 })).filter(
      ({ action }) => action === "kms:DeleteKey",
    );

  it("is destroyed when its time has come and not a millisecond before, each with a record of its own", async () => {
    const keys = [await leaving(7), await leaving(7), await leaving(30)];
    km.nowMs += 7 * dayMs - 1;
    assert.equal(await km.custody.keys.destroyDue(), 0);
    km.nowMs += 1;
    assert.equal(await km.custody.keys.destroyDue(), 2);
    assert.equal(await km.custody.keys.destroyDue(), 0);
    assert.deepEqual(await Promise.all(keys.map(stateOf)), ["destroyed", "destroyed", "pending-deletion"]);
    const written = await deletions();
    assert.deepEqual(
      written.map(({ principal, requestId, result, key }) => [principal, requestId, result, key]),
      keys.slice(0, 2).map((key) => ["strongroom", "deletion", "done", key]),
    );
  });

  it("is left alone when its deletion was cancelled in time, or never scheduled", async () => {
    const cancelled = await leaving(7);
    await km.custody.keys.cancelDeletion(km.admin, cancelled);
    const { keyId } = await km.custody.keys.create(km.admin, {});
    km.nowMs += 31 * dayMs;
    assert.equal(await km.custody.keys.destroyDue(), 0);
    assert.deepEqual([await stateOf(cancelled), await stateOf(keyId)], ["disabled", "enabled"]);
    assert.deepEqual(await deletions(), []);
  });

  it("is destroyed once when it is asked for twice at the same time", async () => {
    await leaving(7);
    km.nowMs += 7 * dayMs;
    assert.deepEqual(await Promise.all([km.custody.keys.destroyDue(), km.custody.keys.destroyDue()]), [1, 1]);
    assert.equal((await deletions()).length, 1);
  });

  it("takes its aliases and grants with it, and those of no other key", async () => {
    const { custody, admin } = km;
    const user = await km.user("ute", "key-user");
    const [gone, other] = [
      await custody.keys.create(admin, { alias: "alias/gone" }),
      await custody.keys.create(admin, {}),
    ];
    await custody.aliases.create(admin, "alias/gone-too", gone.keyId);
    await custody.aliases.create(admin, "alias/other", other.keyId);
    for (const { keyId } of [gone, other])
      await custody.grants.create(admin, keyId, {
        grantee: user.principal,
        operations: ["Decrypt"],
        retiring: user.principal,
      });
    await custody.keys.scheduleDeletion(admin, gone.keyId, 7);
    km.nowMs += 7 * dayMs;
    await custody.keys.destroyDue();
    for (let restarts = 0; restarts < 2; restarts++) {
      const aliases = await km.custody.aliases.list(admin);
      assert.deepEqual(
        aliases.map(({ alias }) => alias),
        ["alias/other"],
      );
      const retirable = await km.custody.grants.listRetirable(admin, user.principal);
      assert.deepEqual(
        retirable.map(({ keyId }) => keyId),
        [other.keyId],
      );
      assert.deepEqual((await km.custody.keys.describe(admin, gone.keyId)).aliases, []);
      await assert.rejects(km.custody.keys.describe(admin, "alias/gone"), { code: "KEY_NOT_FOUND" });
      await km.restart();
    }
    await km.custody.aliases.create(admin, "alias/gone", other.keyId);
  });

  it("is destroyed on record where its device fails, and the device is asked again until it answers, also after a restart", async (context) => {
    const keys = [await leaving(7), await leaving(7), await leaving(7)];
    km.nowMs += 7 * dayMs;
    const asked: string[] = [];
    let answers = false;
    context.mock.method(SoftDevice.prototype, "destroyKey", (key: { readonly keyId: string }) => {
      asked.push(key.keyId);
      return key.keyId === keys[0] && !answers
        ? Promise.reject(new Error("the device does not answer"))
        : Promise.resolve();
    });
    await assert.rejects(km.custody.keys.destroyDue(), /the device does not answer/);
    assert.deepEqual(await Promise.all(keys.map(stateOf)), ["destroyed", "destroyed", "destroyed"]);
    await assert.rejects(km.custody.keys.destroyDue(), /the device does not answer/);
    await km.restart();
    await assert.rejects(km.custody.keys.destroyDue(), /the device does not answer/);
    answers = true;
    asked.length = 0;
    assert.equal(await km.custody.keys.destroyDue(), 0);
    assert.deepEqual(asked, [keys[0]]);
    assert.equal(await km.custody.keys.destroyDue(), 0);
    assert.deepEqual(asked, [keys[0]]);
    assert.deepEqual(
      (await deletions()).map(({ result }) => result),
      ["done", "done", "done"],
    );
  });

  it("is whole in its device as long as its end is not on record: not written, cancelled first, or a dry run", async (context) => {
    const key = await leaving(7);
    km.nowMs += 7 * dayMs;
    const device = context.mock.method(SoftDevice.prototype, "destroyKey");
    await assert.rejects(km.custody.keys.destroy({ ...km.admin, dryRun: true }, key), { code: "DRY_RUN" });
    const commit = context.mock.method(SqliteStore.prototype, "commit", () =>
      Promise.reject(new Error("the disk is full")),
    );
    for (const attempt of [() => km.custody.keys.destroyDue(), () => km.custody.keys.destroy(km.admin, key)])
      await assert.rejects(attempt, { code: "RECORD_NOT_WRITTEN" });
    commit.mock.restore();
    const [cancelled, destroyed] = await Promise.allSettled([
      km.custody.keys.cancelDeletion(km.admin, key),
      km.custody.keys.destroy(km.admin, key),
    ]);
    assert.equal(cancelled.status, "fulfilled");
    assert.equal(destroyed.status === "rejected" && destroyed.reason.code, "KEY_STATE_INVALID");
    assert.equal(device.mock.callCount(), 0);
    assert.equal((await km.custody.keys.enable(km.admin, key)).state, "enabled");
  });

  it("is as absent as one that never was to who may not work with it, and the record says what denied it", async () => {
    const key = await leaving(7);
    const stranger = await km.user("stranger", "key-user");
    await assert.rejects(km.custody.keys.enable(stranger, key), { code: "ACCESS_DENIED" });
    km.nowMs += 7 * dayMs;
    await km.custody.keys.destroyDue();
    const absent = { code: "KEY_NOT_FOUND", message: `there is no master key "${key}"` };
    await assert.rejects(km.custody.keys.enable(stranger, key), absent);
    await assert.rejects(km.custody.keys.enable(km.admin, key), { code: "KEY_STATE_INVALID" });
    const denied = (await km.custody.audit.read(km.admin, { after: 0, limit: 10_000 })).filter(
      ({ principal, error }) => principal === stranger.principal && error === "KEY_NOT_FOUND",
    );
    assert.deepEqual(
      denied.map(({ key: about, detail }) => [about, detail.deniedBy]),
      [[key, "nothing-allows"]],
    );
  });

  it("is destroyed by the device that it lives in, every version", async (context) => {
    const { custody, admin } = km;
    const { keyId } = await custody.keys.create(admin, {});
    await custody.keys.rotate(admin, keyId);
    await custody.keys.scheduleDeletion(admin, keyId, 7);
    km.nowMs += 7 * dayMs;
    const soft = context.mock.method(SoftDevice.prototype, "destroyKey");
    const upstream = context.mock.method(AwsKmsDevice.prototype, "destroyKey");
    await custody.keys.destroyDue();
    const asked = soft.mock.calls.map(({ arguments: [key] }) => [
      key?.keyId,
      key?.version,
      (key?.material.length ?? 0) > 0,
    ]);
    assert.deepEqual(asked, [
      [keyId, 1, true],
      [keyId, 2, true],
    ]);
    assert.equal(upstream.mock.callCount(), 0);
  });

  it("may still be destroyed by hand, and by nobody who may not delete keys", async () => {
    const key = await leaving(7);
    const user = await km.user("hand", "key-user");
    await assert.rejects(km.custody.keys.destroy(km.admin, key), { code: "KEY_STATE_INVALID" });
    km.nowMs += 7 * dayMs;
    await assert.rejects(km.custody.keys.destroy(user, key), { code: "ACCESS_DENIED" });
    assert.equal((await km.custody.keys.destroy(km.admin, key)).state, "destroyed");
    assert.equal(await km.custody.keys.destroyDue(), 0);
  });
});
