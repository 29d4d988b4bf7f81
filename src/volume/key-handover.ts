import { closeSync, ftruncateSync, openSync, unlinkSync, writeSync } from "node:fs";
import { join } from "node:path";
import { makeMemoryFolder } from "./memory-folder.ts";
import type { VolumeKey } from "./volume.ts";

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
  /** Overwrites and removes what we hold. Call it once the program has read the key. Safe to call twice. */
  wipe(): void;
}

/**
 * Readies a key for a program. Nothing of it reaches a disk: a descriptor and a file are inodes on tmpfs (the first
 * without a name from the start), a FIFO holds it only while it is read.
 *
 * @param fifoReads - How many times the program opens a FIFO to read the key.
 * @throws {VolumeError} `VOLUME_NO_MEMORY_FOLDER`.
 */
export async function handOverKey(key: VolumeKey, fifoReads = 1): Promise<KeyHandover> {
  switch (key.channel) {
    case "fd":
      return handOverDescriptor(key);
    case "file":
      return handOverFile(key);
    case "fifo":
      return handOverFifo(key, fifoReads);
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

function handOverFile(key: VolumeKey): KeyHandover {
  const folder = makeMemoryFolder();
  const path = join(folder.path, "key");
  // Constellation warns of any other mode than this.
  const writer = openSync(path, "wx", 0o600);
  key.value.expose((bytes) => writeWhole(writer, bytes));
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

async function handOverFifo(key: VolumeKey, reads: number): Promise<KeyHandover> {
  const { serveByFifo } = await import("./fifo.ts");
  const { path, read, stop } = await serveByFifo(key.value, reads);
  return { path, read, addTo: (environment) => nameIn(environment, key, path), wipe: stop };
}

function handOverVariable(key: VolumeKey): KeyHandover {
  return {
    read: Promise.resolve(),
    addTo(environment) {
      if (key.variable === undefined) return;
      environment[key.variable] = key.value.expose((bytes) => bytes.toString("latin1")); // exposes-secret: an environment is text; the volume's parameters say that this was agreed to
    },
    wipe() {},
  };
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
