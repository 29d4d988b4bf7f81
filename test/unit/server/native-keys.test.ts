import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { KeyManagerClient } from "../../../src/client/client.ts";
import { type RunningKeyManager, startKeyManager } from "./running-key-manager.ts";

describe("tags, rotation and retiring on the native door", () => {
  let km: RunningKeyManager;
  let keyId: string;
  let user: KeyManagerClient;
  before(async () => {
    km = await startKeyManager();
    ({ keyId } = await km.admin.keys.create({ alias: "alias/nodes" }));
    await km.admin.principals.create({ name: "uma", kind: "user", role: "key-user" });
    user = km.clientOf(await km.enrolled("uma"));
  });
  after(() => {
    user.close();
    return km[Symbol.asyncDispose]();
  });

  it("add, list and remove tags of a key", async () => {
    const { tags } = km.admin;
    assert.deepEqual(await tags.list(keyId), {});
    await tags.add("alias/nodes", { network: "one", owner: "" });
    await tags.add(keyId, { network: "two" });
    assert.deepEqual(await tags.list(keyId), { network: "two", owner: "" });
    await tags.remove(keyId, ["owner", "absent"]);
    assert.deepEqual(await tags.list(keyId), { network: "two" });
  });

  it("are listed with their keys page by page, and page lengths and places are checked", async () => {
    const { keys } = km.admin;
    for (let made = 0; made < 4; made++) await keys.create({});
    const all = await keys.list();
    const ids = all.map((key) => key.keyId).sort();
    assert.equal(all[0]?.keyId, keyId);
    assert.equal(ids.length, 5);
    const found: string[] = [];
    for (let more = true; more; ) {
      const after = found.at(-1);
      const page = await keys.page({ limit: 2, ...(after === undefined ? {} : { after }) });
      found.push(...page.keys.map((key) => key.keyId));
      more = page.more;
    }
    assert.deepEqual(found, ids);
    assert.deepEqual(await keys.page({ limit: 5, after: "zzz" }), { keys: [], more: false });
    for (const wrong of [
      { limit: 0 },
      { limit: 1001 },
      { limit: 1.5 },
      { limit: 1, after: "" },
      { limit: 1, after: "x".repeat(65) },
    ])
      await assert.rejects(keys.page(wrong), { code: "REQUEST_INVALID" });
  });

  it("turn rotation on and off, and list what was made", async () => {
    const { rotation } = km.admin;
    assert.deepEqual(await rotation.status(keyId), { enabled: false, periodDays: 365, nextAt: null });
    const on = await rotation.enable("alias/nodes", 90);
    assert.deepEqual([on.enabled, on.periodDays], [true, 90]);
    assert.deepEqual(await rotation.status(keyId), on);
    assert.equal((await rotation.enable(keyId)).periodDays, 365);
    await km.admin.keys.rotate(keyId);
    assert.deepEqual(
      (await rotation.list(keyId)).map(({ version, kind }) => [version, kind]),
      [
        [1, "created"],
        [2, "on-demand"],
      ],
    );
    assert.equal((await rotation.disable(keyId)).enabled, false);
  });

  it("let a grant be retired by its retiring principal, and by its grantee that may", async () => {
    const { principal } = await user.whoami();
    const make = (input: object) =>
      km.admin.grants.create(keyId, { grantee: principal, operations: ["Encrypt", "RetireGrant"], ...input });
    await user.grants.retire((await make({ name: "one" })).id);
    await user.grants.retire((await make({ name: "two" })).id, "alias/nodes");
    await user.grants.retire((await make({ name: "three", operations: ["Encrypt"], retiring: principal })).id, keyId);
    assert.deepEqual(await km.admin.grants.list(keyId), []);
    const kept = await make({ name: "four", operations: ["Encrypt"] });
    await assert.rejects(user.grants.retire(kept.id), { serverCode: "ACCESS_DENIED" });
    await assert.rejects(km.admin.grants.retire(kept.id), { serverCode: "ACCESS_DENIED" });
    const other = await km.admin.keys.create({});
    await assert.rejects(user.grants.retire(kept.id, other.keyId), { serverCode: "GRANT_NOT_FOUND" });
    await assert.rejects(user.grants.retire("none"), { serverCode: "GRANT_NOT_FOUND" });
    assert.equal((await km.admin.grants.list(keyId)).length, 1);
  });

  it("are refused to who may not, and where the input is none", async () => {
    const attempts: readonly (readonly [string, () => Promise<unknown>])[] = [
      ["ACCESS_DENIED", () => user.tags.add(keyId, { a: "b" })],
      ["ACCESS_DENIED", () => user.tags.remove(keyId, ["network"])],
      ["ACCESS_DENIED", () => user.rotation.enable(keyId)],
      ["ACCESS_DENIED", () => user.rotation.disable(keyId)],
      ["KEY_NOT_FOUND", () => km.admin.tags.list("alias/none")],
      ["KEY_NOT_FOUND", () => km.admin.rotation.status("alias/none")],
      ["TAGS_INVALID", () => km.admin.tags.add(keyId, { "aws:x": "reserved" })],
      ["TAGS_INVALID", () => km.admin.tags.add(keyId, { a: "\u0000" })],
      [
        "TAGS_INVALID",
        () => km.admin.tags.add(keyId, Object.fromEntries(Array.from({ length: 51 }, (_, index) => [`t${index}`, ""]))),
      ],
      ["INPUT_INVALID", () => km.admin.tags.add(keyId, { "": "nameless" })],
      ["INPUT_INVALID", () => km.admin.tags.add(keyId, { a: "x".repeat(257) })],
      ["INPUT_INVALID", () => km.admin.tags.remove(keyId, [])],
      ["INPUT_INVALID", () => km.admin.rotation.enable(keyId, 89)],
      ["INPUT_INVALID", () => km.admin.rotation.enable(keyId, 2561)],
      ["INPUT_INVALID", () => km.admin.rotation.enable(keyId, 90.5)],
      ["INPUT_INVALID", () => km.admin.grants.retire("")],
    ];
    for (const [serverCode, attempt] of attempts) await assert.rejects(attempt(), { serverCode }, String(attempt));
    const mac = await km.admin.keys.create({ usage: "mac", spec: "HMAC_256" });
    await assert.rejects(km.admin.rotation.enable(mac.keyId), { serverCode: "KEY_UNSUPPORTED" });
    assert.deepEqual(await km.admin.tags.list(keyId), { network: "two" });
  });
});
