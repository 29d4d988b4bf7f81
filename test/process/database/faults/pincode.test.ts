import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { reservePort } from "../../../reserved-ports.ts";
import { CanarySearch } from "../canaries/search.ts";
import { InstanceInTest, skip } from "../instance/served-instance.ts";

const pincode = "a pincode of some length";
const search = new CanarySearch(new Map([["pincode", pincode]]));

/** What each file below a folder is, but for what is mounted there. */
function stateOf(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => !name.startsWith("root/"))
    .map((name) => {
      const { mtimeMs, size, ino } = statSync(join(folder, name));
      return `${name} ${mtimeMs} ${size} ${ino}`;
    });
}

describe("the pincode of a served instance", { skip }, () => {
  let instance: InstanceInTest;
  before(async () => {
    instance = await InstanceInTest.make();
    writeFileSync(instance.config, readFileSync(instance.config, "utf8").replace(/^pincode-file.*$/m, ""));
  });
  after(async () => {
    delete process.env.FCTSDB_PINCODE;
    await instance.remove();
  });

  it("is taken from FCTSDB_PINCODE, and shows in no environment, argument, file or line then", async () => {
    process.env.FCTSDB_PINCODE = pincode;
    await instance.start();
    delete process.env.FCTSDB_PINCODE;
    await instance.query("CREATE DATABASE enc WITH ENCRYPTION ON");
    assert.equal(await instance.write("enc", "m v=1i"), 204);
    const processes = readdirSync("/proc").filter((name) => {
      try {
        return /^\d+$/.test(name) && readFileSync(`/proc/${name}/cmdline`, "latin1").includes(instance.folder);
      } catch {
        return false;
      }
    });
    assert.ok(processes.length >= 3);
    for (const pid of processes)
      for (const file of ["environ", "cmdline", "comm"])
        assert.deepEqual(search.inBytes(readFileSync(`/proc/${pid}/${file}`), `${pid} ${file}`), []);
    assert.deepEqual(search.inBytes(Buffer.from(instance.output), "its output"), []);
    const logs = join(instance.data, "root/logs");
    assert.deepEqual(search.inFolders([join(instance.data, "store"), logs, join(instance.data, "root/tmp")]), []);
    assert.equal(await instance.end(), 0);
  });

  it("is refused when it is wrong, in each way that it can be given, and nothing of the instance is touched", async () => {
    const before = stateOf(instance.data);
    const wrong = join(instance.folder, "wrong");
    writeFileSync(wrong, "another pincode", { mode: 0o600 });
    const listen = ["--listen", `127.0.0.1:${await reservePort()}`];
    const serve = ["serve", "--config", instance.config, ...listen];
    for (const [args, environment] of [
      [[...serve, "--pincode-file", wrong], {}],
      [serve, { FCTSDB_PINCODE: "another pincode" }],
    ] as const) {
      const { exitCode, output } = await instance.run(args, environment);
      assert.equal(exitCode, 3, output);
      assert.match(output, /wrong pincode/);
      assert.doesNotMatch(output, /another pincode/);
    }
    for (const [args, environment] of [
      [[...serve, "--pincode-file", join(instance.folder, "none")], {}],
      [serve, { FCTSDB_PINCODE: "" }],
    ] as const) {
      const { exitCode, output } = await instance.run(args, environment);
      assert.notEqual(exitCode, 0, output);
      assert.match(output, /error: /);
    }
    assert.deepEqual(stateOf(instance.data), before);
  });
});
