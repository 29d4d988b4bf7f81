import assert from "node:assert/strict";
import * as fs from "node:fs";
import { join } from "node:path";
import { AlignedMemory, lockRange, Mapping, native } from "../compare/native-calls.ts";
import { patternBytes } from "../compare/random.ts";
import type { Behaviour } from "./behaviour.ts";

const { O_APPEND, O_CREAT, O_DIRECT, O_EXCL, O_RDONLY, O_RDWR, O_WRONLY } = fs.constants;

function withOpen(folder: string, flags: number, use: (descriptor: number, path: string) => void): void {
  const path = join(folder, "file");
  const descriptor = fs.openSync(path, flags | O_CREAT, 0o644);
  try {
    use(descriptor, path);
  } finally {
    fs.closeSync(descriptor);
  }
}

function readAt(descriptor: number, at: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  return bytes.subarray(0, fs.readSync(descriptor, bytes, 0, length, at));
}

/** What files hold, and how they are shared. */
export const fileBehaviours: readonly Behaviour[] = [
  {
    name: "a file that is unlinked, or renamed over, while open is whole until it is closed",
    run(folder) {
      withOpen(folder, O_RDWR, (descriptor, path) => {
        fs.writeSync(descriptor, "before");
        fs.unlinkSync(path);
        fs.writeSync(descriptor, " and after", 6);
        assert.equal(readAt(descriptor, 0, 100).toString(), "before and after");
        assert.equal(fs.fstatSync(descriptor).nlink, 0);
        fs.ftruncateSync(descriptor, 6);
        fs.fsyncSync(descriptor);
        assert.equal(readAt(descriptor, 0, 100).toString(), "before");
        assert.throws(() => fs.statSync(path), { code: "ENOENT" });
      });
      fs.writeFileSync(join(folder, "new"), "new");
      withOpen(folder, O_RDWR, (descriptor, path) => {
        fs.writeSync(descriptor, "old");
        fs.renameSync(join(folder, "new"), path);
        assert.equal(readAt(descriptor, 0, 100).toString(), "old");
        assert.equal(fs.readFileSync(path, "utf8"), "new");
      });
    },
  },
  {
    name: "places beyond 4 GiB hold what is written there, with a hole before",
    run(folder) {
      withOpen(folder, O_RDWR, (descriptor) => {
        const far = 5 * 2 ** 30 + 123;
        fs.writeSync(descriptor, "far", far);
        assert.equal(fs.fstatSync(descriptor).size, far + 3);
        assert.equal(readAt(descriptor, far - 2, 100).toString("latin1"), "\0\0far");
        assert.ok(readAt(descriptor, 2 ** 32 - 100, 200).every((byte) => byte === 0));
        fs.fsyncSync(descriptor);
        assert.ok(fs.fstatSync(descriptor).blocks * 512 < 2 ** 20, "the file is sparse");
        assert.ok(native.lseek(descriptor, 0, 3) > 4 * 2 ** 30, "SEEK_DATA skips the hole");
        assert.equal(native.lseek(descriptor, 0, 4), 0);
        fs.ftruncateSync(descriptor, 2 ** 32 + 1);
        assert.equal(fs.fstatSync(descriptor).size, 2 ** 32 + 1);
        assert.equal(readAt(descriptor, 2 ** 32, 10).length, 1);
      });
    },
  },
  {
    name: "what lies behind a cut does not come back when the file grows again",
    run(folder) {
      withOpen(folder, O_RDWR, (descriptor) => {
        fs.writeSync(descriptor, patternBytes(1, 100_000), 0, 100_000, 0);
        fs.ftruncateSync(descriptor, 12_345);
        fs.ftruncateSync(descriptor, 100_000);
        assert.deepEqual(readAt(descriptor, 0, 12_345), patternBytes(1, 100_000).subarray(0, 12_345));
        assert.ok(readAt(descriptor, 12_345, 100_000).every((byte) => byte === 0));
      });
    },
  },
  {
    name: "a punched hole reads as zeros, keeps the size and gives room back",
    run(folder) {
      withOpen(folder, O_RDWR, (descriptor) => {
        fs.writeSync(descriptor, patternBytes(2, 2 ** 20), 0, 2 ** 20, 0);
        fs.fsyncSync(descriptor);
        const { blocks } = fs.fstatSync(descriptor);
        native.fallocate(descriptor, 3, 100_001, 800_000);
        fs.fsyncSync(descriptor);
        assert.equal(fs.fstatSync(descriptor).size, 2 ** 20);
        assert.ok(readAt(descriptor, 100_001, 800_000).every((byte) => byte === 0));
        assert.deepEqual(readAt(descriptor, 0, 100_001), patternBytes(2, 2 ** 20).subarray(0, 100_001));
        assert.deepEqual(readAt(descriptor, 900_001, 2 ** 20), patternBytes(2, 2 ** 20).subarray(900_001));
        assert.ok(fs.fstatSync(descriptor).blocks < blocks / 2);
      });
    },
  },
  {
    name: "appends of two descriptors lie one after the other, and O_EXCL makes only what is not there",
    run(folder) {
      withOpen(folder, O_WRONLY | O_APPEND, (first, path) => {
        withOpen(folder, O_RDWR | O_APPEND, (second) => {
          for (let round = 0; round < 50; round += 1) fs.writeSync(round % 2 ? first : second, `${round};`, 0);
        });
        const expected = Array.from({ length: 50 }, (_, round) => `${round};`).join("");
        assert.equal(fs.readFileSync(path, "utf8"), expected);
        assert.throws(() => fs.openSync(path, O_RDWR | O_CREAT | O_EXCL), { code: "EEXIST" });
      });
    },
  },
  {
    name: "a shared mapping and read and write see the same bytes",
    run(folder) {
      withOpen(folder, O_RDWR, (descriptor, path) => {
        fs.ftruncateSync(descriptor, 50_000);
        const mapping = new Mapping(descriptor, 0, 50_000);
        mapping.write(10_000, Buffer.from("by mapping"));
        assert.equal(readAt(descriptor, 10_000, 10).toString(), "by mapping");
        fs.writeSync(descriptor, "by write", 40_000);
        const bytes = Buffer.alloc(8);
        mapping.read(40_000, bytes);
        assert.equal(bytes.toString(), "by write");
        mapping.write(49_990, Buffer.from("the end"));
        mapping.sync();
        mapping.close();
        fs.fsyncSync(descriptor);
        assert.equal(fs.readFileSync(path).toString("latin1", 49_990, 49_997), "the end");
        assert.equal(fs.statSync(path).size, 50_000);
      });
    },
  },
  {
    name: "O_DIRECT and the page cache see the same bytes",
    run(folder) {
      withOpen(folder, O_RDWR, (cached) => {
        withOpen(folder, O_RDWR | O_DIRECT, (direct) => {
          const memory = new AlignedMemory(65_536);
          fs.writeSync(cached, patternBytes(3, 65_536), 0, 65_536, 0);
          const bytes = Buffer.alloc(65_536);
          assert.equal(memory.read(direct, 0, bytes), 65_536);
          assert.deepEqual(bytes, patternBytes(3, 65_536));
          assert.equal(memory.write(direct, 4096, patternBytes(4, 8192)), 8192);
          assert.deepEqual(readAt(cached, 4096, 8192), patternBytes(4, 8192));
          memory.close();
        });
      });
    },
  },
  {
    name: "flock and record locks exclude other descriptors until they are given back",
    run(folder) {
      withOpen(folder, O_RDWR, (first) => {
        withOpen(folder, O_RDWR, (second) => {
          native.flock(first, 2 | 4);
          assert.throws(() => native.flock(second, 1 | 4), { code: "EAGAIN" });
          native.flock(first, 8);
          native.flock(second, 2 | 4);
          native.flock(second, 8);
          lockRange(first, 1, 0, 10);
          assert.throws(() => lockRange(second, 0, 5, 10), { code: "EAGAIN" });
          lockRange(second, 1, 10, 10);
          lockRange(first, 2, 0, 10);
          lockRange(second, 1, 0, 20);
        });
        lockRange(first, 1, 0, 20);
      });
    },
  },
  {
    name: "times are kept to the nanosecond, and a write makes them the present",
    run(folder) {
      withOpen(folder, O_RDWR, (descriptor, path) => {
        fs.utimesSync(path, 1000, 2000);
        assert.equal(fs.statSync(path).mtimeMs, 2_000_000);
        fs.writeSync(descriptor, "x");
        fs.fsyncSync(descriptor);
        assert.ok(fs.statSync(path).mtimeMs > 1_600_000_000_000);
        assert.ok(fs.statSync(path).ctimeMs > 1_600_000_000_000);
      });
    },
  },
  {
    name: "a file without permission opens for nobody but root, and a descriptor does only what it was opened for",
    run(folder) {
      withOpen(folder, O_RDONLY, (descriptor) => {
        assert.throws(() => fs.writeSync(descriptor, "x"), { code: "EBADF" });
        assert.throws(() => fs.ftruncateSync(descriptor, 1), { code: "EINVAL" });
      });
      if (process.getuid?.() !== 0) return;
      const path = join(folder, "file");
      fs.chmodSync(path, 0o600);
      fs.chmodSync(folder, 0o755);
      process.seteuid?.(65_534);
      try {
        assert.throws(() => fs.readFileSync(path), { code: "EACCES" });
        assert.throws(() => fs.writeFileSync(join(folder, "new"), ""), { code: "EACCES" });
        assert.throws(() => fs.chmodSync(path, 0o777), { code: "EPERM" });
      } finally {
        process.seteuid?.(0);
      }
    },
  },
];
