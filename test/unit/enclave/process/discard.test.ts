import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { TestHost } from "./test-host.ts";
import { World } from "./world.ts";

describe("keys that lost the race to be the chaincode's", () => {
  let world: World;
  let winner: TestHost;
  let loser: TestHost;
  let lost: Buffer;
  let message: Buffer;

  before(async () => {
    world = await World.start();
    winner = await TestHost.registered(world, "Org1MSP");
    loser = await TestHost.registered(world, "Org2MSP");
    lost = await loser.call("generateCCKeys");
  });
  after(() => world[Symbol.dispose]());

  test("stay as long as they may still win", async () => {
    await assert.rejects(loser.all("discardNeverRegisteredKeys"), { code: "KEYS_EXIST" });
    await assert.rejects(winner.all("discardNeverRegisteredKeys"), { code: "NOT_PROVISIONED" });
  });

  test("are refused by the registry", async () => {
    await winner.registerKeys(await winner.call("generateCCKeys"));
    await assert.rejects(loser.registerKeys(lost), { code: "ALREADY_SET" });
  });

  test("are exported to nobody and kept out of an import's way", async () => {
    await assert.rejects(loser.call("exportCCKeys", winner.credentials), { code: "EK_MISMATCH" });
    message = await winner.export(loser);
    await assert.rejects(loser.call("importCCKeys", message), { code: "KEYS_EXIST" });
  });

  test("stay where the host cannot store the enclave without them", async () => {
    loser.storeFails = true;
    await assert.rejects(loser.all("discardNeverRegisteredKeys"), { code: "STORE_FAILED" });
    loser.storeFails = false;
    assert.deepEqual(await loser.held(), [1]);
    assert.ok((await loser.call("reEmitRegistration")).length > 0);
  });

  test("are dropped once the ledger has others, and the chaincode's are imported", async () => {
    const withLost = loser.file("blob");
    assert.deepEqual((await loser.all("discardNeverRegisteredKeys")).map(String), ["1"]);
    assert.deepEqual(await loser.held(), []);
    // A host that puts the older blob back gains nothing: it can be dropped again.
    await loser.open(withLost);
    await loser.all("discardNeverRegisteredKeys");
    await loser.registerKeys(await loser.call("importCCKeys", message));
    await assert.rejects(loser.open(withLost), { code: "UNSEAL_FAILED" });
    await loser.open();
    assert.deepEqual(await loser.held(), [1]);
  });

  test("are the only ones that are dropped", async () => {
    for (const host of [winner, loser]) {
      await assert.rejects(host.all("discardNeverRegisteredKeys"), { code: "KEYS_EXIST" });
      assert.deepEqual(await host.held(), [1]);
    }
  });
});
