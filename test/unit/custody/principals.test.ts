import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { TestKeyManager } from "./key-manager.ts";

const peer = { door: "native", peer: "127.0.0.1", requestId: "t" } as const;
const notAfter = "2030-01-01T00:00:00.000Z";

describe("principals and nodes", () => {
  let km: TestKeyManager;
  before(async () => {
    km = await TestKeyManager.make();
    await km.custody.keys.create(km.admin, { alias: "alias/nodes" });
  });
  after(() => km.end());

  it("redeem a token once, for their own name, within 15 minutes", async () => {
    const spkiSha256 = Buffer.alloc(32, 7);
    const redeem = (name: string, token: SecretBuffer) =>
      km.custody.nodes.redeemToken(peer, { name, token, spkiSha256, notAfter });
    const { token } = await km.custody.nodes.createToken(km.admin, {
      name: "node-a",
      key: "alias/nodes",
      identity: "tmpfs",
    });
    await km.custody.nodes.createToken(km.admin, { name: "node-b", identity: "file" });
    using wrong = SecretBuffer.random(32);
    await assert.rejects(redeem("node-a", wrong), { code: "TOKEN_REFUSED", exitCode: 3 });
    await assert.rejects(redeem("node-b", token), { code: "TOKEN_REFUSED" });
    await assert.rejects(redeem("node-z", token), { code: "TOKEN_REFUSED" });
    const node = await redeem("node-a", token);
    assert.equal(node.identity, "tmpfs");
    assert.equal((await km.custody.principalOfPublicKey(spkiSha256, peer))?.name, "node-a");
    await assert.rejects(redeem("node-a", token), { code: "TOKEN_REFUSED" });
    const { token: late } = await km.custody.nodes.createToken(km.admin, { name: "node-a", identity: "file" });
    km.nowMs += 15 * 60_000;
    await assert.rejects(redeem("node-a", late), { code: "TOKEN_REFUSED" });
    km.nowMs -= 3_600_000;
    await assert.rejects(redeem("node-a", late), { code: "TOKEN_REFUSED" });
  });

  it("have one open token at most: a newer one ends the older", async () => {
    const { token: old } = await km.custody.nodes.createToken(km.admin, { name: "node-c", identity: "file" });
    const { token } = await km.custody.nodes.createToken(km.admin, { name: "node-c", identity: "file" });
    const input = { name: "node-c", spkiSha256: Buffer.alloc(32, 9), notAfter };
    await assert.rejects(km.custody.nodes.redeemToken(peer, { ...input, token: old }), { code: "TOKEN_REFUSED" });
    await km.custody.nodes.redeemToken(peer, { ...input, token });
  });

  it("are refused from the request after their revocation, on the same key and after a restart", async () => {
    const node = await km.enrol("node-d", "alias/nodes");
    const input = { key: "alias/nodes", context: { node: "node-d" } };
    const { wrapped } = await km.custody.data.generateDataKeyWithoutPlaintext(node, input);
    const spki = Buffer.from("node-d".padEnd(32, "x"));
    assert.equal((await km.custody.principalOfPublicKey(spki, peer))?.name, "node-d");
    await km.custody.nodes.revoke(km.admin, "node-d");
    await assert.rejects(km.custody.data.unwrap(node, { wrapped, context: input.context }), { code: "ACCESS_DENIED" });
    assert.equal(await km.custody.principalOfPublicKey(spki, peer), undefined);
    await km.restart();
    await assert.rejects(km.custody.data.unwrap(node, { wrapped, context: input.context }), { code: "ACCESS_DENIED" });
    assert.equal(await km.custody.principalOfPublicKey(spki, peer), undefined);
    await assert.rejects(km.custody.nodes.createToken(km.admin, { name: "node-d", identity: "file" }), {
      code: "PRINCIPAL_EXISTS",
    });
    await km.custody.principals.enable(km.admin, "node-d");
    assert.equal(await km.custody.principalOfPublicKey(spki, peer), undefined, "its old key stays shut out");
    const records = await km.custody.audit.read(km.admin, { after: 0, limit: 1000 });
    const attempts = records.filter((record) => record.action === "strongroom:Authenticate");
    assert.deepEqual(
      attempts.map(({ principal, result, error }) => ({ principal, result, error })),
      [node, node].map(({ principal }) => ({ principal, result: "refused", error: "ACCESS_DENIED" })),
    );
  });

  it("are told of no refusal before the record of one is written, whichever of many requests is refused first", async () => {
    await km.enrol("node-f", "alias/nodes");
    const spki = Buffer.from("node-f".padEnd(32, "x"));
    await km.custody.nodes.revoke(km.admin, "node-f");
    const order: string[] = [];
    const refused = (which: string) =>
      km.custody.principalOfPublicKey(spki, peer).then(() => {
        order.push(which);
      });
    await Promise.all([refused("first, on record"), refused("second, counted")]);
    assert.deepEqual(order, ["first, on record", "second, counted"]);
  });

  it("lets no unwrap through that starts after the revoking call has returned, under load", async () => {
    const node = await km.enrol("node-e", "alias/nodes");
    const input = { key: "alias/nodes", context: { node: "node-e" } };
    const { wrapped } = await km.custody.data.generateDataKeyWithoutPlaintext(node, input);
    let revoked = false;
    const outcomes: boolean[] = [];
    const client = async () => {
      for (let round = 0; round < 60; round++) {
        const startedAfter = revoked;
        const opened = await km.custody.data.unwrap(node, { wrapped, context: input.context }).then(
          ({ plaintext }) => {
            plaintext[Symbol.dispose]();
            return true;
          },
          () => false,
        );
        if (startedAfter) outcomes.push(opened);
      }
    };
    const clients = Array.from({ length: 8 }, client);
    await new Promise((resolve) => setTimeout(resolve, 5));
    await km.custody.nodes.revoke(km.admin, "node-e");
    revoked = true;
    await Promise.all(clients);
    assert.ok(outcomes.length > 0 && outcomes.every((opened) => !opened));
  });

  it("keep to their roles: an auditor reads and changes nothing, an administrator uses no key", async () => {
    const auditor = await km.user("audrey", "auditor");
    const operator = await km.user("olivia", "operator");
    const { custody } = km;
    assert.ok((await custody.audit.read(auditor, { after: 0, limit: 10 })).length > 0);
    assert.equal((await custody.audit.verify(auditor)).ok, true);
    const changes = [
      () => custody.keys.create(auditor, {}),
      () => custody.keys.disable(auditor, "alias/nodes"),
      () => custody.nodes.revoke(auditor, "node-a"),
      () => custody.principals.create(auditor, { name: "eve", kind: "user", role: "administrator" }),
      () => custody.nodes.createToken(auditor, { name: "node-x", identity: "file" }),
      () => custody.principals.create(operator, { name: "eve", kind: "user", role: "administrator" }),
      () => custody.nodes.createToken(operator, { name: "audrey", identity: "file" }),
      () => custody.audit.read(operator, { after: 0, limit: 10 }),
      () => custody.data.generateDataKeyWithoutPlaintext(km.admin, { key: "alias/nodes", context: { node: "node-a" } }),
    ];
    for (const attempt of changes) await assert.rejects(attempt(), { code: "ACCESS_DENIED" });
    await custody.nodes.createToken(operator, { name: "node-o", key: "alias/nodes", identity: "file" });
  });

  it("refuse names, roles and second makings that do not fit", async () => {
    const { principals } = km.custody;
    for (const name of ["", "-x", "a b", "a/b", "x".repeat(65), "ü"])
      await assert.rejects(principals.create(km.admin, { name, kind: "user", role: "auditor" }), {
        code: "INPUT_INVALID",
      });
    await assert.rejects(principals.create(km.admin, { name: "x", kind: "node", role: "administrator" }), {
      code: "INPUT_INVALID",
    });
    await principals.create(km.admin, { name: "once", kind: "service", role: "key-user" });
    await assert.rejects(principals.create(km.admin, { name: "once", kind: "service", role: "key-user" }), {
      code: "PRINCIPAL_EXISTS",
    });
    await assert.rejects(principals.disable(km.admin, "nobody"), { code: "PRINCIPAL_NOT_FOUND" });
    await assert.rejects(principals.disable(km.admin, "local-administrator"), { code: "INPUT_INVALID" });
  });
});
