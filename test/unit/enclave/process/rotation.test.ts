import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { TestHost } from "./test-host.ts";
import { chaincodeId, World } from "./world.ts";

describe("generations of chaincode keys in enclaves", () => {
  let world: World;
  let first: TestHost;
  let second: TestHost;
  let third: TestHost;

  before(async () => {
    world = await World.start();
    first = await TestHost.registered(world, "Org1MSP");
    await first.registerKeys(await first.call("generateCCKeys"));
    second = await TestHost.provisioned(world, "Org2MSP", first);
    third = await TestHost.provisioned(world, "Org3MSP", first);
  });
  after(() => world[Symbol.dispose]());

  test("are proposed only by an enclave that holds the active one", async () => {
    const empty = await TestHost.registered(world, "Org3MSP");
    await assert.rejects(empty.call("proposeGeneration"), { code: "NOT_PROVISIONED" });
  });

  test("are taken back where the host cannot store the blob", async () => {
    first.storeFails = true;
    await assert.rejects(first.call("proposeGeneration"), { code: "STORE_FAILED" });
    first.storeFails = false;
    assert.deepEqual(await first.held(), [1]);
  });

  test("are proposed, and the same proposed again after a crash", async () => {
    await first.call("proposeGeneration");
    assert.deepEqual(await first.held(), [1, 2]);
    const { ekHash } = (await first.opened()).generations[1] ?? {};
    await first.open();
    await first.propose(await first.call("proposeGeneration"));
    await first.call("proposeGeneration");
    assert.deepEqual((await first.opened()).generations[1]?.ekHash, ekHash);
  });

  test("of another enclave stand in the way of an own proposal", async () => {
    await assert.rejects(second.call("proposeGeneration"), { code: "CONFLICT" });
    assert.deepEqual(await second.held(), [1]);
  });

  test("go to the others and become the active one when a majority has confirmed", async () => {
    await first.registerKeys(await first.call("reEmitRegistration"));
    await assert.rejects(world.call("Org1MSP", "activateGeneration", chaincodeId, "2"), { code: "POLICY_DENIED" });
    await second.registerKeys(await second.call("importCCKeys", await first.export(second, Buffer.from("2"))));
    assert.deepEqual(await second.held(), [1, 2]);
    await world.call("Org1MSP", "activateGeneration", chaincodeId, "2");
  });

  test("that were confirmed have to be in the blob that is opened", async () => {
    const old = second.blobs.at(-2);
    assert(old);
    await assert.rejects(second.open(old), { code: "UNSEAL_FAILED" });
    await second.open();
    assert.deepEqual(
      (await second.opened()).generations.map(({ registered }) => registered),
      [true, true],
    );
  });

  test("that an enclave missed are not exported by it, and no older one any more", async () => {
    const late = await TestHost.registered(world, "Org3MSP");
    await assert.rejects(third.call("exportCCKeys", late.credentials), { code: "NOT_PROVISIONED" });
    for (const host of [first, third])
      await assert.rejects(host.call("exportCCKeys", late.credentials, Buffer.from("1")), { code: "REPLAY" });
  });

  test("come with all that were before them", async () => {
    const late = await TestHost.registered(world, "Org3MSP");
    const message = await second.export(late);
    for (const number of [1n, 2n]) {
      await world.lieAboutStateKey(number);
      await assert.rejects(late.call("importCCKeys", message), { code: "EK_MISMATCH" });
    }
    world.lie = undefined;
    assert.deepEqual(await late.held(), []);
    await late.registerKeys(await late.call("importCCKeys", message));
    assert.deepEqual(await late.held(), [1, 2]);
    const hashes = async (host: TestHost) => (await host.opened()).generations.map(({ ekHash }) => ekHash);
    assert.deepEqual(await hashes(late), await hashes(first));
  });

  test("that were proposed and abandoned are dropped, and the number is given again", async () => {
    await second.propose(await second.call("proposeGeneration"));
    await assert.rejects(second.all("discardNeverRegisteredKeys"), { code: "KEYS_EXIST" });
    await world.call("Org2MSP", "abandonGeneration", chaincodeId, "3");
    assert.deepEqual((await second.all("discardNeverRegisteredKeys")).map(String), ["3"]);
    assert.deepEqual(await second.held(), [1, 2]);
  });

  test("that were proposed and abandoned are not proposed again: another enclave may have got them", async () => {
    await second.propose(await second.call("proposeGeneration"));
    const abandoned = (await second.opened()).generations[2]?.ekHash;
    await world.call("Org2MSP", "abandonGeneration", chaincodeId, "3");
    await second.propose(await second.call("proposeGeneration"));
    assert.deepEqual(await second.held(), [1, 2, 3]);
    assert.notEqual((await second.opened()).generations[2]?.ekHash, abandoned);
    await world.call("Org2MSP", "abandonGeneration", chaincodeId, "3");
    await second.all("discardNeverRegisteredKeys");
  });

  test("are exported no more once an enclave was revoked that may hold them", async () => {
    await world.call("Org3MSP", "revokeEnclave", chaincodeId, third.id, "lost");
    const another = await TestHost.registered(world, "Org3MSP");
    await assert.rejects(first.call("exportCCKeys", another.credentials), { code: "POLICY_DENIED" });
    await assert.rejects(first.call("issueRecovery"), { code: "POLICY_DENIED" });
    await first.propose(await first.call("proposeGeneration"));
    await assert.rejects(first.call("exportCCKeys", third.credentials, Buffer.from("3")), { code: "POLICY_DENIED" });
    assert.deepEqual(await first.held(), [1, 2, 3]);
  });
});
