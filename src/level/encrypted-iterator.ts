import { AbstractIterator, type AbstractIteratorOptions, type AbstractLevel } from "abstract-level";
import type { BaseIterator } from "./base-level.ts";
import type { KeyNames } from "./key-names.ts";
import type { Keyring } from "./keyring.ts";
import { inScope, notOrdered, type SublevelScope } from "./ranges.ts";
import { openValue } from "./sealed-value.ts";

type StoredEntry = [Buffer, Buffer];
type PlainEntry = [Buffer | undefined, Buffer | undefined];

export interface EncryptedIteratorParts {
  readonly keyring: Keyring;
  readonly names: KeyNames;
  readonly base: BaseIterator;
  /** With encrypted names: the sublevel asked for. */
  readonly scope: SublevelScope | undefined;
}

const readAhead = 1000;
const none: StoredEntry[] = [];

/** Reads sealed entries ahead from the base in bulk, and opens each only when it is handed out. */
export class EncryptedIterator extends AbstractIterator<AbstractLevel<Buffer, unknown, unknown>, unknown, unknown> {
  readonly #parts: EncryptedIteratorParts;
  readonly #withKeys: boolean;
  readonly #withValues: boolean;
  #ahead = none;
  #position = 0;
  #first = true;

  constructor(
    db: AbstractLevel<Buffer, unknown, unknown>,
    options: AbstractIteratorOptions<unknown, unknown>,
    parts: EncryptedIteratorParts,
  ) {
    super(db, options);
    this.#parts = parts;
    this.#withKeys = options.keys !== false;
    this.#withValues = options.values !== false;
  }

  async _next(): Promise<PlainEntry | undefined> {
    for (;;) {
      if (this.#position >= this.#ahead.length) {
        this.#ahead = await this.#parts.base.nextv(this.#first ? 1 : readAhead);
        this.#position = 0;
        this.#first = false;
      }
      const stored = this.#ahead[this.#position++];
      if (stored === undefined) return undefined;
      const entry = this.#open(stored);
      if (entry !== undefined) return entry;
    }
  }

  async _nextv(size: number): Promise<PlainEntry[]> {
    this.#first = false;
    for (;;) {
      const stored =
        this.#position < this.#ahead.length
          ? this.#ahead.slice(this.#position, this.#position + size)
          : await this.#parts.base.nextv(size);
      this.#position += stored.length;
      const entries = this.#openAll(stored);
      if (stored.length === 0 || entries.length > 0) return entries;
    }
  }

  _seek(target: Buffer): void {
    if (!this.#parts.names.ordered) throw notOrdered("seek()");
    this.#ahead = none;
    this.#position = 0;
    this.#first = true;
    this.#parts.base.seek(this.#parts.names.store(target), { keyEncoding: "buffer" });
  }

  async _close(): Promise<void> {
    this.#ahead = none;
    await this.#parts.base.close();
  }

  #openAll(stored: readonly StoredEntry[]): PlainEntry[] {
    const entries: PlainEntry[] = [];
    for (const each of stored) {
      const entry = this.#open(each);
      if (entry !== undefined) entries.push(entry);
    }
    return entries;
  }

  /** Undefined when the entry lies outside the sublevel asked for. */
  #open([storedKey, sealed]: StoredEntry): PlainEntry | undefined {
    const { keyring, names, scope } = this.#parts;
    const name = this.#withKeys || scope !== undefined ? names.name(storedKey) : undefined;
    if (scope !== undefined && (name === undefined || !inScope(name, scope))) return undefined;
    const value = this.#withValues ? openValue(keyring, storedKey, sealed) : undefined;
    return [this.#withKeys ? name : undefined, value];
  }
}
