import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { recognise, stockText } from "../../../../src/database/influxql/recognise.ts";
import type { Statement } from "../../../../src/database/influxql/statement.ts";

function only(text: string, names: Readonly<Record<string, string>> = {}): Statement {
  const statements = recognise(text, (parameter) => names[parameter]) ?? [];
  assert.equal(statements.length, 1, text);
  const [statement] = statements;
  assert.ok(statement !== undefined);
  return statement;
}
const kinds = (text: string): readonly string[] => (recognise(text) ?? []).map((each) => each.kind);
const stock = (text: string): string =>
  stockText(text, recognise(text) ?? [])
    .replace(/ +/g, " ")
    .trim();

describe("CREATE DATABASE with an encryption clause", () => {
  it("becomes a statement that InfluxDB knows, of the same length", () => {
    for (const [text, expected] of [
      ["CREATE DATABASE enc WITH ENCRYPTION ON", "CREATE DATABASE enc"],
      ["create database enc encryption off", "create database enc"],
      ['CREATE DATABASE "a ""b" ENCRYPTION ON', 'CREATE DATABASE "a ""b" ENCRYPTION ON'],
      ['CREATE DATABASE "e\\"x" ENCRYPTION ON', 'CREATE DATABASE "e\\"x"'],
      ["CREATE DATABASE e ENCRYPTION ON WITH DURATION 1d NAME r", "CREATE DATABASE e WITH DURATION 1d NAME r"],
      ["CREATE DATABASE e WITH ENCRYPTION ON WITH NAME r", "CREATE DATABASE e WITH NAME r"],
      ["CREATE DATABASE e WITH DURATION 1d ENCRYPTION ON", "CREATE DATABASE e WITH DURATION 1d"],
      [
        'CREATE DATABASE e encryption on WITH NAME "r p" DURATION 3d REPLICATION 1 SHARD DURATION 1d',
        'CREATE DATABASE e WITH DURATION 3d REPLICATION 1 SHARD DURATION 1d NAME "r p"',
      ],
      ["CREATE DATABASE encryption ENCRYPTION ON", "CREATE DATABASE encryption"],
    ] as const) {
      assert.equal(stock(text), expected);
      assert.equal(stockText(text, recognise(text) ?? []).length, text.length);
    }
  });

  it("leaves the places of what follows as they were, over lines as well", () => {
    const text = "CREATE DATABASE e /* a\n b */ WITH\nENCRYPTION -- ;\n ON; SHOW x";
    assert.equal(
      stockText(text, recognise(text) ?? []),
      "CREATE DATABASE e /* a\n b */     \n           -- ;\n   ; SHOW x",
    );
  });

  it("is not seen in what only looks like one", () => {
    for (const text of [
      "CREATE DATABASE encryption",
      "CREATE DATABASE ENCRYPTION ON",
      'CREATE DATABASE x "ENCRYPTION" ON',
      'CREATE DATABASE x ENCRYPTION"" ON',
      "CREATE DATABASE x ENCRYPTION 'ON'",
      'CREATE DATABASE x ENCRYPTION "OFF"',
      "CREATE DATABASE x ENCRYPTION",
      "CREATE DATABASE x ENCRYPTION MAYBE",
      "CREATE DATABASE x ENCRYPTION ON OFF",
      "CREATE DATABASE x ENCRYPTION ON ENCRYPTION ON",
      "CREATE DATABASE x WITH WITH ENCRYPTION ON",
      "CREATE DATABASE x ENCRYPTION ON WITH",
      "CREATE DATABASE x ENCRYPTION ON NAME r",
      "CREATE DATABASE x ENCRYPTION ON WITH NAME r NAME s",
      "CREATE DATABASE x ENCRYPTION ON WITH SHARD 1d",
      "CREATE DATABASE x ENCRYPTION ON WITH DURATION",
      "CREATE DATABASE x ENCRYPTION ON WITH DURATION 1d WITH NAME r",
      "CREATE DATABASE 'x' ENCRYPTION ON",
      "CREATE x DATABASE ENCRYPTION ON",
      "-- CREATE DATABASE x ENCRYPTION ON",
      "SELECT a FROM b WHERE c = 'CREATE DATABASE x ENCRYPTION ON'",
      "CREATE USER encryption WITH PASSWORD ' ENCRYPTION ON'",
    ]) {
      const statements = recognise(text) ?? [];
      assert.equal(stockText(text, statements), text);
      for (const each of statements) if (each.kind === "create database") assert.equal(each.clause, undefined, text);
    }
  });

  it("takes its name from a bound parameter that is an identifier, and from no other", () => {
    const statement = only("CREATE DATABASE $n ENCRYPTION ON", { n: "bound" });
    assert.ok(statement.kind === "create database");
    assert.equal(statement.database, "bound");
    assert.equal(only("CREATE DATABASE $n ENCRYPTION ON").kind, "other");
  });
});

describe("other statements", () => {
  it("are told apart in any case and among comments", () => {
    const text =
      'show/**/databases; Drop Database x;;DROP SHARD 3; drop retention policy a on b; ALTER DATABASE "x" encryption off';
    assert.deepEqual(kinds(text), [
      "show databases",
      "drop database",
      "drop shard",
      "drop retention policy",
      "alter encryption",
    ]);
  });

  it("are no ALTER … ENCRYPTION when anything is missing, quoted or too much", () => {
    for (const text of [
      "ALTER DATABASE x ENCRYPTION",
      "ALTER DATABASE x ENCRYPTION ON OFF",
      'ALTER DATABASE x "ENCRYPTION" ON',
      'ALTER DATABASE x ENCRYPTION "off"',
      "ALTER DATABASE x WITH ENCRYPTION ON",
      "ALTER RETENTION POLICY x ON y DEFAULT",
    ])
      assert.deepEqual(kinds(text), ["other"], text);
  });

  it("end at semicolons that are none of a string, name, comment or regular expression", () => {
    for (const [text, count] of [
      ["SELECT a FROM b WHERE c =~ /;/; SHOW USERS", 2],
      ["SELECT a FROM b WHERE c =~ /\\/;/; SHOW USERS", 2],
      ["SELECT a FROM b WHERE c =~ /\\\\/; SHOW USERS", undefined],
      ["SELECT a/b FROM c; SHOW /* ; */ USERS -- ; x\r; SHOW STATS", 3],
      ["SELECT a FROM b WHERE c = ';' AND \";\" = 1", 1],
      ["SELECT a FROM b WHERE c = ',' / 2; SHOW USERS / 2", 2],
      ["SELECT mean(/;/) FROM /;/", 1],
      ["", 0],
      [" ;; -- x", 0],
    ] as const)
      assert.equal(recognise(text)?.length, count, text);
  });

  it("are not recognised at all in texts that InfluxDB's scanner refuses", () => {
    for (const text of [
      "SELECT 'a",
      'SELECT "a',
      "SELECT 'a\n'",
      "SELECT '\\x'",
      "/* a",
      "SELECT ~",
      "SELECT é",
      "SHOW\0USERS",
      "#",
    ])
      assert.equal(recognise(text), undefined, text);
  });
});

describe("the databases that a statement reads or writes", () => {
  it("are those of FROM, INTO, ON and the request's default", () => {
    for (const [text, named, byDefault] of [
      ["SELECT a FROM b", [], true],
      ["SELECT a FROM x.rp.b", ["x"], false],
      ['SELECT a FROM "x y"..b, z./re/, q.r./re/', ["x y", "q"], true],
      ["SELECT a INTO x.r.:MEASUREMENT FROM y..b", ["x", "y"], false],
      ["SELECT a INTO r.:MEASUREMENT FROM y..b", ["y"], true],
      ["SELECT a FROM (SELECT b FROM (SELECT c FROM p..q), s..t), u..v", ["p", "s", "u"], false],
      ["EXPLAIN ANALYZE SELECT a FROM x..b", ["x"], false],
      ["SHOW TAG VALUES ON x FROM b WITH KEY = k", ["x"], false],
      ["SHOW MEASUREMENTS", [], true],
      ["SHOW FIELD KEY CARDINALITY ON x", ["x"], false],
      ["CREATE CONTINUOUS QUERY c ON x BEGIN SELECT a INTO y.r.b FROM z..c END", ["y", "z", "x"], false],
      ["DELETE FROM b", [], true],
      ["DROP SERIES WHERE a = 'b'", [], true],
      ["DROP MEASUREMENT b", [], true],
      ['DROP RETENTION POLICY r ON "x y"', ["x y"], false],
      ['SELECT a FROM foo"x"..b', ["x"], false],
      ["SELECT x..y FROM z..b WHERE from_x = 'FROM x..y'", ["z"], false],
    ] as const) {
      const { uses } = only(text);
      assert.deepEqual([new Set(uses.named), uses.byDefault], [new Set(named), byDefault], text);
    }
  });

  it("are none for statements about the server, users and policies", () => {
    for (const text of [
      "SHOW DATABASES",
      "SHOW SHARDS",
      "SHOW RETENTION POLICIES ON x",
      "DROP DATABASE x",
      "CREATE RETENTION POLICY r ON x DURATION 1d REPLICATION 1",
      "GRANT ALL ON x TO u",
      "REVOKE ALL ON x FROM u",
      "CREATE SUBSCRIPTION s ON x.r DESTINATIONS ALL 'udp://h:1'",
      "KILL QUERY 1",
    ])
      assert.deepEqual(only(text).uses, { named: [], byDefault: false }, text);
  });

  it("are found through bound parameters", () => {
    assert.deepEqual(only("SELECT a FROM $d.$r.$m", { d: "x", r: "y", m: "z" }).uses.named, ["x"]);
  });
});
