import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import type { Caller } from "../../../src/custody/service.ts";
import { TestKeyManager } from "./key-manager.ts";

const peer = { door: "native", peer: "127.0.0.1", requestId: "t" } as const;
const notAfter = "2030-01-01T00:00:00.000Z";
const denied = { code: "ACCESS_DENIED" };

describe("enrolment and grants", () => {
  let km: TestKeyManager;
  let operator: Caller;
  before(async () => {
    km = await TestKeyManager.make();
    await km.custody.keys.create(km.admin, { alias: "alias/nodes" });
    operator = await km.user("olga", "operator");
  });
  after(() => km.end());

  const arnOf = (kind: "node" | "user", name: string) => `arn:aws:iam::${km.custody.identity.account}:${kind}/${name}`;
  const token = async (caller: Caller, name: string) =>
    (await km.custody.nodes.createToken(caller, { name, identity: "file" })).token;
  const redeem = (name: string, secret: SecretBuffer) =>
    km.custody.nodes.redeemToken(peer, { name, token: secret, spkiSha256: randomBytes(32), notAfter });
  const grantees = async () =>
    (await km.custody.grants.list(km.admin, "alias/nodes")).map(({ grantee }) => grantee.split("/")[1]);

  it("let an operator give a node no context but one with the node's own name", async () => {
    await redeem("own", await token(operator, "own"));
    const grant = (constraints: Record<string, Record<string, string>>) =>
      km.custody.grants.create(operator, "alias/nodes", {
        grantee: arnOf("node", "own"),
        operations: ["Decrypt"],
        constraints,
      });
    for (const context of [
      { node: "victim" },
      { node: "own", Node: "victim" },
      { Node: "own" },
      { node: "OWN" },
      { node: "*" },
      { network: "consortium" },
    ] as Record<string, string>[]) {
      await assert.rejects(grant({ encryptionContextSubset: context }), denied);
      await assert.rejects(grant({ encryptionContextEquals: context }), denied);
    }
    await grant({ encryptionContextSubset: { node: "own" } });
    await grant({ encryptionContextEquals: { node: "own", network: "consortium" } });
  });

  it("let an administrator, and nobody less, make a token for a node that has enrolled before", async () => {
    await km.enrol("victim", "alias/nodes");
    await assert.rejects(token(operator, "victim"), denied);
    await km.custody.principals.disable(km.admin, "victim");
    const enabled = await km.custody.principals.enable(km.admin, "victim");
    assert.deepEqual(enabled.publicKeys, []);
    await assert.rejects(token(operator, "victim"), denied);
    const again = await redeem("victim", await token(km.admin, "victim"));
    assert.equal(again.publicKeys.length, 1);
    await assert.rejects(token(operator, "victim"), denied);
  });

  it("let an operator make a second token for a node that never enrolled", async () => {
    await token(operator, "fresh");
    assert.equal((await redeem("fresh", await token(operator, "fresh"))).name, "fresh");
  });

  it("write no record of a token that is unknown or for another name, and one of each that is late: they are counted", async () => {
    const secret = await token(km.admin, "guest");
    using unknown = SecretBuffer.random(32);
    const { sequence } = await km.custody.audit.checkpoint(km.admin);
    for (const name of ["local-administrator", "guest", "olga", "nobody"])
      await assert.rejects(redeem(name, unknown), { code: "TOKEN_REFUSED" });
    await assert.rejects(redeem("local-administrator", secret), { code: "TOKEN_REFUSED" });
    km.nowMs += 15 * 60_000;
    for (const name of ["guest", "guest", "olga"])
      await assert.rejects(redeem(name, secret), { code: "TOKEN_REFUSED" });
    const written = () => km.custody.audit.read(km.admin, { after: sequence, limit: 100 });
    const others = (await written()).filter(({ action }) => action !== "strongroom:Checkpoint");
    assert.deepEqual(
      others.map(({ action, principal, detail }) => ({ action, principal, detail })),
      [{ action: "strongroom:ExpireToken", principal: "anonymous", detail: { name: "guest" } }],
    );
    await km.restart();
    const summary = (await written()).find(({ action }) => action === "strongroom:Refusals");
    assert.equal(summary?.principal, "anonymous");
    assert.deepEqual(summary?.detail, { reason: "TOKEN_REFUSED", count: 8 });
  });

  it("end with a node's revocation, those too that were made by right of its own, each once", async () => {
    const parent = await km.enrol("parent", "alias/nodes");
    for (const name of ["child", "grandchild"]) await token(km.admin, name);
    const make = (caller: Caller, name: string) =>
      km.custody.grants.create(caller, "alias/nodes", {
        grantee: arnOf("node", name),
        operations: ["CreateGrant", "Decrypt"],
      });
    await make(km.admin, "parent");
    await make(parent, "child");
    await make(parent, "parent");
    await make(km.as(arnOf("node", "child")), "grandchild");
    await make(km.admin, "grandchild");
    await km.custody.nodes.revoke(km.admin, "parent");
    const left = await grantees();
    assert.ok(!left.includes("parent") && !left.includes("child"));
    assert.deepEqual(
      left.filter((name) => name === "grandchild"),
      ["grandchild"],
      "the one an administrator made stays",
    );
    await km.restart();
    assert.deepEqual(await grantees(), left);
  });

  it("keep a node's keys when it is enabled and was not revoked", async () => {
    await km.enrol("kept", "alias/nodes");
    const { publicKeys } = await km.custody.principals.enable(km.admin, "kept");
    assert.equal(publicKeys.length, 1);
    assert.equal((await km.custody.principalOfPublicKey(Buffer.from("kept".padEnd(32, "x")), peer))?.name, "kept");
  });

  it("end a principal's open token when it is disabled", async () => {
    for (const name of ["node-t", "ursula"]) {
      if (name === "ursula") await km.user(name, "key-user");
      const secret = await token(km.admin, name);
      await km.custody.principals.disable(km.admin, name);
      await km.custody.principals.enable(km.admin, name);
      await assert.rejects(redeem(name, secret), { code: "TOKEN_REFUSED" });
    }
  });
});
