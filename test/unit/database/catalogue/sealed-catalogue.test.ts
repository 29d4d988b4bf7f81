import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, describe, it } from "node:test";
import { SealedCatalogue, type ZoneControl } from "../../../../src/database/catalogue/sealed-catalogue.ts";
import { databaseAt, encryptedDatabases, isShard, rulesOf } from "../../../../src/database/catalogue/zone-rules.ts";
import type { KeysReport } from "../../../../src/volume/sealfs/keys/keys-report.ts";
import { type ZoneRule, ZoneRules } from "../../../../src/volume/sealfs/keys/rules.ts";
import type { ZoneProtection } from "../../../../src/volume/sealfs/keys/zone.ts";

const volumeRoot = mkdtempSync(join(tmpdir(), "strongroom-catalogue-"));
after(() => rmSync(volumeRoot, { recursive: true, force: true }));

/** Keeps rules as the volume's server does. */
class ControlInMemory implements ZoneControl {
  kept: readonly ZoneRule[] = [];
  readonly log: string[] = [];
  failsWith: Error | undefined;
  zones: readonly (readonly [string, ZoneProtection])[] = [];

  async rules(): Promise<readonly ZoneRule[]> {
    return this.kept;
  }

  async setRules(rules: readonly ZoneRule[]): Promise<void> {
    if (this.failsWith !== undefined) throw this.failsWith;
    this.kept = new ZoneRules(rules).rules;
    this.log.push("setRules");
  }

  async sweep(): Promise<readonly string[]> {
    this.log.push("sweep");
    return [];
  }

  async sync(): Promise<void> {}

  async keys(): Promise<KeysReport> {
    const zones = this.zones.map(([path, protection]) => ({
      zone: "",
      path,
      protection,
      destroyed: false,
      generations: [],
    }));
    return { suite: "sm", wrappedBy: "SM2 key", canUnwrap: true, sequence: 1, link: "", zones };
  }
}

describe("zone rules of an instance", () => {
  const rules = new ZoneRules(rulesOf(["enc", "数据 库"]));
  const bytes = (path: string) => path.split("/").map((name) => Buffer.from(name).toString("latin1"));
  for (const [path, becomes] of [
    ["data/data/enc", "sealed"],
    ["data/wal/enc", "sealed"],
    ["data/data/enc/autogen/12", "sealed"],
    ["data/wal/数据 库/rp/1", "sealed"],
    ["data/data/enc/autogen", undefined],
    ["data/data/enc/autogen/12/index", undefined],
    ["data/data/other", "plain"],
    ["data/wal/other", "plain"],
    ["data/data/other/autogen/1", undefined],
    ["data/data/_internal", "table-sealed"],
    ["data/meta", undefined],
    ["data/data", undefined],
    ["tmp", undefined],
    ["data/data/Enc", "plain"],
  ] as const)
    it(`make of the folder ${path} ${becomes ?? "a part of what is around it"}`, () => {
      assert.equal(rules.match(bytes(path)), becomes);
    });

  it("tell which databases are encrypted", () => {
    assert.deepEqual([...encryptedDatabases(rules.rules)].sort(), ["enc", "数据 库"]);
    assert.deepEqual([...encryptedDatabases([])], []);
    assert.deepEqual([...encryptedDatabases([{ pattern: "elsewhere/x", becomes: "sealed" }])], []);
  });

  it("tell shards from policies and from the index of series", () => {
    assert.ok(isShard(["autogen", "12"]));
    for (const rest of [[], ["autogen"], ["_series", "00"], ["autogen", "x"], ["autogen", "12", "index"]])
      assert.ok(!isShard(rest), rest.join("/"));
    assert.equal(databaseAt("data/meta/x"), undefined);
    assert.deepEqual(databaseAt("data/wal/a/b/1"), { name: "a", folder: "data/wal", rest: ["b", "1"] });
  });
});

describe("the catalogue over zone rules", () => {
  let control: ControlInMemory;
  let catalogue: SealedCatalogue;
  beforeEach(async () => {
    rmSync(join(volumeRoot, "data"), { recursive: true, force: true });
    control = new ControlInMemory();
    catalogue = new SealedCatalogue({ volumeRoot, unavailable: undefined });
    await catalogue.attach(control);
  });
  const makeFolder = (path: string) => mkdirSync(join(volumeRoot, path), { recursive: true });

  it("makes the rule before there is a folder, and knows it when the volume is opened again", async () => {
    await catalogue.create("enc");
    assert.ok(catalogue.isEncrypted("enc"));
    const again = new SealedCatalogue({ volumeRoot, unavailable: undefined });
    const before = control.log.length;
    await again.attach(control);
    assert.ok(again.isEncrypted("enc"));
    assert.equal(control.log.length, before, "rules that are right are not written again");
  });

  it("refuses a database whose folder is there, or that is encrypted already", async () => {
    makeFolder("data/wal/there");
    await assert.rejects(catalogue.create("there"), /data\/wal is there still/);
    assert.ok(!catalogue.isEncrypted("there"));
    await catalogue.create("enc");
    await assert.rejects(catalogue.create("enc"), /there is such a database/);
  });

  for (const name of ["*", "a*b", "_internal", "..", ".", "", "a/b", "x".repeat(256)])
    it(`refuses the name ${JSON.stringify(name.slice(0, 20))}, and makes no rule`, async () => {
      await assert.rejects(catalogue.create(name));
      assert.ok(!catalogue.isEncrypted(name));
      assert.deepEqual(encryptedDatabases(control.kept), new Set());
    });

  it("knows nothing of a rule that could not be written", async () => {
    control.failsWith = new Error("the disk is full");
    await assert.rejects(catalogue.create("enc"), /disk is full/);
    assert.ok(!catalogue.isEncrypted("enc"));
    control.failsWith = undefined;
    await catalogue.create("enc");
  });

  it("destroys keys and rule of a database that is gone, the keys first", async () => {
    await catalogue.create("enc");
    control.log.length = 0;
    await catalogue.drop("enc");
    assert.deepEqual(control.log, ["sweep", "setRules"]);
    assert.ok(!catalogue.isEncrypted("enc"));
    await catalogue.drop("never was");
    assert.deepEqual(control.log, ["sweep", "setRules"]);
  });

  it("destroys nothing while a folder of the database is there", async () => {
    await catalogue.create("enc");
    makeFolder("data/data/enc");
    control.log.length = 0;
    await assert.rejects(catalogue.drop("enc"), /is there still/);
    assert.deepEqual(control.log, []);
    assert.ok(catalogue.isEncrypted("enc"));
  });

  it("changes nothing without the master key, and goes on knowing what is encrypted", async () => {
    await catalogue.create("enc");
    const closed = new SealedCatalogue({ volumeRoot, unavailable: "public-key is missing" });
    await closed.attach(control);
    assert.equal(closed.available(), "public-key is missing");
    assert.ok(closed.isEncrypted("enc"));
    control.log.length = 0;
    await assert.rejects(closed.create("other"), /public-key is missing/);
    await assert.rejects(closed.drop("enc"), /public-key is missing/);
    assert.deepEqual(control.log, []);
  });

  it("changes nothing while the volume is closed", async () => {
    await catalogue.create("enc");
    catalogue.detach();
    assert.ok(catalogue.isEncrypted("enc"));
    await assert.rejects(catalogue.create("other"), /not open at the moment/);
    await assert.rejects(catalogue.sweep(), /not open at the moment/);
  });

  it("makes one change after the other", async () => {
    await Promise.all(["a", "b", "c"].map((name) => catalogue.create(name)));
    assert.deepEqual([...encryptedDatabases(control.kept)].sort(), ["a", "b", "c"]);
  });

  it("changes the rule of a database whose folders are away, and of no other", async () => {
    await catalogue.create("enc");
    await catalogue.setEncryption("other", true);
    await catalogue.setEncryption("enc", false);
    assert.deepEqual([...encryptedDatabases(control.kept)], ["other"]);
    makeFolder("data/wal/other");
    await assert.rejects(catalogue.setEncryption("other", false), /is there still/);
    assert.ok(catalogue.isEncrypted("other"));
  });

  it("tells folders that lie otherwise than their rules say", async () => {
    await catalogue.setEncryption("enc", true);
    assert.ok(await catalogue.isAsItShouldBe("enc"), "without folders");
    makeFolder("data/data/enc/autogen/1");
    assert.ok(!(await catalogue.isAsItShouldBe("enc")), "a folder that is no zone");
    control.zones = [["/data/data/enc", "sealed"]];
    assert.ok(await catalogue.isAsItShouldBe("enc"));
    control.zones = [
      ["/data/data/enc", "sealed"],
      ["/data/data/enc/autogen/1", "plain"],
    ];
    assert.ok(!(await catalogue.isAsItShouldBe("enc")), "a shard that is plain");
    control.zones = [["/data/data/enc", "plain"]];
    assert.ok(!(await catalogue.isAsItShouldBe("enc")));
  });
});
