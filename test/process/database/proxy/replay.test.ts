import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import fc from "fast-check";
import { recognise } from "../../../../src/database/influxql/recognise.ts";
import { DatabaseProxy } from "../../../../src/database/proxy/proxy.ts";
import { queryText } from "../../../property/database/influxql/query-texts.ts";
import { scaled, seed } from "../../../run-settings.ts";
import { type Answer, exchange, type Question } from "./exchange.ts";
import { CatalogueInMemory, type RunningInfluxd, skip, startInfluxd } from "./running-influxd.ts";

interface Recorded {
  readonly id: string;
  readonly compare: string;
  readonly request: {
    readonly method: string;
    readonly path: string;
    readonly query: Readonly<Record<string, string>>;
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: string;
  };
  readonly response: {
    readonly status: number;
    readonly headers: Readonly<Record<string, string>>;
    readonly body: string;
  };
}

const vectors: { readonly volatile_headers: readonly string[]; readonly cases: readonly Recorded[] } = JSON.parse(
  readFileSync(new URL("../../../vectors/influx-exchanges.json", import.meta.url), "utf8"),
);
const volatile = new Set([...vectors.volatile_headers.map((name) => name.toLowerCase()), "connection", "keep-alive"]);

describe("recorded exchanges with InfluxDB, through the proxy and without it", { skip }, () => {
  let plain: RunningInfluxd;
  let behind: RunningInfluxd;
  let proxy: DatabaseProxy;
  const catalogue = new CatalogueInMemory();

  before(async () => {
    [plain, behind] = await Promise.all([startInfluxd(), startInfluxd()]);
    proxy = await DatabaseProxy.open({ influxd: behind, listen: { host: "127.0.0.1", port: 0 }, catalogue });
  });
  after(async () => {
    await proxy.close();
    await Promise.all([plain.stop(), behind.stop()]);
  });

  it("are the same but for what encryption adds", async () => {
    for (const { id, compare, request, response } of vectors.cases) {
      const query = new URLSearchParams(request.query).toString();
      const ask = (port: number): Promise<Answer> =>
        exchange(port, {
          method: request.method,
          target: `${request.path}${query === "" ? "" : `?${query}`}`,
          headers: { ...request.headers },
          body: request.body,
        });
      const [direct, proxied] = [await ask(plain.port), await ask(proxy.port)];
      assert.equal(direct.status, response.status, `case ${id}: this influxd answers unlike the recorded one`);
      if (compare === "differs-by-design") {
        assert.deepEqual([proxied.status, JSON.parse(proxied.text)], [200, { results: [{ statement_id: 0 }] }]);
        assert.ok(catalogue.isEncrypted("enc"));
        // Brings the other one to the same state.
        await exchange(plain.port, { method: "POST", target: "/query?q=CREATE%20DATABASE%20enc" });
        continue;
      }
      assert.equal(proxied.status, direct.status, `case ${id}`);
      assert.deepEqual(headersOf(proxied), headersOf(direct), `case ${id}`);
      if (!/\bSHOW DATABASES\b/.test(request.query.q ?? "")) {
        if (compare === "exact") assert.equal(proxied.text, direct.text, `case ${id}`);
        continue;
      }
      const added = JSON.parse(proxied.text);
      const series = added.results[0].series[0];
      assert.equal(series.columns.pop(), "encrypted", `case ${id}`);
      for (const row of series.values ?? []) assert.equal(row.pop(), row[0] === "enc", `case ${id}`);
      assert.equal(`${JSON.stringify(added)}\n`, direct.text, `case ${id}`);
    }
  });
});

describe("any query text without an encryption clause", { skip }, () => {
  let plain: RunningInfluxd;
  let behind: RunningInfluxd;
  let proxy: DatabaseProxy;
  before(async () => {
    [plain, behind] = await Promise.all([startInfluxd(), startInfluxd()]);
    const catalogue = new CatalogueInMemory();
    proxy = await DatabaseProxy.open({ influxd: behind, listen: { host: "127.0.0.1", port: 0 }, catalogue });
  });
  after(async () => {
    await proxy.close();
    await Promise.all([plain.stop(), behind.stop()]);
  });

  it("is answered as by influxd itself, and does the same", async () => {
    const ways = fc.constantFrom("form", "target", "chunked");
    await fc.assert(
      fc.asyncProperty(queryText, ways, async (text, way) => {
        const statements = recognise(text) ?? [];
        const changes = statements.some(
          (each) => each.kind === "alter encryption" || (each.kind === "create database" && each.clause !== undefined),
        );
        fc.pre(!changes);
        const more = way === "chunked" ? "&chunked=true" : "";
        const q = `q=${encodeURIComponent(text)}${more}`;
        const headers = { "Content-Type": "application/x-www-form-urlencoded" };
        const question: Question =
          way === "form"
            ? { method: "POST", target: "/query?db=a", headers, body: q }
            : { method: way === "target" ? "GET" : "POST", target: `/query?db=a&${q}` };
        // influxd itself sends control characters in X-Influxdb-Error; the proxy never does.
        const direct = await exchange(plain.port, { ...question, lenient: true });
        const proxied = await exchange(proxy.port, question);
        assert.equal(proxied.status, direct.status);
        assert.equal(withoutColumn(proxied.text), direct.text);
      }),
      { seed, numRuns: scaled(6_000), endOnFailure: true },
    );
  });
});

/** Takes the column off compact JSON, where all databases are plain. */
function withoutColumn(text: string): string {
  return text.replaceAll('"name","encrypted"]', '"name"]').replaceAll('",false]', '"]');
}

/** In the order sent. InfluxDB itself puts the methods it allows in any order. */
function headersOf(answer: Answer): readonly string[] {
  return answer.headers
    .filter(([name]) => !volatile.has(name.toLowerCase()))
    .map(([name, value]) => `${name}: ${name === "Allow" ? value.split(", ").sort().join(", ") : value}`);
}
