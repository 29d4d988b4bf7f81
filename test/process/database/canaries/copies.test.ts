import assert from "node:assert/strict";
import { copyFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { copyFolder } from "../attacks/attacked-instance.ts";
import { InstanceInTest, skip } from "../instance/served-instance.ts";
import { DatabaseOfCanaries } from "./canaries.ts";
import { CanarySearch } from "./search.ts";

describe("a copy of an instance's folder", { skip }, () => {
  let instance: InstanceInTest;
  let elsewhere: InstanceInTest;
  let enc: DatabaseOfCanaries;
  let plain: DatabaseOfCanaries;
  before(async () => {
    instance = await InstanceInTest.make();
    elsewhere = await InstanceInTest.make();
    enc = new DatabaseOfCanaries(instance, true);
    plain = new DatabaseOfCanaries(instance, false);
    await instance.start();
    for (const each of [enc, plain]) {
      await each.create();
      await each.write("once");
    }
    await instance.end();
  });
  after(async () => {
    await instance.remove();
    await elsewhere.remove();
  });

  const count = async ({ names }: DatabaseOfCanaries): Promise<string> =>
    elsewhere.query(
      `SELECT count("${names.fieldKey}") FROM "${names.database}"."${names.policy}"."${names.measurement}"`,
    );

  it("is refused without the instance key and the master key, and with another master key", async () => {
    copyFolder(instance.data, elsewhere.data);
    rmSync(join(elsewhere.data, "instance.key"));
    for (const [config, reason] of [
      [elsewhere.withoutKey, /the instance key is not in .*, and the master key is not configured/],
      [elsewhere.config, /enveloped to another master key/],
    ] as const) {
      const { exitCode, output } = await elsewhere.run(["serve", "--config", config]);
      assert.notEqual(exitCode, 0, output);
      assert.match(output, reason);
      assert.deepEqual(new CanarySearch(enc.all).inBytes(Buffer.from(output), "its output"), []);
    }
  });

  it("with the file of the instance key shows names, and nothing of an encrypted database's content", async () => {
    copyFolder(instance.data, elsewhere.data);
    await elsewhere.start(elsewhere.withoutKey);
    assert.match(await count(plain), new RegExp(`,${plain.points}\\]`));
    assert.match(await count(enc), /provider and what goes with it .* are missing/);
    // The text of a continuous query is metadata, and names what it reads.
    const found = new CanarySearch(enc.content).inFolders([elsewhere.data]);
    assert.deepEqual(
      found.filter(({ where }) => !where.endsWith("/root/data/meta/meta.db")),
      [],
    );
    assert.deepEqual(
      found.filter(({ what }) => /value/.test(what)),
      [],
    );
    const shown = new CanarySearch(plain.content).inFolders([join(elsewhere.data, "root")]);
    assert.deepEqual(new Set(shown.map(({ what }) => what)), new Set(plain.content.keys()));
    assert.equal(await elsewhere.end(), 0);
  });

  it("as a backup holds ciphertext only, and works elsewhere under its master key", async () => {
    const backup = join(instance.folder, "backup.srdb");
    const made = await instance.run(["backup", "--config", instance.config, backup]);
    assert.equal(made.exitCode, 0, made.output);
    const all = new Map([...enc.all, ...[...plain.all].map(([what, text]) => [`${what} of the other`, text] as const)]);
    assert.deepEqual(new CanarySearch(all).inBytes(readFileSync(backup), "the backup"), []);

    rmSync(elsewhere.data, { recursive: true });
    const refused = await elsewhere.run(["restore", "--config", elsewhere.config, backup]);
    assert.equal(refused.exitCode, 3, refused.output);
    const settings = readFileSync(instance.config, "utf8").replace(
      /^listen = .*$/m,
      `listen = "127.0.0.1:${elsewhere.port}"`,
    );
    writeFileSync(elsewhere.config, settings);
    for (const file of ["master.key", "pincode"])
      copyFileSync(join(instance.folder, file), join(elsewhere.folder, file));
    const restored = await elsewhere.run(["restore", "--config", elsewhere.config, backup]);
    assert.equal(restored.exitCode, 0, restored.output);
    await elsewhere.start();
    for (const each of [enc, plain]) assert.match(await count(each), new RegExp(`,${each.points}\\]`));
    assert.equal(await elsewhere.end(), 0);
    const found = new CanarySearch(enc.all).inFolders([elsewhere.data]);
    assert.deepEqual(found, []);
  });
});
