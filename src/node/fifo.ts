import { closeSync, constants, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import type { KeyHandover } from "../volume/key-handover.ts";
import { loadLibc } from "../volume/libc.ts";
import { makeMemoryFolder } from "../volume/memory-folder.ts";

const pollMs = 5;

/**
 * A FIFO on tmpfs that serves a key exactly `reads` times, then is gone. Each read has a FIFO of its own: as soon as a
 * reader has opened the path, a fresh one takes its name, and only then the reader gets its bytes and its end. So a program
 * that reads again at once never meets the writer of the read before (two programs that open it within 5 ms of each other
 * would share one read).
 *
 * @param value - Copied; the copy is wiped after the last read.
 */
export async function handOverByFifo(value: SecretBuffer, reads: number, variable?: string): Promise<KeyHandover> {
  const libc = await loadLibc();
  const folder = makeMemoryFolder();
  const path = join(folder.path, "key");
  const next = join(folder.path, "next");
  libc.makeFifo(path, 0o600);
  const copy = value.clone();
  let stopped = false;

  async function serve(): Promise<void> {
    for (let left = reads; left > 0 && !stopped; left--) {
      const writer = await openForReader();
      if (writer === undefined) return;
      if (left > 1) {
        libc.makeFifo(next, 0o600);
        renameSync(next, path);
      } else rmSync(path, { force: true });
      try {
        copy.expose((bytes) => writeWhole(writer, bytes));
      } finally {
        closeSync(writer);
      }
    }
    copy[Symbol.dispose]();
  }

  /** The kernel answers ENXIO until somebody has the path open for reading; a blocking open would hold a thread. */
  async function openForReader(): Promise<number | undefined> {
    while (!stopped) {
      try {
        return openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENXIO") throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, pollMs));
    }
    return undefined;
  }

  const read = serve();
  // A reader that went away in the middle is told by the program's own failure.
  read.catch(() => {});
  return {
    path,
    read,
    addTo(environment) {
      if (variable !== undefined) environment[variable] = path;
    },
    wipe() {
      if (stopped) return;
      stopped = true;
      copy[Symbol.dispose]();
      releaseReader(path);
      folder.remove();
    },
  };
}

/** Lets a program that still waits for the key go on, with nothing. */
function releaseReader(path: string): void {
  try {
    closeSync(openSync(path, constants.O_WRONLY | constants.O_NONBLOCK));
  } catch {
    // Nobody waits, or the last read is done.
  }
}

function writeWhole(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
}
