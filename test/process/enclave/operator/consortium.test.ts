import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout } from "node:timers/promises";
import { EnclaveError } from "../../../../src/enclave/errors.ts";
import { callConfidentially } from "../../../../src/enclave/operator/confidential-call.ts";
import {
  exportKeys,
  generate,
  giveWay,
  importKeys,
  initialise,
  ownId,
} from "../../../../src/enclave/operator/provisioning.ts";
import { issueShares, recoverKeys, releaseOwnShare } from "../../../../src/enclave/operator/recovery.ts";
import type { RegistryClient } from "../../../../src/enclave/operator/registry-client.ts";
import { revokeOwn, revokeTogether } from "../../../../src/enclave/operator/revocation.ts";
import { activateRotation, proposeRotation } from "../../../../src/enclave/operator/rotation.ts";
import { chaincodeStatus } from "../../../../src/enclave/operator/status.ts";
import { TrialNetwork } from "../../../../src/enclave/operator/trial-network.ts";
import type { TrialOrganisation } from "../../../../src/enclave/operator/trial-organisation.ts";
import type { Stub } from "../../../../src/enclave/stub/stub.ts";

interface Host {
  readonly organisation: TrialOrganisation;
  readonly client: RegistryClient;
  readonly stub: Stub;
}

/** Whoever asks before the host has heard of the end is told that the enclave ended. */
async function eventually(done: () => Promise<void>): Promise<void> {
  for (;;)
    try {
      return await done();
    } catch (error) {
      if (!(error instanceof EnclaveError && error.code === "ENCLAVE_ENDED")) throw error;
      await setTimeout(20);
    }
}

/** Three organisations and five enclaves, each a process of its own; every test goes on where the one before ended. */
describe("a consortium of three organisations and five enclaves", () => {
  const folder = mkdtempSync(join(tmpdir(), "strongroom-consortium-"));
  let network: TrialNetwork;
  const hosts: Host[] = [];

  const host = (index: number): Host => {
    const found = hosts[index];
    assert.ok(found);
    return found;
  };
  const addHost = async (organisationNumber: number, name: string): Promise<Host> => {
    const organisation = network.organisation(organisationNumber);
    const client = await network.client(organisation);
    const made = { organisation, client, stub: await network.stub(client, organisation, name) };
    hosts.push(made);
    return made;
  };
  const init = async ({ client, organisation, stub }: Host) =>
    initialise(client, stub, await network.creation(client, organisation));
  const call = async (caller: number, by: readonly number[], ...words: string[]) => {
    const { client, organisation } = host(caller);
    const identity = network.ledger.identity(organisation.mspId, "admin");
    const answer = await callConfidentially(
      client,
      identity,
      by.map((index) => host(index).stub),
      words,
    );
    return answer.status === 200 ? answer.payload.toString() : answer.message;
  };
  const states = async () => (await chaincodeStatus(host(0).client)).enclaves;

  before(async () => {
    network = await TrialNetwork.create({ folder: join(folder, "network"), organisations: 3, chaincodeId: "auction" });
    for (const [organisation, name] of [
      [1, "a"],
      [2, "a"],
      [3, "a"],
      [1, "b"],
      [2, "b"],
    ] as const)
      await addHost(organisation, name);
  });

  after(async () => {
    for (const { stub } of hosts) await stub[Symbol.asyncDispose]();
    await network[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  it("generates the keys in the first enclave, and tells the others to import them", async () => {
    assert.equal((await init(host(0))).generated, true);
    for (const index of [1, 2, 3, 4]) assert.equal((await init(host(index))).generated, false);
    assert.deepEqual((await states()).map(({ state }) => state).sort(), [
      "provisioned",
      "registered",
      "registered",
      "registered",
      "registered",
    ]);
  });

  it("goes on where it was when it is told to initialise again", async () => {
    assert.deepEqual(await init(host(0)), { enclaveId: ownId(host(0).stub), generated: true });
    assert.equal((await init(host(1))).generated, false);
  });

  it("refuses keys of a second enclave, which can drop them again and import", async () => {
    await assert.rejects(generate(host(1).client, host(1).stub), { code: "ALREADY_SET" });
    assert.deepEqual(await giveWay(host(1).stub), [1n]);
    await assert.rejects(giveWay(host(0).stub), { code: "KEYS_EXIST" });
  });

  it("refuses to import what nobody exported, to export what is not held, and to export to itself or to nobody", async () => {
    await assert.rejects(importKeys(host(1).client, host(1).stub), { code: "NOT_FOUND" });
    await assert.rejects(exportKeys(host(1).client, host(1).stub), { code: "NOT_PROVISIONED" });
    await assert.rejects(exportKeys(host(0).client, host(0).stub, [ownId(host(0).stub)]), { code: "WRONG_CONTEXT" });
    await assert.rejects(exportKeys(host(0).client, host(0).stub, ["0".repeat(64)]), { code: "NOT_FOUND" });
  });

  it("refuses an export that the admin of another organisation brings", async () => {
    const message = await host(0).stub.exportCCKeys(
      (await host(0).client.enclaves()).find(({ enclaveId }) => enclaveId.text === ownId(host(1).stub))?.credentials ??
        Buffer.alloc(0),
    );
    await assert.rejects(host(1).client.submit("putKeyExport", "auction", message), { code: "UNAUTHORIZED" });
  });

  it("exports to all that have none, and each imports", async () => {
    const exported = await exportKeys(host(0).client, host(0).stub);
    assert.deepEqual(
      exported.map(({ receiverId }) => receiverId).sort(),
      hosts
        .slice(1)
        .map(({ stub }) => ownId(stub))
        .sort(),
    );
    for (const { client, stub } of hosts.slice(1)) await importKeys(client, stub);
    assert.ok((await states()).every(({ state, generation }) => state === "provisioned" && generation === 1));
    await assert.rejects(exportKeys(host(0).client, host(0).stub), { code: "NOT_FOUND" });
  });

  it("runs one auction in enclaves of different organisations", async () => {
    assert.equal(await call(0, [0, 1], "create", "lot"), "OK");
    assert.equal(await call(1, [1, 2], "submit", "lot", "100"), "OK");
    assert.equal(await call(2, [3, 2], "submit", "lot", "300"), "OK");
    assert.equal(await call(1, [0, 1], "eval", "lot"), "AUCTION_STILL_OPEN");
    await assert.rejects(
      call(0, [0, 3], "close", "lot"),
      { code: "POLICY_DENIED" },
      "one organisation endorsed for two",
    );
  });

  it("rotates the keys in two phases, and reads what was written before", async () => {
    const { generation, exported } = await proposeRotation(host(1).client, host(1).stub);
    assert.equal(generation, 2n);
    assert.equal(exported.length, 4);
    await assert.rejects(activateRotation(host(0).client), { code: "POLICY_DENIED" }, "active with one confirmation");
    for (const index of [0, 2, 3]) await importKeys(host(index).client, host(index).stub);
    assert.equal(await activateRotation(host(0).client), 2n);
    await importKeys(host(4).client, host(4).stub);
    assert.ok((await states()).every(({ generation: held }) => held === 2));
    assert.equal(await call(0, [0, 1], "close", "lot"), "OK");
    assert.match(await call(2, [2, 4], "eval", "lot"), /"amount":"300","mspId":"Org3MSP"/);
  });

  it("goes on from the sealed blob when an enclave's process was killed", async () => {
    const { stub } = host(2);
    process.kill(await stub.pid(), "SIGKILL");
    await eventually(() => stub.compareWithLedger());
    assert.match(await call(2, [2, 4], "eval", "lot"), /"amount":"300"/);
  });

  it("puts an enclave out: nothing is written before the keys are rotated, and it gets none of the new ones", async () => {
    const out = host(4);
    await assert.rejects(revokeOwn(host(0).client, ownId(out.stub), "lost"), { code: "UNAUTHORIZED" });
    const signersOf = (...numbers: number[]) =>
      new Map(
        numbers.map((number) => [network.organisation(number).mspId, network.organisation(number).keys().policyKey]),
      );
    const revoke = (...numbers: number[]) =>
      revokeTogether(host(0).client, ownId(out.stub), "its host was stolen", signersOf(...numbers));
    await assert.rejects(revoke(), { code: "MALFORMED" });
    await assert.rejects(revoke(1), { code: "BAD_SIGNATURE" });
    await revoke(1, 3);
    assert.equal((await chaincodeStatus(host(0).client)).mustRotate, true);
    await assert.rejects(call(0, [0, 1], "create", "next"), { code: "POLICY_DENIED" });
    await assert.rejects(proposeRotation(out.client, out.stub), { code: "POLICY_DENIED" });

    const { exported } = await proposeRotation(host(0).client, host(0).stub);
    assert.equal(
      exported.some(({ receiverId }) => receiverId === ownId(out.stub)),
      false,
    );
    for (const index of [1, 2, 3]) await importKeys(host(index).client, host(index).stub);
    await activateRotation(host(0).client);
    assert.equal(await call(0, [0, 1], "create", "next"), "OK");
    await assert.rejects(importKeys(out.client, out.stub));
    await assert.rejects(exportKeys(host(0).client, host(0).stub, [ownId(out.stub)]), { code: "POLICY_DENIED" });
    const row = (await states()).find(({ id }) => id === ownId(out.stub));
    assert.deepEqual([row?.state, row?.revokedBecause], ["revoked", "its host was stolen"]);
  });

  it("recovers the keys in a new enclave with shares of two of three organisations, and not of one, when every enclave is lost", async () => {
    await issueShares(host(0).client, host(0).stub);
    for (const { stub } of hosts) await stub[Symbol.asyncDispose]();
    const saviour = await addHost(3, "new");
    assert.equal((await init(saviour)).generated, false);
    const receiver = ownId(saviour.stub);
    const release = async (number: number) => {
      const organisation = network.organisation(number);
      await releaseOwnShare(await network.client(organisation), organisation.keys(), receiver);
    };
    await release(1);
    await assert.rejects(recoverKeys(saviour.client, saviour.stub), { code: "POLICY_DENIED" });
    await release(2);
    await recoverKeys(saviour.client, saviour.stub);
    const second = await addHost(1, "new");
    await init(second);
    await exportKeys(saviour.client, saviour.stub, [ownId(second.stub)]);
    await importKeys(second.client, second.stub);
    assert.match(await call(0, [5, 6], "eval", "lot"), /"amount":"300","mspId":"Org3MSP"/);
  });
});
