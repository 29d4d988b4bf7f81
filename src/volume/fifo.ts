import { closeSync, constants, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { loadLibc } from "./libc.ts";
import { makeMemoryFolder } from "./memory-folder.ts";

const pollMs = 5;

/** A key that waits in a FIFO. */
export interface FifoServing {
  readonly path: string;
  /** Settles when the last read was served or the serving was stopped. */
  readonly read: Promise<void>;
  /** Ends the serving, wipes the key and removes the FIFO. Safe to call twice. */
  stop(): void;
}

/**
 * A FIFO on tmpfs that serves a key exactly `reads` times, then is gone. Each read has a FIFO of its own: as soon as a
 * reader has opened the path, a fresh one takes its name, and only then the reader gets its bytes and its end. So a
 * program that reads again at once never meets the writer of the read before (two programs that open it within 5 ms of
 * each other share one read). A reader that leaves before the end has used up its read.
 *
 * @param value - Copied; the copy is wiped after the last read.
 * @throws {VolumeError} `VOLUME_NO_MEMORY_FOLDER`.
 */
export async function serveByFifo(value: SecretBuffer, reads: number): Promise<FifoServing> {
  const libc = await loadLibc();
  const folder = makeMemoryFolder();
  const path = join(folder.path, "key");
  const next = join(folder.path, "next");
  libc.makeFifo(path, 0o600);
  const copy = value.clone();
  let stopped = false;

  async function serve(): Promise<void> {
    for (let left = reads; left > 0; left--) {
      const writer = await openForReader();
      if (writer === undefined) return;
      if (left > 1) {
        libc.makeFifo(next, 0o600);
        renameSync(next, path);
      } else rmSync(path, { force: true });
      try {
        await writeWhole(writer);
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
        if (codeOf(error) !== "ENXIO") throw error;
      }
      await pause();
    }
    return undefined;
  }

  /** A key larger than the pipe's buffer (64 KiB, pipe(7)) goes in parts as the reader takes them. */
  async function writeWhole(writer: number): Promise<void> {
    for (let at = 0; !stopped && at < copy.byteLength; ) {
      try {
        at += copy.expose((bytes) => writeSync(writer, bytes, at));
      } catch (error) {
        if (codeOf(error) === "EPIPE") return;
        if (codeOf(error) !== "EAGAIN") throw error;
        await pause();
      }
    }
  }

  const read = serve();
  // Whoever waits for `read` sees a failure; nobody has to.
  read.catch(() => {});
  return {
    path,
    read,
    stop() {
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

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, pollMs));
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}
