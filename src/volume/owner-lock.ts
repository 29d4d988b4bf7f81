import { closeSync, constants, fstatSync, ftruncateSync, openSync, readFileSync, readSync, writeSync } from "node:fs";
import { VolumeError } from "./errors.ts";
import { loadLibc, SystemCallError } from "./libc.ts";

/** Who holds a volume, as the lock file says it: for people and for `status`; the lock itself is the kernel's. */
export interface OwnerNote {
  readonly pid: number;
  /** The volume was left open on purpose: its owner has ended and that is well. */
  readonly leftOpen: boolean;
  /** /proc/sys/kernel/random/boot_id: a note of an earlier boot says nothing. */
  readonly bootId: string;
  /** The server that was left running has closed the volume in good order. */
  readonly endedWell?: boolean;
}

/** fcntl commands and lock types of Linux (fcntl.h), for locks that belong to the open file, not to the process. */
const getLock = 36;
const setLock = 37;
const writeLock = 1;
const noLock = 2;
const maxNoteBytes = 256;
const takeoverPatienceMs = 5000;

/**
 * The lock of one volume: a write lock on the open file (F_OFD_SETLK, fcntl(2)). The kernel drops it when the last
 * process that holds the descriptor ends, however it ends; a child that inherits {@link fd} shares it.
 */
export class OwnerLock {
  readonly fd: number;
  #released = false;

  private constructor(fd: number) {
    this.fd = fd;
  }

  /**
   * Takes the lock, making its file if `create`. Waits up to 5 s when the owner has died (its helpers are ending), and
   * up to `patienceMs` otherwise.
   *
   * @throws {VolumeError} `VOLUME_ALREADY_OPEN`, or `VOLUME_ABSENT` when there is no lock file.
   */
  static async acquire(file: string, create: boolean, patienceMs = 0): Promise<OwnerLock> {
    const libc = await loadLibc();
    const fd = openForLock(file, create);
    const begunMs = Date.now();
    for (;;) {
      try {
        libc.fcntl(fd, setLock, lockRequest());
        return new OwnerLock(fd);
      } catch (error) {
        const held = error instanceof SystemCallError && (error.code === "EAGAIN" || error.code === "EACCES");
        const note = held ? readNote(file) : undefined;
        const ownerDied = note !== undefined && !note.leftOpen && !processLives(note.pid);
        if (held && Date.now() - begunMs < (ownerDied ? takeoverPatienceMs : patienceMs)) {
          await new Promise((resolve) => setTimeout(resolve, 20));
          continue;
        }
        closeSync(fd);
        if (!held) throw error;
        const who = note === undefined ? "another process" : `process ${note.pid}`;
        throw new VolumeError(
          "VOLUME_ALREADY_OPEN",
          `${who} holds the volume (${file}); stop it, or close the volume, and try again`,
        );
      }
    }
  }

  /** True when some process holds the lock. Takes nothing. */
  static async isHeld(file: string): Promise<boolean> {
    const libc = await loadLibc();
    let fd: number;
    try {
      fd = openSync(file, constants.O_RDWR | constants.O_NOFOLLOW);
    } catch {
      return false;
    }
    try {
      const request = lockRequest();
      libc.fcntl(fd, getLock, request);
      return request.readInt16LE(0) !== noLock;
    } finally {
      closeSync(fd);
    }
  }

  /** Writes who holds the volume. Only after the data key was found right: a refused open changes nothing. */
  note(note: Omit<OwnerNote, "bootId">): void {
    writeNote(this.fd, JSON.stringify({ pid: note.pid, leftOpen: note.leftOpen, bootId: readBootId() }));
  }

  /** Forgets the note and gives the lock up. */
  release(): void {
    if (!this.#released && fstatSync(this.fd).size > 0) writeNote(this.fd, "");
    this.abandon();
  }

  /** Closes our descriptor and leaves the note: the lock lives on in a child that shares it. */
  abandon(): void {
    if (this.#released) return;
    this.#released = true;
    closeSync(this.fd);
  }
}

/**
 * Adds to the note that the volume was closed in good order: for who closes a volume that was left open, and has nobody else to ask.
 *
 * @param descriptor - Of the lock file, held.
 */
export function noteOrderlyEnd(descriptor: number): void {
  const found = Buffer.alloc(maxNoteBytes);
  const length = readSync(descriptor, found, 0, found.length, 0);
  if (length === 0) return;
  const text = JSON.stringify({ ...JSON.parse(found.toString("utf8", 0, length)), endedWell: true });
  writeNote(descriptor, text);
}

/** Always of the same length, over the one before: on a full disk there is room for the next. */
function writeNote(descriptor: number, text: string): void {
  writeSync(descriptor, text.padEnd(maxNoteBytes), 0);
  if (fstatSync(descriptor).size > maxNoteBytes) ftruncateSync(descriptor, maxNoteBytes);
}

/** The note of a lock file, or undefined when there is none of this boot. */
export function readNote(file: string): OwnerNote | undefined {
  try {
    const text = readFileSync(file, "utf8");
    if (text.length > maxNoteBytes) return undefined;
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null) return undefined;
    const { pid, leftOpen, bootId, endedWell } = value as Record<string, unknown>;
    if (!Number.isSafeInteger(pid) || typeof leftOpen !== "boolean" || bootId !== readBootId()) return undefined;
    return { pid: pid as number, leftOpen, bootId, ...(endedWell === true ? { endedWell } : {}) };
  } catch {
    return undefined;
  }
}

/** True while a process has this id and is not a zombie; true also when the system will not tell more than that it exists. */
export function processLives(pid: number): boolean {
  if (!Number.isSafeInteger(pid) || pid < 1) return false;
  try {
    // Signal 0 asks only (kill(2)); it also finds a process that a /proc mounted with hidepid does not show.
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false;
  }
  const state = statFields(pid)?.[0];
  return state !== "Z" && state !== "X";
}

/** When a process was started, in clock ticks since boot (field 22 of proc_pid_stat(5)); with the id it names one process. */
export function processStart(pid: number): string | undefined {
  return statFields(pid)?.[19];
}

/** The fields from the third on: the second, the program's name, may hold spaces and parentheses. */
function statFields(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  } catch {
    return undefined;
  }
}

function openForLock(file: string, create: boolean): number {
  try {
    return openSync(file, constants.O_RDWR | constants.O_NOFOLLOW | (create ? constants.O_CREAT : 0), 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT")
      throw new VolumeError("VOLUME_ABSENT", `there is no volume here: ${file} is missing`, error);
    throw new VolumeError(
      "VOLUME_SYSTEM",
      `the lock file ${file} cannot be opened: ${(error as Error).message}`,
      error,
    );
  }
}

/** `struct flock` of 64-bit Linux: type (i16), whence (i16), start (i64 at 8), length (i64, 0 = all), pid (i32, must be 0). */
function lockRequest(): Buffer {
  const request = Buffer.alloc(32);
  request.writeInt16LE(writeLock, 0);
  return request;
}

function readBootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}
