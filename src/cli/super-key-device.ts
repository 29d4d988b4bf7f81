import { isUtf8 } from "node:buffer";
import { readFileSync, statSync } from "node:fs";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { maxEnvelopeBytes, openEnvelope } from "../devices/device-envelope.ts";
import type { DeviceUsed } from "../devices/device-secret.ts";
import { catalogueOf, openDevice } from "./device/named-device.ts";
import { CommandFailure, exitCodes } from "./failure.ts";

/** The superKey in an envelope that a device opens. */
export interface SuperKeyDeviceOptions {
  /** Name of the device. */
  readonly device: string;
  /** File of the envelope, as `strongroom device envelope` makes it; it may be read by anyone. */
  readonly envelope: string;
  /** The `devices.toml` that names the device. */
  readonly devices: string;
}

/** A superKey that a device has opened, and by which list of devices it was found. */
export interface OpenedSuperKey {
  readonly superKey: SecretBuffer;
  readonly openedBy: DeviceUsed;
}

/**
 * Has the device open the envelope of a superKey, and lets the device go. The caller disposes of the superKey.
 *
 * @throws {CommandFailure} 2 for an envelope that cannot be read. @throws {CatalogueError} @throws {DeviceError} @throws {CryptoError}
 */
export async function superKeyFromDevice({
  device,
  envelope,
  devices,
}: SuperKeyDeviceOptions): Promise<OpenedSuperKey> {
  const bytes = readEnvelopeFile(envelope);
  const catalogue = await catalogueOf({ devices });
  await using named = await openDevice(catalogue, device);
  const secret = await openEnvelope(named, "super-key", bytes);
  if (secret.expose(isUtf8)) return { superKey: secret, openedBy: { name: device, catalogueSha256: catalogue.sha256 } };
  secret[Symbol.dispose]();
  throw new CommandFailure(exitCodes.usage, `the super key in ${envelope} is not UTF-8 text`);
}

/** @throws {CommandFailure} 2. */
export function readEnvelopeFile(path: string): Buffer {
  try {
    const found = statSync(path);
    if (found.isFile() && found.size <= maxEnvelopeBytes) return readFileSync(path);
  } catch (cause) {
    throw new CommandFailure(
      exitCodes.usage,
      `the envelope ${path} cannot be read: ${(cause as NodeJS.ErrnoException).code}`,
    );
  }
  throw new CommandFailure(exitCodes.usage, `${path} is not an envelope of a device`);
}
