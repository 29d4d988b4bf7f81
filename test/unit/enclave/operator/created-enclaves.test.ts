import assert from "node:assert/strict";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { createdEnclaves, enclaveNames } from "../../../../src/enclave/operator/created-enclaves.ts";
import { initialise, ownId } from "../../../../src/enclave/operator/provisioning.ts";
import { readHostRecords } from "../../../../src/enclave/operator/stub-records.ts";
import { organisations, World } from "../process/world.ts";
import { WorldHosts } from "./world-hosts.ts";

describe("the enclaves of a host by their ids", () => {
  const [name] = organisations;
  let world: World;
  let hosts: WorldHosts;
  let id: string;
  before(async () => {
    world = await World.start();
    hosts = new WorldHosts(world);
    const stub = await hosts.stub(name);
    await initialise(hosts.client(name), stub, world.creation(name));
    id = ownId(stub);
  });
  after(async () => {
    await hosts[Symbol.asyncDispose]();
    world[Symbol.dispose]();
  });

  it("are those that were created, and none where there is no folder", () => {
    mkdirSync(join(hosts.folder, "begun"));
    assert.deepEqual([...enclaveNames(hosts.folder)], [[id, name]]);
    assert.deepEqual([...enclaveNames(join(hosts.folder, "nowhere"))], []);
  });

  it("leave their agents' records behind when their keys are lost", () => {
    const lost = join(hosts.folder, "lost");
    cpSync(join(hosts.folder, name), lost, { recursive: true });
    rmSync(join(lost, "blob"));
    assert.ok(!createdEnclaves(hosts.folder).includes("lost"));
    const records = readHostRecords("Org1MSP", hosts.folder).filter(({ enclaveId }) => enclaveId === id);
    assert.deepEqual([records.length, records[0]?.entries], [2, records[1]?.entries]);
    assert.ok((records[0]?.entries.length ?? 0) > 0);
    assert.deepEqual(readHostRecords("Org1MSP", join(hosts.folder, "nowhere")), []);
    rmSync(lost, { recursive: true });
  });

  it("lack one whose credentials are lost or altered, and no other for it", () => {
    const copy = join(hosts.folder, "copy");
    cpSync(join(hosts.folder, name), copy, { recursive: true });
    const credentials = readFileSync(join(copy, "credentials"));
    for (const change of [
      () => rmSync(join(copy, "credentials")),
      () => writeFileSync(join(copy, "credentials"), ""),
      () => writeFileSync(join(copy, "credentials"), credentials.subarray(1)),
      () => writeFileSync(join(copy, "credentials"), Buffer.alloc(64, 0xff)),
    ]) {
      change();
      assert.deepEqual([...enclaveNames(hosts.folder)], [[id, name]]);
      assert.deepEqual(createdEnclaves(hosts.folder), [name, "copy"].sort());
    }
  });
});
