import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Context } from "../../../../src/crypto/context.ts";
import type { EnclaveReport } from "../../../../src/custody/contract/enclaves.ts";
import type { Caller } from "../../../../src/custody/service.ts";
import { type EnclaveInView, enclavesInView } from "../../../../src/server/console/enclaves-in-view.ts";
import { TestKeyManager } from "../../custody/key-manager.ts";

const names = {
  organisation: "Org1MSP",
  channel: "trade",
  chaincode: "auction",
  measurement: "AB".repeat(32),
} as const;
const id = (digits: string) => digits.repeat(32);

describe("the console's view of enclaves", () => {
  let km: TestKeyManager;
  before(async () => {
    km = await TestKeyManager.make();
    await km.custody.keys.create(km.admin, { alias: "alias/enclaves" });
  });
  after(() => km.end());

  const contextOf = (node: string, enclave: string, change: Context = {}) => ({
    node,
    purpose: "enclave-key",
    enclave,
    ...names,
    ...change,
  });

  async function useKey(caller: Caller, context: Context): Promise<void> {
    const { wrapped } = await km.custody.data.generateDataKeyWithoutPlaintext(caller, {
      key: "alias/enclaves",
      context,
    });
    (await km.custody.data.unwrap(caller, { wrapped, context })).plaintext[Symbol.dispose]();
  }

  const report = (caller: Caller, enclave: string, change: Partial<EnclaveReport> = {}) =>
    km.custody.enclaves.report(caller, { enclave, ...names, state: "registered", generation: null, ...change });

  async function rowOf(enclave: string): Promise<EnclaveInView | undefined> {
    return (await enclavesInView(km.custody, km.admin)).enclaves.find((each) => each.enclave === enclave);
  }

  it("is refused to whoever may not list enclaves or read the chain", async () => {
    const node = await km.enrol("curious", "alias/enclaves");
    for (const caller of [node, await km.user("operator", "operator"), await km.user("key-user", "key-user")])
      await assert.rejects(enclavesInView(km.custody, caller), { code: "ACCESS_DENIED" });
    assert.deepEqual(await enclavesInView(km.custody, await km.user("auditor", "auditor")), {
      enclaves: [],
      usesSince: null,
    });
  });

  it("shows what the host reported, when, and the last use of the enclave's key", async () => {
    const host = await km.enrol("host-1", "alias/enclaves");
    await useKey(host, contextOf("host-1", id("E1")));
    km.nowMs += 1000;
    const usedAt = new Date(km.nowMs).toISOString();
    await useKey(host, contextOf("host-1", id("E1")));
    km.nowMs += 1000;
    await report(host, id("E1"), { state: "provisioned", generation: 4 });
    const row = await rowOf(id("E1"));
    const { lastKeyUse, ...rest } = row ?? {};
    assert.deepEqual(rest, {
      enclave: id("E1"),
      node: "host-1",
      hostState: "enabled",
      ...names,
      reported: { state: "provisioned", generation: 4, reportedAt: new Date(km.nowMs).toISOString() },
    });
    assert.deepEqual([lastKeyUse?.at, lastKeyUse?.result, lastKeyUse?.peer], [usedAt, "done", "127.0.0.1"]);
  });

  it("finds a use of an enclave's key among many of others' keys", async () => {
    const [host, busy] = [await km.enrol("host-0", "alias/enclaves"), await km.enrol("busy", "alias/enclaves")];
    await useKey(host, contextOf("host-0", id("E0")));
    await Promise.all(Array.from({ length: 1100 }, () => useKey(busy, { node: "busy", purpose: "node-data-key" })));
    assert.equal((await rowOf(id("E0")))?.lastKeyUse?.result, "done");
  });

  it("says since when it looked where that was not the whole chain", async () => {
    const { audit, enclaves, nodes } = km.custody;
    const cursors: (number | undefined)[] = [];
    const search: typeof audit.search = async (_caller, { cursor }) => {
      cursors.push(cursor);
      return { records: [], next: 12 - 3 * cursors.length };
    };
    const read = audit.read.bind(audit);
    const long = { enclaves, nodes, audit: Object.assign(Object.create(audit), { search, read }) as typeof audit };
    const { usesSince } = await enclavesInView(long, km.admin);
    const [third] = await audit.read(km.admin, { after: 2, limit: 1 });
    assert.deepEqual(cursors, [undefined, 9, 6]);
    assert.equal(usesSince, third?.at);
  });

  it("shows a refused use as the last one", async () => {
    const host = await km.enrol("host-2", "alias/enclaves");
    const context = contextOf("host-2", id("E2"));
    const { wrapped } = await km.custody.data.generateDataKeyWithoutPlaintext(host, { key: "alias/enclaves", context });
    await km.custody.keys.disable(km.admin, "alias/enclaves");
    await assert.rejects(km.custody.data.unwrap(host, { wrapped, context }), { code: "KEY_DISABLED" });
    await km.custody.keys.enable(km.admin, "alias/enclaves");
    const row = await rowOf(id("E2"));
    assert.deepEqual(
      [row?.reported, row?.lastKeyUse?.result, row?.lastKeyUse?.error],
      [null, "refused", "KEY_DISABLED"],
    );
  });

  it("shows an enclave that was reported and whose key was not used, and one that was used and not reported", async () => {
    const host = await km.enrol("host-3", "alias/enclaves");
    await report(host, id("E3"));
    await useKey(host, contextOf("host-3", id("E4"), { organisation: "Org2MSP" }));
    assert.equal((await rowOf(id("E3")))?.lastKeyUse, null);
    const used = await rowOf(id("E4"));
    assert.deepEqual([used?.node, used?.organisation, used?.reported], ["host-3", "Org2MSP", null]);
    await km.custody.nodes.revoke(km.admin, "host-3");
    for (const enclave of [id("E3"), id("E4")])
      assert.equal((await rowOf(enclave))?.hostState, "revoked", "reported or not");
  });

  it("does not take one host's use of a key for another's enclave", async () => {
    const [one, other] = [await km.enrol("host-4", "alias/enclaves"), await km.enrol("host-5", "alias/enclaves")];
    await report(one, id("E5"));
    await useKey(other, contextOf("host-5", id("E5")));
    const { enclaves } = await enclavesInView(km.custody, km.admin);
    const rows = enclaves.filter(({ enclave }) => enclave === id("E5"));
    assert.deepEqual(
      rows.map(({ node, reported, lastKeyUse }) => [node, reported?.state ?? null, lastKeyUse?.result ?? null]),
      [
        ["host-4", "registered", null],
        ["host-5", null, "done"],
      ],
    );
  });

  it("takes nothing for an enclave that does not say so by all its names, and no user for a host", async () => {
    const host = await km.enrol("host-6", "alias/enclaves");
    const user = await km.user("someone", "key-user");
    const enclave = id("E6");
    for (const change of [
      { purpose: "node-data-key" },
      { enclave: enclave.toLowerCase() },
      { organisation: "<b>Org</b>" },
      { channel: "" },
      { chaincode: "a".repeat(250) },
      { measurement: "none" },
    ])
      await useKey(host, contextOf("host-6", enclave, change));
    await useKey(user, contextOf("someone", enclave));
    const { enclaves } = await enclavesInView(km.custody, km.admin);
    assert.deepEqual(
      enclaves.filter(({ node }) => node === "host-6" || node === "someone"),
      [],
    );
  });
});
