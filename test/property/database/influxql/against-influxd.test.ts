import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import fc from "fast-check";
import { recognise, stockText } from "../../../../src/database/influxql/recognise.ts";
import { scan } from "../../../../src/database/influxql/tokens.ts";
import { type RunningInfluxd, skip, startInfluxd } from "../../../process/database/proxy/running-influxd.ts";
import { scaled, seed } from "../../../run-settings.ts";
import { queryText, statementWithClause, validStatement } from "./query-texts.ts";

describe("the recogniser of InfluxQL, against influxd itself", { skip }, () => {
  let influxd: RunningInfluxd;
  before(async () => {
    influxd = await startInfluxd();
  });
  after(() => influxd.stop());

  /** Whether influxd parses a text, and how many statements it sees; the first statement fails, so that none of it runs. */
  async function parse(text: string): Promise<{ readonly error?: string; readonly statements: number }> {
    const response = await fetch(`http://${influxd.host}:${influxd.port}/query`, {
      method: "POST",
      body: new URLSearchParams({ q: `KILL QUERY 0;${text}\n;SHOW DATABASES`, db: "fuzz", chunked: "true" }),
    });
    const body = await response.text();
    if (response.status !== 200) return { error: JSON.parse(body).error, statements: 0 };
    // One answer for the failure, then "not executed" once for each statement but the last.
    return { statements: body.split('"statement_id"').length - 1 - 2 };
  }

  it("never changes a text without an encryption clause", () => {
    fc.assert(
      fc.property(queryText, (text) => {
        const statements = recognise(text);
        const hasClause = statements?.some((each) => each.kind === "create database" && each.clause !== undefined);
        if (statements !== undefined && hasClause !== true) assert.equal(stockText(text, statements), text);
      }),
      { seed, numRuns: scaled(20_000) },
    );
  });

  it("sees as many statements as influxd in every text that influxd accepts", async () => {
    let accepted = 0;
    await fc.assert(
      fc.asyncProperty(queryText, async (text) => {
        const { error, statements } = await parse(text);
        if (error !== undefined) return;
        accepted += 1;
        assert.equal(recognise(text)?.length, statements);
      }),
      { seed, numRuns: scaled(20_000) },
    );
    assert.ok(accepted > scaled(20_000) / 20, `${accepted} accepted texts are too few to say anything`);
  });

  it("finds no encryption clause in any text that influxd accepts", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(validStatement, { minLength: 1, maxLength: 4 }), async (parts) => {
        const text = parts.join(";");
        assert.equal((await parse(text)).error, undefined, text);
        const statements = recognise(text) ?? [];
        assert.equal(statements.length, parts.length);
        assert.equal(stockText(text, statements), text);
        for (const each of statements) assert.notEqual(each.kind, "alter encryption");
      }),
      { seed, numRuns: scaled(4_000) },
    );
  });

  it("makes of every encryption clause a text that influxd accepts, of the same length, with the neighbours as they were", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(validStatement, { maxLength: 2 }),
        statementWithClause,
        fc.array(validStatement, { maxLength: 2 }),
        async (left, { text: made, on, database }, right) => {
          const text = [...left, made, ...right].join(";");
          const statements = recognise(text) ?? [];
          const found = statements[left.length];
          assert.ok(found?.kind === "create database", text);
          assert.deepEqual([found.database, found.clause?.on], [database, on]);
          const stock = stockText(text, statements);
          assert.equal(stock.length, text.length);
          assert.deepEqual(stock.slice(0, found.start), text.slice(0, found.start));
          assert.deepEqual(stock.slice(found.end), text.slice(found.end));
          assert.notEqual((await parse(text)).error, undefined, `influxd knows the clause: ${text}`);
          assert.deepEqual(await parse(stock), { statements: left.length + right.length + 1 }, stock);
        },
      ),
      { seed, numRuns: scaled(4_000) },
    );
  });

  it("takes for scannable whatever influxd scans, byte soup included", async () => {
    const soup = fc.string({ unit: fc.constantFrom(..."\"'/\\*-;:=~!$.,()[] \t\n\raA1µé_x"), maxLength: 24 });
    await fc.assert(
      fc.asyncProperty(soup, async (text) => {
        const { error, statements } = await parse(`SELECT a FROM b WHERE c = ${text}`);
        if (error !== undefined) return;
        assert.equal(scan(`SELECT a FROM b WHERE c = ${text}`) === undefined, false);
        assert.equal(recognise(`SELECT a FROM b WHERE c = ${text}`)?.length, statements);
      }),
      { seed, numRuns: scaled(10_000) },
    );
  });
});
