import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { generateKeyPair } from "../../../../src/crypto/curve.ts";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { sealContainer } from "../../../../src/database/gm/private-key-v2.ts";
import { softOpener } from "../../../../src/database/gm/sub-key-envelope.ts";
import { long, seed } from "../../../run-settings.ts";
import { sdfCardMissing, type TestCard } from "../../../sdf-card/build.ts";
import { RecordFileTable } from "../../../unit/database/gm/record-file-table.ts";
import { cardPin, openCard, readyCard } from "../../devices/sdf/card.ts";
import { type Outcome, runOnTerminal } from "../../program-on-terminal.ts";
import { fctools, fileOf, folder, run, runSource } from "./programs.ts";

const pincode = "a pincode of the old key";
const [oldKey, newKey] = [generateKeyPair("sm2"), generateKeyPair("sm2")];
const [pubkey, expubkey] = [oldKey.publicKey.toString("hex"), newKey.publicKey.toString("hex")];
const pincodeFile = fileOf(`${pincode}\n`);
/** As cheap as is read. */
const prikey = await sealContainer(
  { ...oldKey, pincode: SecretBuffer.take(Buffer.from(pincode)) },
  { cost: 16_384, blockSize: 8, parallelization: 1 },
);
const prikeyFile = fileOf(`${prikey}\n`, 0o644);
const program = "fctools-with-record-file.ts";
const subKeys = new Map(
  ["table", ...Array.from({ length: 300 }, (_, shard) => `data/enc/autogen/${shard}`)].map((name) => [
    name,
    SecretBuffer.random(16),
  ]),
);

function newTable(count = 3, publicKey = oldKey.publicKey): string {
  const path = mkdtempSync(join(folder, "table-"));
  RecordFileTable.create(path, publicKey, new Map([...subKeys].slice(0, count)));
  return path;
}

async function mustOpenUnder(path: string, key: typeof oldKey, count: number): Promise<void> {
  await using opener = await softOpener(key.scalar, key.publicKey);
  using table = (await RecordFileTable.open(path, opener)) ?? assert.fail("no table");
  const { envelopes } = table.inForce();
  assert.equal(envelopes.size, count);
  for (const [name, envelope] of envelopes) {
    using subKey = await opener.open(envelope);
    assert.equal(subKey?.equals(subKeys.get(name) ?? assert.fail(name)), true);
  }
}

function fails({ code, stdout, stderr }: Outcome, exitCode: number, message: RegExp): void {
  assert.equal(code, exitCode, stderr);
  assert.equal(stdout, "");
  assert.match(stderr, message);
  assert.doesNotMatch(stderr, /a pincode of|\n {4}at /);
}

const current = ["--pubkey", pubkey, "--prikey-file", prikeyFile];
const rest = ["--expubkey", expubkey, "--pincode-file", pincodeFile];

describe("fctools envelop", () => {
  it("does as the manual says: both keys on the command line, the pincode on the terminal", async () => {
    const path = newTable();
    const args = ["envelop", "--pubkey", pubkey, "--prikey", prikey, "--expubkey", expubkey, path];
    const source = join(import.meta.dirname, program);
    const { code, stdout } = await runOnTerminal(process.execPath, [source, ...args], [`${pincode}\r`]);
    assert.equal(code, 0, stdout);
    assert.match(stdout, /warning: --prikey was on the command line/);
    assert.match(stdout, /3 sub-keys are in envelopes to the new public key/);
    assert.match(stdout, new RegExp(`public-key = "${expubkey}"`));
    assert.equal(stdout.includes(pincode), false);
    await mustOpenUnder(path, newKey, 3);
  });

  it("takes the new public key under the name that the manual misspells", async () => {
    const path = newTable();
    const args = [...current, "--expubley", expubkey, "--pincode-file", pincodeFile, path, "--json"];
    const { code, stdout, stderr } = await runSource(program, ["envelop", ...args]);
    assert.equal(code, 0, stderr);
    assert.deepEqual(JSON.parse(stdout), { total: 3, rewrapped: 3, resumed: 0, publicKey: expubkey, config: null });
    assert.match(stderr, /3 of 3 sub-keys/);
    await mustOpenUnder(path, newKey, 3);
  });

  it("changes the settings when it is told to, once the new envelopes are in force", async () => {
    const path = newTable();
    const newKeyFile = fileOf("the new private key");
    const section = `[security.encryption]\nprovider = "gm-soft" # of 2026\npublic-key = "${pubkey}"\npath = "old.key"\n`;
    const config = fileOf(section);
    const args = ["envelop", ...current, ...rest, "--update-config", config, "--exprikey-file", newKeyFile, path];
    const { code, stdout, stderr } = await runSource(program, args);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /has the new public-key\n$/);
    assert.equal(readFileSync(config, "utf8"), section.replace(pubkey, expubkey).replace("old.key", newKeyFile));
  });

  it("opens the new private key with its own pincode first, and sets that pincode's file as well", async () => {
    const newPincode = fileOf("a pincode of the new key");
    const newPrikey = fileOf(
      await sealContainer(
        { ...newKey, pincode: SecretBuffer.take(Buffer.from("a pincode of the new key")) },
        { cost: 16_384, blockSize: 8, parallelization: 1 },
      ),
    );
    const section = `[security.encryption]\nprovider = "gm-soft"\npublic-key = "${pubkey}"\npath = "old.key"\npincode-file = "old"\n`;
    const config = fileOf(section);
    const path = newTable();
    const change = ["--update-config", config, "--exprikey-file", newPrikey];
    const args = ["envelop", ...current, ...rest, ...change, path, "--expincode-file"];
    fails(await runSource(program, [...args, pincodeFile]), 3, /new private key in .* does not open with the pincode/);
    assert.equal(readFileSync(config, "utf8"), section);
    await mustOpenUnder(path, oldKey, 3);
    const { code, stderr } = await runSource(program, [...args, newPincode]);
    assert.equal(code, 0, stderr);
    await mustOpenUnder(path, newKey, 3);
    const changed = section.replace(pubkey, expubkey).replace("old.key", newPrikey).replace('"old"', `"${newPincode}"`);
    assert.equal(readFileSync(config, "utf8"), changed);
  });

  it("says that the settings still name the former pincode's file", async () => {
    const config = fileOf(
      `[security.encryption]\nprovider = "gm-soft"\npublic-key = "${pubkey}"\npincode-file = "old"\n`,
    );
    const change = ["--update-config", config, "--exprikey-file", fileOf("the new private key")];
    const { code, stdout } = await runSource(program, ["envelop", ...current, ...rest, ...change, newTable()]);
    assert.equal(code, 0);
    assert.match(stdout, /set pincode-file: it still names the former one's\n$/);
  });

  it("says what is left to set when the settings still name the former private key", async () => {
    const config = fileOf(`[security.encryption]\nprovider = "software"\npublic-key = "${pubkey}"\npath = "old.key"\n`);
    const { code, stdout } = await runSource(program, [
      "envelop",
      ...current,
      ...rest,
      "--update-config",
      config,
      newTable(),
    ]);
    assert.equal(code, 0);
    assert.match(stdout, /Set path to the file of its private key: it still names the former one's\n$/);
  });

  it("goes on after a kill -9 at any step, until the whole table is under the new key", async () => {
    // Two batches.
    const count = 260;
    const config = (key: string) => fileOf(`[security.encryption]\npublic-key = "${key}"\nprovider = "gm-soft"\n`);
    const steps = 2 + 2 * 3 + 3 + 2;
    const chosen = long ? Array.from({ length: steps }, (_, at) => at + 1) : [1 + (seed % 9), 10 + (seed % 3)];
    for (const killedAt of chosen) {
      const path = newTable(count);
      const settings = config(pubkey);
      const args = ["envelop", ...current, ...rest, "--update-config", settings, path, "--json"];
      const killed = await runSource(program, args, { environment: { KILLED_AT: String(killedAt) } });
      assert.equal(killed.signal, "SIGKILL", killed.stderr);
      if (killedAt === steps) {
        await mustOpenUnder(path, newKey, count);
        continue;
      }
      const changed = killedAt >= 10;
      await mustOpenUnder(path, changed ? newKey : oldKey, count);
      const again = await runSource(program, args);
      assert.equal(again.code, 0, `killed at step ${killedAt}: ${again.stderr}`);
      const { rewrapped, resumed } = JSON.parse(again.stdout);
      assert.equal(rewrapped + resumed, count);
      await mustOpenUnder(path, newKey, count);
      assert.match(readFileSync(settings, "utf8"), new RegExp(expubkey));
    }
  });

  it("refuses a wrong pincode before it looks at the table", async () => {
    const wrong = fileOf("another pincode");
    const path = newTable();
    const before = readFileSync(join(path, "keys"));
    const args = ["envelop", ...current, "--expubkey", expubkey, "--pincode-file", wrong];
    for (const place of [path, join(folder, "nowhere")])
      fails(await runSource(program, [...args, place]), 3, /error: the private key does not open: wrong pincode/);
    assert.deepEqual(readFileSync(join(path, "keys")), before);
  });

  it("refuses a private key of another public key with the same words", async () => {
    const args = ["envelop", "--pubkey", expubkey, "--prikey-file", prikeyFile, "--expubkey", pubkey];
    fails(
      await runSource(program, [...args, "--pincode-file", pincodeFile, newTable()]),
      3,
      /error: the private key does not open: wrong pincode/,
    );
  });

  it("refuses a table that is for another master key", async () => {
    const path = newTable(3, newKey.publicKey);
    fails(await runSource(program, ["envelop", ...current, ...rest, path]), 3, /is for the master key/);
  });

  it("says that a place holds no key table", async () => {
    for (const place of [folder, join(folder, "nowhere")])
      fails(await run(fctools, ["envelop", ...current, ...rest, place]), 2, /holds no key table\nfctools: hint: /);
  });

  it("refuses an altered table, and changes nothing", async () => {
    const path = newTable();
    const [content = "", mac = ""] = readFileSync(join(path, "keys"), "utf8").split("\t");
    RecordFileTable.create(path, oldKey.publicKey, new Map([["table", SecretBuffer.random(16)]]));
    const [, foreign] = readFileSync(join(path, "keys"), "utf8").split("\t");
    assert.notEqual(foreign, mac);
    const altered = newTable();
    writeFileSync(join(altered, "keys"), `${content}\t${foreign}`);
    fails(await runSource(program, ["envelop", ...current, ...rest, altered]), 5, /does not authenticate/);
  });

  const config = fileOf(`[security.encryption]\npublic-key = "${pubkey}"\n`);
  const cardConfig = fileOf(`[security.encryption]\nprovider = "gm-rk"\npublic-key = "${pubkey}"\n`);
  const foreignConfig = fileOf(`[security.encryption]\npublic-key = "04${"ab".repeat(64)}"\n`);
  for (const [what, args, message] of [
    ["no PATH", [...current, ...rest], /takes one PATH/],
    ["two PATHs", [...current, ...rest, "a", "b"], /takes one PATH/],
    ["no current public key", ["--prikey-file", prikeyFile, ...rest, "p"], /--pubkey is missing/],
    ["a current public key that is none", ["--pubkey", "xxx", "--prikey", "xxx", ...rest, "p"], /--pubkey takes/],
    ["no current private key", ["--pubkey", pubkey, ...rest, "p"], /current private key's text once/],
    ["two current private keys", [...current, "--prikey", prikey, ...rest, "p"], /current private key's text once/],
    ["a private key file that is not there", ["--pubkey", pubkey, "--prikey-file", "none", ...rest, "p"], /ENOENT/],
    ["no new public key", [...current, "--pincode-file", pincodeFile, "p"], /--expubkey is missing/],
    [
      "a new public key off the curve",
      [...current, "--expubkey", `04${"ab".repeat(64)}`, "p"],
      /--expubkey is not a point/,
    ],
    ["a new public key under both names", [...current, ...rest, "--expubley", expubkey, "p"], /give it once/],
    ["the current public key as the new one", [...current, "--expubkey", pubkey, "p"], /is the current public key/],
    [
      "a card without its list of devices",
      ["--pubkey", pubkey, "--hardware", ...rest, "p"],
      /--hardware needs --devices/,
    ],
    ["a list of devices without a card", [...current, ...rest, "--devices", "d.toml", "p"], /go with --hardware/],
    [
      "settings that are not there",
      [...current, ...rest, "--update-config", "none.toml", "p"],
      /cannot be read: ENOENT/,
    ],
    [
      "settings of another instance",
      [...current, ...rest, "--update-config", foreignConfig, "p"],
      /another public-key/,
    ],
    [
      "a new private key file for a card's settings",
      [...current, ...rest, "--update-config", cardConfig, "--exprikey-file", prikeyFile, "p"],
      /is for the provider gm-soft/,
    ],
    [
      "a new private key file without settings",
      [...current, ...rest, "--exprikey-file", config, "p"],
      /needs --update-config/,
    ],
    [
      "a new pincode's file without its private key's",
      [...current, ...rest, "--expincode-file", pincodeFile, "p"],
      /--expincode-file is the pincode's of --exprikey-file/,
    ],
  ] as const)
    it(`refuses ${what} before it asks for anything`, async () => {
      fails(await run(fctools, ["envelop", ...args]), 2, message);
    });
});

describe("fctools envelop --hardware", { skip: sdfCardMissing() }, () => {
  let card: TestCard;
  let devices = "";
  /** Those of the encryption key pairs at the indices 1 and 2. */
  let cardKeys: readonly Buffer[] = [];
  const pinFile = fileOf(cardPin);

  before(async () => {
    card = readyCard();
    devices = fileOf(`[[device]]\nname = "card"\nkind = "sdf"\nlibrary = "${card.library}"\nkey_indices = [1, 2]\n`);
    await using opened = await openCard(card, { keyIndices: [1, 2] });
    const named = { keyId: randomUUID(), version: 1, suite: "sm", spec: "SM2", usage: "encrypt" } as const;
    const keys = [1, 2].map((keyIndex) => opened.createSpecifiedKey(named, { keyIndex }));
    cardKeys = (await Promise.all(keys)).map(({ spki }) => Buffer.from(spki?.subarray(-65) ?? assert.fail("no key")));
  });
  after(() => card[Symbol.dispose]());

  function envelopOfCard(path: string, publicKey: Buffer | undefined, ...more: readonly string[]): Promise<Outcome> {
    const args = ["envelop", "--pubkey", publicKey?.toString("hex") ?? "", "--hardware", "--devices", devices];
    return runSource(program, [...args, "--expubkey", expubkey, ...more, path]);
  }

  it("opens the sub-keys in the card, whose key is found by its public key, with the card's PIN", async () => {
    const path = newTable(3, cardKeys[1]);
    const { code, stderr } = await envelopOfCard(path, cardKeys[1], "--pincode-file", pinFile);
    assert.equal(code, 0, stderr);
    await mustOpenUnder(path, newKey, 3);
  });

  it("says that --prikey is of no use then, as the manual's synopsis gives both", async () => {
    const path = newTable(3, cardKeys[0]);
    const outcome = await envelopOfCard(path, cardKeys[0], "--pincode-file", pinFile, "--prikey", "xxx");
    assert.equal(outcome.code, 0, outcome.stderr);
    assert.match(outcome.stderr, /--prikey is not used: with --hardware, the key is in the card/);
  });

  it("refuses a wrong PIN, a public key that the card has not, and a card that is not in the list", async () => {
    const path = newTable(3, cardKeys[0]);
    fails(
      await envelopOfCard(path, cardKeys[0], "--pincode-file", fileOf("87654321")),
      3,
      /error: .*(?:PIN|password)/i,
    );
    fails(await envelopOfCard(path, oldKey.publicKey, "--pincode-file", pinFile), 3, /at none of its key_indices/);
    const elsewhere = ["--pincode-file", pinFile, "--device", "other"];
    fails(
      await envelopOfCard(path, cardKeys[0], ...elsewhere),
      2,
      /names no card other\nfctools: hint: its cards: card/,
    );
  });
});
