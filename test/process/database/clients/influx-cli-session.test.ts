import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { skip as instanceMissing } from "../instance/served-instance.ts";
import { SideBySide } from "./side-by-side.ts";

const program = "/usr/bin/influx";
const skip = instanceMissing || (existsSync(program) ? false : `${program} is not there: install influxdb-client`);

const insert = "INSERT cpu,host=b usage=2.5,count=2i 1700000060000000000";

/** What a user types at the prompt, each after `use enc`. */
const session = [
  "INSERT cpu,host=a usage=1.5,count=1i 1700000000000000000",
  insert,
  "INSERT cpu,host=b usage=oops",
  "INSERT INTO autogen cpu,host=c usage=3.5 1700000120000000000",
  "INSERT INTO nopolicy cpu,host=c usage=3.5 1700000120000000000",
  "precision s\nSELECT * FROM cpu",
  "precision rfc3339\nSELECT * FROM cpu\nSELECT mean(usage) FROM cpu GROUP BY host",
  "format csv\nSELECT * FROM cpu LIMIT 1",
  "format json\npretty\nSELECT count(usage) FROM cpu",
  "chunked\nSELECT usage FROM cpu",
  "chunk size 1\nSELECT usage FROM cpu",
  "consistency all\nINSERT cpu,host=d usage=4.5 1700000180000000000",
  "SHOW MEASUREMENTS",
  "SHOW TAG KEYS",
  "SHOW TAG VALUES WITH KEY = host",
  "SHOW FIELD KEYS",
  "SHOW SERIES",
  "CREATE RETENTION POLICY year ON enc DURATION 365d REPLICATION 1",
  "ALTER RETENTION POLICY year ON enc SHARD DURATION 1d",
  "SHOW RETENTION POLICIES",
  "use enc.year\nSELECT * FROM cpu\nclear rp\nSELECT count(usage) FROM cpu",
  "use enc.nopolicy\nSELECT * FROM cpu",
  "DROP RETENTION POLICY year ON enc",
  "CREATE CONTINUOUS QUERY hourly ON enc BEGIN SELECT mean(usage) INTO m FROM cpu GROUP BY time(1h) END",
  "SHOW CONTINUOUS QUERIES",
  "DROP CONTINUOUS QUERY hourly ON enc",
  "CREATE USER someone WITH PASSWORD 'pw'",
  "GRANT READ ON enc TO someone",
  "SHOW GRANTS FOR someone",
  "SHOW USERS",
  "REVOKE READ ON enc FROM someone",
  "SET PASSWORD FOR someone = 'other'",
  "DROP USER someone",
  "SELEKT",
  "SELECT * FROM nowhere..cpu",
  "DELETE FROM cpu WHERE host = 'a'",
  "DROP SERIES FROM cpu WHERE host = 'b'",
  "SELECT * FROM cpu",
  "DROP MEASUREMENT cpu",
  "SHOW MEASUREMENTS",
  "use nowhere",
  "settings",
];

describe("Debian's influx command line, against a served instance and plain influxd", { skip }, () => {
  let both: SideBySide;
  before(async () => {
    both = await SideBySide.start();
  });
  after(() => both.stop());

  async function influx(port: number, args: readonly string[]): Promise<string> {
    const child = spawn(program, ["-host", "127.0.0.1", "-port", String(port), ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { PATH: process.env.PATH, HOME: both.instance.folder },
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (chunk: Buffer) => {
        output += chunk.toString();
      });
    await new Promise((resolve) => child.once("close", resolve));
    return output.replaceAll(new RegExp(`\\b${port}\\b`, "g"), "PORT");
  }
  const served = (...args: readonly string[]): Promise<string> => influx(both.instance.port, args);
  const plain = (...args: readonly string[]): Promise<string> => influx(both.plain.port, args);

  it("makes an encrypted database and a plain one, and shows which is which", async () => {
    assert.equal(await served("-execute", "CREATE DATABASE enc WITH ENCRYPTION ON; CREATE DATABASE noenc"), "\n");
    assert.equal(await plain("-execute", "CREATE DATABASE enc; CREATE DATABASE noenc"), "\n");
    const column = "name: databases\nname  encrypted\n----  ---------\nenc   true\nnoenc false\n";
    assert.equal(await served("-execute", "SHOW DATABASES"), column);
    const csv = "name,name,encrypted\ndatabases,enc,true\ndatabases,noenc,false\n";
    assert.equal(await served("-format", "csv", "-execute", "SHOW DATABASES"), csv);
    const json = JSON.parse(await served("-format", "json", "-pretty", "-execute", "show databases"));
    assert.deepEqual(json.results[0].series[0].columns, ["name", "encrypted"]);
  });

  it("is told the same in a whole session", async () => {
    const told = new Map<string, string>();
    for (const typed of session) {
      const args = ["-execute", `use enc\n${typed}`];
      const output = await served(...args);
      assert.equal(output, await plain(...args), typed);
      told.set(typed, output);
    }
    assert.match(told.get(insert) ?? "", /^Using database enc\n$/);
    assert.match(told.get("SELEKT") ?? "", /error parsing query: found SELEKT/);
    assert.match(told.get("SHOW TAG KEYS") ?? "", /name: cpu\ntagKey\n------\nhost\n/);
  });

  it("imports a file", async () => {
    const lines = Array.from({ length: 3_000 }, (_, at) => `imported,h=${at % 7} v=${at}i ${1_700_000_000 + at}`);
    const file = join(both.instance.folder, "import.txt");
    writeFileSync(file, `# DML\n# CONTEXT-DATABASE: enc\n# CONTEXT-RETENTION-POLICY: autogen\n${lines.join("\n")}\n`);
    for (const ask of [served, plain])
      assert.match(await ask("-import", "-path", file, "-precision", "s"), /Processed 3000 inserts/);
    const count = ["-database", "enc", "-execute", "SELECT count(v), sum(v) FROM imported GROUP BY h"];
    assert.equal(await served(...count), await plain(...count));
  });

  it("makes an encrypted database by the other spelling, with its policy", async () => {
    const options = "WITH NAME rp DURATION 30d REPLICATION 1 SHARD DURATION 1d";
    assert.equal(await served("-execute", `create database other encryption on ${options}`), "");
    assert.equal(
      await plain("-execute", "CREATE DATABASE other WITH DURATION 30d REPLICATION 1 SHARD DURATION 1d NAME rp"),
      "",
    );
    const policies = ["-execute", "SHOW RETENTION POLICIES ON other"];
    assert.equal(await served(...policies), await plain(...policies));
  });

  it("is told why a database can't be made or converted", async () => {
    assert.match(await served("-execute", "CREATE DATABASE noenc WITH ENCRYPTION ON"), /ERR: .*exists already/);
    assert.match(await served("-execute", "CREATE DATABASE x ENCRYPTION SOMETIMES"), /ERR: error parsing query/);
    assert.match(await served("-execute", "ALTER DATABASE nope ENCRYPTION ON"), /ERR: database not found: nope/);
  });

  it("drops what it has made", async () => {
    for (const ask of [served, plain])
      assert.equal(await ask("-execute", "DROP DATABASE enc; DROP DATABASE noenc; DROP DATABASE other"), "\n\n");
    assert.equal(await served("-execute", "SHOW DATABASES"), "name: databases\nname encrypted\n---- ---------\n");
  });
});
