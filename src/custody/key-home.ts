import { isSymmetricSpec } from "../crypto/key-specs.ts";
import type { DeviceKeyChoice } from "../devices/device.ts";
import type { Core } from "./core.ts";
import type { Devices, KeyHome } from "./devices.ts";
import { CustodyError } from "./errors.ts";
import type { KeyChoice } from "./new-key.ts";
import { mustServeOnePurpose, pairUsesOfKeys, pairUsesOfSlots } from "./pair-purpose.ts";
import type { CreateKeyInput, KeyOrigin } from "./service.ts";

/**
 * The origin that policies see of a new key. A card's and a token's are one to them (`AWS_CLOUDHSM`), so that a device need
 * not be looked up before it is known whether the caller may.
 *
 * @throws {CustodyError} `INPUT_INVALID` for a device beside another origin.
 */
export function originAskedFor({ origin, device, upstream }: CreateKeyInput): KeyOrigin {
  if (device === undefined) return origin ?? "soft";
  if (origin !== undefined || upstream !== undefined)
    throw new CustodyError("INPUT_INVALID", "a key in a card or token names the device, and no other origin");
  return "sdf";
}

/**
 * A request that names neither suite nor spec gets the device's own suite: a card's keys are of suite `sm`. A device that cannot be
 * looked up is refused later, once it is known whether the caller may.
 *
 * @param mayUseDevices - Whether the caller may put keys into devices: for anyone else none is looked up, so that no answer tells
 *   which there are.
 */
export function withSuiteOf(devices: Devices, input: CreateKeyInput, mayUseDevices: () => boolean): CreateKeyInput {
  if (input.device === undefined || input.suite !== undefined || input.spec !== undefined) return input;
  if (!mayUseDevices()) return input;
  try {
    return devices.kindOf(input.device.name) === "sdf" ? { ...input, suite: "sm" } : input;
  } catch {
    return input;
  }
}

/** Where a new key is to live. @throws {CustodyError} `KEY_UNSUPPORTED`, `DEVICE_REFUSED`. */
export function homeOf(devices: Devices, input: CreateKeyInput): KeyHome {
  if (input.device === undefined) return { origin: originAskedFor(input) };
  return { origin: devices.kindOf(input.device.name), device: input.device.name };
}

/**
 * Keeps a card's key pair to one purpose, as {@link mustServeOnePurpose} says, among the keys and the key slots that there are.
 *
 * @throws {CustodyError} `INPUT_INVALID`.
 */
export function mustHaveOnePurpose(
  { devices, directory, slotNotes }: Pick<Core, "devices" | "directory" | "slotNotes">,
  { origin, device: name }: KeyHome,
  { device }: CreateKeyInput,
  { spec }: KeyChoice,
): void {
  if (origin !== "sdf" || name === undefined || device?.keyIndex === undefined) return;
  const purpose = isSymmetricSpec(spec) ? "wraps" : "itself";
  const held = [...pairUsesOfKeys(directory.all()), ...pairUsesOfSlots(slotNotes())];
  mustServeOnePurpose({ device: name, keyIndex: device.keyIndex, purpose }, held, (each) => devices.membersOf(each));
}

/** Which key of the device is meant. @throws {CustodyError} `INPUT_INVALID` when it is named in more than one way. */
export function choiceInDevice({ device }: CreateKeyInput): DeviceKeyChoice | undefined {
  if (device === undefined) return undefined;
  const { name: _, ...choice } = device;
  const named = Object.keys(choice).length;
  if (named > 1) throw new CustodyError("INPUT_INVALID", "a key in a device is named in one way: an index, or its id");
  return named === 0 ? undefined : choice;
}

/** What the audit record says of a new key's device. */
export function deviceDetail({ device }: CreateKeyInput): Record<string, string | number> {
  if (device === undefined) return {};
  const { name, keyIndex, kekIndex, keyId } = device;
  return {
    device: name.slice(0, 64),
    ...(keyIndex === undefined ? {} : { keyIndex }),
    ...(kekIndex === undefined ? {} : { kekIndex }),
    ...(keyId === undefined ? {} : { deviceKey: keyId.slice(0, 128) }),
  };
}
