import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, describe, it } from "node:test";
import { readConversionRecord } from "../../../../src/database/conversion/conversion-record.ts";
import { DatabaseConversions } from "../../../../src/database/conversion/database-conversions.ts";

const root = mkdtempSync(join(tmpdir(), "strongroom-conversions-"));
after(() => rmSync(root, { recursive: true, force: true }));

const content = {
  "data/data/db/autogen/1/a.tsm": "points",
  "data/data/db/_series/00/0000": "series",
  "data/wal/db/autogen/1/b.wal": "log",
};
const { signal } = new AbortController();

function put(files: Readonly<Record<string, string>>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(root, path, ".."), { recursive: true });
    writeFileSync(join(root, path), text);
  }
}

function found(): Readonly<Record<string, string>> {
  const files = readdirSync(root, { recursive: true, withFileTypes: true }).filter((each) => each.isFile());
  return Object.fromEntries(
    files.map(({ parentPath, name }) => [
      join(parentPath, name).slice(root.length + 1),
      readFileSync(join(parentPath, name), "utf8"),
    ]),
  );
}

/** An instance without influxd and without a volume; every step that it is asked for may fail. */
class InstanceInTest {
  readonly encrypted = new Set<string>();
  readonly told: string[] = [];
  missing: string | undefined;
  /** Stored data was found damaged. */
  closed: string | undefined;
  /** Fails the step of this number, as a server that is gone does. */
  failsAt = 0;
  steps = 0;
  held = false;
  /** Runs while influxd is being stopped: its last writes. */
  lastWrites: () => void = () => {};
  conversions: DatabaseConversions = this.#start();

  #start(): DatabaseConversions {
    const step = () => {
      this.steps += 1;
      if (this.steps === this.failsAt) throw new Error("the volume is gone");
    };
    const conversions = new DatabaseConversions({
      volumeRoot: root,
      catalogue: {
        available: () => this.missing ?? this.closed,
        keyMissing: () => this.missing,
        isEncrypted: (name) => this.encrypted.has(name),
        refusalOf: (name) => (name === "_internal" ? "not this one" : undefined),
        setEncryption: async (name, on) => {
          step();
          if (on) this.encrypted.add(name);
          else this.encrypted.delete(name);
        },
        sweep: async () => step(),
        sync: async () => step(),
        isAsItShouldBe: async () => {
          step();
          return true;
        },
      },
      holdRequests: async () => {
        this.held = true;
      },
      goOn: () => {
        this.held = false;
      },
      restartInfluxd: async () => {
        assert.ok(this.held, "clients wait while influxd is away");
        this.lastWrites();
        await conversions.beforeInfluxd(signal);
        conversions.afterInfluxd();
      },
      tell: (line) => this.told.push(line),
    });
    return conversions;
  }

  /** As after kill -9: nothing but the files is left. */
  async startAgain(): Promise<void> {
    this.failsAt = 0;
    this.told.length = 0;
    this.conversions = this.#start();
    await this.conversions.beforeInfluxd(signal);
    this.conversions.afterInfluxd();
  }

  async settled(): Promise<void> {
    const deadlineMs = Date.now() + 60_000;
    while (this.conversions.status !== undefined && !this.told.at(-1)?.includes("is interrupted")) {
      if (Date.now() > deadlineMs) throw new Error(`it does not settle: ${this.told.join("; ")}`);
      await new Promise((resume) => setTimeout(resume, 1));
    }
    await this.conversions.stop();
  }
}

describe("the conversion of a database", () => {
  let instance: InstanceInTest;
  beforeEach(() => {
    for (const name of readdirSync(root)) rmSync(join(root, name), { recursive: true });
    put(content);
    instance = new InstanceInTest();
  });

  it("brings its files under the other rule, and leaves nothing else behind", async () => {
    await instance.conversions.begin("db", true);
    assert.ok(instance.conversions.isConverting("db") && !instance.conversions.isConverting("other"));
    await instance.settled();
    assert.ok(instance.encrypted.has("db") && !instance.held);
    assert.deepEqual(found(), content);
    assert.ok(!existsSync(join(root, "conversion")));
    assert.equal(instance.conversions.status, undefined);
  });

  it("takes what is written until influxd has stopped", async () => {
    const last = { "data/wal/db/autogen/1/b.wal": "log and more", "data/data/db/autogen/2/c.tsm": "flushed" };
    instance.lastWrites = () => {
      put(last);
      rmSync(join(root, "data/data/db/autogen/1"), { recursive: true });
    };
    await instance.conversions.begin("db", true);
    await instance.settled();
    assert.deepEqual(found(), { "data/data/db/_series/00/0000": "series", ...last });
  });

  it("is of the rule alone where nothing was written yet", async () => {
    await instance.conversions.begin("empty", true);
    await instance.settled();
    assert.ok(instance.encrypted.has("empty"));
    assert.deepEqual(found(), content);
  });

  it("is refused while another is under way, without the master key, and for a name that cannot be", async () => {
    await instance.conversions.begin("db", true);
    await assert.rejects(instance.conversions.begin("other", true), /one at a time/);
    await instance.settled();
    await assert.rejects(instance.conversions.begin("_internal", true), /not this one/);
    instance.missing = "provider is missing";
    await assert.rejects(instance.conversions.begin("db", false), /provider is missing/);
    assert.ok(instance.encrypted.has("db"));
    assert.equal(await readConversionRecord(root), undefined);
  });

  it("leaves the database as it was where the copy cannot be made", async () => {
    mkdirSync(join(root, "conversion/data/db"), { recursive: true });
    instance.lastWrites = () => {
      rmSync(join(root, "conversion"), { recursive: true });
      writeFileSync(join(root, "conversion"), "in the way");
    };
    await instance.conversions.begin("db", true);
    await instance.settled();
    assert.match(instance.told.join("\n"), /is not converted, and stays as it was/);
    assert.deepEqual(found(), content);
    assert.ok(!instance.encrypted.has("db"));
  });

  it("tells outside the volume no name of what cannot be copied", async () => {
    const file = join(root, "conversion/data/autogen/1/a.tsm");
    instance.lastWrites = () => {
      rmSync(join(root, "conversion"), { recursive: true });
      symlinkSync("nowhere/canary", join(root, "conversion"));
    };
    await instance.conversions.begin("db", true);
    await instance.settled();
    assert.match(instance.told.join("\n"), /is not converted, and stays as it was: E[A-Z]+: /);
    for (const name of [root, file, "autogen", "canary"])
      assert.ok(!instance.told.join("\n").includes(name), instance.told.join("\n"));
  });

  it("loses nothing at whichever step the volume goes, and is complete after the next start", async () => {
    let isWhole = false;
    for (let failsAt = 1; !isWhole; failsAt++) {
      for (const name of readdirSync(root)) rmSync(join(root, name), { recursive: true });
      put(content);
      instance = new InstanceInTest();
      instance.failsAt = failsAt;
      await instance.conversions.begin("db", true).catch(() => {});
      await instance.settled();
      isWhole = instance.steps < failsAt;
      const record = await readConversionRecord(root);
      await instance.startAgain();
      await instance.settled();
      assert.deepEqual(found(), content, `step ${failsAt}`);
      if (record !== undefined) assert.ok(instance.encrypted.has("db"), `step ${failsAt}`);
      assert.ok(failsAt < 30);
    }
    assert.ok(instance.encrypted.has("db"));
  });

  it("does not let influxd start over folders that are not whole without the master key", async () => {
    instance.failsAt = 6;
    await instance.conversions.begin("db", false);
    await instance.settled();
    const record = await readConversionRecord(root);
    assert.equal(record?.step, "exchanging");
    instance.missing = "provider is missing";
    await assert.rejects(instance.startAgain(), /provider is missing/);
    instance.missing = undefined;
    await instance.startAgain();
    await instance.settled();
    assert.deepEqual(found(), content);
  });

  it("is given up when stored data is found damaged before the exchange, and completed after it began", async () => {
    instance.lastWrites = () => {
      instance.closed = "stored data is damaged";
    };
    await instance.conversions.begin("db", true);
    await instance.settled();
    assert.match(instance.told.join("\n"), /stays as it was: stored data is damaged/);
    assert.deepEqual(found(), content);
    assert.ok(!instance.encrypted.has("db"));

    instance = new InstanceInTest();
    instance.failsAt = 6;
    await instance.conversions.begin("db", true);
    await instance.settled();
    assert.equal((await readConversionRecord(root))?.step, "exchanging");
    instance.closed = "stored data is damaged";
    await instance.startAgain();
    assert.equal((await readConversionRecord(root))?.step, "clearing");
    assert.match(instance.told.join("\n"), /waits.*: stored data is damaged/);
    assert.ok(instance.encrypted.has("db"));
    instance.closed = undefined;
    await instance.startAgain();
    await instance.settled();
    assert.deepEqual(found(), content);
  });

  it("does not let influxd start when the copy is gone, and removes nothing then", async () => {
    instance.failsAt = 6;
    await instance.conversions.begin("db", true);
    await instance.settled();
    rmSync(join(root, "conversion"), { recursive: true });
    const before = found();
    await assert.rejects(instance.startAgain(), /copy .* is gone/);
    assert.deepEqual(found(), before);
  });

  it("is refused a record that is not as it was written", async () => {
    for (const text of [
      "",
      "{}",
      "null",
      '{"format":"strongroom-conversion-1","database":"db","encrypted":true,"step":"other","folders":[]}',
      '{"format":"strongroom-conversion-1","database":"db","encrypted":true,"step":"exchanging","folders":["../../etc"]}',
      '{"format":"strongroom-conversion-1","database":"","encrypted":true,"step":"copying","folders":[]}',
      '{"format":"strongroom-conversion-1","database":"db","encrypted":1,"step":"copying","folders":[]}',
    ]) {
      writeFileSync(join(root, "conversion.record"), text);
      await assert.rejects(instance.startAgain(), { code: "INSTANCE_DAMAGED" });
    }
  });
});
