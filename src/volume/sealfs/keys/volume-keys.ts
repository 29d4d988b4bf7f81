import type { BlockCiphers } from "../cipher/block-ciphers.ts";
import type { TreeKeys, TreeZone } from "../tree/tree-keys.ts";
import { KeyTableError } from "./errors.ts";
import { asFsError } from "./fs-failure.ts";
import { KeyRing } from "./key-ring.ts";
import type { KeyTable } from "./key-table.ts";
import { NameSecrets } from "./name-secrets.ts";
import type { Zone } from "./zone.ts";

/** Something about keys that an operator should know and no caller can be told. */
export interface KeyEvent {
  readonly what: "torn-table" | "zone-not-removed";
  readonly detail: string;
}

export interface VolumeKeysOptions {
  /** Whether the backing folder shows names; fixed when the volume was made. */
  readonly names: "plain" | "encrypted";
  readonly ciphers: BlockCiphers;
  readonly onEvent?: (event: KeyEvent) => void;
}

/** The keys of a mounted volume, as its tree and its files use them: the table, and what of it is unwrapped. */
export class VolumeKeys implements TreeKeys, Disposable {
  readonly rootId: Buffer;
  readonly names: "plain" | "encrypted";
  readonly table: KeyTable;
  readonly #ring: KeyRing;
  readonly #secrets: NameSecrets;
  readonly #onEvent: (event: KeyEvent) => void;
  readonly #treeZones = new Map<string, TreeZone>();

  /** @param table - These keys become its owner. */
  constructor(table: KeyTable, { names, ciphers, onEvent = () => {} }: VolumeKeysOptions) {
    this.table = table;
    this.rootId = table.volumeId;
    this.names = names;
    this.#onEvent = onEvent;
    this.#ring = new KeyRing(table, ciphers);
    using namesKey = table.namesKey();
    this.#secrets = new NameSecrets(table.suite, namesKey, table.volumeId, ciphers);
    if (table.tornBytes > 0)
      onEvent({ what: "torn-table", detail: `dropped ${table.tornBytes} bytes of an interrupted append` });
  }

  zoneOf(path: readonly string[]): TreeZone {
    return this.#treeZone(this.table.zoneOf(path));
  }

  zoneForNewFolder(path: readonly string[]): TreeZone {
    const becomes = this.table.rules.match(path);
    const there = path.length === 0 ? undefined : this.table.zoneMadeFor(path);
    // What an earlier folder of this path left behind: its keys are of use only to a folder of the same kind.
    if (there !== undefined && !there.destroyed && there.protection === becomes) return this.#treeZone(there);
    try {
      if (there !== undefined) this.#remove(there);
      if (becomes === undefined) return this.zoneOf(path);
      const { zone, key } = this.table.makeZone(path, becomes);
      if (key !== undefined) this.#ring.adopt(zone.zoneId, 1, key);
      return this.#treeZone(zone);
    } catch (error) {
      throw asFsError(error);
    }
  }

  folderRemoved(path: readonly string[]): void {
    const zone = path.length === 0 ? undefined : this.table.zoneMadeFor(path);
    if (zone === undefined) return;
    try {
      this.#remove(zone);
    } catch (error) {
      const why = error instanceof KeyTableError ? error.code : "failed";
      this.#onEvent({ what: "zone-not-removed", detail: `the zone ${zone.zoneId.toString("hex")}: ${why}` });
    }
  }

  holdsZones(path: readonly string[]): boolean {
    return this.table.hasZoneWithin(path) || this.table.rules.reachBelow(path);
  }

  mac(message: Buffer): Buffer {
    return this.#secrets.mac(message);
  }

  crypt(iv: Buffer, input: Buffer): Buffer {
    return this.#secrets.crypt(iv, input);
  }

  seal(associatedData: Buffer, plaintext: Buffer): Buffer {
    return this.#secrets.seal(associatedData, plaintext);
  }

  open(associatedData: Buffer, sealed: Buffer): Buffer | undefined {
    return this.#secrets.open(associatedData, sealed);
  }

  /**
   * Begins a new generation of a zone; files seal under it from their next block on.
   *
   * @returns The new generation.
   * @throws {KeyTableError} As `KeyTable.addGeneration`.
   */
  rotate(zoneId: Buffer): number {
    const { generation, key } = this.table.addGeneration(zoneId);
    this.#ring.adopt(zoneId, generation, key);
    return generation;
  }

  /** `KeyTable.destroyGeneration`, and the key leaves this process, too, with all that follows from it. */
  destroyGeneration(zoneId: Buffer, generation: number, sealedBytes: number): void {
    try {
      this.table.destroyGeneration(zoneId, generation, sealedBytes);
    } finally {
      // Also when the file could not be written anew: what is gone from the table is gone here.
      if (this.table.zone(zoneId)?.generations.some((one) => one.generation === generation) !== true)
        this.#ring.revokeGeneration(zoneId, generation);
    }
  }

  /** `KeyTable.destroyZone`, and from now on open files of the zone answer ENOKEY. */
  destroyZone(zoneId: Buffer): void {
    try {
      this.table.destroyZone(zoneId);
    } finally {
      if (this.table.zone(zoneId)?.destroyed === true) this.#ring.revoke(zoneId);
    }
  }

  /** `KeyTable.removeZone`, of a zone whose folder is gone. */
  removeZone(zoneId: Buffer): void {
    const zone = this.table.zone(zoneId);
    if (zone !== undefined) this.#remove(zone);
  }

  /** Wipes all keys and closes the table. */
  [Symbol.dispose](): void {
    this.#ring[Symbol.dispose]();
    this.#secrets[Symbol.dispose]();
    this.table.close();
  }

  /** Files of the zone that are still open keep their ciphers, and can have others. */
  #remove(zone: Zone): void {
    this.table.removeZone(zone.zoneId);
    this.#treeZones.delete(zone.zoneId.toString("hex"));
    for (const { generation } of zone.generations) this.#ring.forgetGeneration(zone.zoneId, generation);
  }

  #treeZone(zone: Zone): TreeZone {
    const name = zone.zoneId.toString("hex");
    let known = this.#treeZones.get(name);
    if (known === undefined) {
      known = { zoneId: zone.zoneId, keys: zone.protection === "plain" ? undefined : this.#ring.keysOf(zone) };
      this.#treeZones.set(name, known);
    }
    return known;
  }
}
