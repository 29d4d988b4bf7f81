import { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import type { Suite } from "../../../crypto/suite.ts";
import { KeyTableError } from "./errors.ts";
import { type KeyWrapper, namesKeyContext, zoneKeyContext } from "./key-wrapper.ts";
import { QuickKey } from "./quick-key.ts";
import { TableKeyWrapper } from "./table-key-wrapper.ts";
import type { TableLog } from "./table-log.ts";
import type { Generation, Zone } from "./zone.ts";

export interface TableEnvelopesParts {
  readonly suite: Suite;
  readonly volumeId: Buffer;
  readonly tableKey: SecretBuffer;
  /** Wraps the keys of `sealed` zones. */
  readonly wrapper: KeyWrapper;
  readonly records: TableLog;
}

/** Wraps and unwraps the keys of a table, each by whoever its zone's protection says. */
export class TableEnvelopes implements Disposable {
  readonly #parts: TableEnvelopesParts;
  readonly #tableWrapper: TableKeyWrapper;
  readonly #quickKey: QuickKey;

  /** The envelopes become the owner of table key and wrapper. */
  constructor(parts: TableEnvelopesParts) {
    const { suite, volumeId, tableKey, wrapper: master, records } = parts;
    this.#parts = parts;
    this.#tableWrapper = new TableKeyWrapper(suite, tableKey, volumeId);
    const envelope = () => records.state.quickKey;
    this.#quickKey = new QuickKey({ suite, volumeId, master, envelope, add: (record) => records.append([record]) });
  }

  get tableKey(): SecretBuffer {
    return this.#parts.tableKey;
  }

  get wrapper(): KeyWrapper {
    return this.#parts.wrapper;
  }

  /** The caller disposes of it. */
  namesKey(): SecretBuffer {
    const { records, volumeId } = this.#parts;
    return this.#tableWrapper.unwrap(records.state.namesKey, namesKeyContext(volumeId));
  }

  /**
   * A data key, which the caller disposes of: by the quick key where it can be; else one of a sealed zone is put under it, for the next
   * time.
   *
   * @throws {KeyTableError} `PRIVATE_KEY_ABSENT`, `ENVELOPE_REFUSED`.
   */
  unwrap(zone: Zone, older: Generation): SecretBuffer {
    const key = this.unwrapQuick(zone, older) ?? this.#unwrapEnvelope(zone, older);
    if (key.byteLength === this.#parts.suite.keyBytes) return key;
    key[Symbol.dispose]();
    throw new KeyTableError("ENVELOPE_REFUSED");
  }

  /** A data key, if it lies under the quick key. */
  unwrapQuick(zone: Zone, older: Generation): SecretBuffer | undefined {
    return zone.protection === "sealed" ? this.#quickKey.open(older, this.#context(zone, older.generation)) : undefined;
  }

  /**
   * A new data key, and what the table keeps of it. The caller disposes of the key.
   *
   * @throws {KeyTableError} `PRIVATE_KEY_ABSENT`: none is made that could not be read again here; as any write.
   */
  fresh(
    zone: Pick<Zone, "zoneId" | "protection">,
    generation: number,
  ): { readonly key: SecretBuffer; readonly envelope: Buffer; readonly quick?: Buffer } {
    const isSealed = zone.protection === "sealed";
    const wrapper = isSealed ? this.wrapper : this.#tableWrapper;
    if (!wrapper.canUnwrap) throw new KeyTableError("PRIVATE_KEY_ABSENT");
    const context = this.#context(zone, generation);
    const key = SecretBuffer.random(this.#parts.suite.keyBytes);
    try {
      const quick = isSealed ? this.#quickKey.seal(key, context) : undefined;
      return { key, envelope: wrapper.wrap(key, context), ...(quick === undefined ? {} : { quick }) };
    } catch (error) {
      key[Symbol.dispose]();
      throw error;
    }
  }

  /** Under another master key from now on, which becomes these envelopes' own. */
  under(wrapper: KeyWrapper): TableEnvelopes {
    for (const old of [this.#tableWrapper, this.#quickKey, this.wrapper]) old[Symbol.dispose]();
    return new TableEnvelopes({ ...this.#parts, wrapper });
  }

  [Symbol.dispose](): void {
    for (const owned of [this.tableKey, this.#tableWrapper, this.#quickKey, this.wrapper]) owned[Symbol.dispose]();
  }

  #unwrapEnvelope(zone: Zone, older: Generation): SecretBuffer {
    const context = this.#context(zone, older.generation);
    if (zone.protection !== "sealed") return this.#tableWrapper.unwrap(older.envelope, context);
    const key = this.wrapper.unwrap(older.envelope, context);
    const { records } = this.#parts;
    try {
      const quick = records.isWritable ? this.#quickKey.seal(key, context) : undefined;
      if (quick !== undefined) records.state.setQuick(zone.zoneId, older.generation, quick);
    } catch {
      // On a full disk, say: the key itself is there.
    }
    return key;
  }

  #context({ zoneId }: Pick<Zone, "zoneId">, generation: number): Buffer {
    return zoneKeyContext(this.#parts.volumeId, zoneId, generation);
  }
}
