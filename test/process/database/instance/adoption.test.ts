import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { InstanceInTest, skip } from "./served-instance.ts";

const pincodeVariable = "FCTSDB_PINCODE";

async function status(instance: InstanceInTest, config: string = instance.config) {
  const { output } = await instance.run(["status", "--config", config, "--json"]);
  return JSON.parse(output);
}

const publicKeyOf = (instance: InstanceInTest) =>
  /public-key = "(\w+)"/.exec(readFileSync(instance.config, "utf8"))?.[1];

describe("an instance that gets a master key later", { skip }, () => {
  let instance: InstanceInTest;
  before(async () => {
    instance = await InstanceInTest.make();
    await instance.start(instance.withoutKey);
    await instance.query("CREATE DATABASE noenc");
    assert.equal(await instance.write("noenc", "m v=1"), 204);
  });
  after(() => instance.remove());

  it("has none at first, and makes no encrypted database", async () => {
    assert.equal((await status(instance, instance.withoutKey)).masterKey, undefined);
    assert.match(await instance.query("CREATE DATABASE enc WITH ENCRYPTION ON"), /are missing/);
    assert.ok(!existsSync(join(instance.data, "instance.envelope")));
    await instance.end("SIGKILL");
  });

  it("is whole under none or under it, whenever the first start with it is killed", async () => {
    for (const afterMs of [300, 600, 900, 1200]) {
      const started = instance.start().catch(() => {});
      await sleep(afterMs);
      await instance.end("SIGKILL");
      await started;
    }
    await instance.start(instance.withoutKey);
    assert.match(await instance.query("SELECT v FROM noenc..m"), /"values"/);
    assert.equal(await instance.end(), 0);
  });

  it("has sub-keys under the master key alone from then on", async () => {
    await instance.start();
    assert.equal((await status(instance)).masterKey, publicKeyOf(instance));
    assert.ok(existsSync(join(instance.data, "instance.envelope")));
    await instance.query("CREATE DATABASE enc WITH ENCRYPTION ON");
    assert.equal(await instance.write("enc", "m v=1"), 204);
    assert.equal(await instance.end("SIGKILL"), null);
    assert.equal((await status(instance)).masterKey, publicKeyOf(instance));
  });

  it("tells no damage when it is started without it, though a crash was before, and reads nothing encrypted", async () => {
    await instance.start(instance.withoutKey);
    // What the volume's server does in its idle time is over by then.
    await sleep(2_000);
    assert.doesNotMatch(instance.output, /damaged|sessions-kept/);
    assert.match(await instance.query("SELECT v FROM enc..m"), /is encrypted/);
    assert.match(await instance.query("SELECT v FROM noenc..m"), /"values"/);
    await instance.end();
    await instance.start();
    assert.match(await instance.query("SELECT v FROM enc..m"), /"values"/);
    await instance.end();
  });

  it("is refused another master key, and nothing is changed by it", async () => {
    const other = await InstanceInTest.make();
    try {
      const { exitCode, output } = await instance.run(["serve", "--config", other.config, "--data", instance.data]);
      assert.equal(exitCode, 3, output);
      assert.match(output, /another master key/);
    } finally {
      await other.remove();
    }
    await instance.start();
    assert.match(await instance.query("SELECT v FROM enc..m"), /"values"/);
  });
});

describe(`an instance served with ${pincodeVariable}`, { skip }, () => {
  let instance: InstanceInTest;
  before(async () => {
    instance = await InstanceInTest.make();
    writeFileSync(instance.config, readFileSync(instance.config, "utf8").replace(/^pincode-file.*$/m, ""));
  });
  after(() => instance.remove());

  it("serves encrypted databases, and no process of it has the pincode in its environment or arguments", async () => {
    const pincode = readFileSync(instance.pincodeFile, "utf8");
    process.env[pincodeVariable] = pincode;
    const started = instance.start();
    delete process.env[pincodeVariable];
    await started;
    await instance.query("CREATE DATABASE enc WITH ENCRYPTION ON");
    assert.equal(await instance.write("enc", "m v=1"), 204);
    let looked = 0;
    for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
      let environment: string;
      let command: string;
      try {
        [environment, command] = [
          readFileSync(`/proc/${pid}/environ`, "latin1"),
          readFileSync(`/proc/${pid}/cmdline`, "latin1"),
        ];
      } catch {
        continue;
      }
      if (!command.includes(instance.folder)) continue;
      looked += 1;
      assert.ok(!environment.includes(pincode) && !environment.includes(pincodeVariable), command);
      assert.ok(!command.includes(pincode));
    }
    assert.ok(looked >= 3, "the server, the volume's, and influxd");
    assert.ok(!instance.output.includes(pincode));
  });

  it("is refused a wrong one before anything is opened, and an empty one", async () => {
    assert.equal(await instance.end(), 0);
    for (const [wrong, exitCode] of [
      ["another pincode", 3],
      ["", 2],
    ] as const) {
      const ended = await instance.run(["serve", "--config", instance.config], { [pincodeVariable]: wrong });
      assert.equal(ended.exitCode, exitCode, ended.output);
      assert.deepEqual(readdirSync(join(instance.data, "root")), []);
    }
  });
});
