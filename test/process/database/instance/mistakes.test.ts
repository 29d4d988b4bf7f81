import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, readdirSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { folderDigest } from "../../../../script/demo-parts/folders.ts";
import { InstanceInTest, skip } from "./served-instance.ts";

describe("mistakes with the commands of a database", { skip }, () => {
  let instance: InstanceInTest;
  const inFolder = (name: string) => join(instance.folder, name);
  before(async () => {
    instance = await InstanceInTest.make();
    await instance.start();
    await instance.query("CREATE DATABASE enc WITH ENCRYPTION ON");
    await instance.write("enc", "m v=1i");
    writeFileSync(inFolder("wrong"), "another pincode", { mode: 0o600 });
    writeFileSync(inFolder("open-to-all"), "a pincode of some length", { mode: 0o644 });
  });
  after(() => instance.remove());

  const otherKey = `04${"32c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7bc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0"}`;
  for (const [what, args, exitCode, message] of [
    ["without a new key", [], 2, /new public key is missing \(--new-public-key\)/],
    ["to a new key that is none", ["--new-public-key", "04ab"], 2, /--new-public-key takes an SM2 public key/],
    ["without the new private key", ["--new-public-key", otherKey], 2, /missing \(--new-private-key-file\)/],
    [
      "to a card that another provider has",
      ["--new-device", "card"],
      2,
      /--new-device is nothing that .* gm-soft takes/,
    ],
    [
      "to a key that the private key is not of",
      ["--new-public-key", otherKey, "--new-private-key-file", "KEY"],
      3,
      /does not open/,
    ],
    [
      "with settings to change that are not named",
      ["--update-config", "--config", "NONE"],
      2,
      /cannot be read: ENOENT/,
    ],
  ] as const)
    it(`refuses a change of the running instance's master key ${what}, and keeps the one in force`, async () => {
      const given = args.map((each) =>
        each === "KEY" ? inFolder("master.key") : each === "NONE" ? inFolder("none.toml") : each,
      );
      const ended = await instance.run(["rotate-master", "--config", instance.config, ...given]);
      assert.equal(ended.exitCode, exitCode, ended.output);
      assert.match(ended.output, message);
      assert.match(await instance.query("SELECT count(v) FROM enc..m"), /,1\]/);
    });

  it("refuses to back up an instance that is served", async () => {
    const ended = await instance.run(["backup", "--config", instance.config, inFolder("backup")]);
    assert.equal(ended.exitCode, 1, ended.output);
    assert.match(
      ended.output,
      new RegExp(`in use by process ${instance.pid}\n[\\s\\S]*hint: stop that strongroom db serve`),
    );
    assert.ok(!readdirSync(instance.folder).some((name) => name.startsWith("backup")));
  });

  it("refuses each other mistake with the reason, and leaves a stopped instance's files as they are", async () => {
    await instance.end();
    const backup = inFolder("whole.srdb");
    assert.equal((await instance.run(["backup", "--config", instance.config, backup])).exitCode, 0);
    mkdirSync(inFolder("empty"));
    mkdirSync(inFolder("others"));
    writeFileSync(inFolder("others/notes"), "of somebody");
    cpSync(instance.data, inFolder("cut"), { recursive: true });
    truncateSync(inFolder("cut/store/keys"), statSync(inFolder("cut/store/keys")).size - 300);
    const whole = folderDigest(instance.data);
    const config = ["--config", instance.config];
    for (const [args, exitCode, message] of [
      [
        ["serve", ...config, "--pincode-file", inFolder("wrong")],
        3,
        /the private key does not open[\s\S]*hint: the private key is in \S+\/master.key, the pincode came from \S+\/wrong:/,
      ],
      [["serve", ...config, "--data", inFolder("others")], 1, /no database instance in \S+, and other files are/],
      [["serve", ...config, "--data", inFolder("others/notes")], 2, /cannot be made: there is a file in its way/],
      [["serve", ...config, "--data", inFolder("cut")], 5, /error: the key table cannot be trusted/],
      [["serve", ...config, "--data", "/proc/none"], 2, /\/proc\/none cannot be made: ENOENT/],
      [
        ["serve", ...config, "--listen", "192.0.2.1:9"],
        1,
        /does not have that address\nstrongroom: hint: give another/,
      ],
      [["serve", ...config, "--pincode-file", inFolder("open-to-all")], 2, /mode 0644[\s\S]*hint: chmod 600/],
      [["serve", ...config, "--listen", "127.0.0.1"], 2, /takes HOST:PORT/],
      [["serve", ...config, "--influxd", inFolder("none")], 1, /not a program that can be started/],
      [["serve", ...config, "--provider", "soft"], 2, /is one of gm-soft/],
      [["status", "--data", inFolder("none")], 2, /no database instance in/],
      [["status", "--data", inFolder("empty")], 2, /no database instance in/],
      [["status"], 2, /data of \[database\] \(--data\) is missing[\s\S]*hint: name the settings with --config/],
      [["status", ...config, "--pincode-fd", "3"], 2, /are two sources: give one of them/],
      [["backup", ...config, "--data", inFolder("none"), inFolder("b")], 2, /no database instance in/],
      [["backup", ...config, "--data", inFolder("cut"), inFolder("b")], 5, /the key table cannot be trusted/],
      [["rotate-master", ...config], 1, /no running instance answers/],
      [
        ["rotate-master", "--data", instance.data, "--update-config"],
        2,
        /--update-config changes the file of --config/,
      ],
      [["backup", ...config, backup], 2, /is there already/],
      [["backup", ...config, inFolder("none/backup")], 2, /cannot be made: ENOENT\n$/],
      [["restore", ...config, backup], 1, /is an instance already/],
      [["restore", ...config, "--data", inFolder("empty"), inFolder("none")], 2, /cannot be read: ENOENT/],
      [["restore", ...config, "--data", inFolder("empty"), instance.config], 5, /does not begin with SRDB/],
      [["restore", ...config, "--data", inFolder("empty"), "--pincode-file", inFolder("wrong"), backup], 3, /not open/],
    ] as const) {
      const ended = await instance.run(args);
      assert.equal(ended.exitCode, exitCode, `${args.join(" ")}: ${ended.output}`);
      assert.match(ended.output, message);
      assert.doesNotMatch(ended.output, /\n {4}at /);
      assert.equal(folderDigest(instance.data), whole, args.join(" "));
    }
    assert.ok(!readdirSync(inFolder("others")).some((name) => /key|envelope/.test(name)));
    assert.ok(!existsSync(inFolder("b")));
  });
});
