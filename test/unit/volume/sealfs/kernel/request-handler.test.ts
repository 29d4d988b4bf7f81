import assert from "node:assert/strict";
import { test } from "node:test";
import type { FileSystem } from "../../../../../src/volume/sealfs/file-system.ts";
import { errno, FsError } from "../../../../../src/volume/sealfs/fs-error.ts";
import { opcode } from "../../../../../src/volume/sealfs/kernel/protocol.ts";
import { type Fault, RequestHandler } from "../../../../../src/volume/sealfs/kernel/request-handler.ts";
import { MemoryFileSystem } from "../../../../sealfs/memory/memory-file-system.ts";
import { type Answer, answerOf, fields, initRequest, requestBytes } from "../../../../sealfs/request-bytes.ts";

const times = { entrySeconds: 10, attributeSeconds: 20 };

class Kernel {
  readonly faults: Fault[] = [];
  readonly fileSystem: FileSystem;
  readonly handler: RequestHandler;

  constructor(fileSystem: FileSystem = new MemoryFileSystem()) {
    this.fileSystem = fileSystem;
    this.handler = new RequestHandler({
      fileSystem,
      times,
      onFault: (fault) => this.faults.push(fault),
    });
  }

  static ready(fileSystem?: FileSystem): Kernel {
    const kernel = new Kernel(fileSystem);
    kernel.raw(initRequest());
    return kernel;
  }

  raw(bytes: Buffer): Answer | undefined {
    return answerOf(this.handler.answerMemory, this.handler.answer(bytes));
  }

  ask(name: keyof typeof opcode, node: number, ...values: (number | bigint | string | Buffer)[]): Answer {
    const answer = this.raw(requestBytes({ opcode: opcode[name], node, body: fields(...values) }));
    if (answer === undefined) throw new Error(`no answer to ${name}`);
    return answer;
  }

  /** Makes a file. @returns Node and handle. */
  create(name: string, mode = 0o644): { node: number; handle: bigint } {
    const { error, body } = this.ask("CREATE", 1, 0o102, mode, 0, 0, name);
    assert.equal(error, 0);
    return { node: Number(body.readBigUInt64LE(0)), handle: body.readBigUInt64LE(128) };
  }

  modeOf(node: number): number {
    return this.ask("GETATTR", node, 0, 0, 0n).body.readUInt32LE(16 + 60);
  }
}

test("INIT agrees on what both can do, and on 1 MiB a transfer", () => {
  const kernel = new Kernel();
  const body = kernel.raw(initRequest())?.body;
  assert.equal(body?.length, 64);
  assert.equal(body.readUInt32LE(0), 7);
  assert.equal(body.readUInt32LE(4), 38);
  assert.equal(body.readUInt32LE(20), 1024 * 1024);
  assert.equal(body.readUInt16LE(28), 256);
  const flags = body.readUInt32LE(12);
  assert.equal(flags & ((1 << 1) | (1 << 10)), 0, "locks stay with the kernel");
  assert.equal(flags & (1 << 20), 0, "no access control lists");
  assert.equal(flags & (1 << 12), 0, "the page cache is not dropped for a changed time");
  assert.equal(kernel.handler.session?.minor, 38);
});

test("INIT takes nothing that the kernel did not offer", () => {
  const kernel = new Kernel();
  const offered = (1 << 5) | (1 << 22) | (1 << 3);
  assert.equal(kernel.raw(initRequest(7, 31, offered))?.body.readUInt32LE(12), offered);
});

test("INIT of a newer major version is answered with ours, and asked again", () => {
  const kernel = new Kernel();
  assert.equal(kernel.raw(initRequest(8, 0))?.body.readUInt32LE(0), 7);
  assert.equal(kernel.handler.session, undefined);
  assert.equal(kernel.raw(initRequest())?.error, 0);
});

for (const [what, bytes] of [
  ["an older kernel", initRequest(7, 30)],
  ["an older major version", initRequest(6, 40)],
  ["a kernel without MAX_PAGES", initRequest(7, 38, 1 << 5)],
  ["a cut INIT", requestBytes({ opcode: 26, body: fields(7, 38, 0) })],
] as const)
  test(`INIT refuses ${what}`, () => {
    const kernel = new Kernel();
    assert.equal(kernel.raw(bytes)?.error, errno.EINVAL);
    assert.equal(kernel.handler.session, undefined);
  });

test("nothing is served before INIT, and INIT comes once", () => {
  const kernel = new Kernel();
  assert.equal(kernel.ask("STATFS", 1).error, errno.EIO);
  kernel.raw(initRequest());
  assert.equal(kernel.ask("STATFS", 1).error, 0);
  assert.equal(kernel.raw(initRequest())?.error, errno.EINVAL);
});

test("an answer carries the number of its request", () => {
  const kernel = Kernel.ready();
  const unique = 2n ** 63n + 12n;
  assert.equal(kernel.raw(requestBytes({ opcode: opcode.STATFS, unique }))?.unique, unique);
  assert.equal(kernel.raw(requestBytes({ opcode: 999, unique }))?.unique, unique);
});

test("a name that is not there is an answer that may be kept", () => {
  const kernel = Kernel.ready();
  const { error, body } = kernel.ask("LOOKUP", 1, "absent");
  assert.equal(error, 0);
  assert.equal(body.length, 128);
  assert.equal(body.readBigUInt64LE(0), 0n);
  assert.equal(body.readBigUInt64LE(16), 10n);
});

for (const name of [".", "..", "a/b", "/", ""])
  test(`the name "${name}" is refused wherever a name is asked for`, () => {
    const kernel = Kernel.ready();
    assert.equal(kernel.ask("LOOKUP", 1, name).error, errno.EINVAL);
    assert.equal(kernel.ask("MKDIR", 1, 0o755, 0, name).error, errno.EINVAL);
    assert.equal(kernel.ask("UNLINK", 1, name).error, errno.EINVAL);
    assert.equal(kernel.ask("RENAME", 1, 1n, "x", name).error, errno.EINVAL);
    assert.equal(kernel.ask("CREATE", 1, 0o102, 0o644, 0, 0, name).error, errno.EINVAL);
  });

test("names of 255 bytes are taken, of 256 refused", () => {
  const kernel = Kernel.ready();
  assert.equal(kernel.ask("MKDIR", 1, 0o755, 0, "n".repeat(255)).error, 0);
  assert.equal(kernel.ask("LOOKUP", 1, "n".repeat(256)).error, errno.ENAMETOOLONG);
  assert.equal(kernel.ask("MKDIR", 1, 0o755, 0, "n".repeat(256)).error, errno.ENAMETOOLONG);
});

test("names are bytes, not text", () => {
  const kernel = Kernel.ready();
  const name = Buffer.from([0xff, 0xfe, 0x80, 0]);
  assert.equal(kernel.ask("MKDIR", 1, 0o755, 0, name).error, 0);
  assert.deepEqual(kernel.fileSystem.lookup(1, "\xff\xfe\x80").node, 2);
});

test("bytes that are left over, missing, or of another length than the header says are refused", () => {
  const kernel = Kernel.ready();
  const { node, handle } = kernel.create("f");
  assert.equal(kernel.ask("LOOKUP", 1, "f", "more").error, errno.EINVAL);
  assert.equal(kernel.ask("LOOKUP", 1, Buffer.from("f")).error, errno.EINVAL);
  assert.equal(kernel.ask("READ", node, handle, 0n, 10, 0, 0n, 0).error, errno.EINVAL);
  assert.equal(kernel.ask("WRITE", node, handle, 0n, 10, 0, 0n, 0, 0, Buffer.alloc(9)).error, errno.EINVAL);
  assert.equal(kernel.ask("WRITE", node, handle, 0n, 10, 0, 0n, 0, 0, Buffer.alloc(11)).error, errno.EINVAL);
  const longer = requestBytes({ opcode: opcode.STATFS });
  longer.writeUInt32LE(41, 0);
  assert.equal(kernel.raw(longer)?.error, errno.EINVAL);
  const extended = requestBytes({ opcode: opcode.STATFS });
  extended.writeUInt16LE(1, 36);
  assert.equal(kernel.raw(extended)?.error, errno.EINVAL);
  assert.equal(kernel.fileSystem.getAttributes(node, undefined).size, 0);
});

test("less than a header has no answer", () => {
  const kernel = Kernel.ready();
  for (let length = 0; length < 40; length += 1) assert.equal(kernel.raw(Buffer.alloc(length)), undefined);
});

test("requests that are not known are answered with ENOSYS", () => {
  const kernel = Kernel.ready();
  // GETLK, ACCESS, BMAP, IOCTL, POLL, COPY_FILE_RANGE, SETUPMAPPING, TMPFILE, STATX, CUSE_INIT and such.
  for (const code of [0, 7, 19, 31, 32, 33, 34, 37, 39, 40, 47, 48, 49, 51, 52, 53, 4096, 436_207_616, 0xffffffff])
    assert.equal(kernel.raw(requestBytes({ opcode: code }))?.error, errno.ENOSYS, `opcode ${code}`);
});

test("nodes, handles and places beyond 2^53 are refused", () => {
  const kernel = Kernel.ready();
  const { node, handle } = kernel.create("f");
  const far = 2n ** 53n;
  assert.equal(kernel.raw(requestBytes({ opcode: opcode.STATFS, node: far }))?.error, errno.EINVAL);
  assert.equal(kernel.ask("FLUSH", node, far, 0, 0, 0n).error, errno.EBADF);
  assert.equal(kernel.ask("WRITE", node, handle, far, 1, 0, 0n, 0, 0, Buffer.alloc(1)).error, errno.EFBIG);
  assert.equal(kernel.ask("WRITE", node, handle, far - 1n, 1, 0, 0n, 0, 0, Buffer.alloc(1)).error, errno.EFBIG);
  assert.equal(kernel.ask("FALLOCATE", node, handle, far - 2n, 10n, 0, 0).error, errno.EFBIG);
  assert.equal(kernel.ask("FALLOCATE", node, handle, 0n, 0n, 0, 0).error, errno.EINVAL);
});

test("reads larger than a transfer are refused", () => {
  const kernel = Kernel.ready();
  const { node, handle } = kernel.create("f");
  assert.equal(kernel.ask("READ", node, handle, 0n, 2 ** 20 + 1, 0, 0n, 0, 0).error, errno.EINVAL);
  assert.equal(kernel.ask("READ", node, handle, 0n, 2 ** 20, 0, 0n, 0, 0).error, 0);
  assert.equal(kernel.ask("READDIR", 1, handle, 0n, 2 ** 20 + 1, 0, 0n, 0, 0).error, errno.EINVAL);
});

test("an error that is none of a file system's is EIO and told of, and the next request is served", () => {
  const fileSystem = new MemoryFileSystem();
  const broken = Object.assign(fileSystem, {
    space: () => {
      throw new TypeError("broken");
    },
  });
  const kernel = Kernel.ready(broken);
  assert.equal(kernel.ask("STATFS", 1).error, errno.EIO);
  assert.deepEqual(
    kernel.faults.map(({ request, node, error }) => [request, node, String(error)]),
    [["STATFS", 1, "TypeError: broken"]],
  );
  assert.equal(kernel.ask("GETATTR", 1, 0, 0, 0n).error, 0);
});

test("an FsError is its errno and is not told of", () => {
  const fileSystem = Object.assign(new MemoryFileSystem(), {
    space: () => {
      throw new FsError("ENOKEY", "zone");
    },
  });
  const kernel = Kernel.ready(fileSystem);
  assert.equal(kernel.ask("STATFS", 1).error, 126);
  assert.equal(kernel.faults.length, 0);
});

test("FORGET, BATCH_FORGET, INTERRUPT and NOTIFY_REPLY have no answer, whatever they hold", () => {
  const kernel = Kernel.ready();
  for (const code of [opcode.FORGET, opcode.BATCH_FORGET, opcode.INTERRUPT, opcode.NOTIFY_REPLY])
    for (const body of [Buffer.alloc(0), fields(1n), fields(9, 0), Buffer.alloc(100, 255)])
      assert.equal(kernel.raw(requestBytes({ opcode: code, body })), undefined);
  assert.equal(kernel.faults.length, 0);
});

test("a node is gone when its names, lookups and handles are", () => {
  const fileSystem = new MemoryFileSystem();
  const kernel = Kernel.ready(fileSystem);
  const { node, handle } = kernel.create("f");
  kernel.ask("LOOKUP", 1, "f");
  kernel.ask("UNLINK", 1, "f");
  kernel.raw(requestBytes({ opcode: opcode.FORGET, node, body: fields(1n) }));
  kernel.ask("RELEASE", node, handle, 0, 0, 0n);
  assert.equal(fileSystem.nodeCount, 2);
  kernel.raw(requestBytes({ opcode: opcode.BATCH_FORGET, node: 0, body: fields(1, 0, BigInt(node), 1n) }));
  assert.equal(fileSystem.nodeCount, 1);
  assert.equal(fileSystem.handleCount, 0);
});

test("SETATTR changes what is valid in it and nothing else", () => {
  const kernel = Kernel.ready();
  const { node } = kernel.create("f");
  const set = (valid: number) =>
    kernel.ask("SETATTR", node, valid, 0, 99n, 5n, 0n, 1n, 2n, 3n, 4, 5, 6, 0o4755, 0, 11, 12, 0);
  assert.equal(set(0).body.readBigUInt64LE(16 + 8), 0n);
  const sized = set(1 << 3).body;
  assert.equal(sized.readBigUInt64LE(16 + 8), 5n);
  assert.equal(sized.readUInt32LE(16 + 60), 0o100644);
  const timed = set((1 << 4) | (1 << 5)).body;
  assert.deepEqual([timed.readBigInt64LE(16 + 24), timed.readUInt32LE(16 + 48)], [1n, 4]);
  assert.deepEqual([timed.readBigInt64LE(16 + 32), timed.readUInt32LE(16 + 52)], [2n, 5]);
  assert.deepEqual([timed.readUInt32LE(16 + 68), timed.readUInt32LE(16 + 72)], [0, 0]);
  const owned = set((1 << 1) | (1 << 2) | 1).body;
  assert.deepEqual([owned.readUInt32LE(16 + 60), owned.readUInt32LE(16 + 68)], [0o104755, 11]);
});

test("SETATTR takes times before 1970, and refuses a second's worth of nanoseconds", () => {
  const kernel = Kernel.ready();
  const { node } = kernel.create("f");
  const set = (seconds: bigint, ns: number) =>
    kernel.ask("SETATTR", node, 1 << 5, 0, 0n, 0n, 0n, 0n, seconds, 0n, 0, ns, 0, 0, 0, 0, 0, 0);
  const { body } = set(-2n, 999_999_999);
  assert.deepEqual([body.readBigInt64LE(16 + 32), body.readUInt32LE(16 + 52)], [-2n, 999_999_999]);
  assert.equal(kernel.fileSystem.getAttributes(node, undefined).modifiedNs, -1_000_000_001n);
  assert.equal(set(0n, 1_000_000_000).error, errno.EINVAL);
});

test("ftruncate is a modification even when the size stays, truncate is not", () => {
  const kernel = Kernel.ready();
  const { node, handle } = kernel.create("f");
  const modifiedAfter = (valid: number) => {
    kernel.fileSystem.setAttributes(node, { modifiedNs: 1n }, undefined);
    kernel.ask("SETATTR", node, valid, 0, handle, 0n, 0n, 0n, 0n, 0n, 0, 0, 0, 0, 0, 0, 0, 0);
    return kernel.fileSystem.getAttributes(node, undefined).modifiedNs;
  };
  assert.equal(modifiedAfter(1 << 3), 1n);
  assert.notEqual(modifiedAfter((1 << 3) | (1 << 6)), 1n);
});

test("the kernel is spared a FLUSH at close of who only reads, and of nobody else", () => {
  const kernel = Kernel.ready();
  const { node } = kernel.create("f");
  const spared = (flags: number) => (kernel.ask("OPEN", node, flags, 0).body.readUInt32LE(8) & 32) !== 0;
  assert.equal(spared(0), true, "O_RDONLY");
  for (const flags of [1, 2, 3, 0o1000, 0o1001, 0o1002]) assert.equal(spared(flags), false, flags.toString(8));
  assert.equal(kernel.ask("CREATE", 1, 0o102, 0o644, 0, 0, "g").body.readUInt32LE(128 + 8) & 32, 0);
});

test("set-id bits go when the kernel says so at WRITE, OPEN and SETATTR", () => {
  const kernel = Kernel.ready();
  const { node, handle } = kernel.create("f");
  const chmod = (mode: number) => kernel.fileSystem.setAttributes(node, { mode }, undefined);
  const write = (flags: number) => kernel.ask("WRITE", node, handle, 0n, 1, flags, 0n, 0, 0, Buffer.alloc(1));
  chmod(0o6755);
  write(0);
  assert.equal(kernel.modeOf(node), 0o106755);
  write(4);
  assert.equal(kernel.modeOf(node), 0o100755);
  chmod(0o6745);
  write(4);
  assert.equal(kernel.modeOf(node), 0o102745, "set-group-id without group execution stays for root");
  const body = fields(handle, 0n, 1, 4, 0n, 0, 0, Buffer.alloc(1));
  kernel.raw(requestBytes({ opcode: opcode.WRITE, node, uid: 7, gid: 0, body }));
  assert.equal(kernel.modeOf(node), 0o102745, "and for the group");
  kernel.raw(requestBytes({ opcode: opcode.WRITE, node, uid: 7, gid: 7, body }));
  assert.equal(kernel.modeOf(node), 0o100745, "but for nobody else");
  chmod(0o4755);
  kernel.ask("OPEN", node, 0o1002, 1);
  assert.equal(kernel.modeOf(node), 0o100755);
  chmod(0o4755);
  kernel.ask("SETATTR", node, (1 << 11) | (1 << 1), 0, 0n, 0n, 0n, 0n, 0n, 0n, 0, 0, 0, 0, 0, 5, 0, 0);
  assert.equal(kernel.modeOf(node), 0o100755);
});

test("set-id bits of a file go at a chown that names nobody, those of a folder stay", () => {
  const kernel = Kernel.ready();
  const { node } = kernel.create("f");
  const caller = { uid: 0, gid: 0, pid: 1 };
  const folder = kernel.fileSystem.makeDirectory(1, "d", 0o755, caller).node;
  const chownNobody = (of: number) =>
    kernel.ask("SETATTR", of, 0, 0, 0n, 0n, 0n, 0n, 0n, 0n, 0, 0, 0, 0, 0, 0, 0, 0).error;
  for (const [before, after] of [
    [0o6755, 0o755],
    [0o4644, 0o644],
    [0o2745, 0o2745],
    [0o1755, 0o1755],
  ] as const) {
    kernel.fileSystem.setAttributes(node, { mode: before }, undefined);
    assert.equal(chownNobody(node), 0);
    assert.equal(kernel.modeOf(node), 0o100000 | after);
  }
  kernel.fileSystem.setAttributes(folder, { mode: 0o2755 }, undefined);
  assert.equal(chownNobody(folder), 0);
  assert.equal(kernel.modeOf(folder), 0o042755);
});

test("set-id bits go at FALLOCATE, unless root asks", () => {
  const kernel = Kernel.ready();
  const { node, handle } = kernel.create("f");
  kernel.fileSystem.setAttributes(node, { mode: 0o6755 }, undefined);
  const body = fields(handle, 0n, 10n, 0, 0);
  kernel.raw(requestBytes({ opcode: opcode.FALLOCATE, node, body }));
  assert.equal(kernel.modeOf(node), 0o106755);
  kernel.raw(requestBytes({ opcode: opcode.FALLOCATE, node, uid: 7, gid: 7, body }));
  assert.equal(kernel.modeOf(node), 0o100755);
});

test("extended attributes answer how large they are, and ERANGE for too little room", () => {
  const kernel = Kernel.ready();
  assert.equal(kernel.ask("SETXATTR", 1, 5, 0, "user.a", Buffer.from("value")).error, 0);
  assert.equal(kernel.ask("GETXATTR", 1, 0, 0, "user.a").body.readUInt32LE(0), 5);
  assert.equal(kernel.ask("GETXATTR", 1, 4, 0, "user.a").error, errno.ERANGE);
  assert.equal(kernel.ask("GETXATTR", 1, 5, 0, "user.a").body.toString(), "value");
  assert.equal(kernel.ask("LISTXATTR", 1, 0, 0).body.readUInt32LE(0), 7);
  assert.equal(kernel.ask("LISTXATTR", 1, 6, 0).error, errno.ERANGE);
  assert.equal(kernel.ask("LISTXATTR", 1, 100, 0).body.toString(), "user.a\0");
  assert.equal(kernel.ask("GETXATTR", 1, 0, 0, "user.b").error, errno.ENODATA);
  assert.equal(kernel.ask("SETXATTR", 1, 6, 0, "user.a", Buffer.from("value")).error, errno.EINVAL);
  assert.equal(kernel.ask("SETXATTR", 1, 0, 4, "user.a").error, errno.EINVAL);
  assert.equal(kernel.ask("SETXATTR", 1, 65_537, 0, "user.a", Buffer.alloc(65_537)).error, errno.EINVAL);
  assert.equal(kernel.ask("SETXATTR", 1, 0, 0, "x".repeat(256)).error, errno.ENAMETOOLONG);
});

test("rename flags that are not known, or contradict each other, are refused", () => {
  const kernel = Kernel.ready();
  kernel.create("f");
  for (const flags of [3, 4, 8, 0x80000000])
    assert.equal(kernel.ask("RENAME2", 1, 1n, flags, 0, "f", "g").error, errno.EINVAL);
  assert.equal(kernel.ask("RENAME2", 1, 1n, 1, 0, "f", "g").error, 0);
  assert.equal(kernel.ask("RENAME2", 1, 1n, 1, 0, "g", "g").error, errno.EEXIST);
});

test("LSEEK is asked for data and holes only", () => {
  const kernel = Kernel.ready();
  const { node, handle } = kernel.create("f");
  kernel.fileSystem.write(Number(handle), 8192, Buffer.from("x"));
  assert.equal(kernel.ask("LSEEK", node, handle, 0n, 3, 0).body.readBigUInt64LE(0), 8192n);
  assert.equal(kernel.ask("LSEEK", node, handle, 8192n, 4, 0).body.readBigUInt64LE(0), 8193n);
  assert.equal(kernel.ask("LSEEK", node, handle, 9000n, 3, 0).error, errno.ENXIO);
  for (const whence of [0, 1, 2, 5]) assert.equal(kernel.ask("LSEEK", node, handle, 0n, whence, 0).error, errno.EINVAL);
});

test("no data and no hole is beyond 2^53, where a write would be too large", () => {
  const kernel = Kernel.ready();
  const { node, handle } = kernel.create("f");
  for (const offset of [2n ** 53n, 2n ** 62n, 2n ** 63n - 1n]) {
    assert.equal(kernel.ask("LSEEK", node, handle, offset, 3, 0).error, errno.ENXIO);
    assert.equal(kernel.ask("LSEEK", node, handle, offset, 4, 0).error, errno.ENXIO);
    assert.equal(kernel.ask("FALLOCATE", node, handle, offset, 1n, 0, 0).error, errno.EFBIG);
  }
});

test("the kernel's question before a write is answered without the file system", () => {
  const kernel = Kernel.ready();
  const { node } = kernel.create("f");
  kernel.fileSystem.getExtendedAttribute = () => assert.fail("it was asked");
  for (const size of [0, 20])
    assert.equal(kernel.ask("GETXATTR", node, size, 0, "security.capability").error, errno.ENODATA);
  assert.equal(kernel.ask("GETXATTR", node, 0, 0, "").error, errno.EINVAL);
  assert.equal(kernel.ask("GETXATTR", node, 0, 0, "security.capabilities").error, errno.EIO);
});

test("times are told to the nanosecond, before 1970 and long after", () => {
  const kernel = Kernel.ready();
  const { node } = kernel.create("f");
  for (const ns of [0n, -1n, -1_000_000_000n, -1_000_000_001n, 999_999_999n, 2n ** 33n * 1_000_000_000n + 7n]) {
    kernel.fileSystem.setAttributes(node, { modifiedNs: ns }, undefined);
    const { body } = kernel.ask("GETATTR", node, 0, 0, 0n);
    // fuse_attr_out: 16 bytes, then ino, size, blocks, atime, mtime, ctime; atimensec, mtimensec.
    assert.equal(body.readBigInt64LE(16 + 32) * 1_000_000_000n + BigInt(body.readUInt32LE(16 + 52)), ns);
  }
});

test("MKNOD makes no folder", () => {
  assert.equal(Kernel.ready().ask("MKNOD", 1, 0o040755, 0, 0, 0, "d").error, errno.EINVAL);
});

test("what an answer held is wiped at the end", () => {
  const kernel = Kernel.ready();
  const { node, handle } = kernel.create("f");
  kernel.fileSystem.write(Number(handle), 0, Buffer.from("content"));
  assert.equal(kernel.ask("READ", node, handle, 0n, 100, 0, 0n, 0, 0).body.toString(), "content");
  kernel.handler[Symbol.dispose]();
  assert.ok(kernel.handler.answerMemory.every((byte) => byte === 0));
});
