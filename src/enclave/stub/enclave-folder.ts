import { existsSync, mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { syncFolder, writeDurably } from "../../files/durable-file.ts";
import { maxMessageBytes } from "../messages/strict.ts";
import { readIfThere } from "./bounded-file.ts";
import { FolderLock } from "./folder-lock.ts";

/** What of an enclave its host keeps. All of it may be read and changed by the host: the enclave trusts none of it. */
export type KeptFile = "blob" | "credentials" | "trusted-ledger";

/** Told of each point at which a crash leaves other files than at the one before; only tests listen. */
export type Reached = (step: string) => void;

/**
 * The folder of one enclave at its host: the sealed blob, the credentials of its creation and the parameters of its trusted
 * ledger. Each file is whole or as it was before.
 */
export class EnclaveFolder implements Disposable {
  readonly path: string;
  readonly #lock: FolderLock;
  readonly #reached: Reached;

  private constructor(path: string, lock: FolderLock, reached: Reached) {
    this.path = path;
    this.#lock = lock;
    this.#reached = reached;
  }

  /** Makes the folder where there is none. @throws EnclaveError CONFLICT: another stub uses it */
  static async open(path: string, reached: Reached = () => undefined): Promise<EnclaveFolder> {
    if (!existsSync(path)) {
      mkdirSync(path, { recursive: true, mode: 0o700 });
      syncFolder(dirname(path));
    }
    return new EnclaveFolder(path, await FolderLock.take(join(path, "lock")), reached);
  }

  /** Undefined where it was not stored yet. @throws EnclaveError MALFORMED */
  read(file: KeptFile): Buffer | undefined {
    return readIfThere(join(this.path, file), maxMessageBytes);
  }

  /** Durable when it returns. */
  write(file: KeptFile, bytes: Uint8Array): void {
    writeDurably(join(this.path, file), bytes, (step) => this.#reached(`${file} ${step}`));
    this.#reached(`${file} stored`);
  }

  /** For an enclave whose creation did not come to its end. */
  remove(file: KeptFile): void {
    rmSync(join(this.path, file), { force: true });
    syncFolder(this.path);
  }

  [Symbol.dispose](): void {
    this.#lock[Symbol.dispose]();
  }
}
