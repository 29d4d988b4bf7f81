import { algorithmsOf, isKeyPairSpec, isMacSpec, isSymmetricSpec } from "../crypto/key-specs.ts";
import type { SpecifiedDeviceKey } from "../devices/device.ts";
import { CustodyError } from "./errors.ts";
import { mustBeUsable, mustEncrypt } from "./key-states.ts";
import type { KeyUsage } from "./service.ts";
import type { KeyRecord, KeyVersionRecord } from "./state/records.ts";

/**
 * Refuses to use a key for what it was not made for, or in a state in which it is of no use.
 *
 * @throws {CustodyError} `KEY_USAGE_INVALID`, `ALGORITHM_INVALID`, `KEY_DISABLED`, `KEY_STATE_INVALID`.
 */
export function mustAllow(key: KeyRecord, usage: KeyUsage, algorithm: string): void {
  if (key.usage !== usage)
    throw new CustodyError(
      "KEY_USAGE_INVALID",
      `master key ${key.id} is for usage ${key.usage}, this needs ${usage}`,
      undefined,
      { keyId: key.id, usage: key.usage },
    );
  if (!algorithmsOf(key.spec, key.usage).includes(algorithm)) throw incompatible(key, algorithm);
  mustBeUsable(key);
}

/**
 * Refuses to seal or open a box under a key that is not a symmetric one: no other takes a context.
 *
 * @throws {CustodyError} `KEY_USAGE_INVALID`, `ALGORITHM_INVALID`, `KEY_DISABLED`, `KEY_STATE_INVALID`.
 */
export function mustWrap(key: KeyRecord): void {
  mustEncrypt(key);
  if (!isSymmetricSpec(key.spec)) throw incompatible(key, "SYMMETRIC_DEFAULT");
  mustBeUsable(key);
}

function incompatible(key: KeyRecord, algorithm: string): CustodyError {
  return new CustodyError(
    "ALGORITHM_INVALID",
    `Algorithm ${algorithm} is incompatible with key spec ${key.spec}.`,
    undefined,
    { keyId: key.id },
  );
}

/** Records are never changed in place, so what was made of one stays true. */
const deviceKeys = new WeakMap<KeyVersionRecord, SpecifiedDeviceKey>();

/**
 * A key pair or MAC key as its device knows it. Such a key has one version.
 *
 * @throws {CustodyError} `KEY_STATE_INVALID` when its material is gone.
 */
export function specifiedDeviceKey(key: KeyRecord): SpecifiedDeviceKey {
  const { id: keyId, suite, spec, usage } = key;
  const [version] = key.versions;
  if (version?.material == null || !(isKeyPairSpec(spec) || isMacSpec(spec)))
    throw new CustodyError("KEY_STATE_INVALID", `master key ${keyId} has no material`);
  const material = version.material;
  return deviceKeys.getOrInsertComputed(version, () => ({
    keyId,
    version: version.version,
    suite,
    spec,
    usage,
    material: Buffer.from(material, "base64"),
  }));
}

/** SubjectPublicKeyInfo of a key pair. @throws {CustodyError} `KEY_UNSUPPORTED` for a key that has no public half. */
export function publicKeyOf(key: KeyRecord): Buffer {
  if (key.publicKey === null)
    throw new CustodyError("KEY_UNSUPPORTED", `master key ${key.id} of spec ${key.spec} has no public key`, undefined, {
      keyId: key.id,
    });
  return Buffer.from(key.publicKey, "base64");
}
