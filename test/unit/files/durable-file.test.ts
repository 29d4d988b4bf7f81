import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { replaceFileDurably } from "../../../src/files/durable-file.ts";

describe("a file that is replaced durably", () => {
  const folder = mkdtempSync(join(tmpdir(), "strongroom-durable-"));
  const path = join(folder, "file");
  after(() => rmSync(folder, { recursive: true }));

  it("holds the new bytes under the mode given, and nothing stays beside it", () => {
    writeFileSync(path, "old", { mode: 0o644 });
    replaceFileDurably(path, Buffer.from("new"), 0o600);
    assert.equal(readFileSync(path, "utf8"), "new");
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.deepEqual(readdirSync(folder), ["file"]);
  });

  it("is replaced also where a killed process of the same number left its temporary file", () => {
    writeFileSync(`${path}.new-${process.pid}`, "left behind");
    replaceFileDurably(path, Buffer.from("newer"), 0o600);
    assert.equal(readFileSync(path, "utf8"), "newer");
  });

  it("stays as it was when its folder takes no new file", () => {
    assert.throws(() => replaceFileDurably(join(path, "below"), Buffer.from("x"), 0o600), { code: "ENOTDIR" });
    assert.equal(readFileSync(path, "utf8"), "newer");
  });
});
