import { closeSync, openSync, readSync, statSync } from "node:fs";
import { ownFault } from "./errors.ts";

/** `e_machine` (System V ABI) of the processors that Node runs on here. */
const machines: Readonly<Record<number, string>> = {
  3: "x86 (32 bits)",
  40: "arm",
  62: "x64",
  183: "arm64",
  258: "loong64",
};
const sharedObject = 3;

/**
 * Looks at a library before the loader does, since dlopen's own words for these mistakes help nobody, and since a file that
 * is not a library for this machine must not be mapped at all. A name without a slash is left to the loader's path.
 *
 * @throws {DeviceFault} `not-found` (LIBRARY_MISSING), `unsupported` (LIBRARY_INVALID, LIBRARY_ARCHITECTURE).
 */
export function checkLibraryFile(path: string): void {
  if (!path.includes("/")) return;
  const header = Buffer.alloc(20);
  try {
    if (!statSync(path).isFile()) throw ownFault("unsupported", "LIBRARY_INVALID", `${path} is not a file`);
    const file = openSync(path, "r");
    try {
      readSync(file, header, 0, header.length, 0);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT" || code === "ENOTDIR")
      throw ownFault(
        "not-found",
        "LIBRARY_MISSING",
        `there is no library at ${path}: install the vendor's GM/T 0018 library, or correct its path`,
      );
    if (code === "EACCES") throw ownFault("unsupported", "LIBRARY_UNREADABLE", `${path} may not be read by this user`);
    throw error;
  }
  if (!header.subarray(0, 4).equals(Buffer.from("\x7fELF", "latin1")))
    throw ownFault("unsupported", "LIBRARY_INVALID", `${path} is not a shared library`);
  const bits = header[4] === 2 ? 64 : 32;
  const littleEndian = header[5] === 1;
  const machine = machines[littleEndian ? header.readUInt16LE(18) : header.readUInt16BE(18)] ?? "an unknown processor";
  if (bits !== 64 || !littleEndian || machine !== process.arch)
    throw ownFault(
      "unsupported",
      "LIBRARY_ARCHITECTURE",
      `${path} is for ${machine}, ${bits} bits${littleEndian ? "" : ", big-endian"}; this program runs on ${process.arch}: install the library for it`,
    );
  if (header.readUInt16LE(16) !== sharedObject)
    throw ownFault("unsupported", "LIBRARY_INVALID", `${path} is a program or object file, not a shared library`);
}
