import { hash } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { suites } from "../../crypto/suite.ts";
import { VolumeError } from "../../volume/errors.ts";
import { KeyTableError } from "../../volume/sealfs/keys/errors.ts";
import type { KeyTable } from "../../volume/sealfs/keys/key-table.ts";
import { openKeyTable } from "../../volume/sealfs/keys/open-table.ts";
import type { TableRekey } from "../../volume/sealfs/keys/rekey.ts";
import { Sm2Wrapper } from "../../volume/sealfs/keys/sm2-wrapper.ts";
import { tableFileNames } from "../../volume/sealfs/keys/table-file.ts";
import { nodeTableSystem, type TableSystem } from "../../volume/sealfs/keys/table-system.ts";
import { volumeIdBytes } from "../../volume/sealfs/server/opened-volume.ts";
import { DatabaseError } from "../errors.ts";
import { envelopInstanceKey, writeInstanceEnvelope } from "../instance/instance-key.ts";
import type { EnvelopeSet, EnvelopeTable, StagedEnvelope, StagedEnvelopes } from "./envelope-table.ts";
import { instanceFolderAt, StoppedInstance } from "./stopped-instance.ts";
import type { SubKeyOpener } from "./sub-key-envelope.ts";
import { asTableDamage, parseSubKeyName, readEnvelopes, readStaged, type TableToRead } from "./table-contents.ts";

/** The instance key's name among the sub-keys. */
export const instanceKeyName = "instance-key";
/** More than the table takes at once. */
const mostStagedAtOnce = 2048;

/**
 * The envelopes of a stopped instance: those of the sealed zones in the key table of its volume, and that of the instance key
 * in `instance.envelope`. The table's records prove the first, the volume's header proves the second.
 */
export class InstanceTable implements EnvelopeTable {
  readonly #instance: StoppedInstance;
  readonly #tableKey: SecretBuffer;
  readonly #table: KeyTable;
  readonly #read: TableToRead;
  #rekey: { readonly to: Buffer; readonly work: TableRekey } | undefined;

  private constructor(instance: StoppedInstance, tableKey: SecretBuffer, table: KeyTable, system: TableSystem) {
    this.#instance = instance;
    this.#tableKey = tableKey;
    this.#table = table;
    this.#read = { folder: instance.place.store, tableKey, system };
  }

  /**
   * Opens the envelopes of the instance that a path leads to: its folder, or a file in it.
   *
   * @returns Undefined when there is no sealfs volume.
   * @throws {DatabaseError} `ENVELOPE_TABLE_BUSY` while it is served, `ENVELOPE_TABLE_DAMAGED`, `ENVELOPE_TABLE_ABSENT` for one that
   *   never had a master key, `MASTER_KEY_MISMATCH` when `opener` is neither of the key in force nor of a former one that is kept.
   */
  static async open(
    path: string,
    opener: SubKeyOpener,
    system: TableSystem = nodeTableSystem,
  ): Promise<InstanceTable | undefined> {
    const folder = instanceFolderAt(path);
    const instance = folder === undefined ? undefined : await StoppedInstance.lock(folder, opener);
    if (instance === undefined) return undefined;
    const tableKey = instance.tableKey();
    try {
      const { volumeId, suite } = instance.description;
      const place = { folder: instance.place.store, volumeId: volumeIdBytes(volumeId), suite: suites[suite], tableKey };
      const table = await openedTable(() => openKeyTable({ ...place, system }));
      const opened = new InstanceTable(instance, tableKey, table, system);
      try {
        opened.#refuseForeign(opener.publicKey);
        opened.#mendEnvelope();
        return opened;
      } catch (error) {
        opened[Symbol.dispose]();
        throw error;
      }
    } catch (error) {
      tableKey[Symbol.dispose]();
      instance[Symbol.dispose]();
      throw error;
    }
  }

  inForce(): EnvelopeSet {
    const found = readEnvelopes("table", this.#read);
    if (found === undefined)
      throw new DatabaseError("ENVELOPE_TABLE_ABSENT", "the instance has no master key: nothing in it is enveloped", {
        hint: "give it one: set [security.encryption], and start strongroom db serve once",
      });
    return this.#withInstanceKey(found);
  }

  staged(): StagedEnvelopes | undefined {
    const inForce = this.inForce();
    const found = readStaged(this.#read, inForce);
    const replaced = inForce.envelopes.get(instanceKeyName);
    const own = found && this.#instance.envelopes.to(found.publicKey);
    if (found === undefined || own === undefined || replaced === undefined) return found;
    const staged = { envelope: own.envelope, replaces: hash("sm3", replaced, "buffer") };
    return { publicKey: found.publicKey, envelopes: new Map([...found.envelopes, [instanceKeyName, staged]]) };
  }

  startStaging(publicKey: Buffer): void {
    this.#endRekey();
    const { system, folder } = this.#read;
    this.#instance.envelopes.dropStaged(this.inForce().publicKey);
    system.remove(join(folder, tableFileNames.rewrapping));
    this.#rekey = this.#begun(publicKey);
  }

  stage(envelopes: ReadonlyMap<string, StagedEnvelope>): void {
    const { to, work } = this.#resumed();
    const made = [...envelopes].filter(([name]) => name !== instanceKeyName);
    const records = made.map(([name, { envelope }]) => ({ ...parseSubKeyName(name), envelope }));
    for (let at = 0; at < records.length; at += mostStagedAtOnce) work.stage(records.slice(at, at + mostStagedAtOnce));
    const own = envelopes.get(instanceKeyName);
    if (own !== undefined) this.#instance.envelopes.stage({ masterKey: to.toString("hex"), envelope: own.envelope });
  }

  putStagedInForce(): void {
    this.#resumed().work.finish({ keepPrevious: true });
    this.#rekey = undefined;
  }

  previous(): EnvelopeSet | undefined {
    const found = readEnvelopes("previous", this.#read);
    return found && this.#withInstanceKey(found);
  }

  dropPrevious(): void {
    this.#table.dropPrevious();
    this.#instance.envelopes.settle(this.inForce().publicKey);
  }

  [Symbol.dispose](): void {
    this.#endRekey();
    this.#table.close();
    this.#tableKey[Symbol.dispose]();
    this.#instance[Symbol.dispose]();
  }

  #withInstanceKey({ publicKey, envelopes }: EnvelopeSet): EnvelopeSet {
    const own = this.#instance.envelopes.to(publicKey);
    if (own === undefined) return { publicKey, envelopes };
    return { publicKey, envelopes: new Map([...envelopes, [instanceKeyName, own.envelope]]) };
  }

  /** An instance that lost its envelope, and still has its key in a file, gets another. */
  #mendEnvelope(): void {
    const { paths, instanceKey, envelopes } = this.#instance;
    const { publicKey } = this.inForce();
    if (existsSync(paths.envelopeFile) || envelopes.to(publicKey) !== undefined) return;
    writeInstanceEnvelope(paths.envelopeFile, envelopInstanceKey(instanceKey, publicKey));
  }

  #refuseForeign(publicKey: Buffer): void {
    const inForce = this.inForce();
    const kept = readEnvelopes("previous", this.#read)?.publicKey;
    const known = [inForce.publicKey, ...(kept === undefined ? [] : [kept])];
    if (known.some((each) => each.equals(publicKey)) || this.#instance.envelopes.to(publicKey) !== undefined) return;
    throw new DatabaseError("MASTER_KEY_MISMATCH", "the instance is for another master key than --pubkey", {
      hint: `the instance's is ${inForce.publicKey.toString("hex")}`,
    });
  }

  #begun(to: Buffer): { readonly to: Buffer; readonly work: TableRekey } {
    return { to, work: this.#table.beginRekey(this.#tableKey, new Sm2Wrapper(to)) };
  }

  /** Goes on with what an earlier run has staged. */
  #resumed(): { readonly to: Buffer; readonly work: TableRekey } {
    if (this.#rekey !== undefined) return this.#rekey;
    const to = this.staged()?.publicKey;
    if (to === undefined) throw new Error("nothing is staged: staging was not begun");
    this.#rekey = this.#begun(to);
    return this.#rekey;
  }

  #endRekey(): void {
    this.#rekey?.work[Symbol.dispose]();
    this.#rekey = undefined;
  }
}

async function openedTable(open: () => Promise<KeyTable>): Promise<KeyTable> {
  try {
    return await open();
  } catch (cause) {
    if (cause instanceof VolumeError && cause.code === "VOLUME_ALREADY_OPEN")
      throw new DatabaseError("ENVELOPE_TABLE_BUSY", `the key table is in use: ${cause.message}`, { cause });
    if (cause instanceof KeyTableError) throw asTableDamage(cause);
    throw cause;
  }
}
