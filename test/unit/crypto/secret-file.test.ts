import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, closeSync, mkdtempSync, openSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import {
  longestSecretBytes,
  readSecretDescriptor,
  readSecretFile,
  type SecretReading,
} from "../../../src/crypto/secret-file.ts";

class Refused extends Error {
  readonly hint: string | undefined;

  constructor(message: string, hint: string | undefined, cause: unknown) {
    super(message, { cause });
    this.hint = hint;
  }
}

const reading: SecretReading = {
  what: "passphrase",
  fileName: "passphrase file",
  refusal: (message, { hint, cause }) => new Refused(message, hint, cause),
};

describe("a secret's file", () => {
  const folder = mkdtempSync(join(tmpdir(), "strongroom-secret-"));
  after(() => rmSync(folder, { recursive: true }));
  const at = (name: string) => join(folder, name);
  const file = (name: string, content: string | Buffer, mode = 0o600): string => {
    writeFileSync(at(name), content);
    chmodSync(at(name), mode);
    return at(name);
  };
  const refused = (path: string, message: RegExp, hint?: string) =>
    assert.throws(
      () => readSecretFile(path, reading),
      (error: unknown) => {
        assert.ok(error instanceof Refused);
        assert.match(error.message, message);
        assert.equal(error.hint, hint);
        assert.doesNotMatch(`${error.message}${error.hint}`, /hunter2/);
        return true;
      },
    );

  it("is refused when others may read or write it, with what to type", () => {
    for (const mode of [0o644, 0o640, 0o604, 0o620, 0o602, 0o700]) {
      const path = file(`mode-${mode.toString(8)}`, "hunter2", mode);
      refused(
        path,
        new RegExp(`the passphrase file .* has mode 0${mode.toString(8)}, others may`),
        `chmod 600 ${path}`,
      );
    }
  });

  it("is refused when it is a pipe, which is not waited for, a folder, a device, or not there", () => {
    execFileSync("mkfifo", ["-m", "600", at("pipe")]);
    refused(at("pipe"), /pipe is not a regular file$/);
    refused(folder, /is not a regular file$/);
    refused("/dev/zero", /is not a regular file$/);
    refused(at("none"), /none cannot be read: ENOENT$/);
    symlinkSync("loop", at("loop"));
    refused(at("loop"), /loop cannot be read: ELOOP$/);
  });

  it("is refused when it is empty, only a newline, or longer than a secret is", () => {
    refused(file("empty", ""), /is empty: an empty passphrase is refused$/);
    refused(file("newline", "\n"), /is empty: an empty passphrase is refused$/);
    refused(file("long", Buffer.alloc(longestSecretBytes + 1, 49)), /holds more than 4096 bytes$/);
    refused(file("endless", Buffer.alloc(4 * longestSecretBytes, 49)), /holds more than 4096 bytes$/);
  });

  it("is read without one newline at its end, up to the longest, through a link too", () => {
    for (const [content, expected] of [
      ["hunter2", "hunter2"],
      ["hunter2\n", "hunter2"],
      ["hunter2\n\n", "hunter2\n"],
      ["hunter2\r\n", "hunter2\r"],
      ["x".repeat(longestSecretBytes), "x".repeat(longestSecretBytes)],
    ] as const) {
      using secret = readSecretFile(file("good", content, 0o400), reading);
      assert.ok(secret.equals(Buffer.from(expected)));
      rmSync(at("good"));
    }
    symlinkSync(file("target", "hunter2"), at("link"));
    using linked = readSecretFile(at("link"), reading);
    assert.equal(linked.byteLength, 7);
  });

  it("is read from a descriptor, which stays open; one that is not open is refused", () => {
    const descriptor = openSync(file("described", "hunter2\n"), "r");
    using secret = readSecretDescriptor(descriptor, "descriptor", reading);
    assert.equal(secret.byteLength, 7);
    closeSync(descriptor);
    assert.throws(
      () => readSecretDescriptor(9_999, "descriptor 9999", reading),
      /descriptor 9999 cannot be read: EBADF/,
    );
  });
});
