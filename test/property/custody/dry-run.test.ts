import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import fc from "fast-check";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import type { Caller } from "../../../src/custody/service.ts";
import { scaled, seed } from "../../run-settings.ts";
import { TestKeyManager } from "../../unit/custody/key-manager.ts";

const dayMs = 24 * 60 * 60 * 1000;

describe("a dry run", () => {
  let km: TestKeyManager;
  let callers: readonly Caller[];
  let keys: readonly string[];
  let grants: readonly { readonly key: string; readonly id: string }[];
  let wrapped: Buffer;
  const context = { node: "n1" };

  before(async () => {
    km = await TestKeyManager.make();
    const { custody, admin } = km;
    const create = async (input = {}) => (await custody.keys.create(admin, input)).keyId;
    const [used, disabled, leaving, over] = [
      await create({ alias: "alias/used" }),
      await create(),
      await create(),
      await create(),
    ];
    keys = [
      used,
      disabled,
      leaving,
      over,
      await create({ origin: "external" }),
      await create({ spec: "ECC_NIST_P256" }),
    ];
    const user = await km.user("dora", "key-user");
    const node = await km.enrol("n1", used);
    const input = { grantee: node.principal, operations: ["Decrypt", "RetireGrant"] } as const;
    grants = [{ key: used, id: (await custody.grants.create(admin, used, input)).id }];
    ({ wrapped } = await custody.data.generateDataKeyWithoutPlaintext(user, { key: used, context }));
    await custody.keys.disable(admin, disabled);
    await custody.keys.scheduleDeletion(admin, over, 7);
    km.nowMs += 7 * dayMs;
    await custody.keys.scheduleDeletion(admin, leaving, 30);
    callers = [admin, user, node, await km.user("ada", "auditor")];
  });
  after(() => km.end());

  const plaintext = async <T>(work: (secret: SecretBuffer) => Promise<T>): Promise<T> => {
    using secret = SecretBuffer.random(32);
    return await work(secret);
  };

  /** Every kind of operation; what it gives is disposed of by custody, since a dry run gives nothing. */
  const operations: readonly ((caller: Caller, key: string) => Promise<unknown>)[] = [
    (caller) => km.custody.keys.create(caller, { alias: "alias/dry", tags: { a: "b" } }),
    (caller) => km.custody.keys.create(caller, { origin: "external" }),
    (caller) => km.custody.keys.create(caller, { spec: "HMAC_256" }),
    (caller, key) => km.custody.keys.describe(caller, key),
    (caller) => km.custody.keys.list(caller),
    (caller, key) => km.custody.keys.enable(caller, key),
    (caller, key) => km.custody.keys.disable(caller, key),
    (caller, key) => km.custody.keys.rotate(caller, key),
    (caller, key) => km.custody.keys.scheduleDeletion(caller, key, 7),
    (caller, key) => km.custody.keys.cancelDeletion(caller, key),
    (caller, key) => km.custody.keys.destroy(caller, key),
    (caller, key) => km.custody.keys.updateDescription(caller, key, "dry"),
    (caller, key) => km.custody.data.generateDataKey(caller, { key, context }),
    (caller, key) => km.custody.data.generateDataKeyWithoutPlaintext(caller, { key, context }),
    (caller, key) => plaintext((secret) => km.custody.data.wrap(caller, { key, context, plaintext: secret })),
    (caller) => km.custody.data.unwrap(caller, { wrapped, context }),
    (caller, key) => km.custody.data.unwrap(caller, { wrapped, context, key }),
    (caller, key) => km.custody.data.rewrap(caller, { wrapped, context, toKey: key }),
    (caller, key) => km.custody.aliases.create(caller, "alias/dry", key),
    (caller, key) => km.custody.aliases.update(caller, "alias/used", key),
    (caller) => km.custody.aliases.delete(caller, "alias/used"),
    (caller) => km.custody.aliases.list(caller),
    (caller, key) => km.custody.tags.add(caller, key, { a: "b" }),
    (caller, key) => km.custody.tags.remove(caller, key, ["a"]),
    (caller, key) => km.custody.rotation.enable(caller, key),
    (caller, key) => km.custody.rotation.disable(caller, key),
    (caller, key) => km.custody.imports.parameters(caller, { key, algorithm: "SM2PKE", wrappingKeySpec: "SM2" }),
    (caller, key) => km.custody.imports.deleteMaterial(caller, key),
    async (caller, key) => km.custody.policies.put(caller, key, await km.custody.policies.get(km.admin, keys[0] ?? "")),
    (caller, key) =>
      km.custody.grants.create(caller, key, { grantee: caller.principal, operations: ["DescribeKey"], name: "dry" }),
    (caller, key) => km.custody.grants.revoke(caller, key, grants[0]?.id ?? ""),
    (caller) => km.custody.grants.retire(caller, null, grants[0]?.id ?? ""),
    (caller) => km.custody.grants.listRetirable(caller, caller.principal),
    (caller) => km.custody.principals.create(caller, { name: "dry", kind: "user", role: "auditor" }),
    (caller) => km.custody.principals.disable(caller, "dora"),
    (caller) => km.custody.nodes.revoke(caller, "n1"),
    (caller, key) => km.custody.nodes.createToken(caller, { name: "n9", key, identity: "file" }),
    (caller) => km.custody.groups.create(caller, { name: "dry", policies: [] }),
    (caller) => km.custody.users.create(caller, { name: "dry", role: "auditor" }),
    (caller) => km.custody.users.createAccessKey(caller, "dora"),
    (caller) => km.custody.users.delete(caller, "dora"),
  ];

  it("never succeeds, changes no state whoever asks for what, and puts one record in the chain", async () => {
    const { custody, admin } = km;
    const standing = () => custody.audit.checkpoint(admin);
    let succeeding = 0;
    let asked = 0;
    const attempt = fc.asyncProperty(
      fc.nat(operations.length - 1),
      fc.nat(callers.length - 1),
      fc.nat(keys.length - 1),
      async (operationIndex, callerIndex, keyIndex) => {
        const [operation, caller, key] = [operations[operationIndex], callers[callerIndex], keys[keyIndex]];
        assert.ok(operation !== undefined && caller !== undefined && key !== undefined);
        const before = await standing();
        const requestId = `dry-${++asked}`;
        const code = await operation({ ...caller, requestId, dryRun: true }, key).then(
          () => "done",
          (error: { code: string }) => error.code,
        );
        const after = await standing();
        assert.notEqual(code, "done");
        if (code === "DRY_RUN") succeeding += 1;
        // The key manager itself keeps how far its notices have come, every 20,000 records; such a record may lie beside either checkpoint.
        const since = await custody.audit.read(admin, { after: Math.max(0, before.sequence - 4), limit: 100 });
        const ownChanges = since.filter(({ action }) => action === "strongroom:KeepNoticeRules").length;
        const changes = after.stateVersion - before.stateVersion;
        assert.ok(
          changes >= 0 && changes <= ownChanges,
          `${changes} changes of state, ${ownChanges} of them explained`,
        );
        const records = since.filter((each) => each.requestId === requestId);
        assert.equal(records.length, 1);
        const [record] = records;
        assert.deepEqual([record?.error, record?.detail.dryRun], [code, "yes"]);
        assert.notEqual(record?.result, "done");
      },
    );
    await fc.assert(attempt, { seed, numRuns: scaled(6000) });
    assert.ok(succeeding > 0);
  });

  it("that would succeed succeeds when it is done, as one that would not does not", async () => {
    const { custody, admin } = km;
    const [key = ""] = keys;
    const dry = { ...admin, dryRun: true };
    await assert.rejects(custody.keys.disable(dry, key), { code: "DRY_RUN", status: 412 });
    assert.equal((await custody.keys.describe(admin, key)).state, "enabled");
    await custody.keys.disable(admin, key);
    const user = { ...(callers[1] ?? admin), dryRun: true };
    await assert.rejects(custody.data.unwrap(user, { wrapped, context }), { code: "KEY_DISABLED" });
    await custody.keys.enable(admin, key);
    await assert.rejects(custody.data.unwrap(user, { wrapped, context }), { code: "DRY_RUN" });
    await assert.rejects(custody.data.unwrap(user, { wrapped, context: {} }), { code: "WRAP_REFUSED" });
    await assert.rejects(custody.data.unwrap(dry, { wrapped, context }), { code: "ACCESS_DENIED" });
  });
});
