import assert from "node:assert/strict";
import { existsSync, globSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { reservePort } from "../../../reserved-ports.ts";
import { InstanceInTest, skip } from "./served-instance.ts";

/** Processes whose command line names a text. */
function processesOf(text: string): readonly number[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      return readFileSync(`/proc/${name}/cmdline`, "latin1").includes(text) ? [Number(name)] : [];
    } catch {
      return [];
    }
  });
}

function filesHolding(folder: string, text: string): readonly string[] {
  return globSync("**", { cwd: folder }).filter((path) => {
    const file = join(folder, path);
    return statSync(file, { throwIfNoEntry: false })?.isFile() === true && readFileSync(file).includes(text);
  });
}

const count = (text: string) => Number(/"values":\[\["[^"]*",(\d+)\]/.exec(text)?.[1] ?? 0);

describe("an instance served with its master key", { skip }, () => {
  let instance: InstanceInTest;
  before(async () => {
    instance = await InstanceInTest.make();
    await instance.start();
    await instance.query("CREATE DATABASE noenc; CREATE DATABASE enc WITH ENCRYPTION ON");
    for (const database of ["noenc", "enc"])
      for (const week of [0, 1, 2])
        assert.equal(
          await instance.write(
            database,
            `canarymeasure_${database},tag=canarytag_${database} v=1i,s="canaryfield_${database}" ${1_700_000_000 + week * 604_800}000000000`,
          ),
          204,
        );
  });
  after(() => instance.remove());

  it("keeps what is written to an encrypted database out of every file, and names of databases too", async () => {
    const found = (text: string) => filesHolding(join(instance.data, "store"), text);
    for (const what of ["canarymeasure_enc", "canarytag_enc", "canaryfield_enc"]) assert.deepEqual(found(what), []);
    assert.notDeepEqual(found("canarymeasure_noenc"), []);
    assert.deepEqual(
      globSync("**", { cwd: join(instance.data, "store") }).filter((path) => path.includes("noenc")),
      [],
    );
  });

  it("shows databases, shards, sizes and generations of keys", async () => {
    const { exitCode, output } = await instance.run(["status", "--config", instance.config, "--json"]);
    assert.equal(exitCode, 0, output);
    const status = JSON.parse(output);
    assert.equal(status.state, "served");
    assert.equal(status.cipher, "sm4-gcm");
    assert.match(status.masterKey, /^04[0-9a-f]{128}$/);
    const [enc, noenc] = ["enc", "noenc"].map((name) =>
      status.databases.find((each: { name: string }) => each.name === name),
    );
    assert.deepEqual([enc.encrypted, enc.shards, enc.generations], [true, 3, { lowest: 1, highest: 1 }]);
    assert.ok(enc.bytes > 0 && enc.subKeys >= 8);
    assert.deepEqual([noenc.encrypted, noenc.shards, noenc.subKeys], [false, 3, undefined]);
  });

  it("is served by one process only, and at a free address only", async () => {
    const port = await reservePort();
    const busy = await instance.run(["serve", "--config", instance.config, "--listen", `127.0.0.1:${port}`]);
    assert.equal(busy.exitCode, 1);
    assert.match(busy.output, /in use/);
    const taken = await instance.run(["serve", "--config", instance.config]);
    assert.equal(taken.exitCode, 1);
    assert.match(taken.output, /another program listens there/);
  });

  it("opens the volume again and starts influxd again when the volume's server is killed, and no point is lost", async () => {
    const [server = 0] = processesOf(`main.ts\0${instance.data}/store`);
    process.kill(server, "SIGKILL");
    await instance.until(/influxd runs again/);
    assert.equal(count(await instance.query("SELECT count(v) FROM enc..canarymeasure_enc")), 3);
    assert.equal(await instance.write("enc", "after v=1i"), 204);
  });

  it("starts influxd again when it is killed, and no point is lost", async () => {
    const [influxd = 0] = processesOf(`${instance.data}/root/tmp/influxdb.conf`);
    process.kill(influxd, "SIGKILL");
    await instance.until(/influxd runs again/, 2);
    assert.equal(count(await instance.query("SELECT count(v) FROM enc..canarymeasure_enc")), 3);
  });

  it("leaves no process, no mount and no socket behind after SIGTERM, and shows what its key table tells", async () => {
    assert.equal(await instance.end("SIGTERM"), 0);
    assert.deepEqual(processesOf(instance.data), []);
    assert.deepEqual(readdirSync(join(instance.data, "root")), []);
    assert.ok(!existsSync(join(instance.data, "instance.admin")));
    const { output } = await instance.run(["status", "--config", instance.config, "--json"]);
    const status = JSON.parse(output);
    assert.equal(status.state, "locked");
    assert.equal(status.databases.find((each: { name: string }) => each.name === "enc").shards, 4);
  });

  it("goes on without the master key: other databases work, encrypted ones are refused and stay whole", async () => {
    await instance.start(instance.withoutKey);
    assert.match(instance.output, /encrypted databases stay closed \(1\)/);
    assert.equal(count(await instance.query("SELECT count(v) FROM noenc..canarymeasure_noenc")), 3);
    for (const q of [
      "SELECT * FROM enc..canarymeasure_enc",
      "CREATE DATABASE e WITH ENCRYPTION ON",
      "DROP DATABASE enc",
    ])
      assert.match(
        await instance.query(q),
        /provider and what goes with it in \[security\.encryption\] are missing/,
        q,
      );
    assert.equal(await instance.write("enc", "m v=1"), 503);
    assert.match(await instance.query("SHOW DATABASES"), /\["enc",true\]/);
    assert.ok(!readdirSync(join(instance.data, "root/data/data")).includes("enc"));
    assert.equal(await instance.end(), 0);
    await instance.start();
    assert.equal(count(await instance.query("SELECT count(v) FROM enc..canarymeasure_enc")), 3);
  });

  it("destroys the sub-keys of what is dropped", async () => {
    await instance.query("DROP DATABASE enc");
    const { output } = await instance.run(["status", "--config", instance.config, "--json"]);
    const names = JSON.parse(output).databases.map((each: { name: string }) => each.name);
    assert.ok(!names.includes("enc") && names.includes("noenc"), output);
    assert.doesNotMatch(await instance.query("SHOW DATABASES"), /"enc"/);
  });

  it("is whole after SIGKILL of the serving process, which takes influxd and the volume's server with it", async () => {
    await instance.query("CREATE DATABASE again WITH ENCRYPTION ON");
    assert.equal(await instance.write("again", "m v=1i"), 204);
    await instance.end("SIGKILL");
    await instance.start();
    assert.equal(count(await instance.query("SELECT count(v) FROM again..m")), 1);
  });
});

describe("an instance that cannot be served", { skip }, () => {
  let instance: InstanceInTest;
  before(async () => {
    instance = await InstanceInTest.make();
  });
  after(() => instance.remove());

  it("is not made for a wrong pincode", async () => {
    writeFileSync(join(instance.folder, "wrong"), "another pincode", { mode: 0o600 });
    const args = ["serve", "--config", instance.config, "--pincode-file", join(instance.folder, "wrong")];
    const { exitCode, output } = await instance.run(args);
    assert.equal(exitCode, 3, output);
    assert.ok(!existsSync(instance.data));
  });

  it("is not made without an influxd of version 1.x", async () => {
    for (const influxd of [join(instance.folder, "none"), "/bin/true"]) {
      const { exitCode, output } = await instance.run(["serve", "--config", instance.config, "--influxd", influxd]);
      assert.equal(exitCode, 1, output);
      assert.match(output, /influxd/i);
    }
    assert.ok(!existsSync(instance.data));
  });

  it("is not made at an address that another program has", async () => {
    const server = createServer().listen(instance.port, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    try {
      const { exitCode, output } = await instance.run(["serve", "--config", instance.config]);
      assert.equal(exitCode, 1, output);
      assert.match(output, /another program listens there/);
      assert.ok(!existsSync(instance.data));
    } finally {
      server.close();
    }
  });

  it("ends with what influxd printed when influxd does not start, and leaves nothing running", async () => {
    const influxd = join(instance.folder, "influxd-broken");
    writeFileSync(
      influxd,
      `#!/bin/sh\nif [ "$1" = version ]; then echo 'InfluxDB v1.8.10 (git: x)'; exit 0; fi\necho 'run: it is broken' >&2\nexit 1\n`,
      { mode: 0o755 },
    );
    const { exitCode, output } = await instance.run(["serve", "--config", instance.config, "--influxd", influxd]);
    assert.equal(exitCode, 1, output);
    assert.match(output, /run: it is broken/);
    assert.deepEqual(processesOf(instance.data), []);
  });
});
