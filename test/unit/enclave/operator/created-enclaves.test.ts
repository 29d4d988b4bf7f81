import assert from "node:assert/strict";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { createdEnclaves, enclaveNames } from "../../../../src/enclave/operator/created-enclaves.ts";
import { initialise, ownId } from "../../../../src/enclave/operator/provisioning.ts";
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
