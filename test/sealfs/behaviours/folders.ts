import assert from "node:assert/strict";
import * as fs from "node:fs";
import { join } from "node:path";
import { native } from "../compare/native-calls.ts";
import type { Behaviour } from "./behaviour.ts";

const entryCount = 3000;

/** Names and folders. */
export const folderBehaviours: readonly Behaviour[] = [
  {
    name: "a folder that changes while it is read gives each entry that stays exactly once",
    run(folder) {
      for (let index = 0; index < entryCount; index += 1) fs.writeFileSync(join(folder, `stays-${index}`), "");
      for (let index = 0; index < 500; index += 1) fs.writeFileSync(join(folder, `goes-${index}`), "");
      const reading = fs.opendirSync(folder, { bufferSize: 8 });
      const seen: string[] = [];
      for (let entry = reading.readSync(), count = 0; entry !== null; entry = reading.readSync(), count += 1) {
        seen.push(entry.name);
        if (count < 500) {
          fs.rmSync(join(folder, `goes-${count}`), { force: true });
          fs.writeFileSync(join(folder, `comes-${count}`), "");
        }
      }
      reading.closeSync();
      const stays = seen.filter((name) => name.startsWith("stays-"));
      assert.equal(stays.length, entryCount);
      assert.equal(new Set(seen).size, seen.length, "nothing comes twice");
    },
  },
  {
    name: "a folder can be read by one descriptor again after it has changed",
    run(folder) {
      for (const name of ["a", "b"]) {
        fs.writeFileSync(join(folder, name), "");
        assert.ok(fs.readdirSync(folder).includes(name));
      }
      fs.unlinkSync(join(folder, "a"));
      assert.deepEqual(fs.readdirSync(folder), ["b"]);
    },
  },
  {
    name: "names of 255 bytes that are no UTF-8 are kept as they are, and 256 bytes are refused",
    run(folder) {
      const name = Buffer.alloc(255, 0xfe);
      const path = (last: Buffer): Buffer => Buffer.concat([Buffer.from(`${folder}/`), last]);
      fs.writeFileSync(path(name), "x");
      assert.deepEqual(fs.readdirSync(folder, { encoding: "buffer" }), [name]);
      assert.equal(fs.readFileSync(path(name), "utf8"), "x");
      assert.throws(() => fs.writeFileSync(path(Buffer.alloc(256, 0xfe)), ""), { code: "ENAMETOOLONG" });
      assert.throws(() => fs.statSync(path(Buffer.alloc(256, 0xfe))), { code: "ENAMETOOLONG" });
    },
  },
  {
    name: "a link to itself by way of another is ELOOP, and a target of 4,095 bytes is kept",
    run(folder) {
      fs.symlinkSync("b", join(folder, "a"));
      fs.symlinkSync("a", join(folder, "b"));
      assert.throws(() => fs.readFileSync(join(folder, "a")), { code: "ELOOP" });
      const target = "t".repeat(4095);
      fs.symlinkSync(target, join(folder, "long"));
      assert.equal(fs.readlinkSync(join(folder, "long")), target);
      assert.equal(fs.lstatSync(join(folder, "long")).size, 4095);
    },
  },
  {
    name: "exchange swaps two entries, also a file and a folder, and noreplace replaces nothing",
    run(folder) {
      const [file, other] = [join(folder, "file"), join(folder, "folder")];
      fs.writeFileSync(file, "content");
      fs.mkdirSync(other);
      native.rename(file, other, 2);
      assert.ok(fs.statSync(file).isDirectory());
      assert.equal(fs.readFileSync(other, "utf8"), "content");
      assert.throws(() => native.rename(file, other, 1), { code: "EEXIST" });
      assert.throws(() => native.rename(file, join(folder, "absent"), 2), { code: "ENOENT" });
      assert.throws(() => native.rename(file, join(file, "below"), 0), { code: "EINVAL" });
    },
  },
  {
    name: "links count, and a removed folder takes no new entries",
    run(folder) {
      const inner = join(folder, "inner");
      fs.mkdirSync(inner);
      assert.equal(fs.statSync(inner).nlink, 2);
      fs.mkdirSync(join(inner, "a"));
      assert.equal(fs.statSync(inner).nlink, 3);
      fs.writeFileSync(join(folder, "f"), "");
      fs.linkSync(join(folder, "f"), join(inner, "g"));
      assert.equal(fs.statSync(join(inner, "g")).nlink, 2);
      assert.equal(fs.statSync(join(inner, "g")).ino, fs.statSync(join(folder, "f")).ino);
      assert.throws(() => fs.linkSync(inner, join(folder, "h")), { code: "EPERM" });
      assert.throws(() => fs.rmdirSync(inner), { code: "ENOTEMPTY" });
      fs.rmSync(inner, { recursive: true });
      assert.equal(fs.statSync(join(folder, "f")).nlink, 1);
      assert.throws(() => fs.mkdirSync(join(inner, "b")), { code: "ENOENT" });
    },
  },
  {
    name: "new entries of a set-group-id folder get its group, and folders the bit",
    run(folder) {
      if (process.getuid?.() !== 0) return;
      fs.chownSync(folder, 0, 1234);
      fs.chmodSync(folder, 0o2755);
      fs.writeFileSync(join(folder, "f"), "");
      fs.mkdirSync(join(folder, "d"));
      assert.equal(fs.statSync(join(folder, "f")).gid, 1234);
      assert.equal(fs.statSync(join(folder, "d")).mode & 0o7777, 0o2755);
    },
  },
  {
    name: "extended attributes up to 64 KiB are kept, and those of other kinds than user refused",
    run(folder) {
      const path = join(folder, "f");
      fs.writeFileSync(path, "");
      const value = Buffer.alloc(3000, "v");
      native.setxattr(path, "user.large", value, value.length, 0);
      const got = Buffer.alloc(value.length);
      assert.equal(native.getxattr(path, "user.large", got, got.length), value.length);
      assert.deepEqual(got, value);
      assert.throws(() => native.getxattr(path, "user.large", got, 10), { code: "ERANGE" });
      assert.throws(() => native.setxattr(path, "user.large", value, 1, 1), { code: "EEXIST" });
      assert.throws(() => native.setxattr(path, "user.other", value, 1, 2), { code: "ENODATA" });
      assert.throws(() => native.setxattr(path, "nonsense", value, 1, 0), { code: "EOPNOTSUPP" });
      native.setxattr(path, "user.empty", value, 0, 0);
      assert.equal(native.getxattr(path, "user.empty", got, got.length), 0);
    },
  },
];
