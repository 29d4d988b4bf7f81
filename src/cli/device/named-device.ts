import { join } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import type { Catalogue } from "../../devices/catalogue/read.ts";
import type { CryptoDevice, DeviceKeyChoice } from "../../devices/device.ts";
import type { NamedDevice } from "../../devices/device-secret.ts";
import { CommandFailure, exitCodes } from "../failure.ts";

/** Which list of devices a command works with. */
export interface CatalogueOptions {
  readonly data?: string;
  readonly devices?: string;
}

/** Adds the options that name the list of devices. */
export function withCatalogue(command: Command): Command {
  return command
    .option("--data <dir>", "data folder of a key manager: its devices.toml")
    .option("--devices <file>", "a devices.toml that lies elsewhere (mode 0600 or 0400, owned by you)");
}

/** @throws {CommandFailure} 2 unless one list is named. @throws {CatalogueError} */
export async function catalogueOf({ data, devices }: CatalogueOptions): Promise<Catalogue> {
  if ((data === undefined) === (devices === undefined))
    throw new CommandFailure(exitCodes.usage, "name the list of devices: --data DIR or --devices FILE, one of them");
  const { catalogueFileName, readCatalogue } = await import("../../devices/catalogue/read.ts");
  return readCatalogue(devices ?? join(data ?? "", catalogueFileName));
}

/** A device that a command has opened and closes again. */
export interface OpenedNamedDevice extends NamedDevice, AsyncDisposable {
  readonly device: CryptoDevice;
}

/** Opens a device of a list, in a process of its own where it has a library. */
export async function openDevice(catalogue: Catalogue, name: string): Promise<OpenedNamedDevice> {
  const { openNamedDevice } = await import("../../devices/catalogue/makers.ts");
  const device = await openNamedDevice(catalogue, name);
  return {
    name,
    device,
    catalogueSha256: catalogue.sha256,
    [Symbol.asyncDispose]: () => device[Symbol.asyncDispose](),
  };
}

export interface KeyChoiceOptions {
  readonly keyIndex?: number;
  readonly kekIndex?: number;
  readonly keyId?: string;
}

/** Adds the options that name a key in a device. */
export function withKeyChoice(command: Command): Command {
  return withKeyPairChoice(command).addOption(
    new Option("--kek-index <n>", "an existing key-encryption key of a card, by its index").argParser(index),
  );
}

/** Adds the options that name a key pair in a device. */
export function withKeyPairChoice(command: Command): Command {
  return command
    .addOption(new Option("--key-index <n>", "an existing key pair of a card, by its index").argParser(index))
    .option("--key-id <id>", "an existing key of a token, by its label or id:HEX; or of a KMS, by id, alias or ARN");
}

/** Undefined when none was named. @throws {CommandFailure} 2 for more than one. */
export function choiceOf({ keyIndex, kekIndex, keyId }: KeyChoiceOptions): DeviceKeyChoice | undefined {
  const named = Object.entries({ keyIndex, kekIndex, keyId }).filter(([, value]) => value !== undefined);
  if (named.length > 1)
    throw new CommandFailure(exitCodes.usage, "--key-index, --kek-index and --key-id name one key: give one of them");
  return named.length === 0 ? undefined : Object.fromEntries(named);
}

function index(text: string): number {
  const value = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (value < 1 || value > 65_535) throw new InvalidArgumentError("an index from 1 to 65535");
  return value;
}
