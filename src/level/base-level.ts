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
