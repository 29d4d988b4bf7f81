import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type ErrnoName, FsError } from "../../../../../src/volume/sealfs/fs-error.ts";
import type { ContentStore } from "../../../../../src/volume/sealfs/tree/content-store.ts";
import { SealedTree } from "../../../../../src/volume/sealfs/tree/sealed-tree.ts";
import type { TreeEvent } from "../../../../../src/volume/sealfs/tree/tree-events.ts";
import type { TreeKeys } from "../../../../../src/volume/sealfs/tree/tree-keys.ts";
import { PassThrough } from "./pass-through.ts";
import { TestKeys } from "./test-keys.ts";

export const root = 1;
export const nobody: { uid: number; gid: number; pid: number } = {
  uid: process.geteuid?.() ?? 0,
  gid: process.getegid?.() ?? 0,
  pid: 1,
};

/** A tree in a folder of its own, which can be closed and opened again, with the names and contents that tests ask for. */
export class OpenedTree {
  readonly folder: string;
  readonly keys: TreeKeys;
  readonly events: TreeEvent[] = [];
  readonly #contents: ContentStore;
  /** As after a crash, when the tree is opened next. */
  afterCrash = false;
  descriptors: number | undefined;
  #tree: SealedTree | undefined;

  constructor(t: TestContext, keys: TreeKeys = new TestKeys("plain"), contents: ContentStore = new PassThrough()) {
    const above = mkdtempSync(join(tmpdir(), "sealed-tree-"));
    this.folder = join(above, "tree");
    mkdirSync(this.folder);
    this.keys = keys;
    this.#contents = contents;
    t.after(() => {
      this.close();
      rmSync(above, { recursive: true, force: true });
    });
  }

  get tree(): SealedTree {
    this.#tree ??= SealedTree.open({
      backingFolder: this.folder,
      keys: this.keys,
      contents: this.#contents,
      afterCrash: this.afterCrash,
      ...(this.descriptors === undefined ? {} : { descriptors: this.descriptors }),
      report: (event) => this.events.push(event),
    });
    return this.#tree;
  }

  close(): void {
    this.#tree?.close();
    this.#tree = undefined;
  }

  /** Leaves the tree as a killed process would: nothing more is written. */
  abandon(): void {
    this.#tree = undefined;
  }

  reopen(): SealedTree {
    this.close();
    return this.tree;
  }

  eventKinds(): string[] {
    return this.events.map(({ kind }) => kind);
  }

  makeFile(parent: number, name: string, content = ""): number {
    const { node, handle } = this.tree.create(parent, name, 0o644, 2, nobody);
    if (content !== "") this.tree.write(handle, 0, Buffer.from(content));
    this.tree.flush(handle);
    this.tree.release(handle);
    return node;
  }

  makeFolder(parent: number, name: string): number {
    return this.tree.makeDirectory(parent, name, 0o755, nobody).node;
  }

  read(parent: number, name: string): string {
    const handle = this.tree.open(this.tree.lookup(parent, name).node, 0);
    const into = Buffer.alloc(4096);
    const length = this.tree.read(handle, 0, into);
    this.tree.release(handle);
    return into.toString("utf8", 0, length);
  }

  list(node: number): string[] {
    const handle = this.tree.openDirectory(node);
    const names: string[] = [];
    for (let from = 0, more = true; more; ) {
      more = false;
      this.tree.readDirectory(handle, from, ({ name, next }) => {
        if (name !== "." && name !== "..") names.push(name);
        from = next;
        more = true;
        return true;
      });
    }
    this.tree.releaseDirectory(handle);
    return names;
  }

  /** The backing name of an entry, in the root's folder or the backing folder `within` it. */
  backingName(shown: string, within = ""): string {
    const found = readdirSync(join(this.folder, within)).filter((name) => name.startsWith(`${shown}~`));
    if (found.length !== 1) throw new Error(`${found.length} backing entries show ${shown}`);
    return join(within, found[0] ?? "");
  }

  backingPath(shown: string, within = ""): string {
    return join(this.folder, this.backingName(shown, within));
  }
}

/** For `assert.throws`: a request that fails with this errno. */
export function failsWith(code: ErrnoName): (error: unknown) => boolean {
  return (error) => error instanceof FsError && error.code === code;
}
