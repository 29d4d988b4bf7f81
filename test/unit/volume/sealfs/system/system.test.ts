import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { type ErrnoName, FsError } from "../../../../../src/volume/sealfs/fs-error.ts";
import * as backing from "../../../../../src/volume/sealfs/system/backing-folder.ts";
import { at, fileType, systemCall } from "../../../../../src/volume/sealfs/system/calls.ts";
import { setAttribute } from "../../../../../src/volume/sealfs/system/extended-attributes.ts";
import { statusAt, statusOf } from "../../../../../src/volume/sealfs/system/file-status.ts";
import { fileTimeNs, setMode, setOwner, setTimes } from "../../../../../src/volume/sealfs/system/inode.ts";
import { spaceOf } from "../../../../../src/volume/sealfs/system/space.ts";
import { SystemFile } from "../../../../../src/volume/sealfs/system/system-file.ts";

let path = "";
let folder = -1;

beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), "sealfs-system-"));
  folder = backing.openFolder(at.currentFolder, path);
});

afterEach(() => {
  systemCall("close", folder);
  rmSync(path, { recursive: true });
});

const fails = (code: ErrnoName) => (error: unknown) => error instanceof FsError && error.code === code;

test("a status says of each type of file what Node says", () => {
  writeFileSync(join(path, "file"), "twelve bytes");
  backing.makeFolder(folder, "folder", 0o711);
  backing.makeSymlink(folder, "link", "no\xffwhere");
  backing.makeSpecial(folder, "fifo", fileType.fifo | 0o600, 0);
  for (const name of ["file", "folder", "link", "fifo"]) {
    const status = statusAt(folder, name);
    const expected = statSync(join(path, name), { bigint: true, throwIfNoEntry: false });
    if (name === "link") assert.equal(status.mode & fileType.mask, fileType.symlink);
    else
      assert.deepEqual(
        [
          status.inode,
          BigInt(status.size),
          BigInt(status.mode),
          status.modifiedNs,
          BigInt(status.links),
          BigInt(status.blocks),
        ],
        [expected?.ino, expected?.size, expected?.mode, expected?.mtimeNs, expected?.nlink, expected?.blocks],
      );
  }
  assert.equal(backing.readSymlink(folder, "link"), "no\xffwhere");
});

test("names of any bytes and thousands of entries are listed", () => {
  const names = Array.from({ length: 3000 }, (_, index) => `\xfe\x01 ${index} ${"x".repeat(index % 200)}`);
  for (const name of names) backing.makeSpecial(folder, name, fileType.fifo | 0o600, 0);
  const listed = backing.listFolder(folder);
  assert.deepEqual(listed.map(({ name }) => name).sort(), names.sort());
  assert.deepEqual(new Set(listed.map(({ type }) => type)), new Set([fileType.fifo]));
  assert.equal(listed[0]?.inode, statusAt(folder, listed[0]?.name ?? "").inode);
});

test("a failed call has the errno of the call", () => {
  writeFileSync(join(path, "file"), "");
  backing.makeFolder(folder, "folder", 0o700);
  backing.makeSymlink(folder, "link", "file");
  const failures: readonly (readonly [ErrnoName, () => unknown])[] = [
    ["ENOENT", () => statusAt(folder, "none")],
    ["ENOENT", () => backing.unlinkFile(folder, "none")],
    ["ENOENT", () => backing.openFile(folder, "none", "read")],
    ["EEXIST", () => backing.makeFolder(folder, "folder", 0o700)],
    ["EEXIST", () => backing.createFile(folder, "file", 0o600)],
    ["EEXIST", () => backing.renameEntry(folder, "file", folder, "folder")],
    ["EISDIR", () => backing.unlinkFile(folder, "folder")],
    ["ENOTDIR", () => backing.removeFolder(folder, "file")],
    ["ENOTDIR", () => backing.openFolder(folder, "file")],
    ["ENOTDIR", () => backing.openFolder(folder, "link")],
    ["ELOOP", () => backing.openFile(folder, "link", "write")],
    ["EINVAL", () => backing.readSymlink(folder, "file")],
    ["ENAMETOOLONG", () => backing.makeFolder(folder, "x".repeat(256), 0o700)],
    ["EPERM", () => backing.linkFile(folder, "folder", folder, "other")],
    ["EBADF", () => statusOf(-1)],
    ["EBADF", () => spaceOf(-1)],
    ["EBADF", () => new SystemFile(-1).read(0, Buffer.alloc(1))],
  ];
  for (const [code, call] of failures) assert.throws(call, fails(code));
});

test("a backing file is read, written, cut and punched at any place", () => {
  const file = new SystemFile(backing.createFile(folder, "file", 0o600));
  file.write(5_000_000_000, Buffer.from("far"));
  assert.equal(file.size(), 5_000_000_003);
  const into = Buffer.alloc(10, 1);
  assert.equal(file.read(4_999_999_998, into), 5);
  assert.equal(into.toString("latin1", 0, 5), "\0\0far");
  assert.equal(file.read(6_000_000_000, into), 0);
  file.write(0, Buffer.alloc(8192, 7));
  file.punch(0, 4096);
  assert.equal(file.read(4090, into), 10);
  assert.deepEqual([...into], [0, 0, 0, 0, 0, 0, 7, 7, 7, 7]);
  file.truncate(3);
  assert.equal(file.size(), 3);
  file.sync();
  file.close();
  file.close();
  assert.throws(() => file.read(0, into), fails("EBADF"));
});

test("a backing file that is open for reading changes nothing", () => {
  writeFileSync(join(path, "file"), "content");
  const file = new SystemFile(backing.openFile(folder, "file", "read"), "read");
  for (const change of [() => file.write(0, Buffer.from("x")), () => file.truncate(0), () => file.punch(0, 1)])
    assert.throws(change, fails("EROFS"));
  assert.equal(file.size(), 7);
  file.close();
});

test("owner, mode and times are set by name and by descriptor, before 1970 too", () => {
  writeFileSync(join(path, "file"), "");
  const descriptor = openSync(join(path, "file"), "r");
  for (const place of [{ folder, name: "file" }, { descriptor }]) {
    setTimes(place, -1n, -1_000_000_001n);
    setMode(place, 0o640);
    setOwner(place, undefined, process.getegid?.());
    const { accessedNs, modifiedNs, mode } = statusAt(folder, "file");
    assert.deepEqual([accessedNs, modifiedNs, mode], [-1n, -1_000_000_001n, 0o100640]);
    setTimes(place, undefined, "now");
    assert.equal(statusAt(folder, "file").accessedNs, -1n);
    assert.equal(statusAt(folder, "file").modifiedNs >= fileTimeNs() - 60_000_000_000n, true);
    setMode(place, 0o600);
  }
  closeSync(descriptor);
});

test("what the server opens and reads keeps the time of its last access, also where nobody may ask for that", () => {
  writeFileSync(join(path, "file"), "read by us");
  setTimes({ folder, name: "file" }, 1_000_000_000n, undefined);
  const file = new SystemFile(backing.openFile(folder, "file", "read"), "read");
  file.read(0, Buffer.alloc(5));
  file.close();
  assert.equal(statusAt(folder, "file").accessedNs, 1_000_000_000n);
  assert.throws(() => backing.openFile(folder, "absent", "read"), fails("ENOENT"));
});

test("an attribute that the file system below has no room for is a full disk", () => {
  writeFileSync(join(path, "file"), "");
  assert.throws(() => setAttribute({ folder, name: "file" }, "user.large", Buffer.alloc(70_000), 0), fails("ENOSPC"));
});
