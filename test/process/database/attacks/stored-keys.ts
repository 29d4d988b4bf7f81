/** What is in the key table of an instance whose instance key is in a file, running or stopped. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { instancePaths } from "../../../../src/database/instance/instance-folder.ts";
import { readInstanceKey } from "../../../../src/database/instance/instance-key.ts";
import { verifyVolumeHeader } from "../../../../src/volume/header.ts";
import { placePaths } from "../../../../src/volume/place.ts";
import { type ReadTable, readTable } from "../../../../src/volume/sealfs/keys/reading.ts";
import { encodeBody } from "../../../../src/volume/sealfs/keys/records.ts";
import { TableState } from "../../../../src/volume/sealfs/keys/table-state.ts";
import { deriveVolumeKey } from "../../../../src/volume/sub-key.ts";

export interface StoredZone {
  /** From the volume's root. */
  readonly path: string;
  readonly protection: string;
  /** Each sub-key in all forms in which the table has it. */
  readonly envelopes: readonly Buffer[];
}

const otherTables: readonly string[] = ["keys.previous", "keys.rewrap", "keys.new"];

export function tableFile(folder: string, name = "keys"): string {
  return join(placePaths({ folder }).store, name);
}

/** How many bytes of the key table's file are records and what comes before them. */
export function tableBytes(folder: string): number {
  return readKeyTable(folder, "keys").validBytes;
}

/** The zones that there are. */
export function storedZones(folder: string): readonly StoredZone[] {
  const state = new TableState();
  for (const record of readKeyTable(folder, "keys").records) state.apply(record);
  return [...state.zones()].map(({ path, protection, generations }) => ({
    path: path.join("/"),
    protection,
    envelopes: generations.flatMap(({ envelope, quick }) => (quick === undefined ? [envelope] : [envelope, quick])),
  }));
}

/** Whether a record, in force or not, of any key table in the folder has an envelope: then its sub-key can still be opened. */
export function isEnvelopeStored(folder: string, envelope: Buffer): boolean {
  const hasIt = (name: string) =>
    readKeyTable(folder, name).records.some((record) => encodeBody(record).includes(envelope));
  return hasIt("keys") || otherTables.some((name) => existsSync(tableFile(folder, name)) && unlessGone(name, hasIt));
}

/** Other tables than the one in force are written, renamed and removed while a volume is served. */
function unlessGone(name: string, hasIt: (name: string) => boolean): boolean {
  try {
    return hasIt(name);
  } catch (error) {
    // One that cannot be read may be half written.
    return (error as NodeJS.ErrnoException).code !== "ENOENT";
  }
}

function readKeyTable(folder: string, name: string): ReadTable {
  using key = readInstanceKey(instancePaths(folder).keyFile);
  if (key === undefined) throw new Error("the instance key is in no file");
  const description = verifyVolumeHeader(readFileSync(placePaths({ folder }).headerFile), key);
  using tableKey = deriveVolumeKey(description, key, "table-key", 32);
  const read = readTable(readFileSync(tableFile(folder, name)), tableKey);
  read.recordKey[Symbol.dispose]();
  return read;
}
