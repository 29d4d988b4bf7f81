import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { InstanceInTest, skip } from "../instance/served-instance.ts";
import { DatabaseOfCanaries } from "./canaries.ts";
import { WatchedInstance } from "./watched-instance.ts";

/** Writes what is in memory to files, and merges files, as soon as nothing is written. */
const eagerInfluxd = `[data]
cache-snapshot-write-cold-duration = "1s"
compact-full-write-cold-duration = "1s"
[retention]
check-interval = "1s"
`;
const pincode = "a pincode of some length";
const compactedMs = 60_000;

describe("what is written to an encrypted database", { skip }, () => {
  let instance: InstanceInTest;
  let watched: WatchedInstance;
  let enc: DatabaseOfCanaries;
  let plain: DatabaseOfCanaries;

  before(async () => {
    instance = await InstanceInTest.make(`influxd-config = "influxd.conf"\n`);
    writeFileSync(join(instance.folder, "influxd.conf"), eagerInfluxd);
    watched = new WatchedInstance(instance);
    enc = new DatabaseOfCanaries(instance, true);
    plain = new DatabaseOfCanaries(instance, false);
    await instance.start();
    for (const each of [enc, plain]) {
      await each.create();
      await each.write("at first");
    }
  });
  after(() => instance.remove());

  /** Nothing of the one, and the names alone of the other, is to be seen. */
  function mustNotShow(when: string, packed = false): void {
    const ofPlain = Object.entries(plain.names).filter(([name]) => isMetadata(name));
    const texts = new Map([...enc.all, ...ofPlain.map(([name, text]) => [`${name} of the other`, text] as const)]);
    assert.deepEqual(watched.find(texts, packed), [], when);
  }

  it("is in no file, name, print or process, while the same search finds what is in the other database", async () => {
    mustNotShow("while it runs", true);
    const found = new Set(watched.findStored(plain.content).map(({ what }) => what));
    assert.deepEqual([...found].sort(), [...plain.content.keys()].sort());
  });

  it("is in none after kill -9 of influxd, of the volume's server and of the serving process", async () => {
    for (const [which, kill] of [
      ["influxd", () => process.kill(watched.influxd, "SIGKILL")],
      ["the volume's server", () => process.kill(watched.volumeServer, "SIGKILL")],
    ] as const) {
      for (const each of [enc, plain]) await each.write(`before the end of ${which}`);
      const { length } = instance.output.match(/influxd runs again/g) ?? [];
      kill();
      mustNotShow(`at the end of ${which}`);
      await instance.until(/influxd runs again/, length + 1);
      mustNotShow(`after the end of ${which}`);
    }
    for (const each of [enc, plain]) await each.write("before the end of all");
    await instance.end("SIGKILL");
    mustNotShow("when the serving process was killed");
    await instance.start();
    assert.deepEqual([await enc.count(), await plain.count()], [enc.points, plain.points]);
    mustNotShow("after the start");
  });

  it("is in none after files were written and merged", async () => {
    for (let round = 0; round < 4; round++) {
      for (const each of [enc, plain]) await each.write(`in round ${round}`);
      await untilCounted(() => filesOfShards(instance, enc).length > 0 && walBytes(instance, enc) === 0);
    }
    await untilCounted(() => {
      const files = [enc, plain].flatMap((each) => filesOfShards(instance, each));
      return files.length === 4 && files.every((name) => /-0*[2-9]\d*\.tsm$/.test(name));
    });
    mustNotShow("after a compaction", true);
    const { length } = instance.output.match(/influxd runs again/g) ?? [];
    process.kill(watched.influxd, "SIGKILL");
    // The last of what influxd has logged, which names shards by their paths, is told when it ends.
    await instance.until(/influxd runs again/, length + 1);
    assert.match(instance.output, /influxd has ended/);
    mustNotShow("after influxd was killed behind a compaction");
    const found = new Set(watched.findStored(plain.content).map(({ what }) => what));
    assert.deepEqual([...found].sort(), [...plain.content.keys()].sort());
    assert.deepEqual([await enc.count(), await plain.count()], [enc.points, plain.points]);
  });

  it("is in none after a shard, a retention policy and the database are dropped, and after an orderly end", async () => {
    const { database, policy } = enc.names;
    const shards = await instance.query("SHOW SHARDS");
    const [id] = new RegExp(`\\[(\\d+),"${database}"`).exec(shards)?.slice(1) ?? [];
    assert.ok(id !== undefined, shards);
    for (const statement of [
      `DROP SHARD ${id}`,
      `DROP RETENTION POLICY "${policy}" ON "${database}"`,
      `DROP DATABASE "${database}"`,
    ]) {
      assert.doesNotMatch(await instance.query(statement), /error/);
      mustNotShow(statement);
    }
    assert.equal(await instance.end("SIGTERM"), 0);
    mustNotShow("after an orderly end", true);
  });

  it("leaves no core and no pincode: processes may write none, and it is in no environment, argument or file", async () => {
    await instance.start();
    const secrets = new Map([["pincode", pincode]]);
    const found = watched.find(secrets, true).filter(({ where }) => where !== instance.pincodeFile);
    assert.deepEqual(found, []);
    const processes = [instance.pid, watched.volumeServer, watched.influxd];
    const mostBytes = readFileSync("/proc/sys/kernel/core_pattern", "latin1").startsWith("|") ? 1 : 0;
    for (const pid of processes) {
      const limit = /^Max core file size +(\d+) +(\d+) /m.exec(readFileSync(`/proc/${pid}/limits`, "latin1"));
      assert.deepEqual(limit?.slice(1).map(Number), [mostBytes, mostBytes]);
    }
  });
});

/** Of what both databases have, these lie in influxd's metadata, which is sealed for all of them. */
function isMetadata(name: string): boolean {
  return ["database", "policy", "user", "password", "query"].includes(name);
}

function namesBelow(instance: InstanceInTest, kind: "data" | "wal", { names }: DatabaseOfCanaries): readonly string[] {
  const folder = join(instance.data, "root/data", kind, names.database, names.policy);
  return readdirSync(folder, { recursive: true, encoding: "utf8" }).map((name) => join(folder, name));
}

function filesOfShards(instance: InstanceInTest, database: DatabaseOfCanaries): readonly string[] {
  return namesBelow(instance, "data", database).filter((name) => /\.tsm/.test(name));
}

function walBytes(instance: InstanceInTest, database: DatabaseOfCanaries): number {
  const files = namesBelow(instance, "wal", database).filter((name) => name.endsWith(".wal"));
  return files.reduce((sum, file) => sum + (statSync(file, { throwIfNoEntry: false })?.size ?? 0), 0);
}

async function untilCounted(reached: () => boolean): Promise<void> {
  for (const deadline = Date.now() + compactedMs; !reached(); await sleep(100))
    assert.ok(Date.now() < deadline, "influxd merges its files");
}
