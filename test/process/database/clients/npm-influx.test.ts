import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { FieldType, InfluxDB, toNanoDate } from "influx";
import { skip } from "../instance/served-instance.ts";
import { SideBySide } from "./side-by-side.ts";

/** What a call gave, or the message that it was refused with, under its name. */
type Told = readonly [string, unknown];

const publicMethods = Object.getOwnPropertyNames(InfluxDB.prototype).filter(
  (name) => name !== "constructor" && !name.startsWith("_"),
);

/** One session with each method of the client; databases are made and dropped by the test. */
async function session(port: number): Promise<readonly Told[]> {
  const told: Told[] = [];
  const influx = new InfluxDB({ host: "127.0.0.1", port, database: "enc" });
  const note = async (name: string, call: () => unknown): Promise<void> => {
    try {
      told.push([name, JSON.parse(JSON.stringify((await call()) ?? null))]);
    } catch (error) {
      told.push([name, error instanceof Error ? error.message : String(error)]);
    }
  };
  const at = (seconds: number) => toNanoDate(`${1_700_000_000 + seconds}000000000`);
  const schema = {
    database: "enc",
    measurement: "cpu",
    fields: { usage: FieldType.FLOAT, count: FieldType.INTEGER, ok: FieldType.BOOLEAN, msg: FieldType.STRING },
    tags: ["host", "region"],
  };
  const point = {
    measurement: "cpu",
    tags: { host: "a" },
    fields: { usage: 1.5, count: 1, ok: true, msg: 'a "b", c' },
  };

  await note("getDatabaseNames", () => influx.getDatabaseNames());
  await note("addSchema", () => influx.addSchema(schema));
  await note("parsePoint", () => influx.parsePoint({ ...point, timestamp: at(0) }));
  await note("writePoints", () =>
    influx.writePoints(
      Array.from({ length: 40 }, (_, each) => ({
        ...point,
        tags: { host: each % 2 === 0 ? "a" : "b é" },
        timestamp: at(each * 60),
      })),
    ),
  );
  await note("writePoints", () =>
    influx.writePoints([{ ...point, timestamp: new Date(1_700_009_000_000) }], { precision: "s", database: "noenc" }),
  );
  await note("writePoints", () => influx.writePoints([{ ...point, fields: { usage: "text" } }]));
  await note("writePoints", () => influx.writePoints([{ measurement: "m", fields: { v: 1 } }], { database: "nope" }));
  await note("writeMeasurement", () =>
    influx.writeMeasurement("mem", [{ fields: { free: 7 }, tags: { host: "a" }, timestamp: at(0) }]),
  );
  await note("query", () => influx.query("SELECT * FROM cpu ORDER BY time DESC LIMIT 3"));
  await note("query", () => influx.query(["SELECT count(usage) FROM cpu GROUP BY host", "SELECT * FROM mem"]));
  await note("query", () =>
    influx.query("SELECT usage FROM cpu WHERE host = $h LIMIT 2", { placeholders: { h: "b é" }, precision: "ms" }),
  );
  await note("query", () => influx.query("SELECT * FROM nowhere..cpu"));
  await note("query", () => influx.query("SELEKT"));
  await note("queryRaw", () => influx.queryRaw("SELECT mean(usage) FROM cpu", { precision: "s" }));
  await note("getMeasurements", () => influx.getMeasurements());
  await note("getSeries", () => influx.getSeries({ measurement: "cpu" }));
  await note("createRetentionPolicy", () =>
    influx.createRetentionPolicy("year", { duration: "365d", replication: 1, database: "enc" }),
  );
  await note("alterRetentionPolicy", () =>
    influx.alterRetentionPolicy("year", { duration: "400d", replication: 1, database: "enc" }),
  );
  await note("showRetentionPolicies", () => influx.showRetentionPolicies());
  await note("dropRetentionPolicy", () => influx.dropRetentionPolicy("year"));
  const continuous = "SELECT mean(usage) INTO m FROM cpu GROUP BY time(1h)";
  await note("createContinuousQuery", () => influx.createContinuousQuery("hourly", continuous, "enc"));
  await note("showContinousQueries", () => influx.showContinousQueries());
  await note("dropContinuousQuery", () => influx.dropContinuousQuery("hourly"));
  await note("getUsers", () => influx.getUsers());
  await note("createUser", () => influx.createUser("some'one", "pw 'quoted'", true));
  await note("setPassword", () => influx.setPassword("some'one", "another"));
  await note("grantPrivilege", () => influx.grantPrivilege("some'one", "READ", "enc"));
  await note("revokePrivilege", () => influx.revokePrivilege("some'one", "READ", "enc"));
  await note("revokeAdminPrivilege", () => influx.revokeAdminPrivilege("some'one"));
  await note("grantAdminPrivilege", () => influx.grantAdminPrivilege("some'one"));
  await note("getUsers", () => influx.getUsers());
  await note("dropUser", () => influx.dropUser("some'one"));
  await note("showShards", () => influx.showShards());
  await note("dropSeries", () => influx.dropSeries({ where: (e) => e.tag("host").equals.value("a") }));
  await note("dropMeasurement", () => influx.dropMeasurement("mem"));
  await note("query", () => influx.query("SELECT count(usage) FROM cpu GROUP BY host"));
  await note("dropShard", () => influx.dropShard(1));
  await note("getMeasurements", () => influx.getMeasurements("enc"));
  await note("createDatabase", () => influx.createDatabase('a "third"'));
  await note("dropDatabase", () => influx.dropDatabase('a "third"'));
  await note("ping", async () =>
    (await influx.ping(5_000)).map(({ online, version }) => ({ online, version: String(version) })),
  );
  return told;
}

describe("the npm client influx, against a served instance and plain influxd", { skip }, () => {
  let both: SideBySide;
  let served: InfluxDB;
  let plain: InfluxDB;
  before(async () => {
    both = await SideBySide.start();
    served = new InfluxDB({ host: "127.0.0.1", port: both.instance.port, database: "enc" });
    plain = new InfluxDB({ host: "127.0.0.1", port: both.plain.port, database: "enc" });
  });
  after(() => both.stop());

  it("makes an encrypted database with a query, and a plain one with its own method", async () => {
    await served.query("CREATE DATABASE enc WITH ENCRYPTION ON");
    await plain.createDatabase("enc");
    for (const each of [served, plain]) await each.createDatabase("noenc");
    const shown = await served.query("SHOW DATABASES");
    assert.deepEqual(JSON.parse(JSON.stringify(shown)), [
      { name: "enc", encrypted: true },
      { name: "noenc", encrypted: false },
    ]);
  });

  it("is told the same by each of its methods", async () => {
    const [left, right] = [await session(both.instance.port), await session(both.plain.port)];
    assert.deepEqual(left, right);
    assert.deepEqual([...new Set(left.map(([name]) => name))].sort(), [...publicMethods].sort());
    const refused = left.filter(([, result]) => typeof result === "string").map(([name]) => name);
    // Once each for a field's type, a database that is not there in a write and in a query, and a word that is none.
    assert.deepEqual(refused, ["writePoints", "writePoints", "query", "query"]);
  });

  it("is told why a database can't be made", async () => {
    await assert.rejects(served.query("CREATE DATABASE noenc WITH ENCRYPTION ON"), /exists already/);
    await assert.rejects(served.query("CREATE DATABASE x WITH ENCRYPTION MAYBE"), /error parsing query/);
  });

  it("drops what it has made", async () => {
    for (const database of ["enc", "noenc"]) await served.dropDatabase(database);
    assert.deepEqual(await served.getDatabaseNames(), []);
  });
});
