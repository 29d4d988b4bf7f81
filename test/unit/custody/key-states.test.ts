import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import type { Caller, CustodyService, KeyState } from "../../../src/custody/service.ts";
import { TestKeyManager } from "./key-manager.ts";

const dayMs = 24 * 60 * 60 * 1000;
const states = ["enabled", "disabled", "pending-import", "pending-deletion", "destroyed"] as const;

/** "Key states of AWS KMS keys": what each operation answers in each state; `-` where it works. Aliases end with their key. */
const table: Readonly<Record<string, readonly [string, string, string, string, string]>> = {
  // enabled, disabled, pending import, pending deletion, destroyed
  generateDataKey: ["-", "KEY_DISABLED", "KEY_STATE_INVALID", "KEY_STATE_INVALID", "KEY_STATE_INVALID"],
  wrap: ["-", "KEY_DISABLED", "KEY_STATE_INVALID", "KEY_STATE_INVALID", "KEY_STATE_INVALID"],
  createGrant: ["-", "KEY_DISABLED", "KEY_STATE_INVALID", "KEY_STATE_INVALID", "KEY_STATE_INVALID"],
  enable: ["-", "-", "KEY_STATE_INVALID", "KEY_STATE_INVALID", "KEY_STATE_INVALID"],
  disable: ["-", "-", "KEY_STATE_INVALID", "KEY_STATE_INVALID", "KEY_STATE_INVALID"],
  createAlias: ["-", "-", "-", "KEY_STATE_INVALID", "KEY_STATE_INVALID"],
  updateAliasTo: ["-", "-", "-", "KEY_STATE_INVALID", "KEY_STATE_INVALID"],
  updateAliasFrom: ["-", "-", "-", "-", "ALIAS_NOT_FOUND"],
  tag: ["-", "-", "-", "KEY_STATE_INVALID", "KEY_STATE_INVALID"],
  untag: ["-", "-", "-", "KEY_STATE_INVALID", "KEY_STATE_INVALID"],
  updateDescription: ["-", "-", "-", "KEY_STATE_INVALID", "KEY_STATE_INVALID"],
  putPolicy: ["-", "-", "-", "-", "KEY_STATE_INVALID"],
  getPolicy: ["-", "-", "-", "-", "KEY_STATE_INVALID"],
  describe: ["-", "-", "-", "-", "-"],
  listGrants: ["-", "-", "-", "-", "KEY_STATE_INVALID"],
  revokeGrant: ["-", "-", "-", "-", "KEY_STATE_INVALID"],
  retireGrant: ["-", "-", "-", "-", "KEY_STATE_INVALID"],
  listTags: ["-", "-", "-", "-", "KEY_STATE_INVALID"],
  listRotations: ["-", "-", "-", "-", "KEY_STATE_INVALID"],
  deleteAlias: ["-", "-", "-", "-", "ALIAS_NOT_FOUND"],
  scheduleDeletion: ["-", "-", "-", "KEY_STATE_INVALID", "KEY_STATE_INVALID"],
  cancelDeletion: ["KEY_STATE_INVALID", "KEY_STATE_INVALID", "KEY_STATE_INVALID", "-", "KEY_STATE_INVALID"],
};

describe("an operation on a key", () => {
  let km: TestKeyManager;
  let custody: CustodyService;
  let admin: Caller;
  let user: Caller;
  let other: string;
  let made = 0;
  before(async () => {
    km = await TestKeyManager.make();
    ({ custody, admin } = km);
    user = await km.user("stella", "key-user");
    other = (await custody.keys.create(admin, {})).keyId;
  });
  after(() => km.end());

  /** A key with an alias, a tag and, where its state ever allows one, a grant that its grantee may retire. */
  const inState = async (state: KeyState) => {
    const origin = state === "pending-import" ? "external" : "soft";
    const alias = `alias/state-${++made}`;
    const { keyId } = await custody.keys.create(admin, { origin, alias, tags: { a: "b" } });
    let grant = "";
    if (origin === "soft") {
      const operations = ["Decrypt", "RetireGrant"] as const;
      grant = (await custody.grants.create(admin, keyId, { grantee: user.principal, operations })).id;
    }
    if (state === "disabled") await custody.keys.disable(admin, keyId);
    if (state === "pending-deletion" || state === "destroyed") await custody.keys.scheduleDeletion(admin, keyId, 7);
    if (state === "destroyed") {
      km.nowMs += 7 * dayMs;
      await custody.keys.destroy(admin, keyId);
    }
    assert.equal((await custody.keys.describe(admin, keyId)).state, state);
    return { keyId, alias, grant };
  };

  type Subject = Awaited<ReturnType<typeof inState>>;
  const grantMissing = { code: "GRANT_NOT_FOUND" };

  const operations: Readonly<Record<keyof typeof table, (key: Subject) => Promise<unknown>>> = {
    generateDataKey: ({ keyId }) => custody.data.generateDataKeyWithoutPlaintext(user, { key: keyId, context: {} }),
    wrap: async ({ keyId }) => {
      using plaintext = SecretBuffer.random(16);
      await custody.data.wrap(user, { key: keyId, context: {}, plaintext });
    },
    createGrant: ({ keyId }) =>
      custody.grants.create(admin, keyId, { grantee: user.principal, operations: ["Encrypt"] }),
    enable: ({ keyId }) => custody.keys.enable(admin, keyId),
    disable: ({ keyId }) => custody.keys.disable(admin, keyId),
    createAlias: ({ keyId }) => custody.aliases.create(admin, `alias/new-${++made}`, keyId),
    updateAliasTo: async ({ keyId }) => {
      const alias = `alias/moving-${++made}`;
      await custody.aliases.create(admin, alias, other);
      await custody.aliases.update(admin, alias, keyId);
    },
    updateAliasFrom: ({ alias }) => custody.aliases.update(admin, alias, other),
    tag: ({ keyId }) => custody.tags.add(admin, keyId, { c: "d" }),
    untag: ({ keyId }) => custody.tags.remove(admin, keyId, ["a"]),
    updateDescription: ({ keyId }) => custody.keys.updateDescription(admin, keyId, "new"),
    putPolicy: async ({ keyId }) => custody.policies.put(admin, keyId, await custody.policies.get(admin, keyId)),
    getPolicy: ({ keyId }) => custody.policies.get(admin, keyId),
    describe: ({ keyId }) => custody.keys.describe(admin, keyId),
    listGrants: ({ keyId }) => custody.grants.list(admin, keyId),
    revokeGrant: ({ keyId, grant }) =>
      grant === ""
        ? assert.rejects(custody.grants.revoke(admin, keyId, "none"), grantMissing)
        : custody.grants.revoke(admin, keyId, grant),
    retireGrant: ({ keyId, grant }) =>
      grant === ""
        ? assert.rejects(custody.grants.retire(user, keyId, "none"), grantMissing)
        : custody.grants.retire(user, keyId, grant),
    listTags: ({ keyId }) => custody.tags.list(admin, keyId),
    listRotations: ({ keyId }) => custody.rotation.list(admin, keyId),
    deleteAlias: ({ alias }) => custody.aliases.delete(admin, alias),
    scheduleDeletion: ({ keyId }) => custody.keys.scheduleDeletion(admin, keyId, 7),
    cancelDeletion: ({ keyId }) => custody.keys.cancelDeletion(admin, keyId),
  };

  for (const [name, answers] of Object.entries(table))
    it(`of ${name} answers as AWS's table of key states says`, async () => {
      for (const [index, state] of states.entries()) {
        const key = await inState(state);
        const operation = operations[name]?.(key);
        assert.ok(operation);
        const code = await operation.then(
          () => "-",
          (error: { code: string; state: string; key: string }) => {
            if (error.code === "ALIAS_NOT_FOUND") return error.code;
            assert.equal(error.state, state);
            assert.ok(error.key.endsWith(`key/${key.keyId}`));
            return error.code;
          },
        );
        assert.equal(code, answers[index], state);
      }
    });
});
