import type { Command } from "commander";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import type { NamedDevice } from "../devices/device-secret.ts";
import { catalogueOf, openDevice } from "./device/named-device.ts";
import { CommandFailure, exitCodes } from "./failure.ts";
import { readUnlockSecret, type UnlockOptions, withUnlock } from "./unlock-secret.ts";

/** What opens a data folder's root key: an unlock secret, or a device that has a key slot. */
export interface DataUnlockOptions extends UnlockOptions {
  readonly unlockDevice?: string;
}

/** {@link withUnlock}, and `--unlock-device`. */
export function withDataUnlock(command: Command): Command {
  return withUnlock(command).option(
    "--unlock-device <name>",
    "a device of the folder's devices.toml that has a key slot, in place of an unlock secret",
  );
}

/** What opens the folder, for as long as it takes to open it. */
export interface HeldUnlock extends AsyncDisposable {
  readonly unlock: SecretBuffer | NamedDevice;
}

/**
 * Reads the unlock secret, or opens the device. Disposing of it wipes the one and closes the other.
 *
 * @throws {CommandFailure} 2 for both at once, or no source. @throws {CatalogueError} @throws {DeviceError}
 */
export async function readUnlock(data: string, options: DataUnlockOptions): Promise<HeldUnlock> {
  const { unlockDevice: name } = options;
  if (name === undefined) {
    const unlock = await readUnlockSecret(options);
    return { unlock, [Symbol.asyncDispose]: async () => unlock[Symbol.dispose]() };
  }
  if (options.unlockFile !== undefined || options.unlockFd !== undefined)
    throw new CommandFailure(exitCodes.usage, "--unlock-device takes the place of --unlock-file and --unlock-fd");
  const unlock = await openDevice(await catalogueOf({ data }), name);
  return { unlock, [Symbol.asyncDispose]: () => unlock[Symbol.asyncDispose]() };
}
