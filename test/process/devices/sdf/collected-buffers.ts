/**
 * Calls a card's library with buffers that nobody else holds while garbage is collected. Run with --expose-gc; argv: the
 * library. Exit code 0 when every hash was of the bytes that were given.
 */
import { hash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { SdfLibrary } from "../../../../src/devices/sdf/library.ts";

const sessions = 6;
const library = await SdfLibrary.load(process.argv[2] ?? "");

async function must(calling: Promise<number>): Promise<void> {
  const code = await calling;
  if (code !== 0) throw new Error(`0x${code.toString(16)}`);
}

const device = Buffer.alloc(8);
await must(library.call("SDF_OpenDevice", device));
const handles: bigint[] = [];
for (let i = 0; i < sessions; i++) {
  const handle = Buffer.alloc(8);
  await must(library.call("SDF_OpenSession", device.readBigUInt64LE(), handle));
  handles.push(handle.readBigUInt64LE());
}
const megabyte = 1 << 20;
for (let round = 0; round < 3; round++) {
  const updates = handles.map(async (session, at) => {
    await must(library.call("SDF_HashInit", session, 1, null, null, 0));
    // Ten of libuv's threads at most: the others wait, and nothing but the call holds their bytes.
    await must(library.call("SDF_HashUpdate", session, Buffer.alloc(megabyte, at + 1), megabyte));
  });
  for (let i = 0; i < 20; i++) {
    globalThis.gc?.();
    Buffer.alloc(megabyte, 0xff);
    await sleep(5);
  }
  await Promise.all(updates);
  for (const [at, session] of handles.entries()) {
    const digest = Buffer.alloc(32);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(32);
    await must(library.call("SDF_HashFinal", session, digest, length));
    if (!digest.equals(hash("sm3", Buffer.alloc(megabyte, at + 1), "buffer")))
      throw new Error("other bytes were hashed");
  }
}
