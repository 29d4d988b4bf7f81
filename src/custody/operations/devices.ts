import type { DeviceEntry } from "../../devices/catalogue/entry.ts";
import { CatalogueError } from "../../devices/catalogue/errors.ts";
import type { DeviceShelf, ShelvedDevice } from "../../devices/catalogue/shelf.ts";
import type { CustodyDeviceOperations, DeviceStateDescription, ObservedDevices } from "../contract/devices.ts";
import { type Core, performOnAccount } from "../core.ts";
import { CustodyError } from "../errors.ts";
import type { Caller } from "../service.ts";
import { change } from "../state/records.ts";

/** Name of the state's record that holds the SHA-256 of the `devices.toml` that is trusted. */
export const trustedDevicesName = "trusted-devices";

/** The cards and tokens of this key manager, and which list of them is trusted. */
export class CustodyDevices implements CustodyDeviceOperations {
  readonly #core: Core;
  readonly #shelf: DeviceShelf | undefined;

  constructor(core: Core, shelf: DeviceShelf | undefined) {
    this.#core = core;
    this.#shelf = shelf;
  }

  async list(caller: Caller): Promise<readonly DeviceStateDescription[]> {
    return performOnAccount(this.#core, caller, { action: "strongroom:ListDevices" }, async () => {
      return { value: await asInput(() => this.#described()) };
    });
  }

  async observed(): Promise<ObservedDevices> {
    try {
      const devices = await this.#described();
      return { trust: this.#trust(), devices };
    } catch (error) {
      if (!(error instanceof CatalogueError)) throw error;
      return { trust: "untrusted", devices: [] };
    }
  }

  async #described(): Promise<readonly DeviceStateDescription[]> {
    const states = (await this.#shelf?.states()) ?? [];
    const trust = this.#trust();
    return states.map((each) => describe(each, trust));
  }

  #trust(): "trusted" | "changed" {
    return this.#shelf === undefined || this.#shelf.isAsTrusted() ? "trusted" : "changed";
  }

  async trust(caller: Caller, sha256: string): Promise<readonly string[]> {
    const subject = {
      action: "strongroom:TrustDevices" as const,
      detail: { sha256: sha256.slice(0, 64) } as Record<string, string>,
    };
    const names = await performOnAccount(this.#core, caller, subject, async () => {
      const shelf = this.#shelf;
      if (shelf === undefined) throw new CustodyError("KEY_UNSUPPORTED", "this key manager has no devices.toml");
      const found = await asInput(async () => shelf.read());
      if (found.sha256 !== sha256)
        throw new CustodyError(
          "INPUT_INVALID",
          `${found.file} has SHA-256 ${found.sha256}, not the one that was given`,
        );
      const entries = [...found.entries.values()];
      subject.detail = { sha256, devices: entries.map(inShort).join("; ").slice(0, 2048) };
      return {
        value: entries.map(({ name }) => name),
        changes: [change("public", trustedDevicesName, { value: sha256 })],
      };
    });
    await this.#shelf?.trustedAnew();
    return names;
  }
}

/** A file that is wrong is told as what was asked for: the caller is an administrator. */
async function asInput<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof CatalogueError)) throw error;
    const code = error.code === "CATALOGUE_UNTRUSTED" ? "DEVICE_REFUSED" : "INPUT_INVALID";
    throw new CustodyError(code, error.message, error, { upstream: error.code });
  }
}

function describe(
  { entry, health, uses, failures, processStarts, breakerOpen }: ShelvedDevice,
  trust: DeviceStateDescription["trust"],
): DeviceStateDescription {
  const { state, detail, sessions = 0, queue = 0, lastError } = health;
  return {
    name: entry.name,
    kind: entry.kind,
    library: "library" in entry ? entry.library : null,
    members: entry.kind === "set" ? entry.members : [],
    state,
    detail,
    trust,
    pinned: "library_sha256" in entry,
    sessions,
    queue,
    breakerOpen,
    uses,
    failures,
    processStarts,
    lastError:
      lastError === undefined ? null : { kind: lastError.kind, code: lastError.code, message: lastError.message },
  };
}

function inShort(entry: DeviceEntry): string {
  if (entry.kind === "set") return `${entry.name}: set of ${entry.members.join(", ")}`;
  return `${entry.name}: ${entry.kind}${"library" in entry ? ` ${entry.library}` : ""}`;
}
