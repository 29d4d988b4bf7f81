import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { operations } from "../../../src/client/operations.ts";
import { certificateOf, errorOf, type RunningKeyManager, rawRequest, startKeyManager } from "./running-key-manager.ts";

const power = "AWSKeyManagementServicePowerUser";

describe("users on the native door", () => {
  let km: RunningKeyManager;
  before(async () => {
    km = await startKeyManager();
    await km.admin.groups.create({ name: "KMS-Users", policies: [power] });
  });
  after(() => km[Symbol.asyncDispose]());

  it("are made, read, changed and removed over the administration socket", async () => {
    const { users, accessKeys, groups } = km.admin;
    const made = await users.create({ name: "round", role: "key-user", groups: ["KMS-Users"] });
    assert.deepEqual(await users.describe("round"), made);
    const { secret, ...key } = await accessKeys.create("round");
    assert.equal(secret.byteLength, 40);
    assert.deepEqual((await users.describe("round")).accessKeys, [key]);
    assert.equal((await accessKeys.setState(key.id, "disabled")).state, "disabled");
    assert.equal((await accessKeys.setState(key.id, "enabled")).state, "enabled");
    const rotated = await accessKeys.rotate(key.id);
    assert.equal(rotated.version, 2);
    assert.ok(!rotated.secret.equals(secret));
    assert.ok(km.custody.users.ofAccessKey(key.id)?.secret.equals(rotated.secret));
    await accessKeys.delete(key.id);
    assert.deepEqual((await users.setGroups("round", [])).groups, []);
    await groups.create({ name: "short", policies: [] });
    assert.deepEqual((await groups.setPolicies("short", [power])).policies, [power]);
    await groups.delete("short");
    assert.deepEqual(
      (await groups.list()).map(({ name }) => name),
      ["KMS-Users"],
    );
    await users.delete("round");
    assert.ok(!(await users.list()).some(({ name }) => name === "round"));
  });

  it("are an administrator's over TLS, and nobody else's", async () => {
    await km.admin.users.create({ name: "boss", role: "administrator" });
    await km.admin.users.create({ name: "oscar", role: "operator", groups: ["KMS-Users"] });
    using boss = km.clientOf(await km.enrolled("boss"));
    using oscar = km.clientOf(await km.enrolled("oscar"));
    await boss.users.create({ name: "hired" });
    const key = await boss.accessKeys.create("hired");
    assert.equal(key.secret.byteLength, 40);
    const attempts = [
      () => oscar.users.create({ name: "eve", role: "administrator" }),
      () => oscar.users.setGroups("oscar", []),
      () => oscar.users.delete("hired"),
      () => oscar.accessKeys.create("boss"),
      () => oscar.accessKeys.create("oscar"),
      () => oscar.accessKeys.rotate(key.id),
      () => oscar.accessKeys.setState(key.id, "disabled"),
      () => oscar.accessKeys.delete(key.id),
      () => oscar.groups.create({ name: "eves", policies: [power] }),
      () => oscar.groups.setPolicies("KMS-Users", []),
      () => oscar.groups.delete("KMS-Users"),
    ];
    for (const attempt of attempts) await assert.rejects(attempt(), { code: "REFUSED", serverCode: "ACCESS_DENIED" });
    assert.ok((await oscar.users.list()).length > 0, "the group's policy lets it list users");
  });

  it("answer a secret as raw bytes, and nowhere else in the answer", async () => {
    await km.admin.users.create({ name: "raw", role: "administrator" });
    const enrolment = await km.enrolled("raw");
    const reply = await rawRequest(km.url, enrolment.caPem, {
      path: operations["accessKeys.create"].path,
      body: JSON.stringify({ user: "raw" }),
      certificate: certificateOf(enrolment),
    });
    assert.equal(reply.status, 200);
    assert.equal(reply.headers["content-type"], "application/octet-stream");
    assert.equal(reply.headers["cache-control"], "no-store");
    assert.match(String(reply.headers["strongroom-id"]), /^AKIA[A-Z2-7]{16}$/);
    const secret = reply.body.toString();
    assert.match(secret, /^[A-Za-z0-9+/]{40}$/);
    assert.ok(!JSON.stringify(reply.headers).includes(secret));
    const records = JSON.stringify(await km.admin.audit.read({ after: 0, limit: 1000 }));
    assert.ok(!records.includes(secret) && !km.log.join("\n").includes(secret));
  });

  it("refuse what is malformed, with the member that is wrong", async () => {
    const enrolment = await (async () => {
      await km.admin.users.create({ name: "strict", role: "administrator" });
      return km.enrolled("strict");
    })();
    const ask = (name: keyof typeof operations, body: unknown) =>
      rawRequest(km.url, enrolment.caPem, {
        path: operations[name].path,
        body: JSON.stringify(body),
        certificate: certificateOf(enrolment),
      });
    const cases = [
      ["users.create", {}, "name"],
      ["users.create", { name: "x", role: "root" }, "role"],
      ["users.create", { name: "x", groups: "KMS-Users" }, "groups"],
      ["users.create", { name: "x", secret: "s" }, "secret"],
      ["users.create", { name: "x", groups: Array.from({ length: 33 }, () => "g") }, "groups"],
      ["accessKeys.create", { user: 1 }, "user"],
      ["accessKeys.setState", { id: "AKIA", state: "off" }, "state"],
      ["accessKeys.delete", { id: "x".repeat(65) }, "id"],
      ["groups.create", { name: "g" }, "policies"],
      ["groups.setPolicies", { name: "g", policies: [1] }, "policies.0"],
    ] as const;
    for (const [name, body, path] of cases) {
      const reply = await ask(name, body);
      assert.deepEqual([reply.status, errorOf(reply).path], [400, path], name);
    }
    const missing = [
      ["users.describe", { name: "nobody" }, "PRINCIPAL_NOT_FOUND", 404],
      ["accessKeys.rotate", { id: "AKIAAAAAAAAAAAAAAAAA" }, "ACCESS_KEY_NOT_FOUND", 404],
      ["accessKeys.rotate", { id: "not an id" }, "ACCESS_KEY_NOT_FOUND", 404],
      ["groups.delete", { name: "nobodys" }, "GROUP_NOT_FOUND", 404],
      ["groups.create", { name: "KMS-Users", policies: [] }, "GROUP_EXISTS", 409],
      ["groups.create", { name: "x", policies: ["AdministratorAccess"] }, "INPUT_INVALID", 400],
    ] as const;
    for (const [name, body, code, status] of missing) {
      const reply = await ask(name, body);
      assert.deepEqual([reply.status, errorOf(reply).code], [status, code], name);
    }
  });
});
