import { join } from "node:path";
import type { SealfsControl } from "../../volume/sealfs/control/control.ts";
import type { ZoneRule } from "../../volume/sealfs/keys/rules.ts";
import { isOnVolume } from "../on-volume.ts";
import { contentFolders, databaseAt, encryptedDatabases, rulesOf, unusableName } from "./zone-rules.ts";

/** What the catalogue asks of the volume that the databases lie on. */
export type ZoneControl = Pick<SealfsControl, "rules" | "setRules" | "sweep" | "sync" | "keys">;

export interface CatalogueOptions {
  /** Its root, where it is mounted. */
  readonly volumeRoot: string;
  /** Why encryption cannot be used, naming the settings that are missing; undefined when it can. */
  readonly unavailable: string | undefined;
}

/**
 * The encryption of databases as the volume's zone rules have it: they are its only record, authenticated by the volume's key
 * table, and each zone that they make has its own key.
 */
export class SealedCatalogue {
  readonly #volumeRoot: string;
  readonly #keyMissing: string | undefined;
  #unavailable: string | undefined;
  #control: ZoneControl | undefined;
  #encrypted: ReadonlySet<string> = new Set();
  #last: Promise<unknown> = Promise.resolve();

  constructor({ volumeRoot, unavailable }: CatalogueOptions) {
    this.#volumeRoot = volumeRoot;
    this.#keyMissing = unavailable;
    this.#unavailable = unavailable;
  }

  /** The volume is open: reads its rules, and sets those of an instance that has none. */
  async attach(control: ZoneControl): Promise<void> {
    await this.#alone(async () => {
      const rules = await control.rules();
      const encrypted = encryptedDatabases(rules);
      if (!sameRules(rules, rulesOf(encrypted))) await control.setRules(rulesOf(encrypted));
      this.#encrypted = encrypted;
      this.#control = control;
    });
  }

  /** The volume is closed, or lost. What is known of databases stays known. */
  detach(): void {
    this.#control = undefined;
  }

  /** From now on encrypted databases are refused. @param reason - For clients. */
  close(reason: string): void {
    this.#unavailable ??= reason;
  }

  get encrypted(): ReadonlySet<string> {
    return this.#encrypted;
  }

  available(): string | undefined {
    return this.#unavailable;
  }

  /** Why what is encrypted cannot be read at all; undefined for a catalogue that was only {@link close}d. */
  keyMissing(): string | undefined {
    return this.#keyMissing;
  }

  isEncrypted(database: string): boolean {
    return this.#encrypted.has(database);
  }

  async create(database: string): Promise<void> {
    const refused = this.#unavailable ?? unusableName(database);
    if (refused !== undefined) throw new Error(refused);
    await this.#alone(async () => {
      if (this.#encrypted.has(database)) throw new Error("there is such a database");
      await this.#refuseWhileThere(database);
      await this.#setEncrypted([...this.#encrypted, database]);
    });
  }

  async drop(database: string): Promise<void> {
    await this.#alone(async () => {
      if (!this.#encrypted.has(database)) return;
      // Without the master key its folders do not show, and that they don't proves nothing.
      if (this.#unavailable !== undefined) throw new Error(this.#unavailable);
      await this.#refuseWhileThere(database);
      // The keys first: what ends in between leaves a rule for nothing, which the next use of the name clears away.
      await this.#controlNow().sweep();
      await this.#setEncrypted([...this.#encrypted].filter((each) => each !== database));
    });
  }

  async sweep(): Promise<void> {
    await this.#alone(() => this.#controlNow().sweep());
  }

  /** Why this database cannot be encrypted, by its name. */
  refusalOf(database: string): string | undefined {
    return unusableName(database);
  }

  /** Of a database whose folders are not there: they are made as is said here. Durable when it resolves. */
  async setEncryption(database: string, on: boolean): Promise<void> {
    await this.#alone(async () => {
      await this.#refuseWhileThere(database);
      if (this.#encrypted.has(database) === on) return;
      const others = [...this.#encrypted].filter((each) => each !== database);
      await this.#setEncrypted(on ? [...others, database] : others);
    });
  }

  /** Whether all folders of a database that are there lie as its rules say. */
  async isAsItShouldBe(database: string): Promise<boolean> {
    const wanted = this.#encrypted.has(database) ? "sealed" : "plain";
    const { zones } = await this.#controlNow().keys();
    const its = zones.filter(({ path, destroyed }) => !destroyed && databaseAt(path.slice(1))?.name === database);
    if (its.some(({ protection }) => protection !== wanted)) return false;
    for (const folder of contentFolders) {
      const isZone = its.some(({ path }) => path === `/${folder}/${database}`);
      if (!isZone && (await isOnVolume(join(this.#volumeRoot, folder, database)))) return false;
    }
    return true;
  }

  /** Makes all that was written to the volume durable. */
  async sync(): Promise<void> {
    await this.#controlNow().sync();
  }

  /** For folders that are made from now on. Durable when it resolves. */
  async #setEncrypted(databases: readonly string[]): Promise<void> {
    const encrypted = new Set(databases);
    await this.#controlNow().setRules(rulesOf(encrypted));
    this.#encrypted = encrypted;
  }

  #controlNow(): ZoneControl {
    if (this.#control === undefined) throw new Error("the volume of the instance is not open at the moment: try again");
    return this.#control;
  }

  async #refuseWhileThere(database: string): Promise<void> {
    for (const folder of contentFolders) {
      const path = join(this.#volumeRoot, folder, database);
      if (await isOnVolume(path)) throw new Error(`its folder ${folder} is there still`);
    }
  }

  /** One change after the other. */
  #alone<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }
}

function sameRules(left: readonly ZoneRule[], right: readonly ZoneRule[]): boolean {
  const texts = (rules: readonly ZoneRule[]) => rules.map(({ pattern, becomes }) => `${becomes} ${pattern}`).sort();
  return texts(left).join("\n") === texts(right).join("\n");
}
