import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { CustodyError } from "../../../src/custody/errors.ts";
import type { Caller, KeyDescription } from "../../../src/custody/service.ts";
import { TestKeyManager } from "./key-manager.ts";

describe("a refusal", () => {
  let km: TestKeyManager;
  let key: KeyDescription;
  let user: Caller;
  before(async () => {
    km = await TestKeyManager.make();
    key = await km.custody.keys.create(km.admin, { alias: "alias/facts" });
    user = await km.user("fay", "key-user");
  });
  after(() => km.end());

  const refusalOf = async (work: Promise<unknown>): Promise<CustodyError> => {
    const error = await work.then(
      () => undefined,
      (cause: unknown) => cause,
    );
    assert.ok(error instanceof CustodyError);
    return error;
  };
  const lastRecord = async () => (await km.custody.audit.read(km.admin, { after: 0, limit: 10_000 })).at(-1);
  const makeKey = (caller: Caller, name: string) =>
    km.custody.data.generateDataKeyWithoutPlaintext(caller, { key: name, context: {} });

  it("names the key that a reference stands for, by its ARN", async () => {
    for (const name of [key.keyId, key.arn, "alias/facts", key.arn.replace(/key\/.*/, "alias/facts")]) {
      const error = await refusalOf(makeKey(km.admin, name));
      assert.deepEqual([error.code, error.key], ["ACCESS_DENIED", key.arn]);
    }
  });

  it("names no key where none was found", async () => {
    const error = await refusalOf(makeKey(user, "alias/lost"));
    assert.deepEqual([error.code, error.key], ["KEY_NOT_FOUND", undefined]);
  });

  it("tells the state or the usage that refused", async () => {
    const disabled = await km.custody.keys.create(km.admin, {});
    await km.custody.keys.disable(km.admin, disabled.keyId);
    const first = await refusalOf(makeKey(user, disabled.keyId));
    assert.deepEqual([first.code, first.key, first.state], ["KEY_DISABLED", disabled.arn, "disabled"]);
    const signing = await km.custody.keys.create(km.admin, { spec: "ECC_NIST_P256" });
    const second = await refusalOf(makeKey(user, signing.keyId));
    assert.deepEqual([second.code, second.key, second.usage], ["KEY_USAGE_INVALID", signing.arn, "sign"]);
  });

  it("of a rewrap names the key that refused: the destination's, where it is that", async () => {
    const { wrapped } = await makeKey(user, key.keyId);
    const to = await km.custody.keys.create(km.admin, {});
    await km.custody.keys.disable(km.admin, to.keyId);
    const error = await refusalOf(km.custody.data.rewrap(user, { wrapped, context: {}, toKey: to.keyId }));
    assert.deepEqual([error.code, error.key, error.state], ["KEY_DISABLED", to.arn, "disabled"]);
  });

  it("of a box under another key than the one named has a code of its own", async () => {
    const { wrapped } = await makeKey(user, key.keyId);
    const other = await km.custody.keys.create(km.admin, {});
    const error = await refusalOf(km.custody.data.unwrap(user, { wrapped, context: {}, key: other.keyId }));
    assert.deepEqual([error.code, error.key, error.exitCode], ["KEY_INCORRECT", other.arn, 3]);
    assert.equal((await lastRecord())?.error, "KEY_INCORRECT");
  });

  it("goes on record with what denied it, which its message does not tell", async () => {
    const root = { AWS: `arn:aws:iam::${km.custody.identity.account}:root` };
    const policy = JSON.stringify({
      Version: "2012-10-17",
      Statement: [
        { Effect: "Allow", Principal: root, Action: "kms:*", Resource: "*" },
        { Sid: "NotFay", Effect: "Deny", Principal: { AWS: user.principal }, Action: "kms:Generate*", Resource: "*" },
      ],
    });
    const barred = (await km.custody.keys.create(km.admin, { policy })).keyId;
    const node = await km.enrol("n1", key.keyId);
    await km.custody.principals.disable(km.admin, "n1");
    const cases = [
      [user, barred, { deniedBy: "explicit-deny", statement: "NotFay" }],
      [await km.user("olaf", "operator"), key.keyId, { deniedBy: "nothing-allows" }],
      [node, key.keyId, { deniedBy: "principal-disabled" }],
      [km.as(`${user.principal}x`), key.keyId, { deniedBy: "principal-unknown" }],
    ] as const;
    for (const [caller, name, expected] of cases) {
      const error = await refusalOf(makeKey(caller, name));
      assert.equal(error.code, "ACCESS_DENIED");
      assert.ok(!/deny|NotFay|disabled|unknown|allows/i.test(error.message), error.message);
      const { deniedBy, statement } = (await lastRecord())?.detail ?? {};
      assert.deepEqual({ deniedBy, ...(statement === undefined ? {} : { statement }) }, expected);
    }
  });
});

describe("a caller's rights", () => {
  it("are those of its groups' policies beside its role's, and end with them", async () => {
    const km = await TestKeyManager.make();
    const { custody, admin } = km;
    await custody.groups.create(admin, { name: "KMS-Users", policies: ["AWSKeyManagementServicePowerUser"] });
    const caller = km.as((await custody.users.create(admin, { name: "gus", groups: ["KMS-Users"] })).arn);
    const { keyId } = await custody.keys.create(caller, { description: "a power user's", tags: { team: "one" } });
    await custody.tags.add(caller, keyId, { team: "two" });
    for (const attempt of [
      custody.keys.disable(caller, keyId),
      custody.keys.scheduleDeletion(caller, keyId, 7),
      custody.policies.put(caller, keyId, await custody.policies.get(admin, keyId)),
      custody.data.generateDataKeyWithoutPlaintext(caller, { key: keyId, context: {} }),
    ])
      await assert.rejects(attempt, { code: "ACCESS_DENIED" });
    await custody.groups.setPolicies(admin, "KMS-Users", []);
    await assert.rejects(custody.keys.create(caller, {}), { code: "ACCESS_DENIED" });
    await custody.groups.setPolicies(admin, "KMS-Users", ["AWSKeyManagementServicePowerUser"]);
    await custody.keys.create(caller, {});
    await custody.users.setGroups(admin, "gus", []);
    await assert.rejects(custody.keys.create(caller, {}), { code: "ACCESS_DENIED" });
    await km.end();
  });

  it("end when the caller is deleted, also for one that has the same name in another kind", async () => {
    const km = await TestKeyManager.make();
    const { custody, admin } = km;
    const caller = km.as((await custody.users.create(admin, { name: "del", role: "key-user" })).arn);
    const { keyId } = await custody.keys.create(admin, {});
    const use = () => custody.data.generateDataKeyWithoutPlaintext(caller, { key: keyId, context: {} });
    await use();
    await custody.users.delete(admin, "del");
    await assert.rejects(use(), { code: "ACCESS_DENIED" });
    await custody.principals.create(admin, { name: "del", kind: "service", role: "key-user" });
    await assert.rejects(use(), { code: "ACCESS_DENIED" });
    await km.end();
  });

  it("to create a key with a policy do not reach to one that locks its maker out, unless that is asked for", async () => {
    const km = await TestKeyManager.make();
    const { custody, admin } = km;
    const other = await km.user("other", "administrator");
    const policy = JSON.stringify({
      Version: "2012-10-17",
      Statement: [{ Effect: "Allow", Principal: { AWS: other.principal }, Action: "kms:*", Resource: "*" }],
    });
    await assert.rejects(custody.keys.create(admin, { policy }), { code: "INPUT_INVALID" });
    const { keyId } = await custody.keys.create(admin, { policy, bypassLockoutCheck: true });
    await assert.rejects(custody.keys.describe(admin, keyId), { code: "ACCESS_DENIED" });
    await custody.keys.describe(other, keyId);
    await km.end();
  });
});
