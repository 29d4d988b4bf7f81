import type { ZoneRule } from "../../volume/sealfs/keys/rules.ts";

/** Where influxd keeps a database's content, from the volume's root: two folders, each with a folder for the database. */
export const contentFolders: readonly string[] = ["data/data", "data/wal"];
/** The copy of a database that is being converted, from the volume's root. */
export const stagingFolder = "conversion";
/** Its statistics name databases and shards. */
const internalDatabase = "_internal";
/** In a database's folder, beside those of retention policies. */
const seriesFolder = "_series";
const anyName = "*";

/** What an encrypted database is made of: what spans its shards, each shard, and the index of all series. */
const partsOfDatabase: readonly (readonly string[])[] = [[], [anyName, anyName]];

/**
 * The zone rules of an instance. A database that is not encrypted lies as it is; one that is has a sub-key for each shard, in
 * each of the two folders, and one for what spans shards. Everything else, names of databases and users among it, is under
 * the instance key.
 *
 * @param encrypted - Names of databases. None holds "*" or "/".
 */
export function rulesOf(encrypted: Iterable<string>): readonly ZoneRule[] {
  const ofAll: ZoneRule[] = contentFolders.flatMap((folder) => [
    { pattern: `${folder}/${anyName}`, becomes: "plain" as const },
    { pattern: `${folder}/${internalDatabase}`, becomes: "table-sealed" as const },
  ]);
  const rules: ZoneRule[] = [...ofAll, { pattern: stagingFolder, becomes: "sealed" }];
  for (const database of [...encrypted].sort())
    for (const folder of contentFolders)
      for (const part of partsOfDatabase)
        rules.push({ pattern: [folder, database, ...part].join("/"), becomes: "sealed" });
  return rules;
}

/** The encrypted databases of an instance's rules. */
export function encryptedDatabases(rules: readonly ZoneRule[]): ReadonlySet<string> {
  const found = new Set<string>();
  for (const { pattern, becomes } of rules) {
    const database = databaseAt(pattern);
    if (becomes === "sealed" && database !== undefined && database.rest.length === 0) found.add(database.name);
  }
  return found;
}

/** The database that a path from the volume's root lies in, and the names below its folder. */
export function databaseAt(
  path: string,
): { readonly name: string; readonly folder: string; readonly rest: readonly string[] } | undefined {
  const folder = contentFolders.find((each) => path.startsWith(`${each}/`));
  if (folder === undefined) return undefined;
  const [name = "", ...rest] = path.slice(folder.length + 1).split("/");
  return { name, folder, rest };
}

/** True for the folder of one shard, by the names below its database's: a policy and a number. */
export function isShard(rest: readonly string[]): boolean {
  const [policy, shard = ""] = rest;
  return rest.length === 2 && policy !== seriesFolder && /^\d{1,20}$/.test(shard);
}

/** Why a database of this name cannot be encrypted; undefined when it can. */
export function unusableName(database: string): string | undefined {
  if (database.includes(anyName)) return `the name of an encrypted database can't hold "${anyName}"`;
  if (database === internalDatabase) return "influxd's own database can't be encrypted";
  const bytes = Buffer.byteLength(database);
  if (bytes === 0 || bytes > 255 || database.includes("/") || database === "." || database === "..")
    return "no folder can have this name";
  return undefined;
}
