/** For what a request opens for itself, and for the process: its connections, libraries, the key table. */
const reserved = 128;
const fewest = 16;
const mostFolders = 256;
const mostIdleContents = 1024;

/** How the descriptors that a process may have open are shared out, so that who opens many files takes none from other requests. */
export class DescriptorBudget {
  /** Of backing folders in use. */
  readonly folders: number;
  /** Of removed inodes that the kernel still knows. */
  readonly removed: number;
  /** Of files that programs have open: opening one more is refused with ENFILE. */
  readonly contents: number;
  /** Of files that are kept open a while longer. They make room for those that are open. */
  readonly idle: number;

  /** @param allowed - The process's limit (RLIMIT_NOFILE). */
  constructor(allowed: number) {
    const usable = Math.max(allowed - reserved, 4 * fewest);
    const share = Math.max(fewest, Math.min(mostFolders, Math.floor(usable / 8)));
    this.folders = share;
    this.removed = share;
    this.contents = usable - 2 * share;
    this.idle = Math.min(mostIdleContents, this.contents);
  }
}
