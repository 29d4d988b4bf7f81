import { randomUUID } from "node:crypto";
import { openBox, readBoxHeader, sealBox } from "../crypto/sealed-box.ts";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { suites } from "../crypto/suite.ts";
import type { DeviceKeyChoice, UpstreamKeyChoice } from "./device.ts";
import {
  type DeviceKeyNote,
  deviceKeyNoteOf,
  type NamedDevice,
  newDeviceSecret,
  noteContext,
  openDeviceSecret,
} from "./device-secret.ts";
import { DeviceError } from "./errors.ts";

/** What an envelope's secret is for; one of another purpose does not open. */
export type EnvelopePurpose = "super-key" | "secret";

const format = "strongroom-device-envelope/1";
/** Of the secret in an envelope, in bytes. */
export const maxEnvelopeSecretBytes = 4096;
export const maxEnvelopeBytes = 64 * 1024;

/**
 * Seals a secret under a key of a device, for a file that may lie on a disk: JSON with the device key's note and a sealed box of
 * type `state` that is bound to the purpose and to all of the note.
 *
 * @param choice - An existing key of the device; by default the device makes one, where it does.
 * @throws {RangeError} For a secret that is empty or over 4096 bytes. @throws {DeviceError}
 */
export async function sealEnvelope(
  named: NamedDevice,
  purpose: EnvelopePurpose,
  secret: SecretBuffer,
  choice?: DeviceKeyChoice | UpstreamKeyChoice,
): Promise<Buffer> {
  if (secret.byteLength < 1 || secret.byteLength > maxEnvelopeSecretBytes)
    throw new RangeError(`an envelope holds 1 to ${maxEnvelopeSecretBytes} bytes, got ${secret.byteLength}`);
  const { secret: boxSecret, algorithm, blob, note } = await newDeviceSecret(named, choice, deviceContext(purpose));
  using held = boxSecret;
  const header = {
    suite: suites[note.suite],
    type: "state",
    keyId: randomUUID(),
    keyVersion: 1,
    deviceAlgorithm: algorithm,
    deviceBlob: blob,
  } as const;
  const box = secret.expose((bytes) => sealBox(header, held, boundTo(purpose, note), bytes));
  return Buffer.from(`${JSON.stringify({ format, purpose, device: note, box: box.toString("base64") }, null, 1)}\n`);
}

/**
 * Opens what {@link sealEnvelope} sealed. The caller disposes of it.
 *
 * @throws {DeviceError} `KEY_DAMAGED` for bytes that are no envelope, `DEVICE_UNSUPPORTED` for one of another device or purpose,
 *   and what the device fails with.
 * @throws {CryptoError} `BOX_REFUSED` when anything in it is another than what was sealed.
 */
export async function openEnvelope(
  named: NamedDevice,
  purpose: EnvelopePurpose,
  envelope: Uint8Array,
): Promise<SecretBuffer> {
  const read = readEnvelope(envelope);
  if (read.note.name !== named.name || read.purpose !== purpose)
    throw new DeviceError(
      "DEVICE_UNSUPPORTED",
      `the envelope is for device ${read.note.name} and purpose ${read.purpose}, not ${named.name} and ${purpose}`,
    );
  using secret = await openDeviceSecret(named, read.note, readBoxHeader(read.box), deviceContext(purpose));
  return openBox(read.box, "state", secret, boundTo(purpose, read.note));
}

/** The device that an envelope is for. @throws {DeviceError} `KEY_DAMAGED`. */
export function deviceOfEnvelope(envelope: Uint8Array): string {
  return readEnvelope(envelope).note.name;
}

interface ReadEnvelope {
  readonly purpose: EnvelopePurpose;
  readonly note: DeviceKeyNote;
  readonly box: Buffer;
}

function readEnvelope(envelope: Uint8Array): ReadEnvelope {
  const damaged = (cause?: unknown) => new DeviceError("KEY_DAMAGED", "this is not an envelope of a device", cause);
  if (envelope.length > maxEnvelopeBytes) throw damaged();
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(envelope).toString("utf8"));
  } catch (cause) {
    throw damaged(cause);
  }
  if (typeof value !== "object" || value === null) throw damaged();
  const { format: read, purpose, device, box, ...others } = value as Record<string, unknown>;
  const note = deviceKeyNoteOf(device);
  if (read !== format || note === undefined || typeof box !== "string" || Object.keys(others).length > 0)
    throw damaged();
  if (purpose !== "super-key" && purpose !== "secret") throw damaged();
  return { purpose, note, box: Buffer.from(box, "base64") };
}

function deviceContext(purpose: EnvelopePurpose): Record<string, string> {
  return { purpose: `strongroom envelope: ${purpose}` };
}

function boundTo(purpose: EnvelopePurpose, note: DeviceKeyNote): Record<string, string> {
  return { ...noteContext(note), purpose };
}
