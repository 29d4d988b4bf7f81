import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { TestKeyManager } from "./key-manager.ts";

const keys = [
  { name: "nodekey", format: "nodekey-hex", publicIdentity: "ab".repeat(64) },
  { name: "account", format: "keystore-json", publicIdentity: `0x${"cd".repeat(20)}` },
];

describe("a node's own account of its destruction", () => {
  let km: TestKeyManager;
  before(async () => {
    km = await TestKeyManager.make();
    await km.custody.keys.create(km.admin, { alias: "alias/nodes" });
  });
  after(() => km.end());

  const accounts = async (of: string) =>
    (await km.custody.audit.read(km.admin, { after: 0, limit: 1000 })).filter(
      ({ action, principal }) => action === "strongroom:DestroyNode" && principal === of,
    );

  it("is refused to every other principal, and changes nothing then", async () => {
    const one = await km.enrol("node-1", "alias/nodes");
    const other = await km.enrol("node-2", "alias/nodes");
    for (const caller of [other, km.admin, { ...one, principal: "anonymous" }])
      await assert.rejects(km.custody.nodes.destroyed(caller, { name: "node-1", network: "net", keys }), {
        code: "ACCESS_DENIED",
      });
    await assert.rejects(km.custody.nodes.destroyed(one, { name: "node-9", network: "net", keys }), {
      code: "ACCESS_DENIED",
    });
    const nodes = await km.custody.nodes.list(km.admin);
    assert.deepEqual(
      nodes.map(({ name, state }) => `${name} ${state}`),
      ["node-1 enabled", "node-2 enabled"],
    );
  });

  it("puts nothing but a name on record for who is not that node", async () => {
    const other = await km.enrol("node-4", "alias/nodes");
    const many = Array.from({ length: 64 }, (_, index) => ({
      name: `name ${index}`,
      format: "f".repeat(64),
      publicIdentity: "\u0001".repeat(256),
    }));
    const input = { name: "node-1", network: "n".repeat(64), keys: many };
    await assert.rejects(km.custody.nodes.destroyed(other, input), { code: "ACCESS_DENIED" });
    assert.deepEqual((await accounts(other.principal))[0]?.detail, { name: "node-1" });
  });

  it("is refused with more keys, longer texts or control characters than a record takes, and revokes nothing then", async () => {
    const node = await km.enrol("node-5", "alias/nodes");
    const key = { name: "nodekey", format: "nodekey-hex", publicIdentity: "ab" };
    for (const wrong of [
      { network: "net\n", keys: [key] },
      { network: "n".repeat(65), keys: [key] },
      { network: "net", keys: [{ ...key, name: "\u0000" }] },
      { network: "net", keys: [{ ...key, format: "f".repeat(65) }] },
      { network: "net", keys: [{ ...key, publicIdentity: "a".repeat(257) }] },
      { network: "net", keys: Array.from({ length: 65 }, () => key) },
    ])
      await assert.rejects(km.custody.nodes.destroyed(node, { name: "node-5", ...wrong }), { code: "INPUT_INVALID" });
    assert.ok((await accounts(node.principal)).every(({ detail }) => Object.keys(detail).join() === "name"));
    const twice = { name: "node-5", network: "net", keys: [key, { ...key, publicIdentity: "cd" }] };
    assert.equal((await km.custody.nodes.destroyed(node, twice)).state, "revoked");
    const { detail } = (await accounts(node.principal)).at(-1) ?? {};
    assert.deepEqual([detail?.["key 1"], detail?.["key 2"]], ["nodekey nodekey-hex ab", "nodekey nodekey-hex cd"]);
  });

  it("puts the public identities on record, revokes the node and ends its grants, once", async () => {
    const node = await km.enrol("node-3", "alias/nodes");
    const context = { node: "node-3" };
    const { wrapped } = await km.custody.data.generateDataKeyWithoutPlaintext(node, { key: "alias/nodes", context });
    const input = { name: "node-3", network: "net", keys };
    assert.equal((await km.custody.nodes.destroyed(node, input)).state, "revoked");
    await assert.rejects(km.custody.data.unwrap(node, { wrapped, context }), { code: "ACCESS_DENIED" });
    await assert.rejects(km.custody.nodes.destroyed(node, input), { code: "ACCESS_DENIED" });
    const grants = await km.custody.grants.list(km.admin, "alias/nodes");
    assert.equal(grants.filter(({ grantee }) => grantee.endsWith("/node-3")).length, 0);
    const records = await km.custody.audit.read(km.admin, { after: 0, limit: 1000 });
    const told = records.filter(
      ({ action, principal }) => action === "strongroom:DestroyNode" && principal === node.principal,
    );
    assert.deepEqual(
      told.map(({ error }) => error),
      [null, "ACCESS_DENIED"],
    );
    assert.deepEqual(told[0]?.detail, {
      name: "node-3",
      network: "net",
      keys: 2,
      "key 1": `nodekey nodekey-hex ${keys[0]?.publicIdentity}`,
      "key 2": `account keystore-json ${keys[1]?.publicIdentity}`,
    });
    assert.equal((await km.custody.audit.verify(km.admin)).ok, true);
  });
});
