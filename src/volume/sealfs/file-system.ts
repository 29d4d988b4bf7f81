/**
 * What the kernel asks of a file system: one synchronous call for each request of the FUSE protocol. A call that can't be done throws
 * `FsError`, whose errno the kernel hands to the caller. Names are byte strings: one character (0 to 255) for each byte, as
 * `buffer.toString("latin1")` gives them. Node 1 is the root. Permissions are checked by the kernel (`default_permissions`).
 */

/** Who asks. */
export interface Caller {
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
}

/** struct stat, as far as the kernel wants it. Times are nanoseconds since 1970. */
export interface Attributes {
  readonly inode: bigint;
  readonly size: number;
  /** Allocated, in units of 512 bytes. */
  readonly blocks: number;
  readonly accessedNs: bigint;
  readonly modifiedNs: bigint;
  readonly changedNs: bigint;
  /** Type and permissions, as st_mode. */
  readonly mode: number;
  readonly links: number;
  readonly uid: number;
  readonly gid: number;
  /** Of a device file, as the kernel's 32-bit encoding. */
  readonly device: number;
}

/** A name that was found or made. Each answer with a node counts as one lookup until it is forgotten. */
export interface Entry {
  readonly node: number;
  readonly attributes: Attributes;
}

/** What `setattr` changes; what is left out stays. `"now"` is the time of the call. */
export interface AttributeChange {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly size?: number;
  readonly accessedNs?: bigint | "now";
  readonly modifiedNs?: bigint | "now";
  readonly changedNs?: bigint;
}

/** Of `statfs`. */
export interface FileSystemSpace {
  readonly blockBytes: number;
  readonly blocks: number;
  readonly freeBlocks: number;
  readonly availableBlocks: number;
  readonly files: number;
  readonly freeFiles: number;
  readonly longestName: number;
}

/** One entry of a folder, as `readDirectory` gives it. */
export interface DirectoryEntry {
  readonly name: string;
  readonly inode: bigint;
  /** As st_mode's type bits. */
  readonly type: number;
  /** Where reading goes on after this entry; stable while the folder is open, whatever is made or removed meanwhile. */
  readonly next: number;
}

/** RENAME_NOREPLACE and RENAME_EXCHANGE of renameat2(2). */
export const renameFlags = { noReplace: 1, exchange: 2 } as const;

export interface FileSystem {
  lookup(parent: number, name: string): Entry;
  /** The kernel has dropped so many of its lookups of a node. Never fails. */
  forget(node: number, lookups: number): void;
  getAttributes(node: number, handle: number | undefined): Attributes;
  setAttributes(node: number, change: AttributeChange, handle: number | undefined): Attributes;

  readLink(node: number): Buffer;
  makeSymlink(parent: number, name: string, target: Buffer, caller: Caller): Entry;
  /** Regular files, FIFOs, sockets and devices. @param mode - With the type bits; the umask is already taken off. */
  makeNode(parent: number, name: string, mode: number, device: number, caller: Caller): Entry;
  makeDirectory(parent: number, name: string, mode: number, caller: Caller): Entry;
  unlink(parent: number, name: string): void;
  removeDirectory(parent: number, name: string): void;
  rename(parent: number, name: string, newParent: number, newName: string, flags: number): void;
  link(node: number, newParent: number, newName: string): Entry;

  /** @param flags - Of open(2), as the kernel passes them (O_TRUNC included). @returns A handle. */
  open(node: number, flags: number): number;
  create(
    parent: number,
    name: string,
    mode: number,
    flags: number,
    caller: Caller,
  ): Entry & { readonly handle: number };
  /** Fills `into` from the file; returns how many bytes there were, fewer only at the end. */
  read(handle: number, offset: number, into: Buffer): number;
  /** Writes all of `bytes`, which are the caller's again afterwards. */
  write(handle: number, offset: number, bytes: Buffer): void;
  /** At each close(2). */
  flush(handle: number): void;
  release(handle: number): void;
  sync(handle: number, dataOnly: boolean): void;
  /** @param mode - Of fallocate(2). */
  allocate(handle: number, mode: number, offset: number, length: number): void;
  /** SEEK_DATA (3) or SEEK_HOLE (4). */
  seek(handle: number, offset: number, whence: number): number;

  openDirectory(node: number): number;
  /**
   * Gives entries, "." and ".." first, from a place on until `take` returns false.
   *
   * @param from - 0, or a {@link DirectoryEntry.next}.
   */
  readDirectory(handle: number, from: number, take: (entry: DirectoryEntry) => boolean): void;
  releaseDirectory(handle: number): void;
  syncDirectory(handle: number): void;

  space(node: number): FileSystemSpace;
  getExtendedAttribute(node: number, name: string): Buffer;
  listExtendedAttributes(node: number): readonly string[];
  /** @param flags - XATTR_CREATE (1), XATTR_REPLACE (2). */
  setExtendedAttribute(node: number, name: string, value: Buffer, flags: number): void;
  removeExtendedAttribute(node: number, name: string): void;
  /** syncfs(2). */
  syncAll(): void;
}
