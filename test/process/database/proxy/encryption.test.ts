import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { gunzipSync } from "node:zlib";
import { DatabaseProxy } from "../../../../src/database/proxy/proxy.ts";
import { exchange, header, query } from "./exchange.ts";
import { CatalogueInMemory, type RunningInfluxd, skip, startInfluxd } from "./running-influxd.ts";

const form = { "Content-Type": "application/x-www-form-urlencoded" };

describe("encryption clauses through the proxy", { skip }, () => {
  let influxd: RunningInfluxd;
  let proxy: DatabaseProxy;
  let port: number;
  const catalogue = new CatalogueInMemory();
  before(async () => {
    influxd = await startInfluxd();
    proxy = await DatabaseProxy.open({ influxd, listen: { host: "127.0.0.1", port: 0 }, catalogue });
    port = proxy.port;
  });
  afterEach(async () => {
    catalogue.missing = undefined;
    catalogue.failsWith = undefined;
    catalogue.beforeCreate = async () => {};
    for (const name of await databases()) await query(influxd.port, `DROP DATABASE ${JSON.stringify(name)}`);
    catalogue.rules.clear();
    catalogue.log.length = 0;
  });
  after(async () => {
    await proxy.close();
    await influxd.stop();
  });

  async function databases(): Promise<readonly string[]> {
    const answer = JSON.parse((await query(influxd.port, "SHOW DATABASES")).text);
    return (answer.results[0].series[0].values ?? []).map((row: readonly string[]) => row[0]);
  }
  async function errorOf(q: string, more: Readonly<Record<string, string>> = {}): Promise<string | undefined> {
    const answer = JSON.parse((await query(port, q, more)).text);
    return answer.error ?? answer.results.find((each: { error?: string }) => each.error !== "not executed")?.error;
  }

  it("make an encrypted database, wherever the query stands in the request", async () => {
    const q = 'create /* x */ database "a b" with ENCRYPTION on';
    const multipart = (headers: string): string => `--x\r\n${headers}\r\n\r\n${q}\r\n--x--\r\n`;
    const requests = [
      { target: `/query?q=${encodeURIComponent(q)}` },
      { method: "POST", target: `/query?pretty=true&q=${encodeURIComponent(q)}&epoch=s` },
      { method: "POST", target: "/query?q=SHOW+USERS", headers: form, body: `a=b&q=${q.replaceAll(" ", "+")}&q=x&db=` },
      {
        method: "POST",
        target: "/query",
        headers: { "Content-Type": "multipart/form-data; boundary=x" },
        body: multipart('Content-Disposition: form-data; name="q"'),
      },
      {
        method: "POST",
        target: "/query",
        headers: { "Content-Type": 'multipart/form-data; boundary="x"' },
        body: multipart('Content-Disposition: form-data; name="q"; filename="queries.txt"\r\nContent-Type: text/plain'),
      },
    ];
    for (const request of requests) {
      const answer = await exchange(port, request);
      assert.equal(answer.status, 200, answer.text);
      assert.doesNotMatch(answer.text, /error/);
      assert.deepEqual([[...catalogue.rules], await databases()], [["a b"], ["a b"]], request.target);
      assert.equal(await errorOf('DROP DATABASE "a b"'), undefined);
      assert.deepEqual([[...catalogue.rules], await databases()], [[], []]);
    }
  });

  it("take the name from a bound parameter", async () => {
    const params = JSON.stringify({ name: { identifier: "bound" } });
    assert.equal(await errorOf("CREATE DATABASE $name WITH ENCRYPTION ON", { params }), undefined);
    assert.deepEqual([...catalogue.rules], ["bound"]);
  });

  it("keep the options of the retention policy, in the manual's order", async () => {
    const q = "CREATE DATABASE enc encryption on WITH NAME rp DURATION 30d REPLICATION 1 SHARD DURATION 1d";
    assert.equal(await errorOf(q), undefined);
    const policies = await query(port, "SHOW RETENTION POLICIES ON enc");
    assert.match(policies.text, /\["rp","720h0m0s","24h0m0s",1,true\]/);
  });

  it("stand among other statements, each of which is answered", async () => {
    const answer = await query(port, "CREATE DATABASE p; CREATE DATABASE e WITH ENCRYPTION ON -- ;\n; SHOW DATABASES");
    assert.deepEqual(JSON.parse(answer.text).results, [
      { statement_id: 0 },
      { statement_id: 1 },
      {
        statement_id: 2,
        series: [
          {
            name: "databases",
            columns: ["name", "encrypted"],
            values: [
              ["p", false],
              ["e", true],
            ],
          },
        ],
      },
    ]);
  });

  it("make the rule before influxd hears of the database", async () => {
    let seen: readonly string[] | undefined;
    catalogue.beforeCreate = async () => {
      seen = await databases();
    };
    await query(port, "CREATE DATABASE enc WITH ENCRYPTION ON");
    assert.deepEqual(seen, []);
  });

  it("show the column in pretty, chunked, CSV and compressed answers", async () => {
    await query(port, 'CREATE DATABASE "a,b" WITH ENCRYPTION ON; CREATE DATABASE p');
    const ask = (parameters: string, headers: Readonly<Record<string, string>> = {}) =>
      exchange(port, { target: `/query?q=SHOW%20DATABASES&${parameters}`, headers });
    const expected = {
      results: [
        {
          statement_id: 0,
          series: [
            {
              name: "databases",
              columns: ["name", "encrypted"],
              values: [
                ["a,b", true],
                ["p", false],
              ],
            },
          ],
        },
      ],
    };
    assert.equal((await ask("pretty=true")).text, `${JSON.stringify(expected, null, 4)}\n`);
    assert.equal((await ask("epoch=ns")).text, `${JSON.stringify(expected)}\n`);
    assert.deepEqual(JSON.parse((await ask("chunked=true&chunk_size=1")).text), expected);
    const zipped = await ask("", { "Accept-Encoding": "gzip" });
    assert.equal(header(zipped, "content-encoding"), "gzip");
    assert.equal(gunzipSync(zipped.bytes).toString(), `${JSON.stringify(expected)}\n`);
    const csv = await ask("", { Accept: "application/csv" });
    assert.equal(csv.text, 'name,tags,name,encrypted\ndatabases,,"a,b",true\ndatabases,,p,false\n');
  });

  it("leave msgpack as it is", async () => {
    await query(port, "CREATE DATABASE p");
    const request = { target: "/query?q=SHOW%20DATABASES", headers: { Accept: "application/x-msgpack" } };
    assert.deepEqual((await exchange(port, request)).bytes, (await exchange(influxd.port, request)).bytes);
  });

  it("are refused where influxd refuses the request, without a rule and with the place as written", async () => {
    const answer = await query(port, "CREATE DATABASE enc WITH ENCRYPTION ON; SELECT");
    assert.equal(answer.status, 400);
    const place = "found EOF, expected identifier, string, number, bool at line 1, char 48";
    assert.deepEqual(JSON.parse(answer.text), { error: `error parsing query: ${place}` });
    assert.equal(header(answer, "x-influxdb-error"), `error parsing query: ${place}`);
    assert.deepEqual(catalogue.log, []);
    for (const q of ["CREATE DATABASE enc WITH ENCRYPTION", "CREATE DATABASE enc ENCRYPTION MAYBE", "ALTER DATABASE x"])
      assert.match((await errorOf(q)) ?? "", /error parsing query/);
    assert.deepEqual([catalogue.log, await databases()], [[], []]);
  });

  it("are refused when the database exists with the other setting, and accepted with the same", async () => {
    await query(port, "CREATE DATABASE p; CREATE DATABASE e WITH ENCRYPTION ON");
    assert.match(
      (await errorOf("CREATE DATABASE p WITH ENCRYPTION ON")) ?? "",
      /"p" exists already and is not encrypted/,
    );
    assert.match((await errorOf("CREATE DATABASE e ENCRYPTION OFF")) ?? "", /"e" exists already and is encrypted/);
    assert.equal(await errorOf("CREATE DATABASE e ENCRYPTION ON; CREATE DATABASE p ENCRYPTION OFF"), undefined);
    assert.equal(await errorOf("CREATE DATABASE e"), undefined);
    assert.deepEqual([...catalogue.rules], ["e"]);
  });

  it("leave no rule when influxd does not know the path, however it is written", async () => {
    const target = `/%71uery?q=${encodeURIComponent("CREATE DATABASE x ENCRYPTION ON")}`;
    const { status } = await exchange(port, { target });
    assert.deepEqual([...catalogue.rules], status === 200 ? ["x"] : []);
    assert.deepEqual(await databases(), status === 200 ? ["x"] : []);
  });

  it("are refused for _internal, for names that no folder can have, and for a database named twice", async () => {
    assert.match((await errorOf("CREATE DATABASE _internal WITH ENCRYPTION ON")) ?? "", /can't be encrypted/);
    for (const name of ["..", "a/b", "a\\\\b", ""]) {
      const error = await errorOf(`CREATE DATABASE "${name}" WITH ENCRYPTION ON`);
      assert.equal(error, "invalid name", name);
    }
    const twice = "CREATE DATABASE e WITH ENCRYPTION ON; DROP DATABASE e; CREATE DATABASE e";
    assert.match((await errorOf(twice)) ?? "", /send them apart/);
    assert.match((await errorOf("CREATE DATABASE e ENCRYPTION ON", { async: "true" })) ?? "", /async/);
    assert.deepEqual([catalogue.log, await databases()], [[], []]);
  });

  it("leave no rule when influxd did not come to the statement", async () => {
    const q = "CREATE RETENTION POLICY r ON nope DURATION 1d REPLICATION 1; CREATE DATABASE enc WITH ENCRYPTION ON";
    assert.equal((await query(port, q)).status, 200);
    assert.deepEqual(catalogue.log, ["create enc", "drop enc"]);
    assert.deepEqual([[...catalogue.rules], await databases()], [[], []]);
  });

  it("make no database when the rule can't be made", async () => {
    catalogue.failsWith = "the disk is full";
    assert.match((await errorOf("CREATE DATABASE enc WITH ENCRYPTION ON")) ?? "", /the disk is full/);
    assert.deepEqual([[...catalogue.rules], await databases()], [[], []]);
  });

  it("clear away a rule that an unfinished creation left, before a plain database takes the name", async () => {
    catalogue.rules.add("left");
    assert.equal(await errorOf("CREATE DATABASE left"), undefined);
    assert.deepEqual([catalogue.log, await databases()], [["drop left"], ["left"]]);
    catalogue.rules.add("other");
    assert.equal(await errorOf("CREATE DATABASE other WITH ENCRYPTION ON"), undefined);
    assert.ok(catalogue.isEncrypted("other"));
  });

  it("of one database at once are taken one after the other", async () => {
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, at) => query(port, `CREATE DATABASE x ENCRYPTION ${at % 2 === 0 ? "ON" : "OFF"}`)),
    );
    const failed = answers.filter((each) => each.text.includes("exists already")).length;
    assert.equal(failed, 10);
    assert.equal(catalogue.log.length, catalogue.isEncrypted("x") ? 1 : 0);
  });

  it("convert with ALTER, which has to be alone", async () => {
    await query(port, "CREATE DATABASE p");
    const answer = await query(port, "ALTER DATABASE p ENCRYPTION ON");
    assert.deepEqual([answer.status, answer.text], [200, '{"results":[{"statement_id":0}]}\n']);
    assert.deepEqual(catalogue.log, ["convert p on"]);
    assert.equal(await errorOf('alter database "p" encryption OFF;'), undefined);
    assert.deepEqual(catalogue.log, ["convert p on", "convert p off"]);
    assert.equal(await errorOf("ALTER DATABASE nope ENCRYPTION ON"), "database not found: nope");
    assert.match((await errorOf("ALTER DATABASE p ENCRYPTION ON; SHOW DATABASES")) ?? "", /only statement/);
    catalogue.failsWith = "a conversion is running";
    assert.match((await errorOf("ALTER DATABASE p ENCRYPTION ON")) ?? "", /a conversion is running/);
  });

  it("have keys swept after a shard or policy is dropped, and only when influxd took the request", async () => {
    await query(port, "CREATE DATABASE e WITH ENCRYPTION ON");
    for (const q of ["DROP SHARD 1", 'DROP RETENTION POLICY "autogen" ON e', "DROP SHARD x", "DROP RETENTION POLICY"])
      await query(port, q);
    assert.deepEqual(catalogue.log, ["create e", "sweep", "sweep"]);
  });

  it("are refused without settings, and so are reading and writing; other databases go on", async () => {
    await query(port, "CREATE DATABASE p; CREATE DATABASE e WITH ENCRYPTION ON");
    catalogue.missing = "security.encryption.public-key is not set";
    const create = await query(port, "CREATE DATABASE f WITH ENCRYPTION ON");
    assert.deepEqual(
      [create.status, JSON.parse(create.text)],
      [
        200,
        {
          results: [
            {
              statement_id: 0,
              error: 'unable to create encrypted database "f": security.encryption.public-key is not set',
            },
          ],
        },
      ],
    );
    const write = (db: string) => exchange(port, { method: "POST", target: `/write?db=${db}`, body: "m v=1" });
    const refused = await write("e");
    assert.equal(refused.status, 503);
    assert.deepEqual(JSON.parse(refused.text), {
      error: 'database "e" is encrypted: security.encryption.public-key is not set',
    });
    assert.equal((await write("p")).status, 204);
    const uses: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
      ["SELECT * FROM m", { db: "e" }],
      ["SELECT * FROM p..m, (SELECT * FROM e..m)", { db: "p" }],
      ["SELECT * INTO e.autogen.n FROM m", { db: "p" }],
      ["SHOW MEASUREMENTS ON e", { db: "p" }],
      ["DROP SERIES FROM m", { db: "e" }],
      ["SELECT * FROM p..m; SELECT * FROM e..m", {}],
    ];
    for (const [q, more] of uses)
      assert.match((await errorOf(q, more)) ?? "", /"e" is encrypted: security\.encryption\.public-key is not set/, q);
    assert.equal(await errorOf("SELECT * FROM m", { db: "p" }), undefined);
    assert.equal(await errorOf("SELECT e FROM m WHERE e = 'e'", { db: "p" }), undefined);
    assert.match((await query(port, "SHOW DATABASES")).text, /\["e",true\]/);
    assert.equal(await errorOf("CREATE DATABASE q"), undefined);
  });

  it("lose no shard and no policy without settings, whose data and keys would stay; other databases do", async () => {
    await query(port, "CREATE DATABASE p; CREATE DATABASE e WITH ENCRYPTION ON");
    for (const db of ["p", "e"]) await exchange(port, { method: "POST", target: `/write?db=${db}`, body: "m v=1" });
    const shards = JSON.parse((await query(port, "SHOW SHARDS")).text).results[0].series;
    const shardOf = (name: string) => shards.find((each: { name: string }) => each.name === name).values[0][0];
    catalogue.missing = "security.encryption.public-key is not set";
    const drop = `DROP SHARD ${shardOf("e")}`;
    for (const q of [
      drop,
      drop.replace("SHARD ", "SHARD /**/ 00"),
      `SHOW USERS; ${drop}`,
      'DROP RETENTION POLICY "autogen" ON e',
      "DROP RETENTION POLICY none ON p; DROP RETENTION POLICY autogen ON e",
    ])
      assert.match((await errorOf(q)) ?? "", /"e" is encrypted: security\.encryption\.public-key is not set/, q);
    assert.equal(await errorOf(`DROP SHARD ${shardOf("p")}`), undefined);
    assert.equal(await errorOf("DROP RETENTION POLICY autogen ON p"), undefined);
    catalogue.missing = undefined;
    assert.match((await query(port, "SHOW SHARDS")).text, /"autogen"/);
    assert.match((await query(port, "SELECT v FROM e..m")).text, /"values"/);
  });

  it("are refused when two InfluxDB versions would read two queries", async () => {
    const target = "/query?q=CREATE%20DATABASE%20x%20ENCRYPTION%20ON;&db=a";
    const answer = await exchange(port, { method: "POST", target });
    assert.equal(answer.status, 400);
    assert.match(answer.text, /%3B/);
    const plain = "/query?q=SHOW%20USERS;&db=a";
    assert.equal(
      (await exchange(port, { target: plain })).text,
      (await exchange(influxd.port, { target: plain })).text,
    );
  });
});
