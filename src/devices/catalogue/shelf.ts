import { existsSync } from "node:fs";
import type { CryptoDevice, DeviceHealth } from "../device.ts";
import { type DeviceCounts, DeviceFigures } from "./device-figures.ts";
import type { DeviceEntry } from "./entry.ts";
import { CatalogueError } from "./errors.ts";
import { DeviceHolder } from "./holder.ts";
import type { TellOfDevice } from "./native.ts";
import { type Catalogue, entryOf, kindOf, membersOf, readCatalogue } from "./read.ts";

/** Opens the device of a name. */
export type OpenDevice = (catalogue: Catalogue, name: string, tell: TellOfDevice) => Promise<CryptoDevice>;

/** A device of the list that is in force, and how it is. */
export interface ShelvedDevice extends DeviceCounts {
  readonly entry: DeviceEntry;
  readonly health: DeviceHealth;
}

/**
 * The devices that a `devices.toml` names, each opened at its first use, and only while the file is the one that an
 * administrator trusted: the libraries in it are code that gets PINs and sees box secrets. What was read stays in force until
 * another file is trusted; a file that is changed meanwhile changes nothing.
 */
export class DeviceShelf {
  readonly #file: string;
  readonly #open: OpenDevice;
  readonly #trusted: () => string | undefined;
  readonly #holders = new Map<string, DeviceHolder>();
  readonly figures: DeviceFigures = new DeviceFigures();
  #catalogue: Catalogue | undefined;
  /** SHA-256 of the list by which the devices that are open were opened. */
  #holdersOf: string | undefined;

  /** @param trusted - SHA-256 of the file that is trusted now, hex. */
  constructor(file: string, trusted: () => string | undefined, open: OpenDevice) {
    this.#file = file;
    this.#trusted = trusted;
    this.#open = open;
  }

  /** The file as it lies there, trusted or not. @throws {CatalogueError} */
  read(): Catalogue {
    return readCatalogue(this.#file);
  }

  /** What is in force; undefined when there is no file and none was ever trusted. @throws {CatalogueError} `CATALOGUE_UNTRUSTED`. */
  inForce(): Catalogue | undefined {
    const trusted = this.#trusted();
    if (this.#catalogue !== undefined && this.#catalogue.sha256 === trusted) return this.#catalogue;
    if (trusted === undefined && !existsSync(this.#file)) return undefined;
    const found = this.read();
    if (found.sha256 !== trusted)
      throw new CatalogueError(
        "CATALOGUE_UNTRUSTED",
        `${this.#file} is not the list of devices that an administrator trusted: look at it, then strongroom device trust`,
      );
    if (this.#holdersOf !== found.sha256) this.#putAway();
    [this.#catalogue, this.#holdersOf] = [found, found.sha256];
    return found;
  }

  /** The kind of the keys of a device. @throws {CatalogueError} `DEVICE_UNKNOWN`, `CATALOGUE_UNTRUSTED`. */
  kindOf(name: string): "sdf" | "pkcs11" | "aws-kms" {
    return kindOf(this.#need(name), name);
  }

  /** The names of the devices behind a name: a set's members, or itself, also of a device that is no longer named. */
  membersOf(name: string): readonly string[] {
    const catalogue = this.inForce();
    if (catalogue === undefined || !catalogue.entries.has(name)) return [name];
    return membersOf(catalogue, name).map((member) => member.name);
  }

  /**
   * Has what is trusted read again, and devices that are not well opened anew at their next use: an administrator has said so,
   * perhaps because the PIN in a file is right now.
   */
  async trustedAnew(): Promise<void> {
    for (const [name, holder] of this.#holders) {
      if ((await holder.settledHealth()).state === "ready") continue;
      this.#holders.delete(name);
      void holder.close().catch(() => {});
    }
    // A list that was read anew has forgotten which PINs were refused.
    this.#catalogue = undefined;
    try {
      this.inForce();
    } catch (error) {
      if (!(error instanceof CatalogueError)) throw error;
    }
  }

  /** The open device of this name, lent. @throws {CatalogueError} and what kept it from being opened. */
  async device(name: string): Promise<CryptoDevice> {
    return await this.#holder(name).open();
  }

  /** Every device with its state, without opening any. @throws {CatalogueError} `CATALOGUE_UNTRUSTED`. */
  async states(): Promise<readonly ShelvedDevice[]> {
    const entries = [...(this.inForce()?.entries.values() ?? [])];
    this.figures.keepOnly(new Set(entries.map(({ name }) => name)));
    return await Promise.all(
      entries.map(async (entry) => ({
        entry,
        ...this.figures.of(entry.name),
        health: await this.#holder(entry.name).health(),
      })),
    );
  }

  /** Whether the file that lies there now is the one that is in force. One that can't be read is not. */
  isAsTrusted(): boolean {
    const trusted = this.#trusted();
    if (trusted === undefined) return !existsSync(this.#file);
    try {
      return this.read().sha256 === trusted;
    } catch (error) {
      if (error instanceof CatalogueError) return false;
      throw error;
    }
  }

  /** Closes every device that is open. */
  async close(): Promise<void> {
    await Promise.all([...this.#holders.values()].map((holder) => holder.close()));
    this.#holders.clear();
  }

  #need(name: string): Catalogue {
    const catalogue = this.inForce() ?? {
      file: this.#file,
      entries: new Map(),
      sha256: "",
      at: (path: string) => path,
    };
    entryOf(catalogue, name);
    return catalogue;
  }

  #holder(name: string): DeviceHolder {
    const catalogue = this.#need(name);
    return this.#holders.getOrInsertComputed(
      name,
      () => new DeviceHolder(name, () => this.#open(catalogue, name, this.figures.tell)),
    );
  }

  /** Another file is trusted now: calls that run end with their devices, which nobody trusts any more. */
  #putAway(): void {
    for (const holder of this.#holders.values()) void holder.close().catch(() => {});
    this.#holders.clear();
  }
}
