import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { NewAccessKey } from "../../../src/custody/contract/users.ts";
import type { Caller } from "../../../src/custody/service.ts";
import { TestKeyManager } from "./key-manager.ts";

const denied = { code: "ACCESS_DENIED" };

describe("users and their access keys", () => {
  let km: TestKeyManager;
  before(async () => {
    km = await TestKeyManager.make();
    await km.custody.keys.create(km.admin, { alias: "alias/app" });
  });
  after(() => km.end());

  const make = (name: string, role?: "administrator" | "auditor" | "key-user") =>
    km.custody.users.create(km.admin, { name, ...(role === undefined ? {} : { role }) });
  const accessKey = async (name: string): Promise<NewAccessKey> => {
    await make(name);
    return km.custody.users.createAccessKey(km.admin, name);
  };
  const text = (key: { readonly secret: NewAccessKey["secret"] }) => key.secret.expose((bytes) => bytes.toString());

  it("have the forms of AWS IAM", async () => {
    const user = await make("KMS-User1", "key-user");
    assert.equal(user.arn, `arn:aws:iam::${km.custody.identity.account}:user/KMS-User1`);
    const key = await km.custody.users.createAccessKey(km.admin, "KMS-User1");
    assert.match(key.id, /^AKIA[A-Z2-7]{16}$/);
    assert.match(text(key), /^[A-Za-z0-9+/]{40}$/);
    const { accessKeys, groups, role } = await km.custody.users.describe(km.admin, "KMS-User1");
    assert.deepEqual({ groups, role }, { groups: [], role: "key-user" });
    const { secret: _secret, ...told } = key;
    assert.deepEqual(accessKeys, [told]);
  });

  it("sign with the same secret until it is rotated, also after a restart", async () => {
    const key = await accessKey("steady");
    const first = text(key);
    const found = () => {
      const known = km.custody.users.ofAccessKey(key.id);
      return known === undefined
        ? undefined
        : { name: known.principal.name, version: known.version, text: text(known) };
    };
    assert.deepEqual(found(), { name: "steady", version: 1, text: first });
    await km.restart();
    assert.deepEqual(found(), { name: "steady", version: 1, text: first });
    const rotated = await km.custody.users.rotateAccessKey(km.admin, key.id);
    assert.deepEqual(found(), { name: "steady", version: 2, text: text(rotated) });
    assert.notEqual(text(rotated), first);
    assert.equal(rotated.id, key.id);
  });

  it("have other secrets for other keys, and under another key manager", async () => {
    const other = await TestKeyManager.make("sm");
    try {
      await other.custody.users.create(other.admin, { name: "a" });
      const keys = [
        await accessKey("a"),
        await km.custody.users.createAccessKey(km.admin, "a"),
        await other.custody.users.createAccessKey(other.admin, "a"),
      ];
      assert.equal(new Set(keys.map(text)).size, 3);
      assert.equal(new Set(keys.map(({ id }) => id)).size, 3);
    } finally {
      await other.end();
    }
  });

  it("are unknown from the moment a change that ends them has been answered, and known again when it is undone", async () => {
    const { users, principals } = km.custody;
    const { id } = await accessKey("ended");
    const known = () => users.ofAccessKey(id) !== undefined;
    assert.ok(known());
    await users.setAccessKeyState(km.admin, id, "disabled");
    assert.ok(!known());
    await users.setAccessKeyState(km.admin, id, "enabled");
    assert.ok(known());
    await principals.disable(km.admin, "ended");
    assert.ok(!known());
    await km.restart();
    assert.equal(km.custody.users.ofAccessKey(id), undefined);
    await km.custody.principals.enable(km.admin, "ended");
    assert.notEqual(km.custody.users.ofAccessKey(id), undefined);
    await km.custody.users.deleteAccessKey(km.admin, id);
    assert.equal(km.custody.users.ofAccessKey(id), undefined);
    await assert.rejects(km.custody.users.setAccessKeyState(km.admin, id, "enabled"), { code: "ACCESS_KEY_NOT_FOUND" });
  });

  it("are refused at the decision, too, when their key ended after the door checked the signature", async () => {
    const { users, data, keys } = km.custody;
    await users.create(km.admin, { name: "signer", role: "key-user" });
    const { id } = await users.createAccessKey(km.admin, "signer");
    const { id: other } = await accessKey("another");
    const { arn } = await users.describe(km.admin, "signer");
    const signed: Caller = { ...km.as(arn), door: "aws", accessKeyId: id };
    const input = { key: "alias/app", context: {} };
    await data.generateDataKeyWithoutPlaintext(signed, input);
    for (const accessKeyId of [other, "AKIAAAAAAAAAAAAAAAAA", ""])
      await assert.rejects(data.generateDataKeyWithoutPlaintext({ ...signed, accessKeyId }, input), denied);
    await users.setAccessKeyState(km.admin, id, "disabled");
    await assert.rejects(data.generateDataKeyWithoutPlaintext(signed, input), denied);
    await users.setAccessKeyState(km.admin, id, "enabled");
    await data.generateDataKeyWithoutPlaintext(signed, input);
    await users.deleteAccessKey(km.admin, id);
    await assert.rejects(keys.describe(signed, "alias/app"), denied);
    await km.custody.keys.describe(km.as(arn), "alias/app");
  });

  it("take the right to retire grants with them: a new user of the name does not have it", async () => {
    const { users, grants } = km.custody;
    const { arn } = await make("retirer");
    const grantee = (await make("grantee")).arn;
    const made = await grants.create(km.admin, "alias/app", { grantee, operations: ["Decrypt"], retiring: arn });
    await users.delete(km.admin, "retirer");
    await make("retirer");
    await assert.rejects(grants.retire(km.as(arn), null, made.id), denied);
    assert.deepEqual(await grants.listRetirable(km.admin, arn), []);
    const kept = (await grants.list(km.admin, "alias/app")).find(({ id }) => id === made.id);
    const { retiring: _, ...rest } = made;
    assert.deepEqual(kept, rest);
  });

  for (const [what, end] of [
    ["its key is disabled", (id: string) => km.custody.users.setAccessKeyState(km.admin, id, "disabled")],
    ["its key is deleted", (id: string) => km.custody.users.deleteAccessKey(km.admin, id)],
    ["its user is disabled", (_id: string, name: string) => km.custody.principals.disable(km.admin, name)],
    ["its user is deleted", (_id: string, name: string) => km.custody.users.delete(km.admin, name)],
  ] as const)
    it(`let no request through that starts after the answer that ${what}, under load`, async () => {
      const { users, data } = km.custody;
      const name = `loaded-${what.replaceAll(" ", "-")}`;
      const { arn } = await users.create(km.admin, { name, role: "key-user" });
      const { id } = await users.createAccessKey(km.admin, name);
      const signed: Caller = { ...km.as(arn), door: "aws", accessKeyId: id };
      let ended = false;
      const late: boolean[] = [];
      const client = async () => {
        for (let round = 0; round < 40; round++) {
          const startedAfter = ended;
          const input = { key: "alias/app", context: {} };
          const known = users.ofAccessKey(id) !== undefined;
          const done = await data.generateDataKeyWithoutPlaintext(signed, input).then(
            () => true,
            () => false,
          );
          if (startedAfter) late.push(known || done);
        }
      };
      const clients = Array.from({ length: 8 }, client);
      await new Promise((resolve) => setTimeout(resolve, 5));
      await end(id, name);
      ended = true;
      await Promise.all(clients);
      assert.ok(late.length > 0 && late.every((through) => !through));
    });

  it("put the use of an ended key on record with what ended it, once a second, and of no other key", async () => {
    const { users, principals } = km.custody;
    const { id: keyOff, secret } = await accessKey("key-off");
    const { id: userOff } = await accessKey("user-off");
    const attempt = { door: "aws", peer: "127.0.0.1", requestId: "e" } as const;
    const unknown = "AKIAAAAAAAAAAAAAAAAA";
    for (const id of [keyOff, unknown]) assert.equal(users.endedAccessKey(id), undefined);
    const { sequence } = await km.custody.audit.checkpoint(km.admin);
    for (const id of [keyOff, unknown]) await users.recordEndedAccessKey(id, attempt);
    await users.setAccessKeyState(km.admin, keyOff, "disabled");
    await principals.disable(km.admin, "user-off");
    assert.ok(users.endedAccessKey(keyOff)?.secret.equals(secret));
    for (const id of [keyOff, userOff, keyOff, keyOff]) await users.recordEndedAccessKey(id, attempt);
    const records = await km.custody.audit.read(km.admin, { after: sequence, limit: 100 });
    const told = records
      .filter(({ action }) => action === "strongroom:Authenticate")
      .map(({ principal, accessKeyId, result, error, detail }) => ({ principal, accessKeyId, result, error, detail }));
    const expected = (name: string, accessKeyId: string, deniedBy: string) => ({
      principal: `arn:aws:iam::${km.custody.identity.account}:user/${name}`,
      accessKeyId,
      result: "refused",
      error: "ACCESS_DENIED",
      detail: { deniedBy },
    });
    assert.deepEqual(told.slice(0, 2), [
      expected("key-off", keyOff, "access-key-disabled"),
      expected("user-off", userOff, "principal-disabled"),
    ]);
  });

  it("wipe a secret that was held when its key is rotated, disabled or deleted", async () => {
    const { users } = km.custody;
    const { id } = await accessKey("wiped");
    const held = () => users.ofAccessKey(id)?.secret;
    const first = held();
    await users.rotateAccessKey(km.admin, id);
    const second = held();
    await users.setAccessKeyState(km.admin, id, "disabled");
    await users.setAccessKeyState(km.admin, id, "enabled");
    const third = held();
    await users.delete(km.admin, "wiped");
    assert.deepEqual(
      [first, second, third].map((secret) => secret?.disposed),
      [true, true, true],
    );
  });

  it("are told apart from whatever is no access key", () => {
    for (const id of ["", "AKIA", "akiaaaaaaaaaaaaaaaaa", "AKIAAAAAAAAAAAAAAAAA", "__proto__", "constructor"])
      assert.equal(km.custody.users.ofAccessKey(id), undefined);
  });

  it("have two access keys at most", async () => {
    const { id } = await accessKey("two");
    await km.custody.users.createAccessKey(km.admin, "two");
    await assert.rejects(km.custody.users.createAccessKey(km.admin, "two"), { code: "LIMIT_EXCEEDED" });
    await km.custody.users.deleteAccessKey(km.admin, id);
    await km.custody.users.createAccessKey(km.admin, "two");
  });

  it("lose keys and grants when they are deleted, and bring none to a later user of the same name", async () => {
    const { users, grants } = km.custody;
    const { id } = await accessKey("gone");
    const grantee = (await users.describe(km.admin, "gone")).arn;
    await grants.create(km.admin, "alias/app", { grantee, operations: ["Decrypt", "GenerateDataKey"] });
    const input = { key: "alias/app", context: {} };
    const { wrapped } = await km.custody.data.generateDataKeyWithoutPlaintext(km.as(grantee), input).catch(() => ({
      wrapped: Buffer.alloc(0),
    }));
    assert.equal(wrapped.length, 0, "the grant does not hold this operation");
    (await km.custody.data.generateDataKey(km.as(grantee), input)).plaintext[Symbol.dispose]();
    await users.delete(km.admin, "gone");
    assert.equal(users.ofAccessKey(id), undefined);
    assert.ok(!(await grants.list(km.admin, "alias/app")).some((each) => each.grantee === grantee));
    await assert.rejects(km.custody.data.generateDataKey(km.as(grantee), input), denied);
    const again = await make("gone");
    assert.deepEqual(again.accessKeys, []);
    await assert.rejects(km.custody.data.generateDataKey(km.as(grantee), input), denied);
    await km.restart();
    assert.equal(km.custody.users.ofAccessKey(id), undefined);
  });

  it("give no name away that a key policy still names, so that nobody takes over a deleted user's rights", async () => {
    const { users, keys, policies, principals } = km.custody;
    const { arn } = await make("named");
    const { keyId } = await keys.create(km.admin, {});
    const before = await policies.get(km.admin, keyId);
    const statement = { Sid: "Named", Effect: "Allow", Principal: { AWS: arn }, Action: "kms:Encrypt", Resource: "*" };
    const document = JSON.parse(before) as { Statement: object[] };
    await policies.put(km.admin, keyId, JSON.stringify({ ...document, Statement: [...document.Statement, statement] }));
    await users.delete(km.admin, "named");
    const taken = { code: "PRINCIPAL_EXISTS" };
    await assert.rejects(make("named"), taken);
    await assert.rejects(principals.create(km.admin, { name: "named", kind: "user", role: "auditor" }), taken);
    await policies.put(km.admin, keyId, before);
    await make("named");
  });

  it("give no name away that a condition of a key policy still names, until the key is destroyed", async () => {
    const { users, keys, policies } = km.custody;
    const { arn } = await make("conditional");
    const { keyId } = await keys.create(km.admin, {});
    const document = JSON.parse(await policies.get(km.admin, keyId)) as { Statement: object[] };
    const Condition = { ArnEquals: { "aws:PrincipalArn": arn } };
    const statement = { Effect: "Allow", Principal: { AWS: "*" }, Action: "kms:Encrypt", Resource: "*", Condition };
    const text = JSON.stringify({ ...document, Statement: [...document.Statement, statement] });
    await policies.put(km.admin, keyId, text.replaceAll("user/conditional", "user\\/con\\u0064itional"));
    await users.delete(km.admin, "conditional");
    await assert.rejects(make("conditional"), { code: "PRINCIPAL_EXISTS" });
    await keys.scheduleDeletion(km.admin, keyId, 7);
    await assert.rejects(make("conditional"), { code: "PRINCIPAL_EXISTS" });
    km.nowMs += 7 * 24 * 60 * 60 * 1000;
    await keys.destroy(km.admin, keyId);
    await make("conditional");
  });

  it("are made and changed by administrators alone", async () => {
    const { users, groups } = km.custody;
    const { id } = await accessKey("target");
    await groups.create(km.admin, { name: "power", policies: ["AWSKeyManagementServicePowerUser"] });
    const member = await users.create(km.admin, { name: "member", groups: ["power"] });
    const callers: readonly Caller[] = [
      await km.user("oscar", "operator"),
      await km.user("ada", "auditor"),
      await km.user("kim", "key-user"),
      km.as(member.arn),
      km.as(`arn:aws:iam::${km.custody.identity.account}:user/target`),
      km.as(`arn:aws:iam::${km.custody.identity.account}:user/nobody`),
    ];
    const attempts: readonly ((caller: Caller) => Promise<unknown>)[] = [
      (caller) => users.create(caller, { name: "eve", role: "administrator" }),
      (caller) => users.create(caller, { name: "eve", groups: ["power"] }),
      (caller) => users.setGroups(caller, "target", ["power"]),
      (caller) => users.createAccessKey(caller, "target"),
      (caller) => users.rotateAccessKey(caller, id),
      (caller) => users.setAccessKeyState(caller, id, "disabled"),
      (caller) => users.deleteAccessKey(caller, id),
      (caller) => users.delete(caller, "target"),
      (caller) => groups.create(caller, { name: "eves", policies: [] }),
      (caller) => groups.setPolicies(caller, "power", []),
      (caller) => groups.delete(caller, "power"),
    ];
    for (const caller of callers) for (const attempt of attempts) await assert.rejects(attempt(caller), denied);
    assert.notEqual(users.ofAccessKey(id), undefined);
    await assert.rejects(users.describe(km.admin, "eve"), { code: "PRINCIPAL_NOT_FOUND" });
  });

  it("refuse names, roles and groups that do not fit, and names that are taken", async () => {
    const { users } = km.custody;
    for (const name of ["", "-x", "a b", "a/b", "x".repeat(65), "ü"])
      await assert.rejects(make(name), { code: "INPUT_INVALID" });
    await assert.rejects(users.create(km.admin, { name: "x", role: "node" }), { code: "INPUT_INVALID" });
    await assert.rejects(users.create(km.admin, { name: "x", role: "fisco-door" }), { code: "INPUT_INVALID" });
    await assert.rejects(users.create(km.admin, { name: "x", groups: ["nobodys"] }), { code: "GROUP_NOT_FOUND" });
    const many = Array.from({ length: 11 }, (_, index) => `g${index}`);
    await assert.rejects(users.create(km.admin, { name: "x", groups: many }), { code: "INPUT_INVALID" });
    await make("taken");
    await assert.rejects(make("taken"), { code: "PRINCIPAL_EXISTS" });
    await assert.rejects(users.createAccessKey(km.admin, "x"), { code: "PRINCIPAL_NOT_FOUND" });
    await km.enrol("node-1", "alias/app");
    await assert.rejects(users.createAccessKey(km.admin, "node-1"), { code: "PRINCIPAL_NOT_FOUND" });
    await assert.rejects(users.delete(km.admin, "node-1"), { code: "PRINCIPAL_NOT_FOUND" });
    await assert.rejects(users.delete(km.admin, "local-administrator"), { code: "INPUT_INVALID" });
    await assert.rejects(users.createAccessKey(km.admin, "local-administrator"), { code: "INPUT_INVALID" });
  });

  it("leave no secret in any file of the data folder, and their making on record", async () => {
    const key = await accessKey("planted");
    const rotated = await km.custody.users.rotateAccessKey(km.admin, key.id);
    const raw = [key, rotated].map((each) => each.secret.expose((bytes) => Buffer.from(bytes)));
    const forms = raw.flatMap((secret) => {
      const bytes = Buffer.from(secret.toString(), "base64");
      return [secret, bytes, Buffer.from(bytes.toString("hex")), Buffer.from(secret.toString("base64").slice(0, 48))];
    });
    const { users } = km.custody;
    users.ofAccessKey(key.id);
    const records = await km.custody.audit.read(km.admin, { after: 0, limit: 10_000 });
    const made = records.find(({ action, detail }) => action === "iam:CreateAccessKey" && detail.name === "planted");
    assert.equal(made?.detail.accessKeyId, key.id);
    await km.restart();
    for (const file of readdirSync(km.dataDir)) {
      const bytes = readFileSync(join(km.dataDir, file));
      for (const form of forms) assert.equal(bytes.indexOf(form), -1, `${file} holds a secret`);
    }
  });
});
