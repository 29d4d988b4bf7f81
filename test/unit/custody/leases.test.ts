import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, it } from "node:test";
import type { Caller } from "../../../src/custody/service.ts";
import { TestKeyManager } from "./key-manager.ts";

const secondMs = 1000;

describe("leases that launchers state", () => {
  let km: TestKeyManager;
  const wrapped = new Map<string, Buffer>();
  before(async () => {
    km = await TestKeyManager.make();
    await km.custody.keys.create(km.admin, { alias: "alias/nodes" });
  });
  after(() => km.end());

  async function enrolled(name: string): Promise<Caller> {
    const node = await km.enrol(name, "alias/nodes");
    const input = { key: "alias/nodes", context: { node: name } };
    wrapped.set(name, (await km.custody.data.generateDataKeyWithoutPlaintext(node, input)).wrapped);
    return node;
  }
  async function check(node: Caller, name: string, lease?: { seconds: number; launch: string }): Promise<void> {
    const input = { wrapped: wrapped.get(name) ?? Buffer.alloc(0), context: { node: name } };
    const opened = await km.custody.data.unwrap(node, lease === undefined ? input : { ...input, lease });
    opened.plaintext[Symbol.dispose]();
  }
  async function leaseOf(name: string, caller: Caller = km.admin) {
    return (await km.custody.leases.list(caller)).leases.find(({ node }) => node === name)?.lease;
  }

  it("are refused out of bounds and under names that are no launch's, and nothing is released then", async () => {
    const node = await enrolled("bounds");
    const launch = randomUUID();
    for (const lease of [
      { seconds: 0, launch },
      { seconds: -1, launch },
      { seconds: 86_401, launch },
      { seconds: 1.5, launch },
      { seconds: Number.NaN, launch },
      { seconds: 10, launch: "" },
      { seconds: 10, launch: "launch-1" },
      { seconds: 10, launch: launch.toUpperCase() },
      { seconds: 10, launch: `${launch}\n` },
      { seconds: 10, launch: `${launch}0` },
    ])
      await assert.rejects(check(node, "bounds", lease), { code: "INPUT_INVALID" }, JSON.stringify(lease));
    for (const wrong of ["", "launch-1", `${launch}\n`, launch.toUpperCase()])
      await assert.rejects(km.custody.leases.release(node, wrong), { code: "INPUT_INVALID" }, wrong);
    assert.equal(await leaseOf("bounds"), undefined);
  });

  it("are refused to callers that are not nodes", async () => {
    await enrolled("named");
    const lease = { seconds: 10, launch: randomUUID() };
    const user = await km.user("named-user", "key-user");
    const stranger = km.as(user.principal.replace("user/named-user", "node/nobody"));
    for (const caller of [km.admin, user, stranger]) {
      await assert.rejects(check(caller, "named", lease), { code: "INPUT_INVALID" });
      await assert.rejects(km.custody.leases.release(caller, lease.launch), { code: "ACCESS_DENIED" });
    }
    assert.equal(await leaseOf("named"), undefined);
  });

  it("are the caller's own: no node states, keeps alive or ends another's", async () => {
    const [one, other] = [await enrolled("own-1"), await enrolled("own-2")];
    const lease = { seconds: 10, launch: randomUUID() };
    await check(one, "own-1", lease);
    await assert.rejects(check(other, "own-1", lease), { code: "ACCESS_DENIED" });
    await km.custody.leases.release(other, lease.launch);
    assert.equal((await leaseOf("own-1"))?.state, "held");
    assert.notEqual((await leaseOf("own-2"))?.state, "held");
    km.nowMs += 21 * secondMs;
    await assert.rejects(check(other, "own-1", lease), { code: "ACCESS_DENIED" });
    assert.equal((await leaseOf("own-1"))?.state, "lapsed");
  });

  it("are shown to whoever may list nodes, on record, and to nobody else", async () => {
    const node = await enrolled("private");
    await check(node, "private", { seconds: 10, launch: randomUUID() });
    for (const caller of [node, await km.user("private-user", "key-user")])
      await assert.rejects(km.custody.leases.list(caller), { code: "ACCESS_DENIED" });
    for (const role of ["auditor", "operator", "administrator"] as const)
      assert.equal((await leaseOf("private", await km.user(`reading-${role}`, role)))?.state, "held");
    const { records } = await km.custody.audit.search(km.admin, { action: "strongroom:ListLeases", limit: 10 });
    assert.ok(records.some(({ result, principal }) => result === "refused" && principal === node.principal));
    assert.ok(records.some(({ result, principal }) => result === "done" && principal.endsWith("reading-auditor")));
  });

  it("are refused to a revoked node, which shows", async () => {
    const node = await enrolled("revoked");
    const lease = { seconds: 10, launch: randomUUID() };
    await check(node, "revoked", lease);
    await km.custody.nodes.revoke(km.admin, "revoked");
    await assert.rejects(check(node, "revoked", lease), { code: "ACCESS_DENIED" });
    await assert.rejects(km.custody.leases.release(node, lease.launch), { code: "ACCESS_DENIED" });
    assert.equal((await leaseOf("revoked"))?.state, "refused");
  });

  it("show a node that is shut out at the door as refused", async () => {
    const node = await enrolled("shut-out");
    await check(node, "shut-out", { seconds: 10, launch: randomUUID() });
    await km.custody.nodes.revoke(km.admin, "shut-out");
    assert.equal((await leaseOf("shut-out"))?.state, "held");
    const attempt = { door: "native", peer: "127.0.0.1", requestId: "test" } as const;
    const itsKey = Buffer.from("shut-out".padEnd(32, "x"));
    assert.equal(await km.custody.principalOfPublicKey(itsKey, attempt), undefined);
    assert.equal((await leaseOf("shut-out"))?.state, "refused");
  });

  it("show a check that was refused, and the next that was answered", async () => {
    const node = await enrolled("refused");
    const lease = { seconds: 10, launch: randomUUID() };
    await check(node, "refused", lease);
    await km.custody.keys.disable(km.admin, "alias/nodes");
    await assert.rejects(check(node, "refused", lease), { code: "KEY_DISABLED" });
    assert.equal((await leaseOf("refused"))?.state, "refused");
    await km.custody.keys.enable(km.admin, "alias/nodes");
    await check(node, "refused", lease);
    assert.equal((await leaseOf("refused"))?.state, "held");
  });

  it("are held for two intervals after the last check, then lapsed, and held again with the next", async () => {
    const node = await enrolled("lapsing");
    const lease = { seconds: 10, launch: randomUUID() };
    await check(node, "lapsing", lease);
    km.nowMs += 20 * secondMs;
    const held = await leaseOf("lapsing");
    assert.deepEqual(
      [held?.state, held?.seconds, held?.launch, held?.checkedSecondsAgo],
      ["held", 10, lease.launch, 20],
    );
    km.nowMs += 1;
    assert.equal((await leaseOf("lapsing"))?.state, "lapsed");
    await check(node, "lapsing", lease);
    assert.equal((await leaseOf("lapsing"))?.state, "held");
  });

  it("stay what they are when the clock is set back", async () => {
    const node = await enrolled("set-back");
    km.nowMs += 3600 * secondMs;
    await check(node, "set-back", { seconds: 10, launch: randomUUID() });
    km.nowMs -= 3600 * secondMs;
    const lease = { seconds: 10, launch: randomUUID() };
    await check(node, "set-back", lease);
    assert.equal((await leaseOf("set-back"))?.state, "held");
    km.nowMs += 25 * secondMs;
    await check(node, "set-back", lease);
    assert.equal((await leaseOf("set-back"))?.checkedSecondsAgo, 0);
  });

  it("end with a release, which is on record under the node's name, and not with that of another launch", async () => {
    const node = await enrolled("releasing");
    const lease = { seconds: 10, launch: randomUUID() };
    await check(node, "releasing", lease);
    await km.custody.leases.release(node, randomUUID());
    assert.equal((await leaseOf("releasing"))?.state, "held");
    await km.custody.leases.release(node, lease.launch);
    assert.equal((await leaseOf("releasing"))?.state, "released");
    const { records } = await km.custody.audit.search(km.admin, {
      action: "ReleaseLease",
      node: "releasing",
      limit: 9,
    });
    assert.deepEqual(
      records.map(({ principal, result, detail }) => [principal, result, detail.launch === lease.launch]),
      [
        [node.principal, "done", true],
        [node.principal, "done", false],
      ],
    );
    await check(node, "releasing", { seconds: 10, launch: randomUUID() });
    assert.equal((await leaseOf("releasing"))?.state, "held");
  });

  it("are none for a key that was released without one, also after one has ended", async () => {
    const node = await enrolled("without");
    await check(node, "without");
    const none = await leaseOf("without");
    assert.deepEqual([none?.state, none?.seconds, none?.launch], ["none", null, null]);
    const lease = { seconds: 10, launch: randomUUID() };
    await check(node, "without", lease);
    const held = await leaseOf("without");
    assert.deepEqual([held?.state, held?.alsoWithoutLeaseAt], ["held", null]);
    await km.custody.leases.release(node, lease.launch);
    assert.equal((await leaseOf("without"))?.state, "released");
    await check(node, "without");
    assert.equal((await leaseOf("without"))?.state, "none");
  });

  it("tell of a key that was released beside the lease, and of a second launch", async () => {
    const node = await enrolled("beside");
    const lease = { seconds: 10, launch: randomUUID() };
    await check(node, "beside", lease);
    await check(node, "beside");
    await check(node, "beside", lease);
    const beside = await leaseOf("beside");
    assert.equal(beside?.state, "held");
    assert.notEqual(beside?.alsoWithoutLeaseAt, null);
    assert.equal(beside?.launchesHeld, 1);
    await check(node, "beside", { seconds: 10, launch: randomUUID() });
    assert.equal((await leaseOf("beside"))?.launchesHeld, 2);
  });

  it("forget the oldest launches of a node that starts without end", async () => {
    const node = await enrolled("many");
    for (let count = 0; count < 12; count++) await check(node, "many", { seconds: 10, launch: randomUUID() });
    assert.equal((await leaseOf("many"))?.launchesHeld, 8);
  });

  it("are what they were after a restart of the key manager", async () => {
    const node = await enrolled("restart");
    const [ended, kept] = [randomUUID(), randomUUID()];
    await check(node, "restart", { seconds: 10, launch: ended });
    await km.custody.leases.release(node, ended);
    await check(node, "restart", { seconds: 3600, launch: kept });
    const before = await km.custody.leases.list(km.admin);
    await km.restart();
    const after = await km.custody.leases.list(km.admin);
    assert.deepEqual(after, before);
    assert.equal(after.since, null);
    assert.equal((await leaseOf("restart"))?.launch, kept);
  });
});
