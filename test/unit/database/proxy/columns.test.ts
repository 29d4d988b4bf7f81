import assert from "node:assert/strict";
import { Readable, type Transform } from "node:stream";
import { buffer } from "node:stream/consumers";
import { describe, it } from "node:test";
import fc from "fast-check";
import { EncryptedColumnInCsv } from "../../../../src/database/proxy/csv-column.ts";
import { EncryptedColumnInJson } from "../../../../src/database/proxy/json-column.ts";
import { scaled, seed } from "../../../run-settings.ts";

const isEncrypted = (name: string): boolean => name.startsWith("e");

/** What comes out when `text` goes in, in pieces that end at `cuts`. */
async function through(transform: Transform, text: string, cuts: readonly number[] = []): Promise<string> {
  const bytes = Buffer.from(text);
  const ends = [...new Set([...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort((a, b) => a - b);
  const pieces = ends.map((end, at) => bytes.subarray(ends[at - 1] ?? 0, end));
  return (await buffer(Readable.from(pieces).pipe(transform))).toString("utf8");
}

const answer = (values: readonly (readonly unknown[])[], id = 0, columns = ["name"], name = "databases") => ({
  statement_id: id,
  series: [{ name, columns, values }],
});
const names = fc.array(
  fc.string({ unit: "binary", minLength: 1, maxLength: 8 }).map((each) => `${each}e`),
  { maxLength: 5 },
);
const cuts = fc.array(fc.nat({ max: 100_000 }), { maxLength: 12 });

describe("the column encrypted in JSON", () => {
  it("is added to the named statements, compact and pretty, however the bytes are cut", async () => {
    await fc.assert(
      fc.asyncProperty(names, cuts, fc.boolean(), async (list, at, pretty) => {
        const other = {
          statement_id: 1,
          series: [{ name: "databases", columns: ["name"], values: [["e"], ['\\"]}']] }],
        };
        const indent = pretty ? 4 : 0;
        const input = { results: [answer(list.map((each) => [each])), other, { statement_id: 2, error: "x" }] };
        const added = answer(
          list.map((each) => [each, isEncrypted(each)]),
          0,
          ["name", "encrypted"],
        );
        const output = { results: [added, ...input.results.slice(1)] };
        const text = `${JSON.stringify(input, null, indent)}\n`;
        const got = await through(new EncryptedColumnInJson([0], isEncrypted), text, at);
        assert.equal(got, `${JSON.stringify(output, null, indent)}\n`);
      }),
      { seed, numRuns: scaled(4_000) },
    );
  });

  it("is added in every document of a chunked answer", async () => {
    const input = [answer([["e1"]]), answer([["p"]]), answer([["e"]], 1)].map((each) =>
      JSON.stringify({ results: [each] }),
    );
    const expected = [
      answer([["e1", true]], 0, ["name", "encrypted"]),
      answer([["p", false]], 0, ["name", "encrypted"]),
      answer([["e"]], 1),
    ].map((each) => JSON.stringify({ results: [each] }));
    const got = await through(new EncryptedColumnInJson([0], isEncrypted), `${input.join("\n")}\n`);
    assert.equal(got, `${expected.join("\n")}\n`);
  });

  it("is added where there is no database, and to no other series, column or depth", async () => {
    const empty = '{"results":[{"statement_id":0,"series":[{"name":"databases","columns":["name"]}]}]}';
    const got = await through(new EncryptedColumnInJson([0], isEncrypted), empty);
    assert.equal(got, empty.replace('["name"]', '["name","encrypted"]'));
    for (const text of [
      JSON.stringify({ results: [answer([["e"]], 0, ["name"], "measurements")] }),
      JSON.stringify({ results: [{ statement_id: 0, error: 'columns":["name"]' }] }),
      JSON.stringify({ results: [{ statement_id: 0, nested: [answer([["e"]])] }] }),
      JSON.stringify({ error: "authorization failed" }),
      '{"results":[{"statement_id":1,"series":[{"name":"cpu","columns":["time","v"],"values":[[1e21,9007199254740993],[1.0,-0]]}]}]}',
      "not JSON at all ]]}}\n",
      "",
    ])
      assert.equal(await through(new EncryptedColumnInJson([0], isEncrypted), text), text);
  });

  it("leaves any bytes that are not InfluxDB's JSON as they are, but for complete answers in them", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit: fc.constantFrom(...'{}[]":,\\ a1\n'), maxLength: 60 }),
        cuts,
        async (text, at) => {
          assert.equal(await through(new EncryptedColumnInJson([0], isEncrypted), text, at), text);
        },
      ),
      { seed, numRuns: scaled(10_000) },
    );
  });
});

describe("the column encrypted in CSV", () => {
  const csv = (text: string, at: readonly number[] = []) => through(new EncryptedColumnInCsv(isEncrypted), text, at);

  it("is added to header and rows, however the bytes are cut", async () => {
    await fc.assert(
      fc.asyncProperty(names, cuts, async (list, at) => {
        const rows = list.map((each) => `databases,,"${each.replaceAll('"', '""')}"`);
        const added = list.map((each, row) => `${rows[row]},${isEncrypted(each)}`);
        const before = "name,tags,time,v\ncpu,a=b,1,2\n\n";
        const input = `${before}${["name,tags,name", ...rows].join("\n")}\n\nname,tags,name\nmeasurements,,m\n`;
        const output = `${before}${["name,tags,name,encrypted", ...added].join("\n")}\n\nname,tags,name\nmeasurements,,m\n`;
        assert.equal(await csv(input, at), output);
      }),
      { seed, numRuns: scaled(4_000) },
    );
  });

  it("is added to a header without rows, at the end or before another answer", async () => {
    assert.equal(await csv("name,tags,name\n"), "name,tags,name,encrypted\n");
    assert.equal(await csv("name,tags,name\n\nname,tags,user\n"), "name,tags,name,encrypted\n\nname,tags,user\n");
  });

  it("is not added to errors, other answers or text without an end", async () => {
    for (const text of [
      "error\nauthorization failed\n",
      "name,tags,name\nmeasurements,,databases\n",
      "name,tags,name",
      "",
      "databases,,a,b\n",
    ])
      assert.equal(await csv(text), text);
  });
});
