import { fileIdOf, sequenceOf, shownOf } from "./entry-names.ts";

/** An entry of a folder, as the backing folder lists it. There are as many in memory as names: what its name says is read when asked for. */
export class TreeEntry {
  readonly backingName: string;
  /** S_IFMT bits. */
  readonly type: number;
  readonly inode: bigint;
  /** It was made for this folder, or found to be bound to it. */
  verified: boolean;

  constructor(backingName: string, type: number, inode: bigint, verified: boolean) {
    this.backingName = backingName;
    this.type = type;
    this.inode = inode;
    this.verified = verified;
  }

  get shown(): string {
    return shownOf(this.backingName);
  }

  /** 22 base64url characters. */
  get fileId(): string {
    return fileIdOf(this.backingName);
  }

  get sequence(): bigint {
    return sequenceOf(this.backingName);
  }
}
