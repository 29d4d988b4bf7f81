import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { parse } from "smol-toml";
import { influxdConfig, readInfluxdConfig } from "../../../../src/database/instance/influxd-config.ts";
import { findInfluxd } from "../../../../src/database/instance/influxd-program.ts";

const folder = mkdtempSync(join(tmpdir(), "strongroom-influxd-config-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const places = { dataFolder: "/volume/data", backupPort: 40001 };

function file(name: string, text: string, mode = 0o600): string {
  const path = join(folder, name);
  writeFileSync(path, text, { mode });
  return path;
}

describe("influxd's configuration", () => {
  it("writes to the volume only, is reached from this machine only, and logs no query", () => {
    const config = parse(influxdConfig({}, places)) as Record<string, Record<string, unknown>>;
    assert.equal(config["bind-address"], "127.0.0.1:40001");
    assert.equal(config.http?.["bind-address"], "127.0.0.1:0");
    assert.equal(config.meta?.dir, "/volume/data/meta");
    assert.equal(config.data?.dir, "/volume/data/data");
    assert.equal(config.data?.["wal-dir"], "/volume/data/wal");
    assert.equal(config.data?.["query-log-enabled"], false);
    assert.equal(config.http?.["log-enabled"], false);
    assert.equal(config["reporting-disabled"], true);
  });

  it("takes an operator's settings, but none that moves files, opens a door or writes outside", () => {
    const given = readInfluxdConfig(
      file(
        "influxdb.conf",
        `bind-address = "0.0.0.0:8088"
[meta]
dir = "/elsewhere"
[data]
dir = "/elsewhere"
index-version = "tsi1"
query-log-enabled = true
query-log-path = "/var/log/elsewhere.log"
[http]
bind-address = ":8086"
auth-enabled = true
access-log-path = "/var/log/access.log"
unix-socket-enabled = true
https-enabled = true
[[graphite]]
enabled = true
`,
      ),
    );
    const config = parse(influxdConfig(given, places)) as Record<string, Record<string, unknown>>;
    assert.equal(config.data?.["index-version"], "tsi1");
    assert.equal(config.data?.["query-log-enabled"], true);
    assert.equal(config.http?.["auth-enabled"], true);
    assert.equal(JSON.stringify(config.graphite), '[{"enabled":true}]');
    const text = JSON.stringify(config);
    for (const wrong of ["elsewhere", "0.0.0.0", "access.log", '":8086"']) assert.ok(!text.includes(wrong), wrong);
    assert.equal(config.http?.["unix-socket-enabled"], false);
    assert.equal(config.http?.["https-enabled"], false);
  });

  for (const [what, text] of [
    ["a table", '[Data]\ndir = "/elsewhere"\n'],
    ["a name in a table", '[data]\nWAL-Dir = "/elsewhere"\n'],
    ["a name of the first level", 'Bind-Address = "0.0.0.0:8088"\n'],
    ["a letter that folds to one of ASCII", '[http]\n"acce\u017fs-log-path" = "/elsewhere"\n'],
    ["a name in one of several tables", "[[graphite]]\nenabled = false\n[[graphite]]\nEnabled = true\n"],
  ] as const)
    it(`is refused with ${what} in another spelling, which influxd would take for one that is fixed`, () => {
      assert.throws(() => readInfluxdConfig(file("spelt", text)), { code: "SETTINGS_INVALID", message: /lower case/ });
    });

  it("may name headers of HTTP as they are", () => {
    const given = readInfluxdConfig(file("headers", '[http.headers]\nX-Frame-Options = "DENY"\n'));
    assert.match(influxdConfig(given, places), /X-Frame-Options/);
  });

  it("is refused when it is missing, no file, too long or no TOML, and no line of it is shown", () => {
    const invalid = { code: "SETTINGS_INVALID" };
    assert.throws(() => readInfluxdConfig(join(folder, "none")), invalid);
    assert.throws(() => readInfluxdConfig(folder), invalid);
    assert.throws(() => readInfluxdConfig(file("long", "#".repeat(300_000))), invalid);
    assert.throws(
      () => readInfluxdConfig(file("bad", "shared-secret = hush\n")),
      (error: Error) => !error.message.includes("hush") && /line 1/.test(error.message),
    );
  });
});

describe("the influxd to run", () => {
  const unusable = { code: "INFLUXD_UNUSABLE", exitCode: 1 };
  const program = (name: string, prints: string) => file(name, `#!/bin/sh\necho '${prints}'\n`, 0o755);

  it("is of version 1.x, at a path or on PATH", async () => {
    const path = program("influxd-1", "InfluxDB v1.8.10 (git: 1.8 688e697c51fd)");
    assert.deepEqual(await findInfluxd(path), { path, version: "1.8.10" });
  });

  for (const [what, prints] of [
    ["version 2", "InfluxDB v2.7.4 (git: 19e5c0e1b7) build_date: 2023-11-14T15:55:33Z"],
    ["version 0.9", "InfluxDB v0.9.6 (git: 0.9)"],
    ["something else", "hello"],
    ["version 10", "InfluxDB v10.0 (git)"],
  ] as const)
    it(`is refused when it is ${what}`, async () => {
      await assert.rejects(findInfluxd(program(`influxd-${what}`, prints)), unusable);
    });

  it("is refused when it is missing, cannot be started, or fails", async () => {
    await assert.rejects(findInfluxd(join(folder, "none")), unusable);
    await assert.rejects(findInfluxd("no-such-influxd"), unusable);
    await assert.rejects(findInfluxd(folder), unusable);
    await assert.rejects(findInfluxd(file("no-program", "x")), unusable);
    await assert.rejects(findInfluxd(file("fails", "#!/bin/sh\nexit 3\n", 0o755)), unusable);
  });
});
