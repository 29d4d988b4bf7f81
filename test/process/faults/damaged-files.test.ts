import assert from "node:assert/strict";
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, it } from "node:test";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { openCustody } from "../../../src/custody/open.ts";
import type { Caller, CustodyService } from "../../../src/custody/service.ts";
import { scaled, seed } from "../../run-settings.ts";
import {
  KeyManagerFolder,
  type Outcome,
  runStrongroom,
  snapshot,
  startServer,
  TemporaryFolder,
} from "../running-server.ts";
import { assertNoStack, assertOneClearLine } from "./one-clear-line.ts";
import { seededRandom } from "./seeded-random.ts";

const context = { node: "node0" };
const plaintext = "a data key that must come back or not at all";

/** A key manager that was used, and what it must answer. */
interface Used {
  readonly manager: KeyManagerFolder;
  readonly keyId: string;
  readonly wrapped: Buffer;
  readonly node: Caller;
}

let used: Used;
let other: Used;
before(async () => {
  [used, other] = await Promise.all([makeUsed(), makeUsed()]);
});
after(() => {
  used.manager[Symbol.dispose]();
  other.manager[Symbol.dispose]();
});

async function makeUsed(): Promise<Used> {
  const manager = await KeyManagerFolder.make();
  using unlock = manager.unlock();
  const custody = await openCustody({ dataDir: manager.dataDir, unlock });
  const admin = administrator(custody);
  const { keyId } = await custody.keys.create(admin, { alias: "alias/nodes" });
  for (let count = 0; count < 20; count++) await custody.keys.create(admin, { description: `key ${count}` });
  using secret = SecretBuffer.copyOf(Buffer.from(plaintext));
  const node = await enrolNode(custody, keyId);
  const { wrapped } = await custody.data.wrap(node, { key: keyId, context, plaintext: secret });
  await custody.close();
  return { manager, keyId, wrapped, node };
}

async function enrolNode(custody: CustodyService, key: string): Promise<Caller> {
  const call = { door: "native", peer: "test", requestId: "test" } as const;
  const { token } = await custody.nodes.createToken(administrator(custody), { name: "node0", key, identity: "file" });
  using secret = token;
  const certificate = { spkiSha256: Buffer.alloc(32, 7), notAfter: "2099-01-01T00:00:00.000Z" };
  const { arn } = await custody.nodes.redeemToken(call, { name: "node0", token: secret, ...certificate });
  return { ...call, principal: arn };
}

function administrator(custody: CustodyService): Caller {
  return { principal: custody.identity.localAdministrator, door: "local", peer: "test", requestId: "test" };
}

/** A copy of the used folder that a test may damage. */
class DamagedCopy implements Disposable {
  readonly #folder = new TemporaryFolder();
  readonly dataDir: string = join(this.#folder.path, "km");
  readonly unlockFile: string = used.manager.unlockFile;

  constructor() {
    cpSync(used.manager.dataDir, this.dataDir, { recursive: true });
  }

  file(name: string): string {
    return join(this.dataDir, name);
  }

  change(name: string, alter: (bytes: Buffer) => Buffer): void {
    writeFileSync(this.file(name), alter(readFileSync(this.file(name))));
  }

  /** SQL on the store, as someone with the disk would run it. */
  sql(statement: string): void {
    const database = new DatabaseSync(this.file("store.sqlite"));
    database.exec(statement);
    database.close();
  }

  verify(): Promise<Outcome> {
    return runStrongroom(["audit", "verify", "--data", this.dataDir, "--unlock-file", this.unlockFile]);
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}

function flip(bytes: Buffer, at: number, bit = 0): Buffer {
  bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
  return bytes;
}

describe("the key-slot file", () => {
  const damages: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
    emptied: () => Buffer.alloc(0),
    "cut to half": (bytes) => bytes.subarray(0, bytes.length / 2),
    "without its last byte": (bytes) => bytes.subarray(0, -1),
    "with a byte more": (bytes) => Buffer.concat([bytes, Buffer.from("x")]),
    "of zeros": (bytes) => Buffer.alloc(bytes.length),
    "of an older, shorter form": () => Buffer.from(`{}\n${"0".repeat(64)}\n`),
    "with a slot's label changed": (bytes) => Buffer.from(bytes.toString().replace('"first"', '"other"')),
    "with a changed MAC": (bytes) => flip(bytes, bytes.length - 2),
    "that belongs to another key manager": () => readFileSync(join(other.manager.dataDir, "root.slots")),
  };
  for (const [name, alter] of Object.entries(damages))
    it(`${name} is refused with 5, and nothing is changed`, async () => {
      using copy = new DamagedCopy();
      copy.change("root.slots", alter);
      const atFirst = snapshot(copy.dataDir);
      assertOneClearLine(await copy.verify(), 5, /root\.slots|opens no key slot/);
      assert.deepEqual(snapshot(copy.dataDir), atFirst);
    });

  it("that is missing ends with 1: it is no data folder", async () => {
    using copy = new DamagedCopy();
    rmSync(copy.file("root.slots"));
    const atFirst = snapshot(copy.dataDir);
    assertOneClearLine(await copy.verify(), 1, /not a key manager's data folder/);
    assert.deepEqual(snapshot(copy.dataDir), atFirst);
  });
});

describe("the store", () => {
  const refused: Readonly<Record<string, [damage: (copy: DamagedCopy) => void, code: number, message: RegExp]>> = {
    "that is missing": [(copy) => rmSync(copy.file("store.sqlite")), 1, /never initialised|is missing/],
    "that is empty": [(copy) => truncateSync(copy.file("store.sqlite")), 1, /never initialised|is empty/],
    "that is no database": [
      (copy) => copy.change("store.sqlite", (bytes) => Buffer.alloc(bytes.length, "x")),
      5,
      /store/,
    ],
    "cut to its first page": [(copy) => truncateSync(copy.file("store.sqlite"), 4096), 5, /store/],
    "cut by one page": [
      (copy) => truncateSync(copy.file("store.sqlite"), statSync(copy.file("store.sqlite")).size - 4096),
      5,
      /store|record/,
    ],
    "of another key manager": [
      (copy) => cpSync(join(other.manager.dataDir, "store.sqlite"), copy.file("store.sqlite")),
      5,
      /the head of the store does not authenticate/,
    ],
    "whose head was put back a version": [
      (copy) => copy.sql("UPDATE head SET state_version = state_version - 1"),
      5,
      /head/,
    ],
    "whose epoch was raised": [(copy) => copy.sql("UPDATE head SET epoch = epoch + 1"), 5, /head/],
    "whose latest time was set back": [(copy) => copy.sql("UPDATE head SET latest_ms = 0"), 5, /head/],
    "without its head": [(copy) => copy.sql("DELETE FROM head"), 1, /never initialised/],
    "with a changed row": [
      (copy) => copy.sql(`UPDATE state SET body = replace(body, '"enabled"', '"disabled"') WHERE kind = 'key'`),
      5,
      /the row key\/[0-9a-f-]+ of the store does not authenticate/,
    ],
    "with a row less": [(copy) => copy.sql("DELETE FROM state WHERE kind = 'alias'"), 5, /do not add up/],
    "with a row in another's place": [
      (copy) => copy.sql("UPDATE state SET id = 'alias/stolen' WHERE kind = 'alias'"),
      5,
      /row alias\/alias\/stolen .* not authenticate/,
    ],
    "with a row more": [
      (copy) =>
        copy.sql("INSERT INTO state SELECT kind, 'more', version, epoch, deleted, body, mac FROM state LIMIT 1"),
      5,
      /row [a-z]+\/more .* not authenticate/,
    ],
    "with a row of an unknown kind": [
      (copy) => copy.sql("INSERT INTO state VALUES ('door', 'x', 1, 1, 0, '{}', x'00')"),
      5,
      /row door\/x .* not authenticate/,
    ],
    "with its last record changed": [
      (copy) =>
        copy.sql(
          "UPDATE audit SET body = replace(body, 'done', 'open') WHERE sequence = (SELECT max(sequence) FROM audit)",
        ),
      5,
      /audit chain does not end in record/,
    ],
    "without its last record": [
      (copy) => copy.sql("DELETE FROM audit WHERE sequence = (SELECT max(sequence) FROM audit)"),
      5,
      /audit chain does not end in record/,
    ],
    "with a record put after the last": [
      (copy) =>
        copy.sql("INSERT INTO audit SELECT sequence + 1, body, hash, seal FROM audit ORDER BY sequence DESC LIMIT 1"),
      5,
      /audit chain does not end in record/,
    ],
    "without a table": [(copy) => copy.sql("DROP TABLE audit"), 5, /store/],
    "of a newer program": [(copy) => copy.sql("PRAGMA user_version = 99"), 1, /version 99/],
  };
  for (const [name, [damage, code, message]] of Object.entries(refused))
    it(`${name} is refused with ${code} and one clear line`, async () => {
      using copy = new DamagedCopy();
      damage(copy);
      assertOneClearLine(await copy.verify(), code, message);
    });

  const foundByVerify: Readonly<Record<string, [statement: string, bad: number]>> = {
    "a changed record": [
      "UPDATE audit SET body = replace(body, 'key 3', 'key 4') WHERE sequence = 3; UPDATE audit SET body = replace(body, 'done', 'gone') WHERE sequence = 3",
      3,
    ],
    "a missing record": ["DELETE FROM audit WHERE sequence = 4", 4],
    "two records that changed places": [
      "UPDATE audit SET sequence = -1 WHERE sequence = 5; UPDATE audit SET sequence = 5 WHERE sequence = 6; UPDATE audit SET sequence = 6 WHERE sequence = -1",
      5,
    ],
  };
  for (const [name, [statement, bad]] of Object.entries(foundByVerify))
    it(`opens with ${name} in the middle of the audit chain, and audit verify names it and exits 5`, async () => {
      using copy = new DamagedCopy();
      copy.sql(statement);
      const outcome = await copy.verify();
      assert.equal(outcome.code, 5, outcome.stderr);
      assert.match(outcome.stdout, new RegExp(`^record ${bad} is bad: `));
      assertOneClearLine({ ...outcome, stdout: "" }, 5, /the audit chain does not verify$/);
    });

  it("whose last commits are in a log file that was taken away is a store of the past: a checkpoint tells", async () => {
    using manager = await KeyManagerFolder.make();
    const server = await startServer(manager);
    await server.admin.keys.create({ alias: "alias/first" });
    const checkpoint = await server.admin.audit.checkpoint();
    await server.admin.keys.disable("alias/first");
    await server.kill();
    const log = join(manager.dataDir, "store.sqlite-wal");
    assert.ok(existsSync(log) && statSync(log).size > 0);
    rmSync(log);
    rmSync(`${log.slice(0, -3)}shm`, { force: true });
    const checkpointFile = join(manager.folder, "checkpoint.json");
    writeFileSync(checkpointFile, JSON.stringify(checkpoint));
    const serve = ["serve", ...manager.options, "--native", "127.0.0.1:0"];
    assertOneClearLine(
      await runStrongroom([...serve, "--checkpoint", checkpointFile]),
      5,
      /older than, or differs from, the checkpoint/,
    );
  });
});

describe("a bit that flipped anywhere in the store", () => {
  /** Every page is hit; more places with --long. */
  const places = scaled(4000);

  it("is refused, found by verify, or touches nothing that counts; never a wrong answer", async () => {
    const random = seededRandom(seed);
    const { size } = statSync(join(used.manager.dataDir, "store.sqlite"));
    const outcomes = { refused: 0, found: 0, harmless: 0 };
    for (let place = 0; place < places; place++) {
      using copy = new DamagedCopy();
      const at = Math.min(size - 1, Math.floor(((place + random()) * size) / places));
      copy.change("store.sqlite", (bytes) => flip(bytes, at, Math.floor(random() * 8)));
      outcomes[await outcomeOf(copy, at)] += 1;
    }
    assert.ok(outcomes.refused > 0 && outcomes.found > 0, JSON.stringify(outcomes));
  });

  async function outcomeOf(copy: DamagedCopy, at: number): Promise<keyof { refused: 0; found: 0; harmless: 0 }> {
    using unlock = used.manager.unlock();
    let custody: CustodyService;
    try {
      custody = await openCustody({ dataDir: copy.dataDir, unlock });
    } catch (error) {
      assertKnown(error, at);
      return "refused";
    }
    try {
      const admin = administrator(custody);
      const { keyId, wrapped, node } = used;
      using opened = (await custody.data.unwrap(node, { wrapped, context })).plaintext;
      assert.equal(opened.expose(String), plaintext, `byte ${at}`);
      assert.equal((await custody.keys.describe(admin, "alias/nodes")).keyId, keyId);
      assert.equal((await custody.keys.list(admin)).length, 21);
      return (await custody.audit.verify(admin)).ok ? "harmless" : "found";
    } catch (error) {
      assertKnown(error, at);
      return "refused";
    } finally {
      await custody.close();
    }
  }

  /** An error that the parts foresee, with an exit code of its own. */
  function assertKnown(error: unknown, at: number): void {
    if (error instanceof assert.AssertionError) throw error;
    const known = error instanceof Error && (error.name === "CustodyError" || error.name === "DeviceError");
    assert.ok(known, `byte ${at}: ${error instanceof Error ? error.stack : String(error)}`);
    assert.ok(error.message.length < 300 && !error.message.includes("\n"), error.message);
  }
});

describe("serve on a damaged folder", () => {
  it("prints no stack, whichever file is garbage", async () => {
    for (const name of readdirSync(used.manager.dataDir)) {
      using copy = new DamagedCopy();
      copy.change(name, (bytes) => Buffer.from(bytes.map((byte) => byte ^ 0x5a)));
      const place = ["--data", copy.dataDir, "--unlock-file", copy.unlockFile];
      const outcome = await runStrongroom(["serve", ...place, "--native", "127.0.0.1:0"]);
      assertNoStack(outcome.stderr);
      assert.ok(outcome.code === 1 || outcome.code === 5, `${name}: ${outcome.code} ${outcome.stderr}`);
    }
  });
});
