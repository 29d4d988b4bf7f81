import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { searchFiles } from "../../../script/demo-parts/planted-bytes.ts";

const folder = mkdtempSync(join(tmpdir(), "strongroom-planted-"));
after(() => rmSync(folder, { recursive: true }));

const bytes = randomBytes(32);
// Base64 fills up with zero bits: a last byte that begins with zeros would be found in what was cut before it.
bytes[0] = 0xff;
bytes[31] = 0xff;
const planted = [{ name: "secret", bytes }];

function found(content: string | Uint8Array): string[] {
  const path = join(folder, "one", "file");
  mkdirSync(join(folder, "one"), { recursive: true });
  writeFileSync(path, content);
  return searchFiles([join(folder, "one")], planted).found.map(({ form }) => form);
}

describe("the search for planted bytes", () => {
  it("finds them raw, as hexadecimal in either case, and as base64 at every alignment", () => {
    assert.deepEqual(found(Buffer.concat([randomBytes(100), bytes, randomBytes(100)])), ["raw"]);
    assert.deepEqual(found(`key=${bytes.toString("hex")};`), ["hex"]);
    assert.deepEqual(found(bytes.toString("hex").toUpperCase()), ["hex"]);
    for (const before of [0, 1, 2, 3])
      for (const behind of [0, 1, 2]) {
        const text = Buffer.concat([randomBytes(before), bytes, randomBytes(behind)]).toString("base64");
        assert.deepEqual(found(`{"k":"${text}"}`), ["base64"], `${before} bytes before, ${behind} behind`);
      }
  });

  it("finds them in a folder's folders and counts what it read", () => {
    const deep = join(folder, "two", "a", "b");
    mkdirSync(deep, { recursive: true });
    writeFileSync(join(deep, "x"), bytes);
    writeFileSync(join(folder, "two", "y"), "nothing here");
    const result = searchFiles([join(folder, "two")], planted);
    assert.deepEqual({ files: result.files, bytes: result.bytes }, { files: 2, bytes: 44 });
    assert.deepEqual(result.found, [{ name: "secret", form: "raw", path: join(deep, "x") }]);
  });

  it("finds nothing where a byte differs, or where they are cut", () => {
    const changed = Buffer.from(bytes);
    changed.writeUInt8(changed.readUInt8(16) ^ 1, 16);
    for (const other of [changed, bytes.subarray(1), bytes.subarray(0, 31), randomBytes(4096)]) {
      assert.deepEqual(found(other), []);
      assert.deepEqual(found(other.toString("hex")), []);
      assert.deepEqual(found(other.toString("base64")), []);
    }
  });

  it("does not follow symbolic links out of the folder", () => {
    const outside = join(folder, "outside");
    writeFileSync(outside, bytes);
    const within = join(folder, "three");
    mkdirSync(within);
    symlinkSync(outside, join(within, "link"));
    assert.equal(searchFiles([within], planted).files, 0);
  });

  it("refuses to search for so few bytes that chance would find them", () => {
    assert.throws(() => searchFiles([folder], [{ name: "short", bytes: Buffer.alloc(7) }]), RangeError);
  });

  it("passes over a file that is gone by the time that it is read", () => {
    // What this folder lists of the descriptor by which it is listed is gone when the listing ends.
    const { files } = searchFiles(["/proc/self/fdinfo"], [{ name: "nothing", bytes: Buffer.from("nothing of that") }]);
    assert.ok(files >= 3);
  });

  it("refuses a folder that is not there, rather than find nothing in it", () => {
    assert.throws(() => searchFiles([join(folder, "absent")], planted), { code: "ENOENT" });
  });
});
