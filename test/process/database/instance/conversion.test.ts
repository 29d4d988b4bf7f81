import assert from "node:assert/strict";
import { existsSync, globSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { seed } from "../../../run-settings.ts";
import { InstanceInTest, skip } from "./served-instance.ts";

const firstSecond = 1_700_000_000;
const weekSeconds = 604_800;

/** Files of the store that hold a text; none vanishes meanwhile, for the instance is not asked for anything. */
function storeHolds(instance: InstanceInTest, text: string): boolean {
  const store = join(instance.data, "store");
  return globSync("**", { cwd: store }).some((path) => {
    const file = join(store, path);
    return statSync(file, { throwIfNoEntry: false })?.isFile() === true && readFileSync(file).includes(text);
  });
}

/** Points of three shards; influxd writes files of some, the rest is in its log of writes. */
async function write(instance: InstanceInTest, database: string): Promise<number> {
  let written = 0;
  for (const week of [0, 1, 2])
    for (let batch = 0; batch < 4; batch++) {
      const lines = Array.from({ length: 500 }, (_, at) => {
        const second = firstSecond + week * weekSeconds + batch * 500 + at;
        return `m,tag=canarytag_${database} v=${at}i,s="canaryfield_${at}" ${second}000000000`;
      });
      assert.equal(await instance.write(database, lines.join("\n")), 204);
      written += lines.length;
    }
  return written;
}

async function count(instance: InstanceInTest, database: string): Promise<number> {
  const text = await instance.query(`SELECT count(v) FROM "${database}"..m`);
  return Number(/"values":\[\["[^"]*",(\d+)\]/.exec(text)?.[1] ?? text);
}

async function shows(instance: InstanceInTest, database: string, encrypted: boolean): Promise<void> {
  assert.ok((await instance.query("SHOW DATABASES")).includes(`["${database}",${encrypted}]`));
}

/** Most of a conversion is starts of influxd, which take a busy machine long. */
async function until(instance: InstanceInTest, isSo: () => Promise<boolean>): Promise<void> {
  const deadlineMs = Date.now() + 120_000;
  while (!(await isSo().catch(() => false))) {
    assert.ok(Date.now() < deadlineMs, `it does not come to pass: ${instance.output}`);
    await sleep(50);
  }
}

/** Processes whose command line names a text. */
function processesOf(text: string): readonly number[] {
  return readdirSync("/proc").flatMap((name) => {
    try {
      return /^\d+$/.test(name) && readFileSync(`/proc/${name}/cmdline`, "latin1").includes(text) ? [Number(name)] : [];
    } catch {
      return [];
    }
  });
}

async function instanceWithFiles(): Promise<InstanceInTest> {
  const instance = await InstanceInTest.make('influxd-config = "influxdb.conf"\n');
  writeFileSync(join(instance.folder, "influxdb.conf"), '[data]\ncache-snapshot-memory-size = "64k"\n');
  return instance;
}

const converted = /a database is converted\n/;

describe("ALTER DATABASE x ENCRYPTION", { skip }, () => {
  let instance: InstanceInTest;
  let points = 0;
  before(async () => {
    instance = await instanceWithFiles();
    await instance.start();
    await instance.query("CREATE DATABASE db; CREATE DATABASE other WITH ENCRYPTION ON");
    points = await write(instance, "db");
    await write(instance, "other");
  });
  after(() => instance.remove());

  it("encrypts what is there while clients write, and loses no acknowledged point", async () => {
    assert.ok(storeHolds(instance, "canarytag_db"));
    assert.match(await instance.query("ALTER DATABASE db ENCRYPTION ON"), /^\{"results":\[\{"statement_id":0\}\]\}/);
    let second = firstSecond - 1_000_000;
    while (!converted.test(instance.output)) {
      const status = await instance.write("db", `m,tag=canarytag_db v=1i ${second}000000000`);
      assert.ok(status === 204 || status === 503, String(status));
      if (status === 204) points += 1;
      second += 1;
      await sleep(5);
    }
    assert.equal(await count(instance, "db"), points);
    await shows(instance, "db", true);
    assert.ok(!storeHolds(instance, "canarytag_db"));
    assert.ok(!existsSync(join(instance.data, "root/conversion")));
    const { output } = await instance.run(["status", "--config", instance.config, "--json"]);
    const status = JSON.parse(output);
    assert.equal(status.served.conversion, undefined);
    const { encrypted, subKeys } = status.databases.find((each: { name: string }) => each.name === "db");
    assert.ok(encrypted && subKeys >= 8, output);
  });

  it("goes back the same way, and the other encrypted database stays what it is", async () => {
    await instance.query("ALTER DATABASE db ENCRYPTION OFF");
    await instance.until(converted, 2);
    assert.equal(await count(instance, "db"), points);
    await shows(instance, "db", false);
    await shows(instance, "other", true);
    assert.ok(storeHolds(instance, "canarytag_db"));
    assert.ok(!storeHolds(instance, "canarytag_other"));
  });

  it("lets nobody drop or convert a database that is being converted", async () => {
    await instance.query("ALTER DATABASE db ENCRYPTION ON");
    // At once, while the copy is made: what comes while influxd is away waits, and is done when all is over.
    const [dropped, again] = await Promise.all([
      instance.query("DROP DATABASE db"),
      instance.query("ALTER DATABASE db ENCRYPTION OFF"),
    ]);
    assert.match(dropped, /is being converted: drop it when/);
    assert.match(again, /is being converted already/);
    await instance.until(converted, 3);
    assert.equal(await count(instance, "db"), points);
  });

  it("does nothing to a database that is so already", async () => {
    const before = instance.output;
    assert.match(await instance.query("ALTER DATABASE other ENCRYPTION ON"), /^\{"results":\[\{"statement_id":0\}\]\}/);
    assert.equal(instance.output, before);
  });

  it("is refused for a database that is not there, for influxd's own, and in company", async () => {
    for (const [text, why] of [
      ["ALTER DATABASE nobody ENCRYPTION ON", /database not found: nobody/],
      ["ALTER DATABASE _internal ENCRYPTION ON", /can't be encrypted|not found: _internal/],
      ["ALTER DATABASE db ENCRYPTION OFF; SHOW DATABASES", /only statement/],
      ["ALTER DATABASE db ENCRYPTION MAYBE", /error/],
    ] as const)
      assert.match(await instance.query(text), why);
    await shows(instance, "db", true);
  });

  it("is refused without the settings of encryption", async () => {
    assert.equal(await instance.end(), 0);
    await instance.start(instance.withoutKey);
    assert.match(await instance.query("ALTER DATABASE db ENCRYPTION OFF"), /security\.encryption\] are missing/);
    await instance.query("CREATE DATABASE plain");
    assert.match(await instance.query("ALTER DATABASE plain ENCRYPTION ON"), /security\.encryption\] are missing/);
  });
});

describe("db serve, stopped or killed while it converts a database", { skip }, () => {
  let instance: InstanceInTest;
  let points = 0;
  let encrypted = false;
  before(async () => {
    instance = await instanceWithFiles();
    await instance.start();
    await instance.query("CREATE DATABASE db");
    points = await write(instance, "db");
  });
  after(() => instance.remove());

  /** Until the database is converted and nothing of it is under way. */
  const settled = async (to: boolean): Promise<void> => {
    await until(instance, async () => (await instance.query("SHOW DATABASES")).includes(`["db",${to}]`));
    await until(
      instance,
      async () => !["conversion", "conversion.record"].some((name) => existsSync(join(instance.data, "root", name))),
    );
    await until(instance, async () => (await count(instance, "db")) === points);
    encrypted = to;
  };
  /** Again while the conversion before it, whose record is gone already, is not forgotten yet. */
  const alter = (to: boolean) =>
    until(
      instance,
      async () => !(await instance.query(`ALTER DATABASE db ENCRYPTION ${to ? "ON" : "OFF"}`)).includes("error"),
    );
  const moments = [
    ["copies beside influxd", /are copied while requests go on/],
    ["stops influxd", /requests wait, influxd stops/],
    ["exchanges the folders", /its folders are made anew from it/],
    ["starts influxd again", /influxd runs again/],
  ] as const;

  for (const [moment, line] of moments)
    it(`goes on with it at the next start when it is stopped in good order as it ${moment}`, async () => {
      instance.forgetOutput();
      await alter(!encrypted);
      await instance.until(line);
      assert.equal(await instance.end(), 0, instance.output);
      await instance.start();
      await settled(!encrypted);
    });

  it("goes on with it when the volume's server is killed", async () => {
    instance.forgetOutput();
    await alter(!encrypted);
    await instance.until(/are copied while requests go on/);
    const [server = 0] = processesOf(`main.ts\0${instance.data}/store`);
    process.kill(server, "SIGKILL");
    await settled(!encrypted);
  });

  let turn = 0;
  // There and back, so that each begins where the one before it ended.
  for (const [moment, line] of moments)
    for (const to of [true, false]) {
      const delayMs = (seed * 31 + turn * 97) % 60;
      turn += 1;
      it(`completes it at the next start when it is killed as it ${moment} (to ${to ? "ON" : "OFF"}), and loses no point`, async () => {
        if (encrypted === to) {
          await alter(!to);
          await settled(!to);
        }
        instance.forgetOutput();
        await alter(to);
        await instance.until(line);
        await sleep(delayMs);
        await instance.end("SIGKILL");
        await instance.start();
        await settled(to);
        assert.equal(storeHolds(instance, "canarytag_db"), !to);
      });
    }
});
