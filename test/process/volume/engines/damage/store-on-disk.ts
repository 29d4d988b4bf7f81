import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SecretBuffer } from "../../../../../src/crypto/secret-buffer.ts";
import type { SuiteName } from "../../../../../src/crypto/suite.ts";
import type { FileSystem } from "../../../../../src/volume/sealfs/file-system.ts";
import { FsError } from "../../../../../src/volume/sealfs/fs-error.ts";
import { makeSealedStore } from "../../../../../src/volume/sealfs/server/make-store.ts";
import { OpenedVolume } from "../../../../../src/volume/sealfs/server/opened-volume.ts";
import type { FileLayout } from "../../../../../src/volume/sealfs/stored-file.ts";

export const blockBytes = 4096;
const root = 1;
const caller = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, pid: process.pid };
const volumeId = "7f3c2a94-5d0e-4b1c-8a6f-0123456789ab";
const chunkBytes = 1024 * 1024;
const readWrite = 2;
const typeMask = 0o170000;
const directoryType = 0o040000;
const symlinkType = 0o120000;
export const attributeName = "user.note";

/** What a program reads: of each path its content in short, or the error that it got. */
export type Contents = ReadonlyMap<string, string>;

/** What came of opening a store and reading all of it. */
export interface Reading {
  /** Why it was not opened. */
  readonly refused?: string;
  readonly contents: Contents;
  readonly told: readonly string[];
}

/** A store that was filled and closed in good order, of which damaged copies are read. No mount is made. */
export class StoreOnDisk implements Disposable {
  readonly #work = mkdtempSync(join(tmpdir(), "strongroom-damage-"));
  readonly #key = SecretBuffer.random(32);
  readonly #suite: SuiteName;
  readonly #integrity: FileLayout["integrity"];

  constructor(suite: SuiteName, integrity: FileLayout["integrity"]) {
    this.#suite = suite;
    this.#integrity = integrity;
  }

  get path(): string {
    return join(this.#work, "whole");
  }

  /** The store's copy that was damaged, made anew from the whole one, attributes and all. */
  copy(): string {
    const copy = join(this.#work, "copy");
    rmSync(copy, { recursive: true, force: true });
    const { status, stderr } = spawnSync("cp", ["-a", this.path, copy], { encoding: "utf8" });
    if (status !== 0) throw new Error(stderr);
    return copy;
  }

  async fill(): Promise<void> {
    const handover = this.#handover(this.path);
    await makeSealedStore(handover, this.#key);
    // Twice, and synced, so that both places of each head have been written.
    for (const round of [1, 2]) {
      const volume = await OpenedVolume.open(handover, this.#key, () => {}, "serve");
      fill(volume.tree, round);
      volume.close();
    }
  }

  async read(store: string): Promise<Reading> {
    const told: string[] = [];
    let volume: OpenedVolume;
    try {
      volume = await OpenedVolume.open(this.#handover(store), this.#key, (what) => told.push(what), "serve");
    } catch (error) {
      return { refused: String(error), contents: new Map(), told };
    }
    const contents = new Map<string, string>();
    readFolder(volume.tree, root, "", contents);
    try {
      volume.close();
    } catch (error) {
      told.push(String(error));
    }
    return { contents, told };
  }

  #handover(store: string) {
    return {
      store,
      mountPoint: "",
      volumeId,
      suite: this.#suite,
      layout: { blockBytes, integrity: this.#integrity },
      names: "encrypted",
    } as const;
  }

  [Symbol.dispose](): void {
    this.#key[Symbol.dispose]();
    rmSync(this.#work, { recursive: true, force: true });
  }
}

/** Long enough that its sealed name needs a file of its own. */
export const longName = "n".repeat(240);
/** So many blocks that the map needs pages. */
const manyBlocks = 500;

function fill(tree: FileSystem, round: number): void {
  const sizes = {
    empty: 0,
    small: 100,
    blocks: 5 * blockBytes + 17,
    [longName]: 2 * blockBytes,
    many: manyBlocks * blockBytes,
  };
  const folder =
    round === 1 ? tree.makeDirectory(root, "folder", 0o755, caller).node : tree.lookup(root, "folder").node;
  for (const [name, size] of Object.entries(sizes)) {
    const handle =
      round === 1
        ? tree.create(folder, name, 0o644, readWrite, caller).handle
        : tree.open(tree.lookup(folder, name).node, readWrite);
    const bytes = Buffer.alloc(size, `${round} of ${name.slice(0, 10)} `);
    if (size > 0) tree.write(handle, 0, bytes);
    tree.sync(handle, false);
    tree.release(handle);
  }
  if (round > 1) return;
  tree.makeSymlink(folder, "link", Buffer.from("where it leads"), caller);
  tree.setExtendedAttribute(tree.lookup(folder, "small").node, attributeName, Buffer.from("a note"), 0);
}

function readFolder(tree: FileSystem, node: number, path: string, contents: Map<string, string>): void {
  const names: string[] = [];
  attempt(`${path}/`, contents, () => {
    const handle = tree.openDirectory(node);
    for (let from = 0, before = -1; from !== before; ) {
      before = from;
      tree.readDirectory(handle, from, ({ name, next }) => {
        if (name !== "." && name !== "..") names.push(name);
        from = next;
        return true;
      });
    }
    tree.releaseDirectory(handle);
    return "a folder";
  });
  for (const name of names) {
    const below = `${path}/${name}`;
    attempt(below, contents, () => {
      const entry = tree.lookup(node, name);
      const type = entry.attributes.mode & typeMask;
      if (type === directoryType) {
        readFolder(tree, entry.node, below, contents);
        return "a folder's entry";
      }
      if (type === symlinkType) return tree.readLink(entry.node).toString();
      attempt(`${below} ${attributeName}`, contents, () =>
        tree.listExtendedAttributes(entry.node).length === 0
          ? "no attributes"
          : tree.getExtendedAttribute(entry.node, attributeName).toString(),
      );
      return readFile(tree, entry.node, entry.attributes.size);
    });
  }
}

function readFile(tree: FileSystem, node: number, size: number): string {
  const handle = tree.open(node, readWrite);
  try {
    const digest = createHash("sha256");
    const chunk = Buffer.alloc(chunkBytes);
    for (let at = 0; ; ) {
      const count = tree.read(handle, at, chunk);
      digest.update(chunk.subarray(0, count));
      at += count;
      if (count < chunk.length) return `${at} of ${size} bytes: ${digest.digest("hex")}`;
    }
  } finally {
    tree.release(handle);
  }
}

function attempt(what: string, contents: Map<string, string>, read: () => string): void {
  try {
    contents.set(what, read());
  } catch (error) {
    if (!(error instanceof FsError)) throw error;
    contents.set(what, error.code);
  }
}
