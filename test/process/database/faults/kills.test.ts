import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { scaled } from "../../../run-settings.ts";
import { randomMoments } from "../../volume/engines/random-moments.ts";
import { InstanceInTest, skip } from "../instance/served-instance.ts";

const rounds = scaled(60);
const longestMs = 700;
const databases: readonly string[] = ["enc", "plain"];

/** The process of an instance whose command line has a text. */
function processOf({ folder }: InstanceInTest, text: string): number {
  const found = readdirSync("/proc").find((name) => {
    try {
      const words = /^\d+$/.test(name) ? readFileSync(`/proc/${name}/cmdline`, "latin1") : "";
      return words.includes(folder) && words.includes(text);
    } catch {
      return false;
    }
  });
  assert.ok(found !== undefined, text);
  return Number(found);
}

describe("an instance of which processes are killed while points are written", { skip }, () => {
  let instance: InstanceInTest;
  const random = randomMoments();
  before(async () => {
    instance = await InstanceInTest.make();
    await instance.start();
    await instance.query("CREATE DATABASE plain; CREATE DATABASE enc WITH ENCRYPTION ON");
  });
  after(() => instance.remove());

  it("has each point that was acknowledged, and no other than were sent", async () => {
    let sent = 0;
    const acknowledged = new Map(databases.map((name) => [name, new Set<number>()]));
    let writing = true;
    const write = async (): Promise<void> => {
      for (; writing; await sleep(2)) {
        sent += 1;
        const value = sent;
        // Shards of a week: some rounds write into several.
        const second = 1_700_438_400 + (value % 3) * 604_800 + value;
        for (const database of databases)
          try {
            const status = await instance.write(database, `m v=${value}i ${second}000000000`);
            if (status === 204) acknowledged.get(database)?.add(value);
          } catch {
            // Nobody listens at the moment.
          }
      }
    };
    const written = write();
    const kinds = ["influxdb.conf", "sealfs/server/main.ts", "all"] as const;
    try {
      for (let round = 0; round < rounds; round++) {
        const kind = kinds[round % kinds.length] ?? "all";
        await sleep(random() * longestMs);
        if (kind === "all") {
          await instance.end("SIGKILL");
          await instance.start();
        } else {
          const { length } = instance.output.match(/influxd runs again/g) ?? [];
          process.kill(processOf(instance, kind), "SIGKILL");
          await instance.until(/influxd runs again/, length + 1);
        }
        const before = acknowledged.get("enc")?.size ?? 0;
        for (const deadline = Date.now() + 60_000; (acknowledged.get("enc")?.size ?? 0) <= before; await sleep(20))
          assert.ok(Date.now() < deadline, `points are written after ${kind} was killed`);
      }
    } finally {
      writing = false;
      await written;
    }
    for (const [database, values] of acknowledged) {
      const text = await instance.query(`SELECT v FROM ${database}..m`);
      const there = new Set([...text.matchAll(/\["[^"]*",(\d+)\]/g)].map((match) => Number(match[1])));
      const lost = [...values].filter((value) => !there.has(value));
      assert.deepEqual(lost, [], `${database} of ${values.size}`);
      for (const value of there) assert.ok(value >= 1 && value <= sent);
    }
    assert.doesNotMatch(instance.output, /damaged/);
  });
});
