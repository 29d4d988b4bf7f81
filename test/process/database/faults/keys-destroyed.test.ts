import assert from "node:assert/strict";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { isEnvelopeStored, storedZones } from "../attacks/stored-keys.ts";
import { InstanceInTest, skip } from "../instance/served-instance.ts";

const eagerInfluxd = `[retention]\ncheck-interval = "1s"\n[monitor]\nstore-enabled = false\n`;
const goneMs = 60_000;
const mondays: readonly number[] = [1_700_438_400, 1_701_043_200, 1_701_648_000];
const policies: readonly string[] = ["autogen", "kept", "dropped", "expiring"];

describe("the sub-keys of what is removed from an encrypted database", { skip }, () => {
  let instance: InstanceInTest;
  before(async () => {
    instance = await InstanceInTest.make(`influxd-config = "influxd.conf"\n`);
    writeFileSync(join(instance.folder, "influxd.conf"), eagerInfluxd);
    await instance.start();
    for (const database of ["enc", "other"]) {
      await instance.query(`CREATE DATABASE ${database} WITH ENCRYPTION ON`);
      for (const policy of policies) {
        if (policy !== "autogen")
          await instance.query(
            `CREATE RETENTION POLICY ${policy} ON ${database} DURATION INF REPLICATION 1 SHARD DURATION 1w`,
          );
        for (const second of mondays)
          assert.equal(await write(`${database}&rp=${policy}`, `m v=1i ${second}000000000`), 204);
      }
    }
  });
  after(() => instance.remove());

  const write = (database: string, line: string) => instance.write(database, line);

  /** The envelopes of the sub-keys that lie below some folders. */
  function envelopesBelow(...paths: readonly string[]): readonly Buffer[] {
    return storedZones(instance.data)
      .filter(({ protection, path }) => protection === "sealed" && paths.some((each) => isBelow(path, each)))
      .flatMap(({ envelopes }) => envelopes);
  }

  /** All go, from every record of every table, and nothing else's does. */
  async function mustGo(doomed: readonly Buffer[]): Promise<void> {
    const others = envelopesBelow("data").filter((each) => !doomed.some((one) => one.equals(each)));
    assert.ok(doomed.length > 0 && others.length > 0);
    const isLeft = () => doomed.some((envelope) => isEnvelopeStored(instance.data, envelope));
    for (const deadline = Date.now() + goneMs; isLeft(); await sleep(200))
      assert.ok(Date.now() < deadline, "the envelopes leave the key table's file");
    for (const envelope of others) assert.ok(isEnvelopeStored(instance.data, envelope));
  }

  it("go with DROP SHARD: of its data and its log of writes, and of no other shard", async () => {
    const [shard] = /\[(\d+),"enc","autogen"/.exec(await instance.query("SHOW SHARDS"))?.slice(1) ?? [];
    assert.ok(shard !== undefined);
    const doomed = envelopesBelow(`data/data/enc/autogen/${shard}`, `data/wal/enc/autogen/${shard}`);
    assert.doesNotMatch(await instance.query(`DROP SHARD ${shard}`), /error/);
    await mustGo(doomed);
  });

  it("go with DROP RETENTION POLICY: of all its shards", async () => {
    const doomed = envelopesBelow("data/data/enc/dropped", "data/wal/enc/dropped");
    assert.ok(doomed.length >= 2 * mondays.length);
    assert.doesNotMatch(await instance.query("DROP RETENTION POLICY dropped ON enc"), /error/);
    await mustGo(doomed);
  });

  it("go when shards expire", async () => {
    const doomed = envelopesBelow("data/data/enc/expiring", "data/wal/enc/expiring");
    await instance.query("ALTER RETENTION POLICY expiring ON enc DURATION 1w");
    await mustGo(doomed);
  });

  it("go with DROP DATABASE, and stay gone after kill -9 and a start; the other database is whole", async () => {
    const doomed = envelopesBelow("data/data/enc", "data/wal/enc");
    assert.doesNotMatch(await instance.query("DROP DATABASE enc"), /error/);
    await mustGo(doomed);
    await instance.end("SIGKILL");
    await instance.start();
    await mustGo(doomed);
    for (const policy of policies)
      assert.match(await instance.query(`SELECT count(v) FROM other.${policy}.m`), new RegExp(`,${mondays.length}\\]`));
    assert.deepEqual(readdirSync(join(instance.data, "root/data/data")).sort(), ["other"]);
  });

  it("are new ones for a database that is made again under the name", async () => {
    const before = envelopesBelow("data");
    await instance.query("CREATE DATABASE enc WITH ENCRYPTION ON");
    assert.equal(await write("enc", "m v=1i"), 204);
    const made = envelopesBelow("data/data/enc", "data/wal/enc");
    assert.ok(made.length >= 4 && !made.some((each) => before.some((one) => one.equals(each))));
  });
});

function isBelow(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}
