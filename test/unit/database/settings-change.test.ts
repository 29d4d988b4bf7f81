import assert from "node:assert/strict";
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { generateKeyPair } from "../../../src/crypto/curve.ts";
import { changeMasterKey, withMasterKey } from "../../../src/database/settings-change.ts";

const folder = mkdtempSync(join(tmpdir(), "strongroom-settings-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const [old, next] = [generateKeyPair("sm2").publicKey, generateKeyPair("sm2").publicKey];
const text = `# the instance of the north plant
[database]
data = "/srv/tsdb" # on the fast disk
path_like = 1

[security.encryption]
  provider = "gm-soft"
  public-key = "${old.toString("hex")}"   # of 2026
  type = "file"
  path = '/etc/strongroom/master.key'
`.replace("path_like = 1\n", "");
const invalid = { code: "SETTINGS_INVALID", exitCode: 2 };

function changed(given: string, privateKeyFile?: string): string {
  return withMasterKey(given, "/etc/strongroom/strongroom.toml", { publicKey: next, privateKeyFile });
}

describe("a new master key in a settings file", () => {
  it("changes the public key, and nothing else", () => {
    assert.equal(changed(text), text.replace(old.toString("hex"), next.toString("hex")));
  });

  it("changes the private key's file as well when it is given, in quotes that TOML needs", () => {
    const name = `/etc/keys "new" \\ 2027.key`;
    const expected = text
      .replace(old.toString("hex"), next.toString("hex"))
      .replace("'/etc/strongroom/master.key'", `"/etc/keys \\"new\\" \\\\ 2027.key"`);
    assert.equal(changed(text, name), expected);
  });

  it("adds what the section has not", () => {
    const without = text.replace(/ {2}path.*\n/, "");
    assert.match(changed(without, "/k"), /\[security.encryption\]\npath = "\/k"\n/);
  });

  it("keeps line ends of two characters", () => {
    const dos = text.replaceAll("\n", "\r\n");
    assert.equal(changed(dos), dos.replace(old.toString("hex"), next.toString("hex")));
  });

  it("does not touch the same name in another place", () => {
    const commented = text.replace("[database]", `# [security.encryption]\n# public-key = "x"\n[database]`);
    assert.equal(changed(commented), commented.replace(old.toString("hex"), next.toString("hex")));
  });

  it("is the same when it is set twice", () => assert.equal(changed(changed(text)), changed(text)));

  for (const [what, given] of [
    ["dotted names", `security.encryption.public-key = "${old.toString("hex")}"\n`],
    ["an inline table", `[security]\nencryption = { public-key = "${old.toString("hex")}" }\n`],
    ["a text over several lines", text.replace(`"${old.toString("hex")}"`, `"""${old.toString("hex")}"""`)],
    ["a quoted name", text.replace("public-key", '"public-key"')],
    ["escapes", text.replace(`"${old.toString("hex")}"`, `"\\u0030${old.toString("hex").slice(1)}"`)],
    ["no such section", `[database]\ndata = "d"\n`],
  ] as const)
    it(`is left to a person for ${what}, with what to set`, () => {
      assert.throws(
        () => changed(given),
        (error: Error & { hint?: string }) => {
          assert.match(error.message, /is not changed by a program/);
          assert.match(error.hint ?? "", new RegExp(`public-key = "${next.toString("hex")}"`));
          return true;
        },
      );
    });

  it("is refused for a text that is invalid as it is", () => {
    assert.throws(() => changed(`${text}unknown = 1\n`), { ...invalid, message: /unknown/ });
    assert.throws(() => changed("[security.encryption"), invalid);
  });

  it("is written whole, with the permissions that were, through a link, and with nothing left beside it", () => {
    const file = join(folder, "strongroom.toml");
    writeFileSync(file, text);
    chmodSync(file, 0o640);
    symlinkSync(file, join(folder, "link.toml"));
    changeMasterKey(join(folder, "link.toml"), { publicKey: next, privateKeyFile: undefined });
    assert.equal(readFileSync(file, "utf8"), changed(text));
    assert.equal(statSync(file).mode & 0o777, 0o640);
    assert.deepEqual(readdirSync(folder).sort(), ["link.toml", "strongroom.toml"]);
  });
});
