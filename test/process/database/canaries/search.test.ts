import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { deflateSync, gzipSync } from "node:zlib";
import snappy from "snappyjs";
import { CanarySearch } from "./search.ts";

const folder = mkdtempSync(join(tmpdir(), "strongroom-search-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const text = `canary${randomBytes(8).toString("hex")}`;
const search = new CanarySearch(new Map([["bird", text]]));
const noise = (length: number) => randomBytes(length);
const packed = (bytes: Buffer): Buffer => Buffer.from(snappy.compress(bytes));
const repeated = Buffer.from(`${text.slice(0, 12)} and then ${text} and ${"again ".repeat(50)}`);

const forms: readonly (readonly [string, Buffer])[] = [
  ["as it is", Buffer.from(text)],
  ["UTF-16", Buffer.from(text, "utf16le")],
  ["UTF-16", Buffer.from(text, "utf16le").swap16()],
  ["hex", Buffer.from(Buffer.from(text).toString("hex"))],
  ["hex", Buffer.from(Buffer.from(text).toString("hex").toUpperCase())],
  ...[0, 1, 2, 3, 4, 5].map(
    (shift) =>
      ["base64", Buffer.from(Buffer.concat([noise(shift), Buffer.from(text), noise(7)]).toString("base64"))] as const,
  ),
  ["base64", Buffer.from(Buffer.from(`??>${text}???`).toString("base64url"))],
  ["unpacked, as it is", gzipSync(repeated)],
  ["unpacked, as it is", deflateSync(repeated)],
  ["unpacked, as it is", packed(repeated)],
  ["unpacked, hex", gzipSync(Buffer.from(repeated.toString("hex")))],
  ["unpacked, unpacked, as it is", packed(Buffer.concat([noise(20), gzipSync(repeated)]))],
  // One that was cut: what there is of it counts.
  ["unpacked, as it is", gzipSync(Buffer.concat([repeated, noise(5000)])).subarray(0, 3000)],
];

describe("the search for canaries", () => {
  it("finds a text in each form, at any place of a file", () => {
    for (const [as, form] of forms)
      for (const before of [0, 1, 13, 4099]) {
        const found = search.inBytes(Buffer.concat([noise(before), form, noise(100)]), "a file");
        assert.ok(
          found.some((each) => each.as === as && each.what === "bird"),
          `${as} at ${before}: ${JSON.stringify(found)}`,
        );
      }
  });

  it("finds a text that compression has cut in two, which a search of the bytes does not", () => {
    const block = packed(repeated);
    assert.equal(block.includes(text), false);
    assert.notDeepEqual(search.inBytes(block, "a block"), []);
  });

  it("finds it in files and names at any depth and in targets of links, but not where it is not to look", () => {
    mkdirSync(join(folder, "a/b/not-here"), { recursive: true });
    mkdirSync(join(folder, `a/x-${text}-y`));
    writeFileSync(join(folder, "a/b/file"), text);
    writeFileSync(join(folder, "a/b/not-here/file"), text);
    writeFileSync(join(folder, "old"), text);
    utimesSync(join(folder, "old"), 1, 1);
    symlinkSync(`/nowhere/${text}`, join(folder, "link"));
    const options = { except: [join(folder, "a/b/not-here")], since: Date.now() - 600_000 };
    const where = search.inFolders([folder, join(folder, "none")], options).map((each) => each.where);
    assert.deepEqual(where.sort(), [
      join(folder, "a/b/file"),
      `the name ${join(folder, `a/x-${text}-y`)}`,
      `the target of ${join(folder, "link")}`,
    ]);
  });

  it("finds nothing in bytes that hold nothing, compressed or not", () => {
    const other = Buffer.from(`canary${"0123".repeat(4)} and ${"again ".repeat(50)}`);
    for (const bytes of [noise(1 << 20), other, packed(other), gzipSync(other), Buffer.alloc(100_000)])
      assert.deepEqual(search.inBytes(bytes, "bytes"), []);
  });

  it("refuses a text so short that it is found by chance", () => {
    assert.throws(() => new CanarySearch(new Map([["short", "1234567"]])), RangeError);
  });
});
