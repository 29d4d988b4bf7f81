import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import type { Caller } from "../../../src/custody/service.ts";
import { TestKeyManager } from "./key-manager.ts";

describe("data keys", () => {
  let km: TestKeyManager;
  let node: Caller;
  const context = { node: "n1", network: "test", purpose: "data" };
  before(async () => {
    km = await TestKeyManager.make();
    await km.custody.keys.create(km.admin, { alias: "alias/nodes" });
    node = await km.enrol("n1", "alias/nodes");
  });
  after(() => km.end());

  it("are wrapped and unwrapped for the node they were granted to", async () => {
    using secret = SecretBuffer.random(100);
    const { wrapped, keyId } = await km.custody.data.wrap(node, { key: "alias/nodes", context, plaintext: secret });
    const opened = await km.custody.data.unwrap(node, { wrapped, context, key: keyId });
    using plaintext = opened.plaintext;
    assert.ok(plaintext.equals(secret));
  });

  it("open under no other context, with one error for every difference", async () => {
    const { wrapped } = await km.custody.data.generateDataKeyWithoutPlaintext(node, { key: "alias/nodes", context });
    for (const other of [
      { ...context, purpose: "keys" },
      { node: "n1", network: "test" },
      { ...context, extra: "x" },
      { ...context, Purpose: "data" },
    ])
      await assert.rejects(km.custody.data.unwrap(node, { wrapped, context: other }), { code: "WRAP_REFUSED" });
  });

  it("do not open with any bit changed, cut, or under another key", async () => {
    const { wrapped } = await km.custody.data.generateDataKeyWithoutPlaintext(node, { key: "alias/nodes", context });
    const refused = (error: { code: string }) => ["WRAP_REFUSED", "KEY_NOT_FOUND"].includes(error.code);
    for (let bit = 0; bit < wrapped.length * 8; bit += 5) {
      const bad = Buffer.from(wrapped);
      bad.writeUInt8(bad.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      await assert.rejects(km.custody.data.unwrap(node, { wrapped: bad, context }), refused, `bit ${bit}`);
    }
    for (let length = 0; length < wrapped.length; length += 3)
      await assert.rejects(km.custody.data.unwrap(node, { wrapped: wrapped.subarray(0, length), context }), refused);
    await km.custody.keys.create(km.admin, { alias: "alias/other" });
    const underOther = { wrapped, context, key: "alias/other" };
    await assert.rejects(km.custody.data.unwrap(node, underOther), { code: "ACCESS_DENIED" });
    await km.custody.grants.create(km.admin, "alias/other", { grantee: node.principal, operations: ["Decrypt"] });
    await assert.rejects(km.custody.data.unwrap(node, underOther), { code: "KEY_INCORRECT" });
  });

  it("are refused to everyone without a grant: other nodes, users, administrators, strangers", async () => {
    const { wrapped } = await km.custody.data.generateDataKeyWithoutPlaintext(node, { key: "alias/nodes", context });
    const callers = [
      await km.enrol("n2", "alias/nodes"),
      km.admin,
      await km.user("olivia", "operator"),
      await km.user("audrey", "auditor"),
      km.as("arn:aws:iam::000000000000:user/stranger"),
      km.as(""),
    ];
    for (const caller of callers)
      await assert.rejects(
        km.custody.data.unwrap(caller, { wrapped, context }),
        { code: "ACCESS_DENIED" },
        caller.principal,
      );
  });

  it("follow the key policy: an explicit deny wins over the node's grant", async () => {
    const { custody, admin } = km;
    const { keyId } = await custody.keys.create(admin, {});
    const denied = await km.enrol("n3", keyId);
    const input = { key: keyId, context: { node: "n3" } };
    const { wrapped } = await custody.data.generateDataKeyWithoutPlaintext(denied, input);
    const policy = JSON.parse(await custody.policies.get(admin, keyId));
    policy.Statement.push({
      Effect: "Deny",
      Principal: { AWS: denied.principal },
      Action: "kms:Decrypt",
      Resource: "*",
    });
    await custody.policies.put(admin, keyId, JSON.stringify(policy));
    await assert.rejects(custody.data.unwrap(denied, { wrapped, context: { node: "n3" } }), { code: "ACCESS_DENIED" });
    await custody.data.generateDataKeyWithoutPlaintext(denied, input);
  });

  it("end with the grant: at notAfter, also when the clock is set back, and at once when revoked", async () => {
    const { custody, admin } = km;
    const { keyId } = await custody.keys.create(admin, {});
    const user = await km.user("uwe", "key-user");
    const policy = {
      Version: "2012-10-17",
      Statement: [{ Effect: "Allow", Principal: { AWS: admin.principal }, Action: "kms:*", Resource: "*" }],
    };
    await custody.policies.put(admin, keyId, JSON.stringify(policy));
    await assert.rejects(custody.data.generateDataKeyWithoutPlaintext(user, { key: keyId, context: {} }), {
      code: "ACCESS_DENIED",
    });
    const notAfter = new Date(km.nowMs + 60_000).toISOString();
    const input = { grantee: user.principal, operations: ["GenerateDataKeyWithoutPlaintext"] as const, notAfter };
    await custody.grants.create(admin, keyId, input);
    await custody.data.generateDataKeyWithoutPlaintext(user, { key: keyId, context: {} });
    km.nowMs += 60_000;
    await assert.rejects(custody.data.generateDataKeyWithoutPlaintext(user, { key: keyId, context: {} }), {
      code: "ACCESS_DENIED",
    });
    km.nowMs -= 3_600_000;
    await assert.rejects(custody.data.generateDataKeyWithoutPlaintext(user, { key: keyId, context: {} }), {
      code: "ACCESS_DENIED",
    });
    const { notAfter: _, ...forever } = input;
    const grant = await custody.grants.create(admin, keyId, forever);
    await custody.data.generateDataKeyWithoutPlaintext(user, { key: keyId, context: {} });
    await custody.grants.revoke(admin, keyId, grant.id);
    await assert.rejects(custody.data.generateDataKeyWithoutPlaintext(user, { key: keyId, context: {} }), {
      code: "ACCESS_DENIED",
    });
    await assert.rejects(custody.grants.revoke(admin, keyId, grant.id), { code: "GRANT_NOT_FOUND" });
  });

  it("are rewrapped to the newest version, another key or another context, never across suites", async () => {
    const { custody, admin } = km;
    const from = await custody.keys.create(admin, {});
    const to = await custody.keys.create(admin, {});
    const sm = await custody.keys.create(admin, { suite: "sm" });
    const mover = await km.enrol("n4", from.keyId);
    for (const key of [to, sm])
      await km.custody.nodes.createToken(admin, { name: "n4", key: key.keyId, identity: "file" });
    const own = { node: "n4" };
    const { wrapped } = await custody.data.generateDataKeyWithoutPlaintext(mover, { key: from.keyId, context: own });
    await custody.keys.rotate(admin, from.keyId);
    assert.equal((await custody.data.rewrap(mover, { wrapped, context: own })).keyVersion, 2);
    const moved = await custody.data.rewrap(mover, {
      wrapped,
      context: own,
      toKey: to.keyId,
      toContext: { ...own, purpose: "p" },
    });
    assert.equal(moved.keyId, to.keyId);
    using first = (await custody.data.unwrap(mover, { wrapped, context: own })).plaintext;
    using second = (await custody.data.unwrap(mover, { wrapped: moved.wrapped, context: { ...own, purpose: "p" } }))
      .plaintext;
    assert.ok(first.equals(second));
    await assert.rejects(custody.data.rewrap(mover, { wrapped, context: own, toKey: sm.keyId }), {
      code: "INPUT_INVALID",
    });
    await assert.rejects(custody.data.rewrap(mover, { wrapped, context: own, toContext: { node: "n1" } }), {
      code: "ACCESS_DENIED",
    });
  });

  it("refuse sizes out of range and context names of the server's own", async () => {
    const { data } = km.custody;
    for (const bytes of [0, 1025, 1.5, -1])
      await assert.rejects(data.generateDataKeyWithoutPlaintext(node, { key: "alias/nodes", context, bytes }), {
        code: "INPUT_INVALID",
      });
    for (const length of [0, 4097]) {
      using plaintext = SecretBuffer.copyOf(Buffer.alloc(length));
      await assert.rejects(data.wrap(node, { key: "alias/nodes", context, plaintext }), { code: "INPUT_INVALID" });
    }
    const reserved = { ...context, "strongroom:door": "x" };
    await assert.rejects(data.generateDataKeyWithoutPlaintext(node, { key: "alias/nodes", context: reserved }), {
      code: "INPUT_INVALID",
    });
  });
});
