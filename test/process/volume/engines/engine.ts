/** A database engine under test: real, as its makers build it, on a folder of a volume. */
export interface Engine {
  readonly name: string;
  /** False, or what this machine lacks. */
  readonly whyMissing: string | false;
  /** Who it runs as. @defaultValue this process's user */
  readonly owner?: { readonly uid: number; readonly gid: number };
  /** Once, on the new volume. */
  prepare?(folders: EngineFolders): Promise<void>;
  /** Starts it and a program that writes rows, one after another, each awaited until the engine calls it safe. */
  write(folders: EngineFolders, first: number): Promise<Writing>;
  /**
   * Starts it, lets it check itself, and ends it in good order.
   *
   * @returns Every row that it has, in order.
   */
  read(folders: EngineFolders): Promise<readonly Row[]>;
}

/** A row's number, and what it holds. */
export type Row = readonly [number, Buffer];

export interface EngineFolders {
  /** On the volume. */
  readonly data: string;
  /** Beside it, in plain: for sockets and settings. */
  readonly scratch: string;
}

export interface Writing {
  /** The number of the last row that was called safe, 0 before the first. */
  safe(): number;
  /** Ends each process of the engine by SIGKILL. */
  kill(): void;
  /** Resolves once the engine and its writer have ended. */
  readonly ended: Promise<void>;
}
