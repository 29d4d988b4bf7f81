import { join } from "node:path";
import type { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import { type Suite, suiteHash } from "../../../crypto/suite.ts";
import { KeyTableError } from "./errors.ts";
import { sameWrapper } from "./key-wrapper.ts";
import { maxTableBytes, type ReadTable, readTable } from "./reading.ts";
import type { TableRecord, WrapperIdentity } from "./records.ts";
import { onSystem, tableFileNames } from "./table-file.ts";
import type { TableSystem } from "./table-system.ts";
import { encodeTable, RecordChain } from "./writing.ts";
import type { Generation, Zone } from "./zone.ts";

/** For whom the envelopes of a re-wrapping are. */
export interface RewrapTarget {
  readonly suite: Suite;
  readonly volumeId: Buffer;
  /** The new one; stays the caller's. */
  readonly tableKey: SecretBuffer;
  readonly identity: WrapperIdentity;
}

type Rewrapped = Extract<TableRecord, { type: "rewrapped" }>;

/**
 * New envelopes of a re-wrapping under way, in a file of a table's format under the new table key: whether the re-wrapping
 * that finds it is the one that left it shows by the key and the first record. An end that was cut is dropped.
 */
export class RewrapFile implements Disposable {
  readonly #suite: Suite;
  readonly #system: TableSystem;
  readonly #path: string;
  readonly #fd: number;
  readonly #chain: RecordChain;
  readonly #rewrapped = new Map<string, Rewrapped>();
  /** Envelopes that were found to replace just this generation's. */
  readonly #matched = new WeakMap<Generation, Buffer>();
  #size: number;
  #closed = false;

  /** @throws {KeyTableError} `KEY_TABLE_SYSTEM`. */
  constructor(system: TableSystem, folder: string, target: RewrapTarget) {
    this.#suite = target.suite;
    this.#system = system;
    this.#path = join(folder, tableFileNames.rewrapping);
    const left = onSystem("read", () => system.read(this.#path, maxTableBytes));
    const read = left === undefined ? undefined : readLeft(left, target);
    if (read === undefined) {
      const { suite, volumeId, tableKey, identity } = target;
      const first: TableRecord = { type: "wrapping", wrapper: identity };
      const { bytes, chain } = encodeTable({ suite, volumeId, firstSequence: 1 }, tableKey, [first]);
      this.#chain = chain;
      this.#size = bytes.length;
      this.#fd = this.#write("fresh", (fd) => system.write(fd, bytes, 0));
      onSystem("written", () => system.syncFolder(folder));
      return;
    }
    for (const record of read.records) if (record.type === "rewrapped") this.#rewrapped.set(nameOf(record), record);
    this.#chain = new RecordChain(target.suite, read.recordKey, read.link, read.nextSequence);
    this.#size = read.validBytes;
    this.#fd = this.#write("existing", (fd) => system.truncate(fd, read.validBytes));
  }

  /** The new envelope of a generation, or undefined when it has none yet. */
  envelopeOf({ zoneId }: Zone, older: Generation): Buffer | undefined {
    const matched = this.#matched.get(older);
    if (matched !== undefined) return matched;
    const found = this.#rewrapped.get(nameOf({ zoneId, generation: older.generation }));
    if (found === undefined || !found.replaces.equals(suiteHash(this.#suite, older.envelope))) return undefined;
    this.#matched.set(older, found.envelope);
    return found.envelope;
  }

  /** Keeps new envelopes, durably. @throws {KeyTableError} `KEY_TABLE_SYSTEM`; what is in the file stays as it was. */
  add(records: readonly Rewrapped[]): void {
    if (records.length === 0) return;
    const sealed = this.#chain.seal(records);
    onSystem("written", () => {
      this.#system.write(this.#fd, sealed, this.#size);
      this.#system.sync(this.#fd);
    });
    this.#chain.advance(sealed, records.length);
    this.#size += sealed.length;
    for (const record of records) this.#rewrapped.set(nameOf(record), record);
  }

  /** The table has taken the envelopes over. A file that could not be removed is of no use to anyone, and does no harm. */
  remove(): void {
    try {
      this.#system.remove(this.#path);
    } catch {
      // The next re-wrapping starts it anew.
    }
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#chain[Symbol.dispose]();
    this.#system.close(this.#fd);
  }

  #write(how: "existing" | "fresh", change: (fd: number) => void): number {
    return onSystem("written", () => {
      const fd = this.#system.open(this.#path, how);
      try {
        change(fd);
        this.#system.sync(fd);
        return fd;
      } catch (error) {
        this.#system.close(fd);
        throw error;
      }
    });
  }
}

/** What an earlier run left, if it was for the same keys; anything else is of no use. */
function readLeft(bytes: Buffer, { volumeId, tableKey, identity }: RewrapTarget): ReadTable | undefined {
  let read: ReadTable;
  try {
    read = readTable(bytes, tableKey);
  } catch (error) {
    if (error instanceof KeyTableError) return undefined;
    throw error;
  }
  const [first, ...others] = read.records;
  const isSame =
    read.header.volumeId.equals(volumeId) && first?.type === "wrapping" && sameWrapper(first.wrapper, identity);
  if (isSame && others.every(({ type }) => type === "rewrapped")) return read;
  read.recordKey[Symbol.dispose]();
  return undefined;
}

function nameOf({ zoneId, generation }: Pick<Rewrapped, "zoneId" | "generation">): string {
  return `${zoneId.toString("hex")}/${generation}`;
}
