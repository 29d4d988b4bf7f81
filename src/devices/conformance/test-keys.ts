import { randomUUID } from "node:crypto";
import type { Context } from "../../crypto/context.ts";
import { isKeyPairSpec, type KeyPairSpecName, keySpecs, type MacSpecName } from "../../crypto/key-specs.ts";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import type { CryptoDevice, DeviceKey, DeviceKeyChoice, NewSpecifiedKey, SpecifiedDeviceKey } from "../device.ts";
import { DeviceError } from "../errors.ts";
import { NotSupported } from "./failures.ts";
import type { ConformanceSubject } from "./subject.ts";

/** Runs a check with every key that wraps; keys that the device makes for it are destroyed again. */
export async function eachWrappingKey(
  { device, wrappingKeys }: ConformanceSubject,
  use: (key: DeviceKey) => Promise<void>,
): Promise<void> {
  const [suite] = device.capabilities().suites;
  if (suite === undefined) throw new NotSupported("the device wraps nothing");
  for (const choice of choicesOr(wrappingKeys)) {
    const name = { keyId: randomUUID(), version: 1, suite };
    await using made = held(device, { ...name, material: await device.createKey(name, choice) });
    await use(made.key);
  }
}

/**
 * Runs a check with every key pair that signs.
 *
 * @param use - Gets the key, its SubjectPublicKeyInfo, and what asks the device for that again (undefined of a key that it made).
 */
export async function eachSigningKey(
  { device, signingKeys }: ConformanceSubject,
  use: (
    key: SpecifiedDeviceKey & { readonly spec: KeyPairSpecName },
    spki: Buffer,
    again: () => Promise<Buffer | undefined>,
  ) => Promise<void>,
): Promise<void> {
  const specs = device.capabilities().specs.filter(isKeyPairSpec);
  if (specs.length === 0) throw new NotSupported("the device does not sign");
  let signed = 0;
  for (const spec of specs)
    for (const choice of choicesOr(signingKeys)) {
      const name = { keyId: randomUUID(), version: 1, suite: keySpecs[spec].suite, spec, usage: "sign" } as const;
      const made = await newKey(device, name, choice);
      if (made === undefined) continue;
      const { material, spki } = made;
      await using holder = held(device, { ...name, material });
      if (spki === null) continue;
      signed += 1;
      await use(holder.key, spki, async () =>
        choice === undefined ? undefined : ((await device.createSpecifiedKey(name, choice)).spki ?? undefined),
      );
    }
  if (signed === 0) throw new NotSupported("no key pair signs");
}

/** Undefined for a key that is there and of another spec. */
async function newKey(
  device: CryptoDevice,
  name: Omit<SpecifiedDeviceKey, "material">,
  choice: DeviceKeyChoice | undefined,
): Promise<NewSpecifiedKey | undefined> {
  try {
    return await device.createSpecifiedKey(name, choice);
  } catch (error) {
    if (choice !== undefined && error instanceof DeviceError && error.code === "DEVICE_UNSUPPORTED") return undefined;
    throw error;
  }
}

/** A MAC key of the device's making. */
export async function newMacKey(
  { device }: ConformanceSubject,
  spec: MacSpecName,
): Promise<AsyncDisposable & { readonly key: SpecifiedDeviceKey }> {
  const name = { keyId: randomUUID(), version: 1, suite: keySpecs[spec].suite, spec, usage: "mac" } as const;
  const { material } = await device.createSpecifiedKey(name);
  return held(device, { ...name, material });
}

/** A box secret, held until the check ends. */
export async function sealed(
  device: CryptoDevice,
  key: DeviceKey,
  context: Context,
): Promise<Disposable & { readonly secret: SecretBuffer; readonly algorithm: number; readonly blob: Buffer }> {
  const made = await device.boxSecretToSeal(key, context);
  return { ...made, [Symbol.dispose]: () => made.secret[Symbol.dispose]() };
}

function choicesOr(keys: readonly DeviceKeyChoice[]): readonly (DeviceKeyChoice | undefined)[] {
  return keys.length === 0 ? [undefined] : keys;
}

/** What a device was given to hold for a check; a key that was there before is not destroyed by this, by the device's own word. */
function held<K extends DeviceKey>(device: CryptoDevice, key: K): AsyncDisposable & { readonly key: K } {
  return { key, [Symbol.asyncDispose]: () => device.destroyKey(key) };
}
