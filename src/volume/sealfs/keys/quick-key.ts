import { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import type { Suite } from "../../../crypto/suite.ts";
import { KeyTableError } from "./errors.ts";
import { type KeyWrapper, quickKeyContext } from "./key-wrapper.ts";
import type { TableRecord } from "./records.ts";
import { TableKeyWrapper } from "./table-key-wrapper.ts";
import type { Generation } from "./zone.ts";

/** What a quick key needs of its table. */
export interface QuickKeyTable {
  readonly suite: Suite;
  readonly volumeId: Buffer;
  /** Wraps the keys of sealed zones. */
  readonly master: KeyWrapper;
  /** The quick key in the master key's envelope, where the table has one. */
  readonly envelope: () => Buffer | undefined;
  /** Adds it to the table. */
  readonly add: (record: Extract<TableRecord, { type: "quickKey" }>) => void;
}

/**
 * A key under which the data keys of sealed zones lie a second time. To open an SM2 envelope takes a millisecond, of ten thousand zones
 * ten seconds; with the quick key the master key opens one envelope, and each zone's key costs one AEAD. Both copies of a key are in
 * one record, so that they come and go together; a change of the master key makes another quick key.
 */
export class QuickKey implements Disposable {
  readonly #table: QuickKeyTable;
  #wrapper: TableKeyWrapper | undefined;

  constructor(table: QuickKeyTable) {
    this.#table = table;
  }

  /** Whether the table's master key is one that is slow, and can be asked here. */
  get isOfUse(): boolean {
    const { master } = this.#table;
    return master.identity.kind === "sm2" && master.canUnwrap;
  }

  /** @returns The data key, if it lies under the quick key; the caller disposes of it. @throws {KeyTableError} As the master key's `unwrap`. */
  open({ quick }: Generation, context: Buffer): SecretBuffer | undefined {
    return quick === undefined || !this.isOfUse ? undefined : this.#opened().unwrap(quick, context);
  }

  /**
   * @returns To be kept beside the envelope; undefined where it is of no use.
   * @throws {KeyTableError} As the master key's `unwrap`, and as any write: the quick key is made when it is first needed.
   */
  seal(key: SecretBuffer, context: Buffer): Buffer | undefined {
    return this.isOfUse ? this.#opened().wrap(key, context) : undefined;
  }

  [Symbol.dispose](): void {
    this.#wrapper?.[Symbol.dispose]();
    this.#wrapper = undefined;
  }

  #opened(): TableKeyWrapper {
    if (this.#wrapper !== undefined) return this.#wrapper;
    const { suite, volumeId, master } = this.#table;
    const context = quickKeyContext(volumeId);
    const envelope = this.#table.envelope();
    using key = envelope === undefined ? this.#made() : master.unwrap(envelope, context);
    if (key.byteLength !== suite.keyBytes) throw new KeyTableError("ENVELOPE_REFUSED");
    this.#wrapper = new TableKeyWrapper(suite, key, volumeId);
    return this.#wrapper;
  }

  /** A new one, in the table once the master key has opened its envelope. */
  #made(): SecretBuffer {
    const { suite, volumeId, master, add } = this.#table;
    const context = quickKeyContext(volumeId);
    const key = SecretBuffer.random(suite.keyBytes);
    try {
      const envelope = master.wrap(key, context);
      using again = master.unwrap(envelope, context);
      if (!again.equals(key)) throw new KeyTableError("ENVELOPE_REFUSED");
      add({ type: "quickKey", envelope });
      return key;
    } catch (error) {
      key[Symbol.dispose]();
      throw error;
    }
  }
}
