import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { DatabaseProxy } from "../../../../src/database/proxy/proxy.ts";
import { type Answer, exchange } from "./exchange.ts";
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

/** In the order sent. InfluxDB itself puts the methods it allows in any order. */
function headersOf(answer: Answer): readonly string[] {
  return answer.headers
    .filter(([name]) => !volatile.has(name.toLowerCase()))
    .map(([name, value]) => `${name}: ${name === "Allow" ? value.split(", ").sort().join(", ") : value}`);
}
