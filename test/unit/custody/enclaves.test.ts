import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type EnclaveReport, maxEnclavesOfNode } from "../../../src/custody/contract/enclaves.ts";
import type { AuditRecord, Caller } from "../../../src/custody/service.ts";
import { TestKeyManager } from "./key-manager.ts";

const enclaveId = (number: number) => number.toString(16).toUpperCase().padStart(64, "0");

function reportOf(number: number, change: Partial<EnclaveReport> = {}): EnclaveReport {
  return {
    enclave: enclaveId(number),
    organisation: "Org1MSP",
    channel: "trade",
    chaincode: "auction",
    measurement: "AB".repeat(32),
    state: "registered",
    generation: null,
    ...change,
  };
}

let km: TestKeyManager;
let enrolled = 0;

async function newNode(): Promise<{ readonly name: string; readonly caller: Caller }> {
  enrolled += 1;
  const name = `host-${enrolled}`;
  return { name, caller: await km.enrol(name, "alias/nodes") };
}

/** Runs `ask` and gives the records about enclaves that it left. */
async function recordsOf(ask: () => Promise<unknown>): Promise<readonly AuditRecord[]> {
  const { sequence } = await km.custody.audit.checkpoint(km.admin);
  await ask();
  const records = await km.custody.audit.read(km.admin, { after: sequence, limit: 1000 });
  return records.filter(({ action }) => action.includes("Enclave"));
}

before(async () => {
  km = await TestKeyManager.make();
  await km.custody.keys.create(km.admin, { alias: "alias/nodes" });
});
after(() => km.end());

describe("what a host tells of its enclaves", () => {
  it("is listed under the host's name with the time, the newest word in the place of the one before", async () => {
    const { name, caller } = await newNode();
    await km.custody.enclaves.report(caller, reportOf(1));
    km.nowMs += 1000;
    const newer = reportOf(1, { state: "provisioned", generation: 2 });
    await km.custody.enclaves.report(caller, newer);
    await km.custody.enclaves.report(caller, reportOf(2));
    const reportedAt = new Date(km.nowMs).toISOString();
    assert.deepEqual(await km.custody.enclaves.list(km.admin, name), [
      { node: name, hostState: "enabled", ...newer, reportedAt },
      { node: name, hostState: "enabled", ...reportOf(2), reportedAt },
    ]);
  });

  it("is on record with the enclave's names, its state and its generation", async () => {
    const { caller } = await newNode();
    const report = reportOf(3, { state: "provisioned", generation: 7 });
    const [record] = await recordsOf(() => km.custody.enclaves.report(caller, report));
    assert.deepEqual(
      [record?.action, record?.principal, record?.result, record?.detail],
      ["strongroom:ReportEnclave", caller.principal, "done", { ...report }],
    );
  });

  it("outlives a restart", async () => {
    const { name, caller } = await newNode();
    await km.custody.enclaves.report(caller, reportOf(4));
    await km.restart();
    assert.equal((await km.custody.enclaves.list(km.admin, name)).length, 1);
  });

  it("stands beside what another host tells of the same enclave", async () => {
    const [one, other] = [await newNode(), await newNode()];
    await km.custody.enclaves.report(one.caller, reportOf(5, { state: "provisioned", generation: 1 }));
    await km.custody.enclaves.report(other.caller, reportOf(5, { state: "revoked" }));
    const told = (await km.custody.enclaves.list(km.admin)).filter(({ enclave }) => enclave === enclaveId(5));
    assert.deepEqual(
      told.map(({ node, state }) => [node, state]),
      [
        [one.name, "provisioned"],
        [other.name, "revoked"],
      ],
    );
  });

  const malformed: readonly (readonly [string, Partial<EnclaveReport>])[] = [
    ["an id in small letters", { enclave: "ab".repeat(32) }],
    ["a short id", { enclave: "AB".repeat(31) }],
    ["an id with a slash", { enclave: `${"AB".repeat(31)}/B` }],
    ["no organisation", { organisation: "" }],
    ["an organisation with a line's end", { organisation: "Org1\nMSP" }],
    ["a channel of 250 characters", { channel: "c".repeat(250) }],
    ["a chaincode that begins with a dot", { chaincode: ".auction" }],
    ["a measurement of 62 digits", { measurement: "AB".repeat(31) }],
    ["an unknown state", { state: "running" as EnclaveReport["state"] }],
    ["generation 0", { generation: 0 }],
    ["a fraction of a generation", { generation: 1.5 }],
    ["generation 2^32", { generation: 2 ** 32 }],
  ];
  for (const [what, change] of malformed)
    it(`is refused with ${what}, and nothing of it is kept or recorded`, async () => {
      const { name, caller } = await newNode();
      const records = await recordsOf(async () => {
        await assert.rejects(km.custody.enclaves.report(caller, reportOf(6, change)), { code: "INPUT_INVALID" });
      });
      assert.deepEqual(records, []);
      assert.deepEqual(await km.custody.enclaves.list(km.admin, name), []);
    });

  it("holds the members of a report alone", async () => {
    const { name, caller } = await newNode();
    await km.custody.enclaves.report(caller, { ...reportOf(7), note: "more" } as EnclaveReport);
    const [told] = await km.custody.enclaves.list(km.admin, name);
    assert.equal(told !== undefined && "note" in told, false);
  });

  it("is refused to everybody but an enabled node, on record", async () => {
    const { name, caller } = await newNode();
    await km.custody.nodes.revoke(km.admin, name);
    const others = [caller, km.admin];
    for (const role of ["administrator", "auditor", "operator", "key-user"] as const)
      others.push(await km.user(`report-${role}`, role));
    for (const one of others) {
      const [record] = await recordsOf(async () => {
        await assert.rejects(km.custody.enclaves.report(one, reportOf(8)), { code: "ACCESS_DENIED" });
      });
      assert.deepEqual([record?.result, record?.error], ["refused", "ACCESS_DENIED"], one.principal);
    }
    assert.deepEqual(await km.custody.enclaves.list(km.admin, name), []);
  });

  it("is of at most 64 enclaves; those that are known go on to be told of", async () => {
    const { name, caller } = await newNode();
    for (let number = 1; number <= maxEnclavesOfNode; number++)
      await km.custody.enclaves.report(caller, reportOf(number));
    await assert.rejects(km.custody.enclaves.report(caller, reportOf(100)), { code: "LIMIT_EXCEEDED" });
    await km.custody.enclaves.report(caller, reportOf(1, { state: "revoked" }));
    await km.custody.enclaves.forget(km.admin, name, enclaveId(1));
    await km.custody.enclaves.report(caller, reportOf(100));
    assert.equal((await km.custody.enclaves.list(km.admin, name)).length, maxEnclavesOfNode);
  });

  it("stays when the node is revoked, and goes when it is destroyed", async () => {
    const [revoked, destroyed] = [await newNode(), await newNode()];
    for (const { caller } of [revoked, destroyed])
      await km.custody.enclaves.report(caller, reportOf(9, { state: "provisioned", generation: 1 }));
    await km.custody.nodes.revoke(km.admin, revoked.name);
    await km.custody.nodes.destroyed(destroyed.caller, { name: destroyed.name, network: "net", keys: [] });
    const stands = async () =>
      (await km.custody.enclaves.list(km.admin, revoked.name)).map(({ hostState, state }) => [hostState, state]);
    assert.deepEqual(await stands(), [["revoked", "provisioned"]], "as it was reported, of a host that is revoked");
    await km.custody.principals.enable(km.admin, revoked.name);
    assert.deepEqual(await stands(), [["enabled", "provisioned"]]);
    assert.equal((await km.custody.enclaves.list(km.admin, destroyed.name)).length, 0);
  });
});

describe("the list of enclaves", () => {
  it("is for administrators and auditors", async () => {
    const { caller } = await newNode();
    const auditor = await km.user("enclave-auditor", "auditor");
    await km.custody.enclaves.list(auditor);
    for (const one of [caller, await km.user("list-operator", "operator"), await km.user("list-user", "key-user")])
      await assert.rejects(km.custody.enclaves.list(one), { code: "ACCESS_DENIED" });
  });

  it("knows no node that there is not", async () => {
    await assert.rejects(km.custody.enclaves.list(km.admin, "nobody"), { code: "PRINCIPAL_NOT_FOUND" });
    await assert.rejects(km.custody.enclaves.list(km.admin, "enclave-auditor"), { code: "PRINCIPAL_NOT_FOUND" });
  });

  it("loses an entry by an administrator alone, on record", async () => {
    const { name, caller } = await newNode();
    await km.custody.enclaves.report(caller, reportOf(1));
    const auditor = await km.user("forget-auditor", "auditor");
    for (const one of [caller, auditor])
      await assert.rejects(km.custody.enclaves.forget(one, name, enclaveId(1)), { code: "ACCESS_DENIED" });
    await assert.rejects(km.custody.enclaves.forget(km.admin, name, enclaveId(2)), { code: "ENCLAVE_NOT_FOUND" });
    await assert.rejects(km.custody.enclaves.forget(km.admin, name, "main"), { code: "INPUT_INVALID" });
    const [record] = await recordsOf(() => km.custody.enclaves.forget(km.admin, name, enclaveId(1)));
    assert.deepEqual(record?.detail, { node: name, enclave: enclaveId(1) });
    assert.deepEqual(await km.custody.enclaves.list(km.admin, name), []);
  });
});
