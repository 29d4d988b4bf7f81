import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { instancePaths } from "../../../../src/database/instance/instance-folder.ts";
import { instanceKeyBytes } from "../../../../src/database/instance/instance-key.ts";
import { keyFileTrouble } from "../../../../src/database/instance/settle-key.ts";

const folder = mkdtempSync(join(tmpdir(), "strongroom-settle-key-"));
after(() => rmSync(folder, { recursive: true, force: true }));

describe("the file of an instance key that a master key has opened", () => {
  const paths = instancePaths(folder);
  const key = SecretBuffer.random(instanceKeyBytes);
  const trouble = () => keyFileTrouble({ paths, metadataKey: { in: "file", file: undefined } }, key);
  const put = (bytes: Uint8Array, mode = 0o600) => {
    writeFileSync(paths.keyFile, bytes, { mode });
    chmodSync(paths.keyFile, mode);
  };
  const right = key.expose((bytes) => Buffer.from(bytes));

  it("is well when it is the key, and its owner's alone", () => {
    put(right);
    assert.equal(trouble(), undefined);
  });

  it("is not looked at where the key is to be under the master key alone", () => {
    put(Buffer.alloc(3));
    assert.equal(keyFileTrouble({ paths, metadataKey: { in: "master" } }, key), undefined);
  });

  for (const [what, bytes, mode, message] of [
    ["others may read", right, 0o644, /instance\.key holds the instance key, and is not its .*: chmod 600 \S+$/],
    ["is cut", right.subarray(0, 31), 0o600, /instance\.key has not 32 bytes: remove it, and the next start/],
    ["is another key", Buffer.alloc(32, 7), 0o600, /instance\.key holds another key than this instance's: remove it/],
  ] as const)
    it(`is told of when it ${what}`, () => {
      put(bytes, mode);
      assert.match(trouble() ?? "", message);
    });
});
