import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { generateKeyPair } from "../../../src/crypto/curve.ts";
import { writePrivateKey } from "../../../src/crypto/pem.ts";
import { buildSdfCard, makeTestCard, sdfCardMissing, type TestCard } from "../../sdf-card/build.ts";
import { SdfCaller, sdr } from "../../sdf-card/caller.ts";

describe("card-admin", { skip: sdfCardMissing() }, () => {
  let card: TestCard;
  let folder: string;

  before(() => {
    card = makeTestCard("12345678");
    folder = mkdtempSync(join(tmpdir(), "card-admin-"));
  });
  after(() => {
    card?.[Symbol.dispose]();
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  });

  function run(...args: string[]): { status: number | null; stderr: string } {
    return spawnSync(buildSdfCard().admin, args, { encoding: "utf8", env: { SDF_CARD_DIR: card.dir } });
  }

  it("shows what was made, with private files", () => {
    const made = card.admin("generate", "2");
    card.admin("kek", "3");
    const shown = card.admin("show");
    assert.match(shown, /^serial [0-9A-F]{16}\nkey 2 may-sign open\n/);
    assert.match(shown, /\nkek 3\n$/);
    assert.ok(shown.includes(/sign-public ([0-9a-f]{128})/.exec(made)?.[1] ?? "no key was printed"));
    for (const file of ["card", "key-2", "kek-3"]) assert.equal(statSync(join(card.dir, file)).mode & 0o777, 0o600);
  });

  it("takes a PIN from a file", () => {
    const file = join(folder, "pin");
    writeFileSync(file, "from a file\n");
    card.admin("generate", "4", "--pin-file", file);
    const sdf = new SdfCaller(card.library);
    assert.equal(sdf.takeRight(sdf.openSession(), 4, "from a file"), sdr.ok);
  });

  it("removes a key", () => {
    card.admin("generate", "5");
    card.admin("remove", "5");
    assert.match(run("remove", "5").stderr, /index 5 holds no key/);
  });

  for (const [what, args, status, words] of [
    ["no command", [], 2, /usage/],
    ["an unknown command", ["format"], 2, /usage/],
    ["an unknown option", ["show", "--all"], 2, /--all/],
    ["index 0", ["generate", "0"], 2, /index from 1 to 1024/],
    ["index 1025", ["generate", "1025"], 2, /index from 1 to 1024/],
    ["an index that is no number", ["kek", "4x"], 2, /index from 1 to 1024/],
    ["a short PIN", ["generate", "8", "--pin", "1234567"], 2, /8 to 256 bytes/],
    ["a PIN file that is not there", ["generate", "8", "--pin-file", "/nonexistent"], 2, /readable --pin-file/],
    ["a folder that is no card", ["show", "--dir", "/nonexistent"], 1, /is not a card/],
    ["an index in use", ["generate", "2"], 1, /in use/],
    ["a KEK in use", ["kek", "3"], 1, /in use/],
    ["a key file that is not there", ["import", "9", "/nonexistent"], 1, /can't read/],
    ["a password for no key", ["set-pin", "9", "--pin", "12345678"], 1, /holds no key/],
  ] as const)
    it(`refuses ${what}`, () => {
      const { status: got, stderr } = run(...args);
      assert.equal(got, status);
      assert.match(stderr, words);
    });

  it("refuses a card that is one already", () => {
    assert.match(run("init", card.dir, "--pin", "12345678").stderr, /is a card already/);
  });

  it("refuses a key of another curve, of no curve, and out of range", () => {
    const other = writePrivateKey("p256", generateKeyPair("p256").scalar, "pkcs8").expose(String);
    for (const text of [other, "not a key", "", "00".repeat(32), "ff".repeat(32), "ab".repeat(31)]) {
      const file = join(folder, "key");
      writeFileSync(file, text);
      assert.equal(run("import", "9", file).status, 1, text.slice(0, 30));
    }
  });

  it("leaves a library whose folder is no card unable to open", () => {
    using moved = makeTestCard("12345678");
    writeFileSync(join(moved.dir, "../sdf-card.dir"), join(folder, "empty"));
    assert.equal(new SdfCaller(moved.library).openDevice().code, sdr.openDevice);
  });
});
