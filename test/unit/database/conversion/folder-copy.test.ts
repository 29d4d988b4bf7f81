import assert from "node:assert/strict";
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, describe, it } from "node:test";
import { compareFolders, copyFolder, folderBytes } from "../../../../src/database/conversion/folder-copy.ts";

const root = mkdtempSync(join(tmpdir(), "strongroom-folder-copy-"));
after(() => rmSync(root, { recursive: true, force: true }));
const [from, to] = [join(root, "from"), join(root, "to")];
const { signal } = new AbortController();

function put(path: string, bytes: string | Buffer): void {
  const file = join(from, path);
  mkdirSync(join(file, ".."), { recursive: true });
  writeFileSync(file, bytes);
}

describe("the copy of a folder", () => {
  beforeEach(() => {
    for (const each of [from, to]) rmSync(each, { recursive: true, force: true });
    put("autogen/1/000000001-000000001.tsm", Buffer.alloc(3 * 1024 * 1024 + 17, 7));
    put("autogen/1/fields.idx", "fields");
    put("autogen/2/empty", "");
    put("_series/00/0000", "start");
    truncateSync(join(from, "_series/00/0000"), 4 * 1024 * 1024);
    utimesSync(join(from, "autogen/1/fields.idx"), 1_700_000_000, 1_700_000_001);
  });

  it("is like what it was made from, with times and holes", async () => {
    await copyFolder(from, to, { signal });
    await compareFolders(from, to, signal);
    assert.equal(statSync(join(to, "autogen/1/fields.idx")).mtimeMs, 1_700_000_001_000);
    assert.ok(statSync(join(to, "_series/00/0000")).blocks * 512 < 1024 * 1024);
    assert.equal(await folderBytes(to), await folderBytes(from));
  });

  it("keeps data behind and between zeros", async () => {
    const bytes = Buffer.alloc(1024 * 1024 + 5);
    for (const at of [0, 16_383, 16_384, 500_000, 1_048_575, bytes.length - 1]) bytes[at] = 0xee;
    put("sparse", bytes);
    await copyFolder(from, to, { signal });
    assert.ok(readFileSync(join(to, "sparse")).equals(bytes));
  });

  it("takes what has changed, and loses what is gone, when it is made once more", async () => {
    await copyFolder(from, to, { signal });
    appendFileSync(join(from, "autogen/1/fields.idx"), " and more");
    rmSync(join(from, "autogen/2"), { recursive: true });
    put("autogen/3/_00001.wal", "new");
    rmSync(join(from, "_series/00/0000"));
    put("_series/00/0000/now-a-folder", "");
    await copyFolder(from, to, { signal });
    await compareFolders(from, to, signal);
  });

  it("of certain files passes over the others, and removes nothing", async () => {
    mkdirSync(to);
    writeFileSync(join(to, "there"), "");
    await copyFolder(from, to, { signal, only: (name) => name.endsWith(".tsm") });
    assert.deepEqual(
      readdirSync(to, { recursive: true, withFileTypes: true })
        .filter((each) => each.isFile())
        .map(({ name }) => name)
        .sort(),
      ["000000001-000000001.tsm", "there"],
    );
  });

  it("tells every byte that differs", async () => {
    await copyFolder(from, to, { signal });
    const file = join(to, "autogen/1/000000001-000000001.tsm");
    const good = readFileSync(file);
    for (const at of [0, 1024 * 1024, good.length - 1]) {
      const bad = Buffer.from(good);
      bad[at] = 8;
      writeFileSync(file, bad);
      await assert.rejects(compareFolders(from, to, signal), /not as what it was made from/);
    }
    writeFileSync(file, good.subarray(1));
    await assert.rejects(compareFolders(from, to, signal), /not as what it was made from/);
  });

  it("tells a file too many, one too few, and a folder in a file's place", async () => {
    for (const change of [
      () => writeFileSync(join(to, "autogen/more"), ""),
      () => rmSync(join(to, "autogen/2/empty")),
      () => {
        rmSync(join(to, "autogen/2/empty"));
        mkdirSync(join(to, "autogen/2/empty"));
      },
    ]) {
      rmSync(to, { recursive: true, force: true });
      await copyFolder(from, to, { signal });
      change();
      await assert.rejects(compareFolders(from, to, signal), /not as what it was made from/);
    }
  });

  it("refuses what is neither file nor folder, and follows no link", async () => {
    symlinkSync("/etc/passwd", join(from, "autogen/link"));
    await assert.rejects(copyFolder(from, to, { signal }), /neither file nor folder/);
    await assert.rejects(copyFolder(from, to, { signal, only: () => true }), /neither file nor folder/);
  });

  it("ends when it is told to", async () => {
    await assert.rejects(copyFolder(from, to, { signal: AbortSignal.abort(new Error("stop")) }), /stop/);
    await copyFolder(from, to, { signal });
    await assert.rejects(compareFolders(from, to, AbortSignal.abort(new Error("stop"))), /stop/);
  });
});
