import { lstat, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { KeysReport, ZoneReport } from "../../volume/sealfs/keys/keys-report.ts";
import type { ZoneRule } from "../../volume/sealfs/keys/rules.ts";
import { contentFolders, databaseAt, encryptedDatabases, isShard } from "../catalogue/zone-rules.ts";
import type { ConversionStatus } from "../conversion/database-conversions.ts";

export interface DatabaseStatus {
  readonly name: string;
  readonly encrypted: boolean;
  /** Folders of shards. Of a database that is not encrypted: known only while the instance is served. */
  readonly shards?: number;
  /** On the volume, as `du` counts; known only while the instance is served, and of an encrypted one only with the master key. */
  readonly bytes?: number;
  /** Of an encrypted database: how many keys it has, one for each shard in each of the two folders, and what spans shards. */
  readonly subKeys?: number;
  /** The oldest and the newest generation that is in use among its keys. */
  readonly generations?: { readonly lowest: number; readonly highest: number };
  /** When one of its keys got its newest generation, but for the first. ISO 8601. */
  readonly lastRotation?: string;
}

export interface InstanceStatus {
  readonly state: "served" | "locked";
  readonly cipher: "sm4-gcm" | "aes-256-gcm";
  /** `04 ‖ X ‖ Y` in hexadecimal; undefined while there is none. */
  readonly masterKey?: string;
  /** Since when the instance key is under this master key. ISO 8601. */
  readonly masterKeySince?: string;
  readonly databases: readonly DatabaseStatus[];
  readonly served?: ServedStatus;
}

/** What only a running instance knows. */
export interface ServedStatus {
  readonly pid: number;
  readonly listen: string;
  readonly influxd: { readonly version: string; readonly pid?: number; readonly restarts: number };
  /** Why encrypted databases cannot be used; undefined when they can. */
  readonly encryptionUnavailable?: string;
  /** Of the database that is being converted. */
  readonly conversion?: ConversionStatus;
}

/** What an instance's key table tells of its databases. */
export function databasesOf(report: KeysReport, rules: readonly ZoneRule[]): readonly DatabaseStatus[] {
  const encrypted = encryptedDatabases(rules);
  const zones = new Map<string, ZoneReport[]>([...encrypted].map((name) => [name, []]));
  for (const zone of report.zones) {
    const database = databaseAt(zone.path.slice(1));
    if (database === undefined || zone.destroyed) continue;
    zones.set(database.name, [...(zones.get(database.name) ?? []), zone]);
  }
  return [...zones].map(([name, its]) => databaseOf(name, encrypted.has(name), its)).sort(byName);
}

function databaseOf(name: string, encrypted: boolean, zones: readonly ZoneReport[]): DatabaseStatus {
  if (!encrypted) return { name, encrypted };
  const sealed = zones.filter(({ protection }) => protection === "sealed");
  const generations = sealed.flatMap((zone) => zone.generations);
  const numbers = generations.map(({ generation }) => generation);
  const rotations = generations.filter(({ generation }) => generation > 1).map(({ madeAt }) => madeAt);
  const shards = sealed.flatMap(({ path }) => {
    const rest = databaseAt(path.slice(1))?.rest ?? [];
    return isShard(rest) ? [rest.join("/")] : [];
  });
  return {
    name,
    encrypted,
    shards: new Set(shards).size,
    subKeys: sealed.length,
    ...(numbers.length === 0 ? {} : { generations: { lowest: Math.min(...numbers), highest: Math.max(...numbers) } }),
    ...(rotations.length === 0 ? {} : { lastRotation: rotations.reduce((a, b) => (a > b ? a : b)) }),
  };
}

/**
 * Adds what the open volume shows: databases without keys of their own, sizes, shards.
 *
 * @param volumeRoot - Where it is mounted. Looked at without waiting for it in this thread.
 */
export async function withSizes(
  known: readonly DatabaseStatus[],
  volumeRoot: string,
): Promise<readonly DatabaseStatus[]> {
  const databases = new Map(known.map((each) => [each.name, each]));
  const [dataFolder = ""] = contentFolders;
  for (const name of await namesIn(join(volumeRoot, dataFolder)))
    if (!databases.has(name)) databases.set(name, { name, encrypted: false });
  const sized: DatabaseStatus[] = [];
  for (const database of databases.values()) {
    let bytes: number | undefined;
    const shards = new Set<string>();
    for (const folder of contentFolders) {
      const size = await sizeOf(join(volumeRoot, folder, database.name), [], (rest) => {
        if (isShard(rest)) shards.add(rest.join("/"));
      });
      if (size !== undefined) bytes = (bytes ?? 0) + size;
    }
    sized.push({
      ...database,
      ...(database.encrypted && bytes === undefined ? {} : { shards: shards.size, bytes: bytes ?? 0 }),
    });
  }
  return sized.sort(byName);
}

/** @returns Undefined for a folder that is not there. What vanishes meanwhile counts nothing. */
async function sizeOf(
  folder: string,
  rest: readonly string[],
  visit: (rest: readonly string[]) => void,
): Promise<number | undefined> {
  let bytes = 0;
  let entries: Awaited<ReturnType<typeof foldersAndFiles>>;
  try {
    entries = await foldersAndFiles(folder);
  } catch {
    return undefined;
  }
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      visit([...rest, entry.name]);
      bytes += (await sizeOf(path, [...rest, entry.name], visit)) ?? 0;
    } else bytes += await allocatedBytes(path);
  }
  return bytes;
}

function foldersAndFiles(folder: string) {
  return readdir(folder, { withFileTypes: true });
}

async function allocatedBytes(path: string): Promise<number> {
  try {
    return (await lstat(path)).blocks * 512;
  } catch {
    return 0;
  }
}

async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch {
    return [];
  }
}

/** When the envelope of an instance key was made: with the master key in force. */
export async function masterKeySince(envelopeFile: string): Promise<string | undefined> {
  try {
    return (await stat(envelopeFile)).mtime.toISOString();
  } catch {
    return undefined;
  }
}

function byName(left: DatabaseStatus, right: DatabaseStatus): number {
  return left.name < right.name ? -1 : left.name > right.name ? 1 : 0;
}
