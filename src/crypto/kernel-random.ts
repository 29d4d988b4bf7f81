import { openSync, readSync } from "node:fs";

let device: number | undefined;

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
  device ??= openSync("/dev/urandom", "r");
  const { byteLength } = bytes;
  let filled = 0;
  while (filled < byteLength) {
    const count = readSync(device, bytes, filled, byteLength - filled, null);
    if (count === 0) throw new Error("/dev/urandom gave no bytes");
    filled += count;
  }
}
