import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, symlinkSync } from "node:fs";
import { describe, it } from "node:test";
import { readPrivateFile } from "../../../../src/chain/build/pin-file.ts";
import { ChainFolder } from "./chain-folder.ts";

describe("a file with a secret", () => {
  it("is read as it is, also behind a link", () => {
    using folder = new ChainFolder();
    const file = folder.write("pin", "12345678\n");
    symlinkSync(file, folder.at("link"));
    for (const path of [file, folder.at("link")]) {
      using content = readPrivateFile(path);
      assert.ok(content.equals(Buffer.from("12345678\n")));
    }
  });

  it("is refused when it is a folder, a named pipe or not there, at once", () => {
    using folder = new ChainFolder();
    mkdirSync(folder.at("folder"), { mode: 0o700 });
    execFileSync("mkfifo", ["-m", "600", folder.at("pipe")]);
    symlinkSync(folder.at("pipe"), folder.at("link"));
    for (const [name, message] of [
      ["folder", /not a regular file/],
      ["pipe", /not a regular file/],
      ["link", /not a regular file/],
      ["nothing", /is missing: it holds a PIN/],
    ] as const)
      assert.throws(() => readPrivateFile(folder.at(name)), { code: "FILE_UNUSABLE", message });
  });

  it("is refused when others may read it, with what it holds in the message", () => {
    using folder = new ChainFolder();
    for (const mode of [0o640, 0o604, 0o644])
      assert.throws(
        () => readPrivateFile(folder.write(`m${mode}`, "x", mode), { holds: "the node's private key" }),
        (error: { code?: string; message: string; hint?: string }) =>
          error.code === "FILE_UNSAFE" &&
          error.message.includes("holds the node's private key") &&
          error.hint?.startsWith("chmod 600 ") === true,
      );
  });

  it("is refused when it is longer than asked for, and not cut", () => {
    using folder = new ChainFolder();
    const file = folder.write("long", Buffer.alloc(11, 0x31));
    assert.throws(() => readPrivateFile(file, { maxBytes: 10 }), { code: "FILE_UNUSABLE", message: /more than 10/ });
    using content = readPrivateFile(file, { maxBytes: 11 });
    assert.equal(
      content.expose((bytes) => bytes.length),
      11,
    );
    const large = folder.write("large", Buffer.alloc(1024 * 1024 + 1));
    assert.throws(() => readPrivateFile(large), { code: "FILE_UNUSABLE" });
  });
});
