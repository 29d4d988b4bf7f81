import {
  chownSync,
  closeSync,
  constants,
  existsSync,
  ftruncateSync,
  openSync,
  rmSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { loadLibc } from "./libc.ts";
import { makeMemoryFolder } from "./memory-folder.ts";
import type { VolumeKey } from "./volume.ts";

export interface HandoverOptions {
  /** Who the program runs as; a file or FIFO is made theirs. */
  readonly owner?: { readonly uid: number; readonly gid: number };
  /** How many times the program opens a FIFO to read the key. @defaultValue `1` */
  readonly fifoReads?: number;
  /** How long a FIFO waits for its next reader, in milliseconds. @defaultValue `60000` */
  readonly fifoPatienceMs?: number;
}

/** A key on its way into a program. */
export interface KeyHandover {
  /** Channel `fd`: our descriptor, to be put into the child's `stdio` at a place of the launcher's choosing. */
  readonly fd?: number;
  /** Channels `file` and `fifo`: the path to name to the program. */
  readonly path?: string;
  /** Settles when the key has been read as often as was agreed (`fifo`) or at once (all others). */
  readonly read: Promise<void>;
  /** Adds the variable, if the key has one, to the child's environment. `fdInChild`: the number of `fd` in the child. */
  addTo(environment: Record<string, string>, fdInChild?: number): void;
  /** Overwrites and removes what we hold. Call it once the program has read the key. */
  wipe(): void;
}

/**
 * Readies a key for a program. Nothing of it reaches a disk: a descriptor and a file are inodes on tmpfs (the first
 * without a name from the start), a FIFO holds it only while it is read.
 *
 * @throws {VolumeError} `VOLUME_NO_MEMORY_FOLDER`.
 */
export async function handOverKey(key: VolumeKey, options: HandoverOptions = {}): Promise<KeyHandover> {
  switch (key.channel) {
    case "fd":
      return handOverDescriptor(key);
    case "file":
      return handOverFile(key, options);
    case "fifo":
      return handOverFifo(key, options);
    case "environment":
      return handOverVariable(key);
  }
}

/** An unlinked inode, not a pipe: the program may open /dev/fd/N as well as read N, and may read it again. */
function handOverDescriptor(key: VolumeKey): KeyHandover {
  const folder = makeMemoryFolder();
  const path = join(folder.path, "key");
  const writer = openSync(path, "wx", 0o600);
  const fd = openSync(path, "r");
  unlinkSync(path);
  folder.remove();
  key.value.expose((bytes) => writeWhole(writer, bytes));
  return {
    fd,
    read: Promise.resolve(),
    addTo(environment, fdInChild) {
      if (key.variable !== undefined && fdInChild !== undefined) environment[key.variable] = `/dev/fd/${fdInChild}`;
    },
    wipe: once(() => {
      overwrite(writer, key.value.byteLength);
      closeSync(fd);
    }),
  };
}

function handOverFile(key: VolumeKey, { owner }: HandoverOptions): KeyHandover {
  const folder = makeMemoryFolder();
  const path = join(folder.path, "key");
  const writer = openSync(path, "wx", 0o400);
  key.value.expose((bytes) => writeWhole(writer, bytes));
  giveTo(owner, path, folder.path);
  return {
    path,
    read: Promise.resolve(),
    addTo: (environment) => nameIn(environment, key, path),
    wipe: once(() => {
      overwrite(writer, key.value.byteLength);
      folder.remove();
    }),
  };
}

async function handOverFifo(
  key: VolumeKey,
  { owner, fifoReads = 1, fifoPatienceMs = 60_000 }: HandoverOptions,
): Promise<KeyHandover> {
  const folder = makeMemoryFolder();
  const path = join(folder.path, "key");
  (await loadLibc()).makeFifo(path, 0o600);
  giveTo(owner, path, folder.path);
  // A copy of its own: the volume may be closed, and its keys wiped, while the feeder still waits.
  const value = key.value.clone();
  let stopped = false;
  const stop = () => {
    stopped = true;
    value[Symbol.dispose]();
  };
  const feed = async () => {
    for (let reads = 0; reads < fifoReads && !stopped; reads++) {
      const writer = await openForReader(path, fifoPatienceMs, () => stopped);
      if (writer === undefined) break;
      value.expose((bytes) => writeWhole(writer, bytes));
      closeSync(writer);
      await readerGone(path);
    }
    stop();
  };
  return {
    path,
    read: feed(),
    addTo: (environment) => nameIn(environment, key, path),
    wipe: once(() => {
      stop();
      rmSync(path, { force: true });
      folder.remove();
    }),
  };
}

function handOverVariable(key: VolumeKey): KeyHandover {
  return {
    read: Promise.resolve(),
    addTo(environment) {
      // The one channel whose nature needs a string; the volume's parameters say that it was agreed to.
      if (key.variable !== undefined) environment[key.variable] = key.value.expose((bytes) => bytes.toString("latin1"));
    },
    wipe() {},
  };
}

/** Opens a FIFO for writing without blocking a thread: the kernel answers ENXIO until someone reads. */
async function openForReader(path: string, patienceMs: number, stopped: () => boolean): Promise<number | undefined> {
  const begunMs = Date.now();
  while (!stopped() && existsSync(path) && Date.now() - begunMs < patienceMs) {
    try {
      return openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENXIO") throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return undefined;
}

/** Waits until the reader has closed the FIFO, so that the next read is another one. */
async function readerGone(path: string): Promise<void> {
  for (let tries = 0; tries < 500 && existsSync(path); tries++) {
    try {
      closeSync(openSync(path, constants.O_WRONLY | constants.O_NONBLOCK));
    } catch {
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function giveTo(owner: HandoverOptions["owner"], ...paths: readonly string[]): void {
  if (owner === undefined || owner.uid === process.getuid?.()) return;
  for (const path of paths) chownSync(path, owner.uid, owner.gid);
}

function nameIn(environment: Record<string, string>, key: VolumeKey, path: string): void {
  if (key.variable !== undefined) environment[key.variable] = path;
}

function writeWhole(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
}

function overwrite(fd: number, byteLength: number): void {
  writeSync(fd, Buffer.alloc(byteLength), 0, byteLength, 0);
  ftruncateSync(fd, 0);
  closeSync(fd);
}

function once(action: () => void): () => void {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    action();
  };
}
