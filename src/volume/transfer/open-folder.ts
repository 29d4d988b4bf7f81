import { FsError } from "../sealfs/fs-error.ts";
import { cString, openFlags, systemCall } from "../sealfs/system/calls.ts";
import { type FileStatus, statusOf } from "../sealfs/system/file-status.ts";

const { readOnly, directory, noFollow, closeOnExec } = openFlags;

/**
 * The folder that a walk through a tree is in. One descriptor is held however deep it goes; on the way up it is proved to be back
 * where it came from.
 */
export class WalkedFolder implements Disposable {
  #descriptor: number;
  #closed = false;
  readonly #above: Pick<FileStatus, "inode" | "onDevice">[] = [];

  /** @param path - Of the top, a byte string. @throws {FsError} */
  constructor(path: string) {
    this.#descriptor = open(-100, path);
  }

  /** Open for listing and for changes of the folder itself. */
  get descriptor(): number {
    return this.#descriptor;
  }

  get status(): FileStatus {
    return statusOf(this.#descriptor);
  }

  /** How many folders lie between the top and this. */
  get depth(): number {
    return this.#above.length;
  }

  /** @throws {FsError} ELOOP or ENOTDIR for what is no folder. */
  enter(name: string): void {
    const { inode, onDevice } = this.status;
    this.#move(open(this.#descriptor, name));
    this.#above.push({ inode, onDevice });
  }

  /** @throws {FsError} EIO when the folder was moved meanwhile. */
  leave(): void {
    const expected = this.#above.pop();
    if (expected === undefined) throw new FsError("EINVAL", "there is nothing above the top");
    this.#move(open(this.#descriptor, ".."));
    const { inode, onDevice } = this.status;
    if (inode !== expected.inode || onDevice !== expected.onDevice)
      throw new FsError("EIO", "a folder was moved while it was read");
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    systemCall("close", this.#descriptor);
  }

  #move(descriptor: number): void {
    systemCall("close", this.#descriptor);
    this.#descriptor = descriptor;
  }
}

function open(from: number, name: string): number {
  return systemCall("openat", from, cString(name), readOnly | directory | noFollow | closeOnExec, 0);
}
