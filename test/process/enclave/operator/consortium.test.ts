import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { setTimeout } from "node:timers/promises";
import { EnclaveError } from "../../../../src/enclave/errors.ts";
import { exportKeys, ownId } from "../../../../src/enclave/operator/provisioning.ts";
import { issueShares, recoverKeys, releaseOwnShares } from "../../../../src/enclave/operator/recovery.ts";
import {
  revocationOf,
  revokeOwn,
  revokeTogether,
  signRevocations,
} from "../../../../src/enclave/operator/revocation.ts";
import { activateRotation, proposeRotation } from "../../../../src/enclave/operator/rotation.ts";
import { chaincodeStatus } from "../../../../src/enclave/operator/status.ts";
import { TrialMember } from "../../../../src/enclave/operator/trial-member.ts";
import { TrialNetwork } from "../../../../src/enclave/operator/trial-network.ts";
import { Stub } from "../../../../src/enclave/stub/stub.ts";
import { type Host, runKeyFlow } from "./consortium-flow.ts";

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
describe("a consortium of three organisations and five enclaves on the embedded ledger", () => {
  const folder = mkdtempSync(join(tmpdir(), "strongroom-consortium-"));
  let network: TrialNetwork;
  const flow = runKeyFlow(async () => {
    network = await TrialNetwork.create({ folder: join(folder, "network"), organisations: 3, chaincodeId: "auction" });
    return {
      member: (number) => TrialMember.open(network, network.organisation(number)),
      [Symbol.asyncDispose]: () => network[Symbol.asyncDispose](),
    };
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  const host = (index: number): Host => flow().host(index);
  const client = (index: number) => host(index).member.client;
  const call = (caller: number, by: readonly number[], ...words: string[]) => flow().call(caller, by, ...words);
  const states = () => flow().states();
  const importAt = (index: number) => flow().import(host(index));

  it("rotates the keys in two phases, and reads what was written before", async () => {
    const { generation, exported } = await proposeRotation(client(1), host(1).agent);
    assert.equal(generation, 2n);
    assert.equal(exported.length, 4);
    await assert.rejects(activateRotation(client(0)), { code: "POLICY_DENIED" }, "active with one confirmation");
    for (const index of [0, 2, 3]) await importAt(index);
    assert.equal(await activateRotation(client(0)), 2n);
    await importAt(4);
    assert.ok((await states()).every(({ generation: held }) => held === 2));
    assert.equal(await call(0, [0, 1], "close", "lot"), "OK");
    assert.match(await call(2, [2, 4], "eval", "lot"), /"amount":"300","mspId":"Org3MSP"/);
  });

  it("goes on from the sealed blob when an enclave's process was killed", async () => {
    const { agent } = host(2);
    assert.ok(agent instanceof Stub);
    process.kill(await agent.pid(), "SIGKILL");
    await eventually(() => agent.compareWithLedger());
    assert.match(await call(2, [2, 4], "eval", "lot"), /"amount":"300"/);
  });

  it("puts an enclave out: nothing is written before the keys are rotated, and it gets none of the new ones", async () => {
    const out = host(4);
    await assert.rejects(revokeOwn(client(0), ownId(out.agent), "lost"), { code: "UNAUTHORIZED" });
    const signersOf = (...numbers: number[]) =>
      new Map(
        numbers.map((number) => [network.organisation(number).mspId, network.organisation(number).keys().policyKey]),
      );
    const revoke = async (...numbers: number[]) => {
      const revocation = await revocationOf(client(0), ownId(out.agent), "its host was stolen");
      await revokeTogether(client(0), revocation, signRevocations(revocation, signersOf(...numbers)));
    };
    await assert.rejects(revoke(), { code: "MALFORMED" });
    await assert.rejects(revoke(1), { code: "BAD_SIGNATURE" });
    await revoke(1, 3);
    assert.equal((await chaincodeStatus(client(0))).mustRotate, true);
    await assert.rejects(call(0, [0, 1], "create", "next"), { code: "POLICY_DENIED" });
    await assert.rejects(proposeRotation(out.member.client, out.agent), { code: "POLICY_DENIED" });

    const { exported } = await proposeRotation(client(0), host(0).agent);
    assert.equal(
      exported.some(({ receiverId }) => receiverId === ownId(out.agent)),
      false,
    );
    for (const index of [1, 2, 3]) await importAt(index);
    await activateRotation(client(0));
    assert.equal(await call(0, [0, 1], "create", "next"), "OK");
    await assert.rejects(flow().import(out));
    await assert.rejects(exportKeys(client(0), host(0).agent, [ownId(out.agent)]), { code: "POLICY_DENIED" });
    const row = (await states()).find(({ id }) => id === ownId(out.agent));
    assert.deepEqual([row?.state, row?.revokedBecause], ["revoked", "its host was stolen"]);
  });

  it("recovers the keys in a new enclave with shares of two of three organisations, and not of one, when every enclave is lost", async () => {
    const keysOf = (number: number) => network.organisation(number).keys();
    assert.equal((await issueShares(client(0), host(0).agent, keysOf(1).recoveryKey)).isNew, true);
    const verified = await issueShares(client(1), host(1).agent, keysOf(2).recoveryKey);
    assert.deepEqual([verified.isNew, verified.issue.mspId, verified.useless], [false, "Org1MSP", []]);
    await flow().closeAgents();
    const saviour = await flow().addHost(3, "new");
    assert.equal((await flow().init(saviour)).generated, false);
    const receiver = ownId(saviour.agent);
    const release = async (number: number) => {
      const member = await TrialMember.open(network, network.organisation(number));
      await releaseOwnShares(member.client, member.view(), keysOf(number), receiver);
    };
    await release(1);
    await assert.rejects(recoverKeys(saviour.member.client, saviour.agent), { code: "POLICY_DENIED" });
    await release(2);
    await recoverKeys(saviour.member.client, saviour.agent);
    const second = await flow().addHost(1, "new");
    await flow().init(second);
    await exportKeys(saviour.member.client, saviour.agent, [ownId(second.agent)]);
    await flow().import(second);
    assert.match(await call(0, [5, 6], "eval", "lot"), /"amount":"300","mspId":"Org3MSP"/);
  });
});
