import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { AuditRecord } from "../../../src/custody/service.ts";
import { TestKeyManager } from "./key-manager.ts";

const dayMs = 24 * 60 * 60 * 1000;

describe("rotation of keys", () => {
  let km: TestKeyManager;
  before(async () => {
    km = await TestKeyManager.make();
  });
  after(() => km.end());

  const records = async (action: string): Promise<readonly AuditRecord[]> =>
    (await km.custody.audit.read(km.admin, { after: 0, limit: 10_000 })).filter((each) => each.action === action);

  it("is off at first; when on, it has a period of 90 to 2560 days, 365 unless said", async () => {
    const { keyId } = await km.custody.keys.create(km.admin, {});
    const { rotation } = km.custody;
    assert.deepEqual(await rotation.status(km.admin, keyId), { enabled: false, periodDays: 365, nextAt: null });
    for (const days of [89, 2561, 90.5, 0, -365, Number.NaN, Number.POSITIVE_INFINITY])
      await assert.rejects(rotation.enable(km.admin, keyId, days), { code: "INPUT_INVALID" }, String(days));
    const inDays = (days: number) => new Date(km.nowMs + days * dayMs).toISOString();
    assert.deepEqual(await rotation.enable(km.admin, keyId), { enabled: true, periodDays: 365, nextAt: inDays(365) });
    for (const periodDays of [90, 2560]) await rotation.enable(km.admin, keyId, periodDays);
    await km.restart();
    const on = { enabled: true, periodDays: 2560, nextAt: inDays(2560) };
    assert.deepEqual(await km.custody.rotation.status(km.admin, keyId), on);
    assert.equal((await km.custody.rotation.disable(km.admin, keyId)).enabled, false);
  });

  it("comes when it is due and not before, with one record for each key, by the key manager itself", async () => {
    const { custody, admin } = km;
    const key = await custody.keys.create(admin, {});
    const other = await custody.keys.create(admin, { suite: "sm" });
    await custody.rotation.enable(admin, key.keyId, 90);
    await custody.rotation.enable(admin, other.keyId, 180);
    km.nowMs += 90 * dayMs - 1;
    assert.equal(await custody.rotation.rotateDue(), 0);
    km.nowMs += 1;
    assert.equal(await custody.rotation.rotateDue(), 1);
    assert.equal(await custody.rotation.rotateDue(), 0);
    assert.equal((await custody.keys.describe(admin, key.keyId)).currentVersion, 2);
    assert.equal((await custody.keys.describe(admin, other.keyId)).currentVersion, 1);
    const status = await custody.rotation.status(admin, key.keyId);
    assert.equal(status.nextAt, new Date(km.nowMs + 90 * dayMs).toISOString());
    km.nowMs += 90 * dayMs;
    assert.equal(await custody.rotation.rotateDue(), 2);
    const written = await records("kms:RotateKey");
    assert.deepEqual(
      written.map(({ principal, result, key: id, detail }) => [principal, result, id, detail.version]),
      [
        ["strongroom", "done", key.keyId, 2],
        ["strongroom", "done", key.keyId, 3],
        ["strongroom", "done", other.keyId, 2],
      ],
    );
  });

  it("opens what older versions sealed, and tells the versions apart by their materials", async () => {
    const { custody, admin } = km;
    const { keyId } = await custody.keys.create(admin, {});
    const user = await km.user("rita", "key-user");
    const before = await custody.data.generateDataKeyWithoutPlaintext(user, { key: keyId, context: {} });
    await custody.rotation.enable(admin, keyId, 90);
    km.nowMs += 90 * dayMs;
    await custody.rotation.rotateDue();
    await custody.keys.rotate(admin, keyId);
    (await custody.data.unwrap(user, { wrapped: before.wrapped, context: {} })).plaintext[Symbol.dispose]();
    const rotations = await custody.rotation.list(admin, keyId);
    assert.deepEqual(
      rotations.map(({ version, kind }) => [version, kind]),
      [
        [1, "created"],
        [2, "automatic"],
        [3, "on-demand"],
      ],
    );
    assert.equal(new Set(rotations.map((each) => each.materialId)).size, 3);
    assert.equal(rotations[0]?.materialId, before.materialId);
  });

  it("waits while a key is disabled or to be deleted, and comes at once when it is back", async () => {
    const { custody, admin } = km;
    const disabled = (await custody.keys.create(admin, {})).keyId;
    const leaving = (await custody.keys.create(admin, {})).keyId;
    for (const key of [disabled, leaving]) await custody.rotation.enable(admin, key, 90);
    km.nowMs += 89 * dayMs;
    await custody.keys.disable(admin, disabled);
    await custody.keys.scheduleDeletion(admin, leaving, 30);
    km.nowMs += 2 * dayMs;
    await custody.rotation.rotateDue();
    for (const key of [disabled, leaving]) assert.equal((await custody.keys.describe(admin, key)).currentVersion, 1);
    await custody.keys.enable(admin, disabled);
    assert.equal(await custody.rotation.rotateDue(), 1);
    assert.equal((await custody.keys.describe(admin, disabled)).currentVersion, 2);
  });

  it("is not turned on, off or done for a key that is not enabled", async () => {
    const { custody, admin } = km;
    const { keyId, arn } = await custody.keys.create(admin, {});
    const all = () => [
      custody.rotation.enable(admin, keyId),
      custody.rotation.disable(admin, keyId),
      custody.keys.rotate(admin, keyId),
    ];
    await custody.keys.disable(admin, keyId);
    for (const attempt of all()) await assert.rejects(attempt, { code: "KEY_DISABLED", key: arn, state: "disabled" });
    await custody.keys.scheduleDeletion(admin, keyId, 7);
    for (const attempt of all())
      await assert.rejects(attempt, { code: "KEY_STATE_INVALID", key: arn, state: "pending-deletion" });
    assert.equal((await custody.rotation.status(admin, keyId)).enabled, false);
  });

  it("is not for key pairs, MAC keys and imported material", async () => {
    const { custody, admin } = km;
    const keys = [
      await custody.keys.create(admin, { spec: "ECC_NIST_P256" }),
      await custody.keys.create(admin, { spec: "SM2", usage: "encrypt" }),
      await custody.keys.create(admin, { spec: "HMAC_256" }),
      await custody.keys.create(admin, { origin: "external" }),
    ];
    for (const { keyId, arn } of keys)
      for (const attempt of [
        custody.rotation.enable(admin, keyId),
        custody.rotation.disable(admin, keyId),
        custody.rotation.status(admin, keyId),
        custody.keys.rotate(admin, keyId),
      ])
        await assert.rejects(attempt, { code: "KEY_UNSUPPORTED", key: arn });
  });

  it("is done on demand 25 times for one key, however often by the calendar", async () => {
    const { custody, admin } = km;
    const { keyId, arn } = await custody.keys.create(admin, {});
    await custody.rotation.enable(admin, keyId, 90);
    for (let count = 0; count < 25; count++) await custody.keys.rotate(admin, keyId);
    await assert.rejects(custody.keys.rotate(admin, keyId), { code: "LIMIT_EXCEEDED", key: arn });
    km.nowMs += 90 * dayMs;
    await custody.rotation.rotateDue();
    assert.equal((await custody.keys.describe(admin, keyId)).currentVersion, 27);
    await assert.rejects(custody.keys.rotate(admin, keyId), { code: "LIMIT_EXCEEDED" });
  });

  it("is an administrator's to set, and an auditor's to see", async () => {
    const { custody, admin } = km;
    const { keyId } = await custody.keys.create(admin, {});
    const user = await km.user("una", "key-user");
    const auditor = await km.user("aurel", "auditor");
    for (const caller of [user, auditor]) {
      await assert.rejects(custody.rotation.enable(caller, keyId), { code: "ACCESS_DENIED" });
      await assert.rejects(custody.rotation.disable(caller, keyId), { code: "ACCESS_DENIED" });
    }
    await assert.rejects(custody.rotation.status(user, keyId), { code: "ACCESS_DENIED" });
    assert.equal((await custody.rotation.status(auditor, keyId)).enabled, false);
    await custody.rotation.list(auditor, keyId);
  });

  it("is done once when it is asked for twice at the same moment", async () => {
    const { custody, admin } = km;
    const { keyId } = await custody.keys.create(admin, {});
    await custody.rotation.enable(admin, keyId, 90);
    km.nowMs += 90 * dayMs;
    await Promise.all([custody.rotation.rotateDue(), custody.rotation.rotateDue()]);
    assert.equal((await custody.keys.describe(admin, keyId)).currentVersion, 2);
  });
});
