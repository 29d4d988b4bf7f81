import {
  type AbstractDatabaseOptions,
  type AbstractIteratorOptions,
  AbstractLevel,
  type AbstractOpenOptions,
} from "abstract-level";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import type { SuiteName } from "../crypto/suite.ts";
import { asBytes, type BaseLevel, baseOf, type GivenLevel } from "./base-level.ts";
import { beginRotation } from "./begin-rotation.ts";
import { DataKeyRotation, type RotationOptions, requireRotationOptions } from "./data-key-rotation.ts";
import { EncryptedIterator } from "./encrypted-iterator.ts";
import { baseSnapshot, EncryptedSnapshot } from "./encrypted-snapshot.ts";
import { EntryReader, type ReadOptions } from "./entry-reader.ts";
import { type ClearOptions, EntryWriter, type LevelOperation } from "./entry-writer.ts";
import { LevelError } from "./errors.ts";
import type { Header } from "./header.ts";
import { checkHeaderCopy, writeHeaderCopy } from "./header-copy.ts";
import { dataKeyBytes } from "./keyring.ts";
import { manifestOver } from "./manifest.ts";
import { type OpenStore, openStore, sealHeader } from "./open-store.ts";
import { fastestCipherProvider } from "./openssl-cipher.ts";
import { allEntries, type NameRange, notOrdered, orderedRange, unorderedScope } from "./ranges.ts";
import { nodeCipherProvider } from "./value-cipher.ts";
import { WriteGate } from "./write-gate.ts";

export interface EncryptedLevelOptions<K = string, V = string> extends AbstractDatabaseOptions<K, V> {
  /** 32 bytes; the caller's to dispose of. It is copied at each opening, and the copy is wiped at close. */
  readonly dataKey: SecretBuffer;
  /** The data key before it, needed to open a store whose rotation is unfinished. Which is which doesn't matter. */
  readonly previousDataKey?: SecretBuffer;
  /** `intl`: AES-256-GCM; `sm`: SM4-GCM. @defaultValue As the store's header records; `intl` for a new store */
  readonly suite?: SuiteName;
  /** @defaultValue As the store's header records; `false` for a new store */
  readonly encryptKeyNames?: boolean;
  /** `false`: all ciphers through node:crypto, no calls into OpenSSL by koffi. Slower, same bytes. @defaultValue `true` */
  readonly directOpenssl?: boolean;
  /** Pace of a rotation that an opening finds unfinished; `false` leaves it where it is. @defaultValue `{}` */
  readonly resumeRotation?: RotationOptions | false;
}

/** What an open level works with. */
interface OpenLevel extends OpenStore {
  /** As last written. */
  header: Header;
  readonly base: BaseLevel;
  readonly reader: EntryReader;
  readonly writer: EntryWriter;
}

/**
 * An abstract-level database whose values, and on request key names, are ciphertext in the database below it.
 *
 * Each value is sealed with AES-256-GCM or SM4-GCM under a key derived from the data key, bound to its stored key
 * (sublevel prefix included) and to this store; see docs/formats-level.md. A value that was changed, cut, or moved to
 * another key or store gives `LEVEL_CORRUPTION`, never wrong data. A wrong data key is refused at opening, before any
 * entry is touched: `LEVEL_DATABASE_NOT_OPEN` with `LEVEL_WRONG_KEY` as its cause.
 *
 * **Not detected:** that an entry was deleted, that one key's value (or the whole store) was put back to what the same
 * key held before. **Not hidden:** the number of entries, the length of values and names, when each was written, and
 * equal names within one generation.
 *
 * With `encryptKeyNames` the order of names is not kept: `gt`, `gte`, `lt`, `lte`, `reverse`, `seek()`,
 * `approximateSize()` and `compactRange()` give `LEVEL_NOT_SUPPORTED`; whole scans, `clear()` and sublevels work, a
 * sublevel's scan by reading all names of the database.
 *
 * Given a location, classic-level is used; given a database, it becomes this one's to open and close, and must hold
 * nothing else. The base must apply a batch wholly or not at all.
 */
export class EncryptedLevel<K = string, V = string> extends AbstractLevel<Buffer, K, V> {
  readonly #location: string | undefined;
  readonly #settings: {
    readonly suite: SuiteName | undefined;
    readonly encryptKeyNames: boolean | undefined;
    readonly directOpenssl: boolean;
    readonly resumeRotation: RotationOptions | false | undefined;
  };
  readonly #dataKeys: SecretBuffer[];
  readonly #gate = new WriteGate();
  #base: BaseLevel | undefined;
  #open: OpenLevel | undefined;
  #rotation: DataKeyRotation | undefined;

  /**
   * Opens by itself, as every abstract-level database does; `await open()` to learn of errors.
   *
   * @param base - A folder for classic-level, or an abstract-level v3 database that supports the `buffer` encoding.
   * @param options - Those of the base may be among them; they reach its `open()`.
   * @throws {RangeError} For a data key that is not 32 bytes.
   * @throws {TypeError} For an empty location, or a base that is no such database.
   */
  constructor(base: string | GivenLevel, options: EncryptedLevelOptions<K, V>) {
    const { dataKey, previousDataKey, suite, encryptKeyNames, directOpenssl, resumeRotation, ...forward } = options;
    if (base === "") throw new TypeError("the location of an encrypted level is a non-empty string");
    const given = typeof base === "string" ? undefined : baseOf(base);
    const dataKeys = [dataKey, previousDataKey].filter((key) => key !== undefined);
    for (const key of dataKeys) requireDataKey(key);
    if (resumeRotation !== undefined && resumeRotation !== false) requireRotationOptions(resumeRotation);
    super(manifestOver(given, encryptKeyNames === true), forward);
    this.#dataKeys = dataKeys;
    this.#settings = { suite, encryptKeyNames, directOpenssl: directOpenssl !== false, resumeRotation };
    this.#location = typeof base === "string" ? base : undefined;
    this.#base = given;
  }

  /** The rotation under way, or the last one of this opening. */
  get rotation(): DataKeyRotation | undefined {
    return this.#rotation;
  }

  /** The generation of the data key that new values are sealed under: from 1, one more at each rotation. */
  get generation(): number {
    return this.#opened().keyring.current;
  }

  /**
   * Begins to replace the data key. Once the promise resolves, the header that names both keys is durable and every
   * new write is under the new key; what is there already is sealed again in the background, also after a crash or a
   * reopening (which then needs both keys: `dataKey` and `previousDataKey`). Keep the old key until `finished` of the
   * result has resolved: then a full pass has proved that no entry needs it. It is wiped from memory at close, since a
   * snapshot may still hold older values.
   *
   * Old ciphertext leaves LevelDB's files as it compacts them; `compactRange()` forces it.
   *
   * @param newDataKey - 32 bytes; the caller's to dispose of, copied here.
   * @throws {LevelError} `LEVEL_ROTATION_ACTIVE` while one is unfinished; `LEVEL_ROTATION_STOPPED` when the database
   *   closed meanwhile.
   * @throws {RangeError} For a key that is not 32 bytes, or is the current one.
   */
  async rotateDataKey(newDataKey: SecretBuffer, options: RotationOptions = {}): Promise<DataKeyRotation> {
    requireDataKey(newDataKey);
    requireRotationOptions(options);
    const open = this.#opened();
    await beginRotation(open, this.#gate, newDataKey, (header) => this.#copyHeader(open, header));
    this.#dataKeys.push(newDataKey);
    if (this.#open !== open) throw new LevelError("LEVEL_ROTATION_STOPPED");
    return this.#rotate(open, options);
  }

  /** Goes on with an unfinished rotation: one that `resumeRotation: false` left, or that met entries which don't open. */
  async resumeRotation(options: RotationOptions = {}): Promise<DataKeyRotation> {
    const open = this.#opened();
    requireRotationOptions(options);
    await this.#rotation?.stop();
    if (open.header.generations.length < 2)
      throw new LevelError("LEVEL_NOT_SUPPORTED", "no data-key rotation is unfinished");
    return this.#rotate(open, options);
  }

  /** As classic-level's, over stored keys and sealed values, in bytes. */
  async approximateSize(start: K, end: K, options: { keyEncoding?: string } = {}): Promise<number> {
    const [from, to, base] = await this.#storedPair("approximateSize", start, end, options);
    if (base.approximateSize === undefined) throw new LevelError("LEVEL_NOT_SUPPORTED");
    return base.approximateSize(from, to, asBytes);
  }

  /** As classic-level's; whole names only, not encrypted ones. */
  async compactRange(start: K, end: K, options: { keyEncoding?: string } = {}): Promise<void> {
    const [from, to, base] = await this.#storedPair("compactRange", start, end, options);
    if (base.compactRange === undefined) throw new LevelError("LEVEL_NOT_SUPPORTED");
    return base.compactRange(from, to, asBytes);
  }

  async _open(options: AbstractOpenOptions): Promise<void> {
    const dataKeys = this.#dataKeys.filter((key) => !key.disposed);
    if (dataKeys.length === 0)
      throw new LevelError("LEVEL_KEY_MISSING", "the data key was wiped before the store was opened");
    if (this.#location !== undefined) checkHeaderCopy(this.#location, dataKeys);
    const base = this.#base ?? (await classicLevelAt(this.#location ?? ""));
    this.#base = base;
    try {
      await base.open(options);
    } catch (error) {
      // Ours is wrapped by abstract-level in the same way: hand on the reason, not a second wrapping.
      throw error instanceof Error && error.cause !== undefined ? error.cause : error;
    }
    let store: OpenStore | undefined;
    try {
      const { suite, encryptKeyNames, directOpenssl } = this.#settings;
      const provider = directOpenssl ? await fastestCipherProvider() : nodeCipherProvider;
      const createIfMissing = options.createIfMissing !== false;
      const settings = { suite, encryptKeyNames, createIfMissing, provider, firstDataKey: this.#dataKeys[0] };
      store = await openStore(base, settings, dataKeys);
      // The manifest of a store that was opened without saying how it was created.
      if (!store.names.ordered) this.supports.seek = false;
      const open: OpenLevel = {
        ...store,
        base,
        reader: new EntryReader(base, store),
        writer: new EntryWriter(base, store, this.#gate),
      };
      this.#copyHeader(open, store.header);
      this.#open = open;
      const { resumeRotation = {} } = this.#settings;
      if (store.header.generations.length > 1 && resumeRotation !== false) this.#rotate(open, resumeRotation);
    } catch (error) {
      this.#open = undefined;
      store?.keyring[Symbol.dispose]();
      await base.close();
      throw error;
    }
  }

  async _close(): Promise<void> {
    await this.#rotation?.stop();
    await this.#base?.close();
    this.#open?.keyring[Symbol.dispose]();
    this.#open = undefined;
    this.#rotation = undefined;
  }

  async _get(name: Buffer, options: ReadOptions): Promise<Buffer | undefined> {
    return this.#opened().reader.get(name, options);
  }

  _getSync(name: Buffer, options: ReadOptions): Buffer | undefined {
    return this.#opened().reader.getSync(name, options);
  }

  async _getMany(names: Buffer[], options: ReadOptions): Promise<(Buffer | undefined)[]> {
    return this.#opened().reader.getMany(names, options);
  }

  async _has(name: Buffer, options: ReadOptions): Promise<boolean> {
    return this.#opened().reader.has(name, options);
  }

  async _hasMany(names: Buffer[], options: ReadOptions): Promise<boolean[]> {
    return this.#opened().reader.hasMany(names, options);
  }

  async _put(name: Buffer, value: Buffer, options: object): Promise<void> {
    return this.#opened().writer.put(name, value, options);
  }

  async _del(name: Buffer, options: object): Promise<void> {
    return this.#opened().writer.del(name, options);
  }

  async _batch(operations: readonly LevelOperation[], options: object): Promise<void> {
    return this.#opened().writer.batch(operations, options);
  }

  async _clear(options: ClearOptions): Promise<void> {
    return this.#opened().writer.clear(options);
  }

  _iterator(options: AbstractIteratorOptions<unknown, unknown> & NameRange): EncryptedIterator {
    const { base, keyring, names } = this.#opened();
    const { gt: _gt, gte: _gte, lt: _lt, lte: _lte, ...forward } = options;
    const scope = names.ordered ? undefined : unorderedScope(options);
    const baseIterator = base.iterator({
      ...forward,
      ...asBytes,
      ...(names.ordered ? orderedRange(names, options) : allEntries(names)),
      ...(scope === undefined ? {} : { limit: -1 }),
      keys: true,
      snapshot: baseSnapshot(options.snapshot),
    });
    const db = this as unknown as AbstractLevel<Buffer, unknown, unknown>;
    return new EncryptedIterator(db, options, { keyring, names, base: baseIterator, scope });
  }

  _snapshot(options: unknown): EncryptedSnapshot {
    return new EncryptedSnapshot(this.#opened().base.snapshot(), options);
  }

  #rotate(open: OpenLevel, options: RotationOptions): DataKeyRotation {
    const onHeader = (header: Header) => {
      open.header = header;
      if (header.generations.length === 1) this.#copyHeader(open, header);
    };
    this.#rotation = new DataKeyRotation(open.header, { ...open, gate: this.#gate, onHeader }, options);
    return this.#rotation;
  }

  #copyHeader(open: OpenLevel, header: Header): void {
    if (this.#location === undefined) return;
    const standing = { ...header, resealedEntries: 0, cursor: Buffer.alloc(0) };
    writeHeaderCopy(this.#location, sealHeader(standing, open.keyring));
  }

  async #storedPair(
    what: string,
    start: K,
    end: K,
    options: { keyEncoding?: string },
  ): Promise<[Buffer, Buffer, BaseLevel]> {
    if (this.status === "opening") return this.deferAsync(() => this.#storedPair(what, start, end, options));
    const { base, names } = this.#opened();
    if (!names.ordered) throw notOrdered(`${what}()`);
    const encoding = this.keyEncoding<K, K>(options.keyEncoding as never);
    return [names.store(encoding.encode(start) as Buffer), names.store(encoding.encode(end) as Buffer), base];
  }

  #opened(): OpenLevel {
    if (this.#open === undefined) throw new LevelError("LEVEL_DATABASE_NOT_OPEN");
    return this.#open;
  }
}

async function classicLevelAt(location: string): Promise<BaseLevel> {
  const { ClassicLevel } = await import("classic-level");
  return baseOf(new ClassicLevel(location));
}

function requireDataKey(key: SecretBuffer): void {
  if (key.byteLength !== dataKeyBytes)
    throw new RangeError(`a level's data key has ${dataKeyBytes} bytes, got ${key.byteLength}`);
}
