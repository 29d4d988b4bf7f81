import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { awaitedOf } from "../../../../src/enclave/operator/awaited.ts";
import { initialise, ownId } from "../../../../src/enclave/operator/provisioning.ts";
import { issueShares, recoverKeys, releaseOwnShares } from "../../../../src/enclave/operator/recovery.ts";
import { activateRotation, proposeRotation } from "../../../../src/enclave/operator/rotation.ts";
import { chaincodeStatus } from "../../../../src/enclave/operator/status.ts";
import { rsaPair } from "../ercc/test-keys.ts";
import { chaincodeId, organisations, World } from "../process/world.ts";
import { WorldHosts } from "./world-hosts.ts";

const [first, second] = organisations;

/** What is awaited can be taken, one step after another. Each test goes on where the one before ended. */
describe("a chaincode whose enclaves with the keys are all put out", () => {
  let world: World;
  let hosts: WorldHosts;

  before(async () => {
    world = await World.start();
    hosts = new WorldHosts(world);
    await create(first);
  });
  after(async () => {
    await hosts[Symbol.asyncDispose]();
    world[Symbol.dispose]();
  });

  const create = async (name: string) =>
    initialise(hosts.client(name), await hosts.stub(name), world.creation(name.split(" ")[0] ?? name));
  const revoke = async (name: string) =>
    hosts.client(name).submit("revokeEnclave", chaincodeId, ownId(await hosts.stub(name)), "lost");
  const awaited = async () => {
    const client = hosts.client(second);
    return (await awaitedOf(client, await chaincodeStatus(client))).map(
      ({ of, command, why }) => `${of.join(" or ")}: ${command ?? why}`,
    );
  };
  const members = organisations.join(" or ");

  it("waits for an enclave, for shares that are released to it, and for its rotation", async () => {
    await issueShares(hosts.client(first), await hosts.stub(first));
    await revoke(first);
    assert.deepEqual(await awaited(), [`${members}: enclave create`]);
    await create(second);
    const id = ownId(await hosts.stub(second));
    assert.deepEqual(await awaited(), [`${members}: keys release ${id.slice(0, 16)}`, `${second}: keys recover`]);
    for (const [index, name] of [first, second].entries()) {
      const keys = { policyKey: world.policyKey(name).key, recoveryKey: rsaPair(index).privateKey };
      await releaseOwnShares(hosts.client(name), hosts.client(name), keys, id);
    }
    await recoverKeys(hosts.client(second), await hosts.stub(second));
    assert.deepEqual(await awaited(), [`${second}: keys rotate --phase propose`]);
    await proposeRotation(hosts.client(second), await hosts.stub(second));
    assert.deepEqual(await awaited(), [`${members}: keys rotate --phase activate`]);
    assert.equal(await activateRotation(hosts.client(first)), 2n);
    assert.deepEqual(await awaited(), [`${second}: keys share`]);
  });

  it("is lost where no shares of the generation in force were issued, whoever makes another enclave", async () => {
    await revoke(second);
    const lost = [": no enclave holds generation 2, and no recovery shares of it were issued"];
    assert.deepEqual(await awaited(), lost);
    await create(`${first} new`);
    assert.deepEqual(await awaited(), lost);
    await assert.rejects(recoverKeys(hosts.client(first), await hosts.stub(`${first} new`)), { code: "NOT_FOUND" });
  });
});
