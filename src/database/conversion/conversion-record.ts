import { open, readFile, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { contentFolders } from "../catalogue/zone-rules.ts";
import { DatabaseError } from "../errors.ts";

/**
 * How far the conversion of a database has come. `copying`: its folders are what counts, the copy is being made. `exchanging`: the
 * copy is whole, compared and durable, and the only one that counts: the folders are being made anew from it. `clearing`: the
 * new folders are whole, compared and durable, and what counts; the copy goes.
 */
export type ConversionStep = "copying" | "exchanging" | "clearing";

export interface ConversionRecord {
  readonly database: string;
  /** What it becomes. */
  readonly encrypted: boolean;
  readonly step: ConversionStep;
  /** Which of the content folders the copy holds; a database that nothing was written to has none. */
  readonly folders: readonly string[];
}

const recordName = "conversion.record";
const format = "strongroom-conversion-1";
const steps: readonly unknown[] = ["copying", "exchanging", "clearing"] satisfies readonly ConversionStep[];

/** On the volume, under the instance key: a name of a database is in it. */
function recordFile(volumeRoot: string): string {
  return join(volumeRoot, recordName);
}

/**
 * @returns Undefined when no conversion is under way.
 * @throws {DatabaseError} `INSTANCE_DAMAGED`.
 */
export async function readConversionRecord(volumeRoot: string): Promise<ConversionRecord | undefined> {
  let text: string;
  try {
    text = await readFile(recordFile(volumeRoot), "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null) throw new SyntaxError();
    const { format: found, database, encrypted, step, folders, ...others } = value as Readonly<Record<string, unknown>>;
    if (found !== format || typeof database !== "string" || database === "" || typeof encrypted !== "boolean")
      throw new SyntaxError();
    if (!isStep(step) || !Array.isArray(folders) || Object.keys(others).length > 0) throw new SyntaxError();
    if (!folders.every((folder) => contentFolders.includes(folder))) throw new SyntaxError();
    return { database, encrypted, step, folders };
  } catch (cause) {
    const message = `${recordName}, which says how far the conversion of a database has come, is not as it was written`;
    const hint = "restore the instance from a backup";
    throw new DatabaseError("INSTANCE_DAMAGED", message, { hint, cause });
  }
}

/** Durable when it resolves: after a crash it is as before, or as given. */
export async function writeConversionRecord(volumeRoot: string, record: ConversionRecord): Promise<void> {
  const file = recordFile(volumeRoot);
  const temporary = `${file}.tmp`;
  await rm(temporary, { force: true });
  {
    await using handle = await open(temporary, "wx", 0o600);
    await handle.writeFile(`${JSON.stringify({ format, ...record })}\n`);
    await handle.sync();
  }
  await rename(temporary, file);
  await syncFolder(dirname(file));
}

/** The conversion is over. Durable. */
export async function removeConversionRecord(volumeRoot: string): Promise<void> {
  await rm(recordFile(volumeRoot), { force: true });
  await syncFolder(volumeRoot);
}

async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, "r");
  await handle.sync();
}

function isStep(value: unknown): value is ConversionStep {
  return steps.includes(value);
}
