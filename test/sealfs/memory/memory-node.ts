import type { AttributeChange, Attributes } from "../../../src/volume/sealfs/file-system.ts";
import { FsError } from "../../../src/volume/sealfs/fs-error.ts";
import { MemoryContent } from "./memory-content.ts";

export const typeOf = { mask: 0o170000, file: 0o100000, folder: 0o040000, link: 0o120000 } as const;
const setGroupId = 0o2000;
const createOnly = 1;
const replaceOnly = 2;

let lastNs = 0n;

/** The real time in nanoseconds, rising with each call. */
export function nowNs(): bigint {
  const now = BigInt(Date.now()) * 1_000_000n;
  lastNs = now > lastNs ? now : lastNs + 1n;
  return lastNs;
}

/** An inode: what a name leads to. */
export class MemoryNode {
  readonly number: number;
  readonly content = new MemoryContent();
  readonly extended = new Map<string, Buffer>();
  /** Of a folder, in the order of their places; a place for readdir is given to one name and never again. */
  readonly entries = new Map<string, { readonly node: MemoryNode; readonly place: number }>();
  parent: MemoryNode | undefined;
  target: Buffer = Buffer.alloc(0);
  mode: number;
  links = 1;
  uid: number;
  gid: number;
  readonly device: number;
  accessedNs: bigint;
  modifiedNs: bigint;
  changedNs: bigint;
  lookups = 0;
  #lastPlace = 2;

  constructor(number: number, mode: number, uid: number, gid: number, device: number) {
    this.number = number;
    this.mode = mode;
    this.uid = uid;
    this.gid = gid;
    this.device = device;
    this.accessedNs = nowNs();
    this.modifiedNs = this.accessedNs;
    this.changedNs = this.accessedNs;
  }

  get isFolder(): boolean {
    return (this.mode & typeOf.mask) === typeOf.folder;
  }

  add(name: string, node: MemoryNode): void {
    const old = this.entries.get(name);
    if (old === undefined) this.#lastPlace += 1;
    this.entries.set(name, { node, place: old?.place ?? this.#lastPlace });
    this.touch();
  }

  remove(name: string): void {
    this.entries.delete(name);
    this.touch();
  }

  /** Content or entries have changed. */
  touch(): void {
    this.modifiedNs = nowNs();
    this.changedNs = this.modifiedNs;
  }

  changed(): void {
    this.changedNs = nowNs();
  }

  /** The group that a new entry of this folder gets. */
  groupOfNew(gid: number): number {
    return (this.mode & setGroupId) !== 0 ? this.gid : gid;
  }

  change(change: AttributeChange): void {
    const now = nowNs();
    if (change.size !== undefined) {
      if (this.isFolder) throw new FsError("EISDIR");
      if ((this.mode & typeOf.mask) !== typeOf.file) throw new FsError("EINVAL");
      if (change.size !== this.content.size) this.modifiedNs = now;
      this.content.truncate(change.size);
    }
    if (change.mode !== undefined) this.mode = (this.mode & typeOf.mask) | (change.mode & 0o7777);
    if (change.uid !== undefined) this.uid = change.uid;
    if (change.gid !== undefined) this.gid = change.gid;
    if (change.accessedNs !== undefined) this.accessedNs = change.accessedNs === "now" ? now : change.accessedNs;
    if (change.modifiedNs !== undefined) this.modifiedNs = change.modifiedNs === "now" ? now : change.modifiedNs;
    this.changedNs = change.changedNs ?? now;
  }

  getExtended(name: string): Buffer {
    const value = this.extended.get(userAttribute(name));
    if (value === undefined) throw new FsError("ENODATA");
    return value;
  }

  setExtended(name: string, value: Buffer, flags: number): void {
    const there = this.extended.has(userAttribute(name));
    if (there && (flags & createOnly) !== 0) throw new FsError("EEXIST");
    if (!there && (flags & replaceOnly) !== 0) throw new FsError("ENODATA");
    this.extended.set(name, Buffer.from(value));
    this.changed();
  }

  removeExtended(name: string): void {
    if (!this.extended.delete(userAttribute(name))) throw new FsError("ENODATA");
    this.changed();
  }

  get attributes(): Attributes {
    const size = this.isFolder ? this.entries.size * 20 : this.target.length || this.content.size;
    const blocks = this.content.allocatedBytes / 512;
    const { accessedNs, modifiedNs, changedNs, mode, links, uid, gid, device } = this;
    return {
      inode: BigInt(this.number),
      size,
      blocks,
      accessedNs,
      modifiedNs,
      changedNs,
      mode,
      links,
      uid,
      gid,
      device,
    };
  }
}

function userAttribute(name: string): string {
  if (!name.startsWith("user.")) throw new FsError("EOPNOTSUPP");
  return name;
}
