import type { AbstractOpenOptions, AbstractSnapshot } from "abstract-level";

/** Options of every call into the base: stored keys and sealed values are bytes. */
export const asBytes = { keyEncoding: "buffer", valueEncoding: "buffer" } as const;

export interface BaseOperation {
  readonly type: "put" | "del";
  readonly key: Buffer;
  readonly value?: Buffer;
}

export interface BaseIterator {
  nextv(size: number): Promise<[Buffer, Buffer][]>;
  seek(target: Buffer, options: { keyEncoding: "buffer" }): void;
  close(): Promise<void>;
}

/** The abilities of a base that an encrypted level passes on; names as in abstract-level's manifest. */
export interface BaseSupports {
  readonly permanence?: boolean;
  readonly has?: boolean;
  readonly getSync?: boolean;
  readonly seek?: boolean;
  readonly implicitSnapshots?: boolean;
  readonly explicitSnapshots?: boolean;
  readonly createIfMissing?: boolean;
  readonly errorIfExists?: boolean;
  readonly signals?: { readonly iterators?: boolean };
  readonly additionalMethods: Readonly<Record<string, boolean>>;
}

/** What is used of the base: abstract-level's public methods, with bytes on both sides. */
export interface BaseLevel {
  readonly status: string;
  readonly supports: BaseSupports;
  open(options: AbstractOpenOptions): Promise<void>;
  close(): Promise<void>;
  get(key: Buffer, options: object): Promise<Buffer | undefined>;
  getSync(key: Buffer, options: object): Buffer | undefined;
  getMany(keys: Buffer[], options: object): Promise<(Buffer | undefined)[]>;
  has(key: Buffer, options: object): Promise<boolean>;
  hasMany(keys: Buffer[], options: object): Promise<boolean[]>;
  put(key: Buffer, value: Buffer, options: object): Promise<void>;
  del(key: Buffer, options: object): Promise<void>;
  batch(operations: BaseOperation[], options: object): Promise<void>;
  iterator(options: object): BaseIterator;
  clear(options: object): Promise<void>;
  snapshot(): AbstractSnapshot;
  approximateSize?(start: Buffer, end: Buffer, options: object): Promise<number>;
  compactRange?(start: Buffer, end: Buffer, options: object): Promise<void>;
}

/** Any abstract-level v3 database, of whatever key and value types. */
export interface GivenLevel {
  readonly status: string;
  readonly supports: BaseSupports;
  keyEncoding(encoding: "buffer"): unknown;
  prefixKey: unknown;
  attachResource: unknown;
}

/**
 * A given database as the base of an encrypted level.
 *
 * @throws {TypeError} When it is no abstract-level database.
 * @throws {Error} `LEVEL_ENCODING_NOT_SUPPORTED`, abstract-level's own, when it keeps text only.
 */
export function baseOf(given: GivenLevel): BaseLevel {
  if (typeof given?.keyEncoding !== "function" || typeof given.prefixKey !== "function")
    throw new TypeError("the base of an encrypted level is a location or an abstract-level database");
  given.keyEncoding("buffer");
  return given as unknown as BaseLevel;
}
