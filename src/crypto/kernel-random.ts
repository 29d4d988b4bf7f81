import { openSync, readSync } from "node:fs";

let device: number | undefined;

/** Draws of one {@link drawTogether}: read from the kernel together, each byte given out once and wiped. */
const together = new Uint8Array(1024);
/** A first read is for a few nonces; who needs more is likely to need many. */
const firstBytes = 128;
const mostBytesEach = 64;
let isTogether = false;
let wasRead = false;
let at = 0;
let end = 0;

/**
 * Fresh random bytes straight from the kernel's generator (`/dev/urandom`, random(4)).
 *
 * `node:crypto` draws from OpenSSL's generator, whose state lies in this process: a virtual machine that is restored
 * twice from one snapshot would draw the same bytes twice. The kernel is told of the restore and reseeds. Callers use
 * the bytes at once, within the same synchronous stretch, and keep none for later.
 *
 * @throws {Error} When the device can't be opened or read.
 */
export function kernelRandomBytes(byteLength: number): Buffer {
  const bytes = Buffer.allocUnsafeSlow(byteLength);
  fillFromKernel(bytes);
  return bytes;
}

/** Overwrites `bytes` with fresh random bytes from the kernel. @throws {Error} When the device can't be opened or read. */
export function fillFromKernel(bytes: Uint8Array): void {
  if (!isTogether || bytes.byteLength > mostBytesEach) {
    readInto(bytes);
    return;
  }
  const { byteLength } = bytes;
  if (end - at < byteLength) {
    end = 0;
    const read = together.subarray(0, wasRead ? together.length : firstBytes);
    readInto(read);
    [at, end, wasRead] = [0, read.length, true];
  }
  // For a nonce a loop costs a fifth of a copy and a fill.
  for (let index = 0; index < byteLength; index += 1, at += 1) {
    bytes[index] = together[at] ?? 0;
    together[at] = 0;
  }
}

/**
 * Runs one synchronous stretch of work, such as the answer to one request, whose small draws share their reads of the kernel's
 * generator. What is left over is wiped at the end: nothing is kept for the next.
 */
export function drawTogether<T>(run: () => T): T {
  if (isTogether) return run();
  isTogether = true;
  try {
    return run();
  } finally {
    if (at < end) together.fill(0, at, end);
    isTogether = false;
    [at, end, wasRead] = [0, 0, false];
  }
}

function readInto(bytes: Uint8Array): void {
  device ??= openSync("/dev/urandom", "r");
  const { byteLength } = bytes;
  let filled = 0;
  while (filled < byteLength) {
    const count = readSync(device, bytes, filled, byteLength - filled, null);
    if (count === 0) throw new Error("/dev/urandom gave no bytes");
    filled += count;
  }
}
