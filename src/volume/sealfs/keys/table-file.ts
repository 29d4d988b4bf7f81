import { join } from "node:path";
import { KeyTableError } from "./errors.ts";
import { maxAppendBytes, maxTableBytes } from "./reading.ts";
import { keepSpare, withSpare } from "./spare-room.ts";
import type { TableSystem } from "./table-system.ts";

/** Names in the table's folder. */
export const tableFileNames = {
  table: "keys",
  /** A whole table that is about to take the other's place. */
  next: "keys.new",
  /** The table as it was before the last re-wrapping, where that was asked for. */
  previous: "keys.previous",
  /** New envelopes of a re-wrapping under way. */
  rewrapping: "keys.rewrap",
  lock: "keys.lock",
  /** What was cut off the table's end when it was opened last, as an interrupted append. */
  torn: "keys.torn",
} as const;

/**
 * The file of a key table, open for appending. What a call has written is durable when it returns. After a failure that
 * leaves the file's end unknown, nothing is written to it any more.
 */
export class TableFile {
  readonly #system: TableSystem;
  readonly #folder: string;
  readonly #path: string;
  #fd: number;
  #size: number;
  #broken = false;

  private constructor(system: TableSystem, folder: string, fd: number, size: number) {
    this.#system = system;
    this.#folder = folder;
    this.#path = join(folder, tableFileNames.table);
    this.#fd = fd;
    this.#size = size;
  }

  /** True when a folder has a table. @throws {KeyTableError} `KEY_TABLE_SYSTEM`. */
  static exists(system: TableSystem, folder: string, name: string = tableFileNames.table): boolean {
    return onSystem("read", () => system.read(join(folder, name), 0)) !== undefined;
  }

  /** The bytes of a folder's table; undefined when there is none. @throws {KeyTableError} `KEY_TABLE_SYSTEM`. */
  static read(system: TableSystem, folder: string, name: string = tableFileNames.table): Buffer | undefined {
    return onSystem("read", () => system.read(join(folder, name), maxTableBytes));
  }

  /**
   * Opens an existing table for appending, cuts off what lies behind `validBytes`, of which a copy is kept, and removes what an
   * interrupted replacement left.
   *
   * @throws {KeyTableError} `KEY_TABLE_SYSTEM`.
   */
  static open(system: TableSystem, folder: string, validBytes: number, tornBytes: number): TableFile {
    return onSystem("opened", () => {
      const fd = system.open(join(folder, tableFileNames.table), "existing");
      try {
        system.remove(join(folder, tableFileNames.next));
        if (tornBytes > 0) {
          keepTorn(system, folder, validBytes);
          system.truncate(fd, validBytes);
          system.sync(fd);
        }
      } catch (error) {
        system.close(fd);
        throw error;
      }
      return TableFile.#withSpare(system, folder, fd, validBytes);
    });
  }

  /** Makes a table where there is none. @throws {KeyTableError} `KEY_TABLE_SYSTEM`. */
  static create(system: TableSystem, folder: string, bytes: Buffer): TableFile {
    return onSystem("made", () => {
      const fd = writeNext(system, folder, bytes);
      try {
        putInPlace(system, folder);
        system.syncFolder(folder);
      } catch (error) {
        system.close(fd);
        throw error;
      }
      return TableFile.#withSpare(system, folder, fd, bytes.length);
    });
  }

  static #withSpare(system: TableSystem, folder: string, fd: number, size: number): TableFile {
    keepSpare(system, folder);
    return new TableFile(system, folder, fd, size);
  }

  get size(): number {
    return this.#size;
  }

  /**
   * Adds records at the end: after a crash all of the bytes are there, or a part that the reader drops.
   *
   * @throws {KeyTableError} `KEY_TABLE_LIMIT`, `KEY_TABLE_SYSTEM` (the file is as before), `KEY_TABLE_BROKEN`.
   */
  append(bytes: Buffer): void {
    this.#refuseWhenBroken();
    if (bytes.length > maxAppendBytes || this.#size + bytes.length > maxTableBytes)
      throw new KeyTableError("KEY_TABLE_LIMIT", `${this.#path} would grow over ${maxTableBytes} bytes`);
    onSystem("written", () => withSpare(this.#system, this.#folder, () => this.#write(bytes)));
    try {
      this.#system.sync(this.#fd);
    } catch (error) {
      // What is on the disk now is unknown, and the kernel reports it only once (fsync(2)).
      this.#broken = true;
      throw systemError("written", error);
    }
    this.#size += bytes.length;
  }

  /**
   * Puts other bytes in the table's place: after a crash the old table is there, or the new one, whole. What was written is
   * read back before the old table goes.
   *
   * @throws {KeyTableError} `KEY_TABLE_LIMIT`, `KEY_TABLE_SYSTEM` (the old table is there, and in use), `KEY_TABLE_BROKEN`
   *   (the new one is there, but may be gone after a power loss).
   */
  replace(bytes: Buffer): void {
    this.#refuseWhenBroken();
    const fd = onSystem("replaced", () =>
      withSpare(this.#system, this.#folder, () => writeNext(this.#system, this.#folder, bytes)),
    );
    try {
      putInPlace(this.#system, this.#folder);
    } catch (error) {
      this.#system.close(fd);
      throw systemError("replaced", error);
    }
    this.#system.close(this.#fd);
    this.#fd = fd;
    this.#size = bytes.length;
    try {
      this.#system.syncFolder(this.#folder);
    } catch (cause) {
      this.#broken = true;
      throw new KeyTableError(
        "KEY_TABLE_BROKEN",
        `${this.#path} was replaced, but its folder could not be synced`,
        cause,
      );
    }
    keepSpare(this.#system, this.#folder);
  }

  /** Keeps a copy of the table as it is now, durably, for {@link dropPrevious} to end. @throws {KeyTableError} `KEY_TABLE_SYSTEM`. */
  keepPrevious(): void {
    onSystem("kept", () => {
      const bytes = this.#system.read(this.#path, maxTableBytes);
      const fd = this.#system.open(join(this.#folder, tableFileNames.previous), "fresh");
      try {
        if (bytes !== undefined) this.#system.write(fd, bytes, 0);
        this.#system.sync(fd);
        this.#system.syncFolder(this.#folder);
      } finally {
        this.#system.close(fd);
      }
    });
  }

  /** @throws {KeyTableError} `KEY_TABLE_SYSTEM`. */
  dropPrevious(): void {
    onSystem("removed", () => {
      this.#system.remove(join(this.#folder, tableFileNames.previous));
      this.#system.syncFolder(this.#folder);
    });
  }

  close(): void {
    this.#broken = true;
    this.#system.close(this.#fd);
  }

  #write(bytes: Buffer): void {
    try {
      this.#system.write(this.#fd, bytes, this.#size);
    } catch (error) {
      this.#takeBack();
      throw error;
    }
  }

  #takeBack(): void {
    try {
      this.#system.truncate(this.#fd, this.#size);
    } catch {
      this.#broken = true;
    }
  }

  #refuseWhenBroken(): void {
    if (this.#broken)
      throw new KeyTableError("KEY_TABLE_BROKEN", `an earlier write to ${this.#path} failed; mount the volume again`);
  }
}

/** What is cut off may be all that tells of an attack. */
function keepTorn(system: TableSystem, folder: string, validBytes: number): void {
  const bytes = system.read(join(folder, tableFileNames.table), maxTableBytes);
  system.remove(join(folder, tableFileNames.torn));
  const fd = system.open(join(folder, tableFileNames.torn), "fresh");
  try {
    if (bytes !== undefined) system.write(fd, bytes.subarray(validBytes), 0);
    system.sync(fd);
    system.syncFolder(folder);
  } finally {
    system.close(fd);
  }
}

/** Writes a whole table beside the old one, durably, and reads it back. @returns Its descriptor. */
function writeNext(system: TableSystem, folder: string, bytes: Buffer): number {
  const next = join(folder, tableFileNames.next);
  if (bytes.length > maxTableBytes)
    throw new KeyTableError("KEY_TABLE_LIMIT", `the key table would grow over ${maxTableBytes} bytes`);
  const fd = system.open(next, "fresh");
  try {
    system.write(fd, bytes, 0);
    system.sync(fd);
    const written = system.read(next, maxTableBytes);
    if (written === undefined || !written.equals(bytes))
      throw Object.assign(new Error(`${next} does not read as it was written`), { code: "EIO" });
    return fd;
  } catch (error) {
    system.close(fd);
    removeQuietly(system, next);
    throw error;
  }
}

function removeQuietly(system: TableSystem, path: string): void {
  try {
    system.remove(path);
  } catch {
    // The next opening removes it.
  }
}

function putInPlace(system: TableSystem, folder: string): void {
  system.rename(join(folder, tableFileNames.next), join(folder, tableFileNames.table));
}

/** Runs system calls; their failures become `KEY_TABLE_SYSTEM` with the system's error as cause. */
export function onSystem<T>(verb: string, calls: () => T): T {
  try {
    return calls();
  } catch (error) {
    throw error instanceof KeyTableError ? error : systemError(verb, error);
  }
}

function systemError(verb: string, error: unknown): KeyTableError {
  const code = (error as NodeJS.ErrnoException).code ?? "error";
  return new KeyTableError("KEY_TABLE_SYSTEM", `the key table could not be ${verb}: ${code}`, error);
}
