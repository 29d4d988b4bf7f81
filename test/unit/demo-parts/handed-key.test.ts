import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, openSync, readFileSync, rmSync, unlinkSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { readHexKey, readRawKey } from "../../../script/demo-parts/handed-key.ts";

const folder = mkdtempSync(join(tmpdir(), "strongroom-handed-key-"));
after(() => rmSync(folder, { recursive: true }));

const hex = "00ff10a0".repeat(8);
const key = Buffer.from(hex, "hex");

function fileOf(content: string | Uint8Array): { path: string } {
  const path = join(folder, "key");
  writeFileSync(path, content);
  return { path };
}

describe("a key that was handed over", () => {
  it("is read from a file, in either case, with or without a line end", () => {
    for (const text of [hex, `${hex}\n`, hex.toUpperCase()]) assert.deepEqual(readHexKey(fileOf(text), "key"), key);
  });

  it("is read from the start of an unlinked file whose descriptor was left at its end", () => {
    const path = join(folder, "unlinked");
    const fd = openSync(path, "w+");
    unlinkSync(path);
    writeSync(fd, hex);
    assert.deepEqual(readHexKey({ fd }, "key"), key);
  });

  it("is read from an inherited socket, as Node's pipes are, and from a path that names the descriptor", () => {
    const program = join(import.meta.dirname, "../../../script/demo-parts/handed-key.ts");
    const read = (source: string) =>
      `import { readRawKey } from ${JSON.stringify(program)}; console.log(readRawKey(${source}, "key").length);`;
    const run = (source: string, stdio: "pipe" | number) =>
      spawnSync(process.execPath, ["--input-type=module-typescript", "-e", read(source)], {
        stdio: [stdio, "pipe", "inherit"],
        ...(stdio === "pipe" ? { input: key } : {}),
        encoding: "utf8",
      }).stdout;
    assert.equal(run("{ fd: 0 }", "pipe"), "32\n");
    const { path } = fileOf(key);
    const fd = openSync(path, "r");
    unlinkSync(path);
    assert.equal(run(`{ path: "/dev/fd/0" }`, fd), "32\n");
  });

  it("is closed after it was read", () => {
    const fd = openSync(fileOf(key).path, "r");
    readRawKey({ fd }, "key");
    assert.throws(() => readFileSync(fd), { code: "EBADF" });
  });

  for (const [what, text] of [
    ["nothing", ""],
    ["a digit too few", hex.slice(1)],
    ["a digit too many", `${hex}0`],
    ["0x before it", `0x${hex}`],
    ["two line ends", `${hex}\n\n`],
    ["a carriage return", `${hex}\r\n`],
    ["a space before it", ` ${hex.slice(1)}`],
    ["a letter past f", `${hex.slice(1)}g`],
    ["a character just outside the digits", `${hex.slice(1)}:`],
    ["a character just before a", `${hex.slice(1)}\``],
    ["a control character that differs from a digit by one bit", `${hex.slice(1)}\u0001`],
    ["far too much", hex.repeat(10)],
  ] as const)
    it(`is refused as hexadecimal with ${what}, and not repeated`, () => {
      assert.throws(
        () => readHexKey(fileOf(text), "the node key"),
        (error: Error) => {
          assert.match(error.message, /^the node key: /);
          assert.equal(error.message.includes(hex.slice(1, 9)), false);
          return true;
        },
      );
    });

  for (const length of [0, 31, 33, 64, 129])
    it(`is refused as raw bytes when there are ${length}`, () => {
      assert.throws(() => readRawKey(fileOf(Buffer.alloc(length, 7)), "the level key"), /^Error: the level key: /);
    });
});
