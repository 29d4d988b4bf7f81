import assert from "node:assert/strict";
import { test } from "node:test";
import { opcode } from "../../../../../src/volume/sealfs/kernel/protocol.ts";
import { RequestHandler } from "../../../../../src/volume/sealfs/kernel/request-handler.ts";
import { scaled, seed } from "../../../../run-settings.ts";
import { Random } from "../../../../sealfs/compare/random.ts";
import { MemoryFileSystem } from "../../../../sealfs/memory/memory-file-system.ts";
import { answerOf, fields, initRequest, requestBytes } from "../../../../sealfs/request-bytes.ts";

const times = { entrySeconds: 1, attributeSeconds: 1 };
const codes = Object.values(opcode).filter((code) => code !== opcode.INIT) as [number, ...number[]];
/** Requests that would leave a hole of petabytes are no fault of the parser; memory for their pages is. */
const mostAllocatedBytes = 2 ** 20;

function freshHandler(faults: unknown[]): RequestHandler {
  const fileSystem = new MemoryFileSystem();
  const allocate = fileSystem.allocate.bind(fileSystem);
  fileSystem.allocate = (handle, mode, offset, length) => {
    if (length <= mostAllocatedBytes) allocate(handle, mode, offset, length);
  };
  const handler = new RequestHandler({
    fileSystem,
    times,
    onFault: ({ request, error }) => faults.push(request, error),
  });
  handler.answer(initRequest());
  return handler;
}

/** A well-formed request of each kind, about nodes and handles that may be there. */
function plausible(random: Random): Buffer {
  const name = random.pick(["a", "b", "c", "n".repeat(255), "n".repeat(256)]);
  const other = random.pick(["a", "b", "c"]);
  const node = 1 + random.below(6);
  const handle = BigInt(random.below(8));
  const small = random.below(10_000);
  const zeros = (length: number): Buffer => Buffer.alloc(length);
  const bodies: Readonly<Record<number, Buffer>> = {
    [opcode.LOOKUP]: fields(name),
    [opcode.FORGET]: fields(BigInt(random.below(3))),
    [opcode.GETATTR]: fields(random.below(2), 0, handle),
    [opcode.SETATTR]: fields(random.below(4096), 0, handle, BigInt(small), zeros(24), zeros(40)),
    [opcode.SYMLINK]: fields(name, "target"),
    [opcode.MKNOD]: fields(0o100644, 0, 0, 0, name),
    [opcode.MKDIR]: fields(0o755, 0, name),
    [opcode.UNLINK]: fields(name),
    [opcode.RMDIR]: fields(name),
    [opcode.RENAME]: fields(BigInt(1 + random.below(6)), name, other),
    [opcode.RENAME2]: fields(BigInt(1 + random.below(6)), random.below(4), 0, name, other),
    [opcode.LINK]: fields(BigInt(1 + random.below(6)), other),
    [opcode.OPEN]: fields(random.next() & 0o1777, random.below(2)),
    [opcode.READ]: fields(handle, BigInt(small), small, 0, 0n, 0, 0),
    [opcode.WRITE]: fields(handle, BigInt(small), small, random.below(8), 0n, 0, 0, zeros(small)),
    [opcode.RELEASE]: fields(handle, 0, 0, 0n),
    [opcode.FSYNC]: fields(handle, 1, 0),
    [opcode.SETXATTR]: fields(small, random.below(4), "user.x", zeros(small)),
    [opcode.GETXATTR]: fields(small, 0, "user.x"),
    [opcode.LISTXATTR]: fields(small, 0),
    [opcode.REMOVEXATTR]: fields("user.x"),
    [opcode.FLUSH]: fields(handle, 0, 0, 0n),
    [opcode.OPENDIR]: fields(0, 0),
    [opcode.READDIR]: fields(handle, BigInt(random.below(5)), small, 0, 0n, 0, 0),
    [opcode.READDIRPLUS]: fields(handle, BigInt(random.below(5)), small, 0, 0n, 0, 0),
    [opcode.RELEASEDIR]: fields(handle, 0, 0, 0n),
    [opcode.FSYNCDIR]: fields(handle, 0, 0),
    [opcode.CREATE]: fields(0o102, 0o644, 0, 0, name),
    [opcode.BATCH_FORGET]: fields(1, 0, 2n, 1n),
    [opcode.FALLOCATE]: fields(handle, BigInt(small), BigInt(small), random.below(4), 0),
    [opcode.LSEEK]: fields(handle, BigInt(small), 3 + random.below(2), 0),
    [opcode.SYNCFS]: fields(0n),
    [opcode.INTERRUPT]: fields(1n),
  };
  const code = random.pick(codes);
  return requestBytes({ opcode: code, node, body: bodies[code] ?? zeros(0) });
}

/** Changes a few bytes, cuts, or adds some; half of the time the header's length is made right again. */
function mutated(request: Buffer, random: Random): Buffer {
  let bytes = Buffer.from(request);
  for (let change = random.below(4); change > 0; change -= 1) {
    const at = random.chance(3) ? random.below(bytes.length) : 36 + random.below(Math.max(1, bytes.length - 36));
    bytes.writeUInt8(random.pick([0, 1, 0x7f, 0x80, 0xff, random.below(256)]), Math.min(at, bytes.length - 1));
  }
  if (random.chance(4)) bytes = bytes.subarray(0, 1 + random.below(bytes.length));
  if (random.chance(6)) bytes = Buffer.concat([bytes, Buffer.alloc(random.below(200), random.below(256))]);
  if (random.chance(2) && bytes.length >= 4) bytes.writeUInt32LE(bytes.length, 0);
  return bytes;
}

function checkAnswered(handler: RequestHandler, bytes: Buffer, faults: readonly unknown[]): void {
  const answer = answerOf(handler.answerMemory, handler.answer(bytes));
  const shown = bytes.subarray(0, 200).toString("hex");
  assert.deepEqual(faults, [], shown);
  if (bytes.length < 40) {
    assert.equal(answer, undefined);
    return;
  }
  const code = bytes.readUInt32LE(4);
  const silent: readonly number[] = [opcode.FORGET, opcode.BATCH_FORGET, opcode.INTERRUPT, opcode.NOTIFY_REPLY];
  assert.equal(answer === undefined, silent.includes(code), shown);
  if (answer === undefined) return;
  assert.equal(answer.unique, bytes.readBigUInt64LE(8), shown);
  // The kernel takes only errors up to 511.
  assert.ok(answer.error >= 0 && answer.error < 512, shown);
  if (answer.error !== 0) assert.equal(answer.body.length, 0, shown);
}

test(`plausible and mutated requests are each answered once, and none faults (seed ${seed})`, () => {
  const random = new Random(seed);
  const faults: unknown[] = [];
  let handler = freshHandler(faults);
  for (let round = 0; round < scaled(400_000); round += 1) {
    if (round % 2000 === 0) handler = freshHandler(faults);
    const request = plausible(random);
    checkAnswered(handler, random.chance(2) ? request : mutated(request, random), faults);
  }
  assert.equal(handler.answer(requestBytes({ opcode: opcode.STATFS })), 16 + 80, "it still serves");
});

test(`random bytes with any opcode are each answered once, and none faults (seed ${seed})`, () => {
  const random = new Random(seed + 1);
  const faults: unknown[] = [];
  const handler = freshHandler(faults);
  for (let round = 0; round < scaled(200_000); round += 1) {
    const bytes = Buffer.alloc(random.below(300));
    for (let at = 0; at < bytes.length; at += 1) bytes[at] = random.chance(2) ? 0 : random.below(256);
    if (bytes.length >= 40) {
      bytes.writeUInt32LE(random.chance(10) ? random.next() : bytes.length, 0);
      bytes.writeUInt32LE(random.chance(10) ? random.next() : random.pick(codes), 4);
      if (!random.chance(5)) bytes.writeUInt16LE(0, 36);
      if (!random.chance(5)) bytes.writeBigUInt64LE(BigInt(random.below(4)), 16);
    }
    if (bytes.length >= 8 && bytes.readUInt32LE(4) === opcode.INIT) continue;
    checkAnswered(handler, bytes, faults);
  }
});
