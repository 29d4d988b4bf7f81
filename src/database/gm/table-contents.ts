import { hash } from "node:crypto";
import { join } from "node:path";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { suiteHash } from "../../crypto/suite.ts";
import { KeyTableError } from "../../volume/sealfs/keys/errors.ts";
import { maxTableBytes, type ReadTable, readTable } from "../../volume/sealfs/keys/reading.ts";
import { tableFileNames } from "../../volume/sealfs/keys/table-file.ts";
import { TableState } from "../../volume/sealfs/keys/table-state.ts";
import type { TableSystem } from "../../volume/sealfs/keys/table-system.ts";
import { DatabaseError } from "../errors.ts";
import type { EnvelopeSet, StagedEnvelopes } from "./envelope-table.ts";

/** Which key table, and what reads it. */
export interface TableToRead {
  /** The volume's store. */
  readonly folder: string;
  readonly tableKey: SecretBuffer;
  readonly system: TableSystem;
}

/** A sub-key's name: its zone's id in hexadecimal, and its generation. */
export function subKeyName(zoneId: Buffer, generation: number): string {
  return `${zoneId.toString("hex")}/${generation}`;
}

/** @throws {RangeError} For a name that {@link subKeyName} does not give. */
export function parseSubKeyName(name: string): { readonly zoneId: Buffer; readonly generation: number } {
  const [, zone, generation] = /^([0-9a-f]{32})\/([1-9][0-9]{0,9})$/.exec(name) ?? [];
  if (zone === undefined) throw new RangeError(`${name} is not the name of a sub-key`);
  return { zoneId: Buffer.from(zone, "hex"), generation: Number(generation) };
}

/**
 * The envelopes of the sealed zones, as the table's file has them; undefined when there is no such file, or its sealed zones are
 * under the table's own key.
 *
 * @param which - `previous`: the table as it was before the last change of the master key, where that is kept.
 * @throws {DatabaseError} `ENVELOPE_TABLE_DAMAGED`.
 */
export function readEnvelopes(which: "table" | "previous", table: TableToRead): EnvelopeSet | undefined {
  const read = which === "previous" ? readIfWhole(which, table) : readFile(which, table);
  if (read === undefined) return undefined;
  const state = authentic(() => {
    const built = new TableState();
    for (const record of read.records) built.apply(record);
    built.checkComplete();
    return built;
  });
  if (state.wrapper.kind !== "sm2") return undefined;
  const envelopes = new Map<string, Buffer>();
  for (const { protection, zoneId, generations } of state.zones())
    for (const { generation, envelope } of protection === "sealed" ? generations : [])
      envelopes.set(subKeyName(zoneId, generation), envelope);
  return { publicKey: state.wrapper.publicKey, envelopes };
}

/** What a change of the master key has staged for what is in force; undefined when nothing is. */
export function readStaged(table: TableToRead, inForce: EnvelopeSet): StagedEnvelopes | undefined {
  const read = readIfWhole("rewrapping", table);
  const [first, ...others] = read?.records ?? [];
  if (first?.type !== "wrapping" || first.wrapper.kind !== "sm2") return undefined;
  if (first.wrapper.publicKey.equals(inForce.publicKey)) return undefined;
  const envelopes = new Map<string, { envelope: Buffer; replaces: Buffer }>();
  for (const record of others) {
    if (record.type !== "rewrapped") return undefined;
    const name = subKeyName(record.zoneId, record.generation);
    const replaced = inForce.envelopes.get(name);
    if (replaced === undefined || read === undefined) continue;
    if (suiteHash(read.header.suite, replaced).equals(record.replaces))
      envelopes.set(name, { envelope: record.envelope, replaces: hash("sm3", replaced, "buffer") });
  }
  return { publicKey: first.wrapper.publicKey, envelopes };
}

function readFile(name: keyof typeof tableFileNames, { system, folder, tableKey }: TableToRead): ReadTable | undefined {
  const bytes = system.read(join(folder, tableFileNames[name]), maxTableBytes);
  if (bytes === undefined) return undefined;
  const read = authentic(() => readTable(bytes, tableKey));
  read.recordKey[Symbol.dispose]();
  return read;
}

/** What is staged and is no good is made anew; a former table that a kill has cut was not needed yet. */
function readIfWhole(name: keyof typeof tableFileNames, table: TableToRead): ReadTable | undefined {
  try {
    return readFile(name, table);
  } catch (error) {
    if (error instanceof DatabaseError) return undefined;
    throw error;
  }
}

function authentic<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (!(cause instanceof KeyTableError)) throw cause;
    throw asTableDamage(cause);
  }
}

/** What the tools of the database say of a key table that cannot be read. */
export function asTableDamage(cause: KeyTableError): DatabaseError {
  return new DatabaseError("ENVELOPE_TABLE_DAMAGED", cause.message, {
    hint: "nothing was changed; restore the instance's folder from a backup",
    cause,
  });
}
