import type { BlockCipher } from "../block-cipher.ts";
import { FsError } from "../fs-error.ts";

/** A cipher that several holders use. */
interface Shared {
  readonly name: string;
  readonly revokedBy: readonly string[];
  readonly cipher: BlockCipher;
  holders: number;
  revoked: boolean;
}

/**
 * File ciphers in use, and some that were lately: opening a file again costs no derivation. Each holder disposes of its own;
 * the keys are wiped when a cipher has no holder and is not among the latest.
 */
export class CipherCache implements Disposable {
  readonly #mostIdle: number;
  readonly #shared = new Map<string, Shared>();
  /** Without holders, the longest unused first. */
  readonly #idle = new Map<string, Shared>();
  /** One function for all holders. */
  readonly #releaseOne = (shared: Shared): void => this.#release(shared);

  constructor(mostIdle: number) {
    this.#mostIdle = mostIdle;
  }

  /** How many ciphers are kept, in use or not. */
  get size(): number {
    return this.#shared.size;
  }

  /**
   * @param name - Of the cipher.
   * @param revokedBy - What it falls under the revocation of: its zone, its generation.
   * @returns The caller disposes of it.
   */
  take(name: string, revokedBy: readonly string[], make: () => BlockCipher): BlockCipher {
    let shared = this.#shared.get(name);
    if (shared === undefined) {
      shared = { name, revokedBy, cipher: make(), holders: 0, revoked: false };
      this.#shared.set(name, shared);
    } else this.#idle.delete(name);
    shared.holders += 1;
    return new HeldCipher(shared, this.#releaseOne);
  }

  /** Wipes all keys of a zone or generation; who holds one of its ciphers gets ENOKEY from now on. */
  revoke(by: string): void {
    for (const shared of this.#shared.values()) if (shared.revokedBy.includes(by)) this.#drop(shared);
  }

  [Symbol.dispose](): void {
    for (const shared of this.#shared.values()) this.#drop(shared);
  }

  #release(shared: Shared): void {
    shared.holders -= 1;
    if (shared.holders > 0 || shared.revoked) return;
    this.#idle.set(shared.name, shared);
    if (this.#idle.size <= this.#mostIdle) return;
    for (const longest of this.#idle.values()) {
      this.#drop(longest);
      return;
    }
  }

  #drop(shared: Shared): void {
    shared.revoked = true;
    shared.cipher[Symbol.dispose]();
    this.#shared.delete(shared.name);
    this.#idle.delete(shared.name);
  }
}

class HeldCipher implements BlockCipher {
  readonly #shared: Shared;
  readonly #release: (shared: Shared) => void;
  #disposed = false;

  constructor(shared: Shared, release: (shared: Shared) => void) {
    this.#shared = shared;
    this.#release = release;
  }

  seal(associatedData: Buffer, plaintext: Buffer, sealed: Buffer): void {
    this.#usable().seal(associatedData, plaintext, sealed);
  }

  open(associatedData: Buffer, sealed: Buffer, plaintext: Buffer): boolean {
    return this.#usable().open(associatedData, sealed, plaintext);
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#release(this.#shared);
  }

  #usable(): BlockCipher {
    if (this.#disposed) throw new Error("a file's cipher was used after it was disposed of");
    if (this.#shared.revoked) throw new FsError("ENOKEY", "the zone's keys were destroyed");
    return this.#shared.cipher;
  }
}
