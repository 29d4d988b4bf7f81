/** `strongroom device` against the test cipher card, with the mistakes that a hand makes. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { makeTestCard, sdfCardMissing, type TestCard } from "../../sdf-card/build.ts";
import { runStrongroom, TemporaryFolder } from "../running-server.ts";

describe("the commands for a cipher card", { skip: sdfCardMissing() }, () => {
  let card: TestCard;
  let folder: TemporaryFolder;
  before(() => {
    card = makeTestCard("PIN-canary-31579");
    for (const index of ["1", "2"]) card.admin("generate", index);
    folder = new TemporaryFolder();
    const write = (name: string, pinFile: string) =>
      writeFileSync(
        join(folder.path, name),
        `[[device]]\nname = "card"\nkind = "sdf"\nlibrary = "${card.library}"\nkey_indices = [1]\npin_file = "${pinFile}"\n`,
        { mode: 0o600 },
      );
    write("devices.toml", "pin");
    write("mistyped.toml", "mistyped");
    writeFileSync(join(folder.path, "pin"), "PIN-canary-31579\n", { mode: 0o600 });
    writeFileSync(join(folder.path, "mistyped"), "PIN-canary-31578\n", { mode: 0o600 });
    writeFileSync(join(folder.path, "taken"), "mine\n", { mode: 0o600 });
  });
  after(() => {
    card?.[Symbol.dispose]();
    folder?.[Symbol.dispose]();
  });
  const device = (words: readonly string[], list = "devices.toml") =>
    runStrongroom(["device", ...words, "--devices", join(folder.path, list)]);

  it("line up what a device says of itself", async () => {
    const { code, stdout } = await device(["info", "card"]);
    assert.equal(code, 0);
    const columns = stdout
      .trimEnd()
      .split("\n")
      .map((line) => /^(?:self-test )?\S+(?: key)?(?: \S+)? {2,}/.exec(line)?.[0].length);
    assert.equal(new Set(columns).size, 1, stdout);
    assert.match(stdout, /ready: 1 session, 0 calls wait/);
  });

  for (const [what, words, code, message] of [
    [
      "an index that the entry does not list",
      ["test", "card", "--key-index", "2"],
      2,
      /key_indices of device card does not name index 2\n.*it names 1/,
    ],
    [
      "an index that the entry does not list, for speed",
      ["bench", "card", "--key-index", "2"],
      2,
      /does not name index 2/,
    ],
    [
      "a key-encryption key where none is listed",
      ["test", "card", "--kek-index", "1"],
      2,
      /kek_indices of device card does not name index 1/,
    ],
    [
      "a public key of a key-encryption key",
      ["keys", "export-public", "card", "--kek-index", "1"],
      2,
      /unknown option '--kek-index'/,
    ],
    ["a key pair made in a card", ["keys", "generate", "card", "--label", "x"], 2, /GM\/T 0018 has no call for it/],
  ] as const)
    it(`refuse ${what}`, async () => {
      const outcome = await device(words);
      assert.equal(outcome.code, code, outcome.stderr);
      assert.match(outcome.stderr, message);
      assert.equal(outcome.stdout, "");
    });

  it("refuse a wrong PIN with the exit code of a refusal", async () => {
    const { code, stderr } = await device(["info", "card"], "mistyped.toml");
    assert.equal(code, 3, stderr);
    assert.match(stderr, /the card refuses the PIN; it is not tried again/);
    assert.doesNotMatch(stderr, /PIN-canary/);
  });

  it("replace no file, and say so before anything is done", async () => {
    for (const words of [
      ["keys", "export-public", "card", "--key-index", "1", "--out", join(folder.path, "taken")],
      [
        "envelope",
        "card",
        "--key-index",
        "1",
        "--secret-file",
        join(folder.path, "absent"),
        "--out",
        join(folder.path, "taken"),
      ],
    ]) {
      const { code, stderr } = await device(words);
      assert.equal(code, 1, stderr);
      assert.match(stderr, /taken is there already\n.*name another file: --out/);
    }
    assert.equal(readFileSync(join(folder.path, "taken"), "utf8"), "mine\n");
    const { code } = await device([
      "keys",
      "export-public",
      "card",
      "--key-index",
      "1",
      "--out",
      join(folder.path, "public.pem"),
    ]);
    assert.equal(code, 0);
    assert.ok(existsSync(join(folder.path, "public.pem")));
  });
});
