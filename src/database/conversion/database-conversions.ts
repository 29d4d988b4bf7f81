import { mkdir, rm, statfs } from "node:fs/promises";
import { basename, join } from "node:path";
import type { SealedCatalogue } from "../catalogue/sealed-catalogue.ts";
import { contentFolders, stagingFolder } from "../catalogue/zone-rules.ts";
import { DatabaseError } from "../errors.ts";
import { withoutNames } from "../instance/without-names.ts";
import { isOnVolume } from "../on-volume.ts";
import {
  type ConversionRecord,
  type ConversionStep,
  readConversionRecord,
  removeConversionRecord,
  writeConversionRecord,
} from "./conversion-record.ts";
import { compareFolders, copyFolder, folderBytes } from "./folder-copy.ts";

/** A conversion that is under way. */
export interface ConversionStatus {
  readonly database: string;
  /** What it becomes. */
  readonly encrypted: boolean;
  readonly step: ConversionStep;
  /** Of the step. */
  readonly doneBytes: number;
  readonly totalBytes: number;
}

/** What a conversion needs of the instance that it happens in. */
export interface ConversionSurroundings {
  /** Where the volume is mounted. */
  readonly volumeRoot: string;
  readonly catalogue: Pick<
    SealedCatalogue,
    "available" | "keyMissing" | "isEncrypted" | "refusalOf" | "setEncryption" | "sweep" | "sync" | "isAsItShouldBe"
  >;
  /** Stops influxd in good order, calls {@link DatabaseConversions.beforeInfluxd}, and starts influxd again. */
  readonly restartInfluxd: () => Promise<void>;
  /** Lets clients wait; resolves when no request runs. */
  readonly holdRequests: () => Promise<void>;
  readonly goOn: () => void;
  /** For an operator; names no database. */
  readonly tell: (line: string) => void;
}

/** Files of influxd that never change once they are there. */
const isUnchanging = (name: string): boolean => name.endsWith(".tsm");
/** Beyond what the copy takes: influxd goes on writing. */
const spareBytes = 64 * 1024 * 1024;

/**
 * Changes the encryption of databases that are there, one at a time: what they hold is copied under the protection to come, first
 * while influxd runs, then for good while it does not; the copy is compared; their folders are made anew from it, and compared
 * again. At every moment one whole set of folders is the one that counts, and the record on the volume says which.
 */
export class DatabaseConversions {
  readonly #its: ConversionSurroundings;
  readonly #staging: string;
  readonly #stopping = new AbortController();
  #record: ConversionRecord | undefined;
  /** The background has copied what it could, and asks for the exchange. */
  #isReady = false;
  #task: Promise<void> | undefined;
  #doneBytes = 0;
  #totalBytes = 0;

  constructor(its: ConversionSurroundings) {
    this.#its = its;
    this.#staging = join(its.volumeRoot, stagingFolder);
  }

  /** The conversion that is under way; undefined when there is none. */
  get status(): ConversionStatus | undefined {
    if (this.#record === undefined) return undefined;
    const { database, encrypted, step } = this.#record;
    return { database, encrypted, step, doneBytes: this.#doneBytes, totalBytes: this.#totalBytes };
  }

  isConverting(database: string): boolean {
    return this.#record?.database === database;
  }

  /**
   * Begins to convert a database. Durable when it resolves: from then on it goes on in the background, over restarts.
   *
   * @throws {Error} When it cannot be begun; nothing has changed then.
   */
  async begin(database: string, encrypted: boolean): Promise<void> {
    const { catalogue, volumeRoot } = this.#its;
    if (this.#record !== undefined || this.#task !== undefined)
      throw new Error("a database is being converted already: one at a time");
    const refused = catalogue.available() ?? catalogue.refusalOf(database);
    if (refused !== undefined) throw new Error(refused);
    const record: ConversionRecord = { database, encrypted, step: "copying", folders: [] };
    this.#record = record;
    try {
      await this.#refuseWithoutRoom(database);
      await catalogue.sync();
      await writeConversionRecord(volumeRoot, record);
      // influxd may have been started meanwhile, when there was no record yet.
      this.#record = record;
    } catch (error) {
      this.#record = undefined;
      throw error;
    }
    this.#goOn();
  }

  /**
   * Called before each start of influxd: completes an exchange that was begun, or begins and completes the one that is asked for.
   *
   * @throws {Error} When influxd must not start: a folder of its data is not whole. It names no database: it is told outside.
   */
  async beforeInfluxd(signal: AbortSignal): Promise<void> {
    try {
      await this.#completeExchange(signal);
    } catch (error) {
      throw error instanceof DatabaseError ? error : new Error(reasonOf(error));
    }
  }

  async #completeExchange(signal: AbortSignal): Promise<void> {
    const isReady = this.#isReady;
    this.#isReady = false;
    this.#record = await readConversionRecord(this.#its.volumeRoot);
    if (this.#record?.step === "copying" && isReady) await this.#prepareExchange(this.#record, signal);
    if (this.#record?.step === "exchanging") await this.#exchange(this.#record, signal);
  }

  /** influxd runs: what can be done beside it goes on. */
  afterInfluxd(): void {
    if (this.#record === undefined || this.#task !== undefined) return;
    const refused = this.#its.catalogue.available();
    if (refused === undefined) this.#goOn();
    else this.#its.tell(`the conversion of a database waits, and goes on at a later start: ${refused}`);
  }

  /** Ends what happens in the background. The next start goes on with it. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#task;
  }

  #goOn(): void {
    this.#task = this.#inBackground()
      .catch((error: unknown) => {
        if (!this.#stopping.signal.aborted)
          this.#its.tell(
            `the conversion of a database is interrupted, and goes on when influxd starts: ${reasonOf(error)}`,
          );
      })
      .finally(() => {
        this.#task = undefined;
      });
  }

  async #inBackground(): Promise<void> {
    if (this.#record?.step === "copying") await this.#copyBesideInfluxd(this.#record);
    if (this.#record?.step === "copying") await this.#askForExchange();
    if (this.#record?.step === "clearing") await this.#clear();
  }

  async #copyBesideInfluxd({ database }: ConversionRecord): Promise<void> {
    const { tell } = this.#its;
    await this.#count(database);
    tell(`a database is being converted: ${megabytes(this.#totalBytes)} are copied while requests go on`);
    try {
      await this.#copyToStaging(database, this.#stopping.signal, isUnchanging);
    } catch (error) {
      if (this.#stopping.signal.aborted) throw error;
      await this.#giveUp(error);
    }
  }

  async #askForExchange(): Promise<void> {
    const { tell, holdRequests, goOn, restartInfluxd } = this.#its;
    const startedMs = performance.now();
    tell("a database is being converted: requests wait, influxd stops");
    try {
      await holdRequests();
      this.#stopping.signal.throwIfAborted();
      this.#isReady = true;
      await restartInfluxd();
    } finally {
      goOn();
      tell(`requests go on, after ${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
    }
  }

  /** Makes the copy whole, proves it, and says so. Without influxd. */
  async #prepareExchange({ database, encrypted }: ConversionRecord, signal: AbortSignal): Promise<void> {
    const { catalogue, volumeRoot, tell } = this.#its;
    try {
      // Closed meanwhile, since stored data is damaged: from here on there would be no way back.
      const refused = catalogue.available();
      if (refused !== undefined) throw new Error(refused);
      await this.#count(database);
      await this.#copyToStaging(database, signal);
      const folders: string[] = [];
      for (const folder of contentFolders) {
        if (!(await isOnVolume(this.#content(folder, database)))) continue;
        await compareFolders(this.#content(folder, database), this.#staged(folder), signal);
        folders.push(folder);
      }
      await catalogue.sync();
      await this.#advance({ database, encrypted, step: "exchanging", folders });
    } catch (error) {
      // What it was is whole: influxd goes on with it.
      if (signal.aborted || (await this.#isExchanging(volumeRoot))) throw error;
      await this.#giveUp(error);
      return;
    }
    tell("a database is being converted: the copy is whole, its folders are made anew from it");
  }

  /** Makes the database's folders from the copy, from the beginning however far it came before. Without influxd. */
  async #exchange({ database, encrypted, folders }: ConversionRecord, signal: AbortSignal): Promise<void> {
    const { catalogue } = this.#its;
    const missing = catalogue.keyMissing();
    if (missing !== undefined)
      throw new DatabaseError("INSTANCE_KEY_ABSENT", `the conversion of a database was interrupted: ${missing}`, {
        hint: "start the instance with its master key once: the conversion is completed then",
      });
    for (const folder of folders)
      if (!(await isOnVolume(this.#staged(folder))))
        throw new Error("the copy of a database that is being converted is gone");
    this.#totalBytes = await folderBytes(this.#staging);
    this.#doneBytes = 0;
    for (const folder of contentFolders) await rm(this.#content(folder, database), { recursive: true, force: true });
    await catalogue.sweep();
    await catalogue.setEncryption(database, encrypted);
    const done = (bytes: number) => {
      this.#doneBytes += bytes;
    };
    for (const folder of folders)
      await copyFolder(this.#staged(folder), this.#content(folder, database), { signal, done });
    await catalogue.sync();
    for (const folder of folders) await compareFolders(this.#staged(folder), this.#content(folder, database), signal);
    if (!(await catalogue.isAsItShouldBe(database)))
      throw new Error("the folders of a converted database are not protected as they should be");
    await this.#advance({ database, encrypted, step: "clearing", folders });
  }

  async #clear(): Promise<void> {
    await this.#removeStaging();
    await removeConversionRecord(this.#its.volumeRoot);
    this.#record = undefined;
    this.#its.tell("a database is converted");
  }

  /** Before the exchange: the folders are what they were. */
  async #giveUp(why: unknown): Promise<void> {
    await this.#removeStaging();
    await removeConversionRecord(this.#its.volumeRoot);
    this.#record = undefined;
    this.#its.tell(`a database is not converted, and stays as it was: ${reasonOf(why)}`);
  }

  async #removeStaging(): Promise<void> {
    await rm(this.#staging, { recursive: true, force: true });
    // Its key goes; and a volume that is lost does not look like one without a copy.
    await this.#its.catalogue.sweep();
  }

  async #copyToStaging(database: string, signal: AbortSignal, only?: (name: string) => boolean): Promise<void> {
    // Fails where the volume is not served: nothing may come to lie in its empty mount point.
    await this.#its.catalogue.sync();
    signal.throwIfAborted();
    await mkdir(this.#staging, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    });
    this.#doneBytes = 0;
    const done = (bytes: number) => {
      this.#doneBytes += bytes;
    };
    for (const folder of contentFolders) {
      const source = this.#content(folder, database);
      if (await isOnVolume(source))
        await copyFolder(source, this.#staged(folder), { signal, done, ...(only === undefined ? {} : { only }) });
      else await rm(this.#staged(folder), { recursive: true, force: true });
    }
  }

  async #refuseWithoutRoom(database: string): Promise<void> {
    await this.#count(database);
    const { bavail, bsize } = await statfs(this.#its.volumeRoot);
    if (bavail * bsize < this.#totalBytes + spareBytes)
      throw new Error(
        `there is no room for a copy of it: ${megabytes(this.#totalBytes)} and ${megabytes(spareBytes)} to spare are needed, ` +
          `${megabytes(bavail * bsize)} are free`,
      );
  }

  async #count(database: string): Promise<void> {
    let bytes = 0;
    for (const folder of contentFolders) bytes += await folderBytes(this.#content(folder, database));
    this.#totalBytes = bytes;
    this.#doneBytes = 0;
  }

  async #advance(record: ConversionRecord): Promise<void> {
    const { catalogue, volumeRoot } = this.#its;
    await catalogue.sync();
    await writeConversionRecord(volumeRoot, record);
    this.#record = record;
  }

  async #isExchanging(volumeRoot: string): Promise<boolean> {
    return (await readConversionRecord(volumeRoot))?.step === "exchanging";
  }

  #content(folder: string, database: string): string {
    return join(this.#its.volumeRoot, folder, database);
  }

  #staged(folder: string): string {
    return join(this.#staging, basename(folder));
  }
}

function megabytes(bytes: number): string {
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}

/** What may be told outside the volume: errors of files name their paths, and so databases. */
function reasonOf(error: unknown): string {
  return withoutNames(error instanceof Error ? error.message : String(error));
}
