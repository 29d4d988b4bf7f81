import { createHash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";
import { DeviceFault } from "./fault.ts";

const mostBytes = 512 * 1024 * 1024;
const chunkBytes = 1 << 20;

/**
 * Compares a library with the hash that was pinned for it, in the device's process right before it is loaded: at every start of
 * that process, not only when the server looked.
 *
 * @param path - With a slash in it: what the loader would find elsewhere by a bare name is not known here.
 * @param sha256 - Hex; undefined: nothing is pinned.
 * @throws {DeviceFault} `integrity`, LIBRARY_CHANGED; `bad-input`, CONFIG_INVALID for a bare name. @throws {Error} When it can't be read.
 */
export function checkPinnedLibrary(path: string, sha256: string | undefined): void {
  if (sha256 === undefined) return;
  if (!path.includes("/"))
    throw new DeviceFault({
      kind: "bad-input",
      code: "CONFIG_INVALID",
      message: `the library ${path} has a pinned SHA-256: give its whole path`,
    });
  if (sha256OfFile(path) !== sha256)
    throw new DeviceFault({
      kind: "integrity",
      code: "LIBRARY_CHANGED",
      message: `the library ${path} has another SHA-256 than is pinned for it; it was not loaded. When the vendor's update is meant, pin its hash`,
    });
}

function sha256OfFile(path: string): string | undefined {
  const hash = createHash("sha256");
  const chunk = Buffer.alloc(chunkBytes);
  const file = openSync(path, "r");
  try {
    for (let total = 0; total <= mostBytes; ) {
      const read = readSync(file, chunk);
      if (read === 0) return hash.digest("hex");
      total += read;
      hash.update(chunk.subarray(0, read));
    }
    return undefined;
  } finally {
    closeSync(file);
  }
}
