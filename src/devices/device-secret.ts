import { randomUUID } from "node:crypto";
import type { Context } from "../crypto/context.ts";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import type { SuiteName } from "../crypto/suite.ts";
import type { BoxSecret, CryptoDevice, DeviceKey, DeviceKeyChoice, UpstreamKeyChoice } from "./device.ts";
import { DeviceError } from "./errors.ts";

/** A device by what it is called in `devices.toml`. */
export interface DeviceUsed {
  readonly name: string;
  /** SHA-256 of the `devices.toml` that names it, hex: for whoever opens the key manager by it to check afterwards. */
  readonly catalogueSha256?: string;
}

/** A device that is open, lent. */
export interface NamedDevice extends DeviceUsed {
  readonly device: CryptoDevice;
}

/** Which key of which device wraps the secret of a box that stands outside every store: a key slot, an envelope. */
export interface DeviceKeyNote {
  /** The device's name. */
  readonly name: string;
  /** The key as the device knows it; `material` is base64. */
  readonly keyId: string;
  readonly suite: SuiteName;
  readonly material: string;
}

/**
 * A box secret under a key of a device.
 *
 * @param choice - An existing key of the device; by default the device makes one, where it does.
 * @param context - What the device binds its blob to, where it can.
 * @returns The caller disposes of `secret`.
 * @throws {DeviceError} `DEVICE_UNSUPPORTED` for a device whose blobs anyone could make: whoever writes the file could then put
 *   a secret of his own in place of ours.
 */
export async function newDeviceSecret(
  { name, device }: NamedDevice,
  choice: DeviceKeyChoice | UpstreamKeyChoice | undefined,
  context: Context,
): Promise<BoxSecret & { readonly note: DeviceKeyNote }> {
  const { suites, authenticatesBlobs } = device.capabilities();
  const [suite] = suites;
  if (suite === undefined || !authenticatesBlobs)
    throw new DeviceError(
      "DEVICE_UNSUPPORTED",
      `device ${name} cannot prove who wrapped a secret: use another key of it`,
    );
  const key = { keyId: randomUUID(), version: 1, suite };
  const material = await device.createKey(key, choice);
  const boxSecret = await device.boxSecretToSeal({ ...key, material }, context);
  return { ...boxSecret, note: { name, keyId: key.keyId, suite, material: material.toString("base64") } };
}

/**
 * The secret of a box whose note names this device. The caller disposes of it.
 *
 * @throws {CryptoError} `BOX_REFUSED`. @throws {DeviceError}
 */
export function openDeviceSecret(
  { device }: NamedDevice,
  note: DeviceKeyNote,
  { deviceAlgorithm, deviceBlob }: { readonly deviceAlgorithm: number; readonly deviceBlob: Uint8Array },
  context: Context,
): Promise<SecretBuffer> {
  return device.boxSecretToOpen(deviceKeyOf(note), deviceAlgorithm, deviceBlob, context);
}

/** What the box is bound to of its device key, beside its own context. */
export function noteContext({ name, keyId, suite, material }: DeviceKeyNote): Context {
  return { device: name, deviceKey: keyId, deviceSuite: suite, deviceMaterial: material };
}

/** Reads a note from outside; undefined for what is none. */
export function deviceKeyNoteOf(value: unknown): DeviceKeyNote | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { name, keyId, suite, material, ...others } = value as Record<string, unknown>;
  if (Object.keys(others).length > 0 || (suite !== "intl" && suite !== "sm")) return undefined;
  if (typeof name !== "string" || !/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(name)) return undefined;
  if (typeof keyId !== "string" || !/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(keyId)) return undefined;
  if (typeof material !== "string" || material.length > 8192 || !/^[A-Za-z0-9+/]*={0,2}$/.test(material))
    return undefined;
  return { name, keyId, suite, material };
}

function deviceKeyOf({ keyId, suite, material }: DeviceKeyNote): DeviceKey {
  return { keyId, version: 1, suite, material: Buffer.from(material, "base64") };
}
