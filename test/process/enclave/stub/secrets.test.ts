import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { World } from "../../../unit/enclave/process/world.ts";
import { DrivenStub, isRunning } from "./driven-stub.ts";
import { testEntry } from "./entries.ts";
import { addNeedles, foundInMemory, type Needles } from "./memory-search.ts";

function needlesIn(keysFile: string): Needles {
  const needles: Needles = new Map();
  for (const line of readFileSync(keysFile, "utf8").trim().split("\n"))
    addNeedles(needles, Buffer.from(line, "base64"));
  return needles;
}

describe("the keys of an enclave", () => {
  let world: World;
  let driven: DrivenStub;
  let folder: string;
  let needles: Needles;

  before(async () => {
    world = await World.start();
    folder = join(world.folder, "stub");
    const keysFile = join(world.folder, "keys");
    const entry = testEntry(world, "Org1MSP", { keysFile }).href;
    const { ccParams, hostParams, channelHash, trustedLedger } = world.creation("Org1MSP");
    const parts = [ccParams, hostParams, channelHash, trustedLedger].map((part) =>
      Buffer.from(part).toString("base64"),
    );
    const ran = await DrivenStub.run(world, { folder, entry, action: "createAndGenerate", parts });
    driven = ran.stub;
    assert.equal(ran.end.end, "done");
    needles = needlesIn(keysFile);
  });
  after(async () => {
    await driven.kill();
    world[Symbol.dispose]();
  });

  test("are in no byte of the stub's memory", () => {
    assert.ok(needles.size >= 19, [...needles.keys()].join());
    assert.deepEqual([...foundInMemory(driven.pid, needles)], []);
  });

  test("are found by the same search in the enclave's own", () => {
    const found = foundInMemory(driven.enclavePid, needles);
    for (const name of ["SEK", "Chaincode_DK as PEM", "Enclave_SK as PEM", "Enclave_DK as PEM"])
      assert.ok(found.has(name), `${name} is not where it has to be`);
  });

  test("are in no file that the stub keeps", () => {
    const names = readdirSync(folder);
    for (const name of ["blob", "credentials", "trusted-ledger"]) assert.ok(names.includes(name), `${name} is missing`);
    for (const name of names)
      for (const [needle, bytes] of needles)
        assert.equal(readFileSync(join(folder, name)).includes(bytes), false, `${needle} is in ${name}`);
  });

  test("are in a process that leaves no core, has no environment of its host's and cannot be looked into", () => {
    const { enclavePid: pid } = driven;
    const limits = readFileSync(`/proc/${pid}/limits`, "utf8");
    assert.match(limits, /^Max core file size +0 +0 /m);
    const environment = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").filter(Boolean);
    assert.deepEqual(
      environment.map((one) => one.split("=")[0]),
      ["PATH"],
    );
    const [, command] = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
    assert.equal(command, "--disable-sigusr1");
  });

  test("end with the stub, however that ends", async () => {
    const { enclavePid } = driven;
    await driven.kill();
    assert.equal(isRunning(enclavePid), false);
  });
});
