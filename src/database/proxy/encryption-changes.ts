import type { CreateDatabase, Statement } from "../influxql/statement.ts";
import type { EncryptionCatalogue } from "./catalogue.ts";

/** Why a request is not passed on, and which of its statements is to blame. */
export interface Refusal {
  readonly index: number;
  readonly message: string;
}

/** Requests that say something about encryption, or about a database that is encrypted, have to be asked about first. */
export function changesEncryption(statements: readonly Statement[], catalogue: EncryptionCatalogue): boolean {
  return statements.some((each) => {
    if (each.kind === "alter encryption") return true;
    if (each.kind === "create database") return each.clause !== undefined || catalogue.isEncrypted(each.database);
    const { kind } = each;
    return kind === "drop database" && (catalogue.isEncrypted(each.database) || catalogue.isConverting(each.database));
  });
}

/** The databases that a request makes, drops or converts. */
export function changedDatabases(statements: readonly Statement[]): readonly string[] {
  return statements.flatMap((each) => ("database" in each ? [each.database] : []));
}

/**
 * What of a request can't be done, before anything of it is: a database that would change twice, an ALTER in company, an
 * answer that nobody waits for.
 */
export function refusalOfForm(statements: readonly Statement[], isAsync: boolean): Refusal | undefined {
  const seen = new Set<string>();
  for (const each of statements) {
    if (!("database" in each)) continue;
    const { index, database } = each;
    if (isAsync) return { index, message: "async=true can't be used to make, drop or convert an encrypted database" };
    if (seen.has(database)) {
      const message = `database ${quoted(database)} is named by two statements that make, drop or convert it: send them apart`;
      return { index, message };
    }
    seen.add(database);
    if (each.kind === "alter encryption" && statements.length > 1)
      return { index, message: "ALTER DATABASE … ENCRYPTION must be the only statement of its request" };
  }
  return undefined;
}

/**
 * What of a request contradicts the state of its databases.
 *
 * @param existing - The databases that influxd has.
 */
export function refusalOfState(
  statements: readonly Statement[],
  existing: ReadonlySet<string>,
  catalogue: EncryptionCatalogue,
): Refusal | undefined {
  for (const each of statements) {
    const message =
      each.kind === "create database"
        ? creationRefused(each, existing.has(each.database), catalogue)
        : each.kind === "alter encryption" && !existing.has(each.database)
          ? `database not found: ${each.database}`
          : each.kind === "alter encryption"
            ? conversionRefused(each.database, each.on, catalogue)
            : each.kind === "drop database"
              ? dropRefused(each.database, existing.has(each.database), catalogue)
              : undefined;
    if (message !== undefined) return { index: each.index, message };
  }
  return undefined;
}

function creationRefused(create: CreateDatabase, exists: boolean, catalogue: EncryptionCatalogue): string | undefined {
  const { database, clause } = create;
  if (clause === undefined) return undefined;
  const encrypted = catalogue.isEncrypted(database);
  if (exists && encrypted !== clause.on) {
    const state = encrypted ? "encrypted" : "not encrypted";
    const wanted = clause.on ? "ON" : "OFF";
    return `database ${quoted(database)} exists already and is ${state}: ALTER DATABASE … ENCRYPTION ${wanted} converts it`;
  }
  if (!clause.on || exists) return undefined;
  if (database === "_internal") return `database ${quoted(database)} can't be encrypted`;
  if (!isValidName(database)) return "invalid name";
  const missing = catalogue.available();
  return missing === undefined ? undefined : `unable to create encrypted database ${quoted(database)}: ${missing}`;
}

function conversionRefused(database: string, on: boolean, catalogue: EncryptionCatalogue): string | undefined {
  if (catalogue.isConverting(database)) return `database ${quoted(database)} is being converted already`;
  if (database === "_internal" && on) return `database ${quoted(database)} can't be encrypted`;
  const missing = catalogue.available();
  return missing === undefined ? undefined : `unable to convert database ${quoted(database)}: ${missing}`;
}

/** Its data is out of influxd's sight: influxd would forget the database, and the data and its keys would stay. */
function dropRefused(database: string, exists: boolean, catalogue: EncryptionCatalogue): string | undefined {
  if (exists && catalogue.isConverting(database))
    return `database ${quoted(database)} is being converted: drop it when SHOW DATABASES shows it as it is to be`;
  const missing = exists && catalogue.isEncrypted(database) ? catalogue.available() : undefined;
  return missing === undefined ? undefined : `unable to drop encrypted database ${quoted(database)}: ${missing}`;
}

/** The databases for which a rule has to be made before influxd hears of the request. */
export function databasesToMake(
  statements: readonly Statement[],
  existing: ReadonlySet<string>,
  catalogue: EncryptionCatalogue,
): readonly string[] {
  return statements.flatMap((each) => {
    const wanted = each.kind === "create database" && each.clause?.on === true && !existing.has(each.database);
    return wanted && !catalogue.isEncrypted(each.database) ? [each.database] : [];
  });
}

/** Databases about to be made plain although a rule was left by a creation that never ended: the rule has to go first. */
export function rulesLeftOver(
  statements: readonly Statement[],
  existing: ReadonlySet<string>,
  catalogue: EncryptionCatalogue,
): readonly string[] {
  return statements.flatMap((each) => {
    const plain = each.kind === "create database" && each.clause?.on !== true && !existing.has(each.database);
    return plain && catalogue.isEncrypted(each.database) ? [each.database] : [];
  });
}

/** A statement that reads, writes or removes data of an encrypted database. */
export interface Use {
  readonly index: number;
  readonly database: string;
}

/** The first statement that reads or writes an encrypted database. */
export function firstUse(
  statements: readonly Statement[],
  defaultDatabase: string,
  catalogue: EncryptionCatalogue,
): Use | undefined {
  for (const { index, uses } of statements) {
    const names = uses.byDefault ? [...uses.named, defaultDatabase] : uses.named;
    const database = names.find((name) => catalogue.isEncrypted(name));
    if (database !== undefined) return { index, database };
  }
  return undefined;
}

/** InfluxDB's own rule for names (meta.Client.CreateDatabase): printable, no slash of either kind, not `.` or `..`. */
function isValidName(name: string): boolean {
  return (
    name !== "" && name !== "." && name !== ".." && /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]*$/u.test(name) && !/[/\\]/.test(name)
  );
}

/** A name as InfluxDB puts it into messages. */
export function quoted(name: string): string {
  return JSON.stringify(name);
}
