import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { DatabaseProxy } from "../../../../src/database/proxy/proxy.ts";
import { type Answer, exchange, header, query } from "./exchange.ts";
import { CatalogueInMemory, type RunningInfluxd, skip, startInfluxd } from "./running-influxd.ts";

const password = "pw & 1";
const create = "CREATE DATABASE enc WITH ENCRYPTION ON";

describe("users of an encrypted database", { skip }, () => {
  let influxd: RunningInfluxd;
  let proxy: DatabaseProxy;
  const catalogue = new CatalogueInMemory();

  /** As a user, with the credentials in the target. */
  function as(user: string, q: string, more: Readonly<Record<string, string>> = {}): Promise<Answer> {
    const target = `/query?${new URLSearchParams({ u: user, p: password })}`;
    const headers = { "Content-Type": "application/x-www-form-urlencoded" };
    const body = new URLSearchParams({ q, ...more }).toString();
    return exchange(proxy.port, { method: "POST", target, headers, body });
  }

  before(async () => {
    influxd = await startInfluxd({ auth: true });
    proxy = await DatabaseProxy.open({ influxd, listen: { host: "127.0.0.1", port: 0 }, catalogue });
  });
  after(async () => {
    await proxy.close();
    await influxd.stop();
  });

  it("have to be made first: without any, influxd refuses and no rule is made", async () => {
    const answer = await query(proxy.port, create);
    assert.equal(answer.status, 403);
    assert.match(answer.text, /create admin user first/);
    assert.deepEqual(catalogue.log, []);
    await query(proxy.port, `CREATE USER root WITH PASSWORD '${password}' WITH ALL PRIVILEGES`);
    await as("root", `CREATE USER reader WITH PASSWORD '${password}'; CREATE USER nobody WITH PASSWORD '${password}'`);
  });

  it("get no rule without credentials, with wrong ones or without the privilege", async () => {
    const without = await query(proxy.port, create);
    assert.equal(without.status, 401);
    assert.equal(header(without, "www-authenticate"), 'Basic realm="InfluxDB"');
    const direct = await query(influxd.port, create.replace(" WITH ENCRYPTION ON", ""));
    assert.equal(without.text, direct.text);
    const headers = { Authorization: `Basic ${Buffer.from("root:wrong").toString("base64")}` };
    const target = `/query?q=${encodeURIComponent(create)}`;
    assert.equal((await exchange(proxy.port, { method: "POST", target, headers })).status, 401);
    const forbidden = await as("reader", create);
    assert.equal(forbidden.status, 403);
    assert.match(
      forbidden.text,
      /execute statement 'CREATE DATABASE enc WITH ENCRYPTION ON', requires admin privilege/,
    );
    assert.equal((await as("reader", "ALTER DATABASE enc ENCRYPTION ON")).status, 403);
    assert.deepEqual(catalogue.log, []);
  });

  it("with the privilege make one, in any of the two ways to say who they are", async () => {
    const headers = { Authorization: `Basic ${Buffer.from(`root:${password}`).toString("base64")}` };
    const target = `/query?q=${encodeURIComponent(create)}`;
    const answer = await exchange(proxy.port, { method: "POST", target, headers });
    assert.equal(answer.text, '{"results":[{"statement_id":0}]}\n');
    assert.equal((await as("root", "CREATE DATABASE other ENCRYPTION ON; GRANT READ ON enc TO reader")).status, 200);
    assert.deepEqual(catalogue.log, ["create enc", "create other"]);
  });

  it("see the column for the databases that they may see", async () => {
    assert.match((await as("reader", "SHOW DATABASES")).text, /"values":\[\["enc",true\]\]/);
    assert.doesNotMatch((await as("nobody", "SHOW DATABASES")).text, /"enc"/);
  });

  it("do not learn from a refusal that a database they may not see is encrypted", async () => {
    catalogue.missing = "security.encryption.public-key is not set";
    const read = "SELECT * FROM m";
    assert.match((await as("reader", read, { db: "enc" })).text, /is encrypted: security/);
    const refused = await as("nobody", read, { db: "enc" });
    assert.equal(refused.status, 403);
    assert.doesNotMatch(refused.text, /encrypted/);
    const write = await exchange(proxy.port, { method: "POST", target: "/write?db=enc", body: "m v=1" });
    assert.equal(write.status, 401);
    catalogue.missing = undefined;
  });

  it("keep the key of a database that they made and may no longer see", async () => {
    await as("root", `CREATE USER passing WITH PASSWORD '${password}' WITH ALL PRIVILEGES`);
    const q = "CREATE DATABASE kept WITH ENCRYPTION ON; REVOKE ALL PRIVILEGES FROM passing";
    assert.equal((await as("passing", q)).status, 200);
    assert.doesNotMatch((await as("passing", "SHOW DATABASES")).text, /kept/);
    assert.match((await as("root", "SHOW DATABASES")).text, /\["kept",true\]/);
  });

  it("can't drop what they may not, nor destroy its keys", async () => {
    assert.equal((await as("reader", "DROP DATABASE enc")).status, 403);
    assert.ok(catalogue.isEncrypted("enc"));
    assert.equal((await as("root", "DROP DATABASE enc")).status, 200);
    assert.equal(catalogue.isEncrypted("enc"), false);
  });
});
