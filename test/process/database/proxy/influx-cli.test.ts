import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { DatabaseProxy } from "../../../../src/database/proxy/proxy.ts";
import { CatalogueInMemory, skip as influxdMissing, type RunningInfluxd, startInfluxd } from "./running-influxd.ts";

const program = "/usr/bin/influx";
const skip = influxdMissing || (existsSync(program) ? false : `${program} is not there: install influxdb-client`);

describe("Debian's influx command line through the proxy", { skip }, () => {
  let influxd: RunningInfluxd;
  let proxy: DatabaseProxy;
  const catalogue = new CatalogueInMemory();
  before(async () => {
    influxd = await startInfluxd();
    proxy = await DatabaseProxy.open({ influxd, listen: { host: "127.0.0.1", port: 0 }, catalogue });
  });
  after(async () => {
    await proxy.close();
    await influxd.stop();
  });

  async function influx(q: string, ...args: readonly string[]): Promise<string> {
    const address = ["-host", "127.0.0.1", "-port", String(proxy.port)];
    return (await promisify(execFile)(program, [...address, ...args, "-execute", q])).stdout;
  }

  it("makes, fills, reads, shows, converts and drops databases", async () => {
    assert.equal((await influx("CREATE DATABASE enc WITH ENCRYPTION ON")).trim(), "");
    const options = "with name rp duration 30d replication 1 shard duration 1d";
    assert.equal((await influx(`create database enc2 encryption on ${options}`)).trim(), "");
    const shown = await influx("CREATE DATABASE noenc; SHOW DATABASES");
    assert.match(shown, /^name +encrypted\n-+ +-+\nenc +true\nenc2 +true\nnoenc +false$/m);
    await influx("INSERT cpu,h=a v=1 1", "-database", "enc");
    assert.match(await influx("SELECT * FROM cpu", "-database", "enc"), /^1 +a +1$/m);
    assert.match(await influx("SHOW DATABASES", "-format", "csv"), /^databases,enc,true$/m);
    assert.match(await influx("show retention policies on enc2"), /^rp +720h0m0s +24h0m0s +1 +true$/m);
    await influx("ALTER DATABASE noenc ENCRYPTION ON");
    await influx("DROP DATABASE enc");
    assert.match(await influx("SHOW DATABASES"), /^enc2 +true\nnoenc +true$/m);
    assert.deepEqual(catalogue.log, ["create enc", "create enc2", "convert noenc on", "drop enc"]);
  });

  it("is told why an encrypted database can't be made", async () => {
    catalogue.missing = "security.encryption.public-key is not set";
    const failed: { stdout: string; stderr: string } = await influx("CREATE DATABASE x WITH ENCRYPTION ON").then(
      (stdout) => ({ stdout, stderr: "" }),
      (error) => error,
    );
    assert.match(failed.stdout + failed.stderr, /security\.encryption\.public-key is not set/);
  });
});
