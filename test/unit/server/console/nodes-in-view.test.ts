import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, it } from "node:test";
import type { Caller } from "../../../../src/custody/service.ts";
import { nodesInView } from "../../../../src/server/console/nodes-in-view.ts";
import { TestKeyManager } from "../../custody/key-manager.ts";

describe("the console's view of nodes", () => {
  let km: TestKeyManager;
  before(async () => {
    km = await TestKeyManager.make();
    await km.custody.keys.create(km.admin, { alias: "alias/nodes" });
  });
  after(() => km.end());

  async function unwrapAs(caller: Caller, context: Readonly<Record<string, string>>, lease?: { seconds: number }) {
    const { wrapped } = await km.custody.data.generateDataKeyWithoutPlaintext(caller, { key: "alias/nodes", context });
    const stated = lease === undefined ? {} : { lease: { ...lease, launch: randomUUID() } };
    (await km.custody.data.unwrap(caller, { wrapped, context, ...stated })).plaintext[Symbol.dispose]();
  }
  const ofNode = (node: string, network = "net-1") => ({ network, node, purpose: "node-data-key" });

  it("is refused to whoever may not list nodes or read the chain", async () => {
    const node = await km.enrol("curious", "alias/nodes");
    const operator = await km.user("operator", "operator");
    for (const caller of [node, operator])
      await assert.rejects(nodesInView(km.custody, caller), { code: "ACCESS_DENIED" });
  });

  it("takes nothing for a node of the AWS door that is not one's unwrap there", async () => {
    const user = await km.user("other-uses", "key-user");
    const overAws: Caller = { ...user, door: "aws" };
    await unwrapAs(user, ofNode("native-door"));
    await unwrapAs(overAws, { network: "net-1", node: "ledger", purpose: "ledger" });
    await unwrapAs(overAws, { network: "net-1", purpose: "node-data-key" });
    await unwrapAs(overAws, ofNode("n".repeat(65)));
    await unwrapAs(overAws, ofNode("node", "n".repeat(65)));
    assert.deepEqual((await nodesInView(km.custody, km.admin)).nodesOverAws, []);
  });

  it("shows a node of the AWS door by its last unwrap, refused or not, and as whom it asked", async () => {
    const user: Caller = { ...(await km.user("integration-user", "key-user")), door: "aws" };
    await unwrapAs(user, ofNode("besu-1"));
    await unwrapAs(user, ofNode("besu-1", "net-2"));
    const { wrapped } = await km.custody.data.generateDataKeyWithoutPlaintext(user, {
      key: "alias/nodes",
      context: ofNode("besu-1"),
    });
    const other: Caller = { ...(await km.user("no-user", "auditor")), door: "aws" };
    const asked = km.custody.data.unwrap(other, { wrapped, context: ofNode("besu-1") });
    await assert.rejects(asked, { code: "ACCESS_DENIED" });
    const { nodesOverAws } = await nodesInView(km.custody, km.admin);
    assert.deepEqual(
      nodesOverAws
        .map(({ node, network, principal, lastUnwrap }) => [node, network, principal, lastUnwrap.result])
        .sort(),
      [
        ["besu-1", "net-1", other.principal, "refused"],
        ["besu-1", "net-2", user.principal, "done"],
      ],
    );
  });

  it("shows each node with its lease, with none, or with nothing where no key was released", async () => {
    const [held, without] = [await km.enrol("held", "alias/nodes"), await km.enrol("without", "alias/nodes")];
    await km.enrol("new", "alias/nodes");
    await unwrapAs(held, { node: "held" }, { seconds: 10 });
    await unwrapAs(without, { node: "without" });
    const { nodes, leasesSince } = await nodesInView(km.custody, km.admin);
    const stateOf = (name: string) => nodes.find((node) => node.name === name)?.lease?.state ?? null;
    assert.deepEqual(["held", "without", "new"].map(stateOf), ["held", "none", null]);
    assert.equal(leasesSince, null);
  });
});
