import type { DeviceKeyNote } from "../devices/device-secret.ts";
import { readMaterial } from "../devices/sdf/material.ts";
import { CustodyError } from "./errors.ts";
import type { KeyRecord } from "./state/records.ts";

/** What a card's key pair of one index is used for by one key of ours. */
export interface PairUse {
  /** Name of the device. */
  readonly device: string;
  readonly keyIndex: number;
  /** `wraps`: master keys, key slots. `itself`: a signing or encryption key pair that callers use. */
  readonly purpose: "wraps" | "itself";
  /** Who uses it so, for the message. */
  readonly by: string;
}

/** The key pairs of cards that these keys stand for. */
export function pairUsesOfKeys(keys: Iterable<KeyRecord>): readonly PairUse[] {
  return [...keys].flatMap(({ id, device, versions }) =>
    device === undefined
      ? []
      : versions.flatMap(({ material }) => (material === null ? [] : pairUse(device, material, `key ${id}`))),
  );
}

/** The key pairs of cards that key slots are wrapped by. */
export function pairUsesOfSlots(notes: Iterable<DeviceKeyNote>): readonly PairUse[] {
  return [...notes].flatMap(({ name, material }) => pairUse(name, material, "a key slot"));
}

/**
 * Keeps a card's key pair to one purpose. What proves a wrap is a signature of the index's own signing key: who may have any
 * digest signed by it could make wraps. And what its encryption key decrypts are the secrets of wraps.
 *
 * @param cardsOf - The cards behind a device's name, as a set stands for several.
 * @throws {CustodyError} `INPUT_INVALID` when a key or slot uses the pair for the other purpose.
 */
export function mustServeOnePurpose(
  wanted: Omit<PairUse, "by">,
  held: Iterable<PairUse>,
  cardsOf: (device: string) => readonly string[],
): void {
  const cards = new Set(cardsOf(wanted.device));
  for (const { device, keyIndex, purpose, by } of held) {
    if (keyIndex !== wanted.keyIndex || purpose === wanted.purpose) continue;
    if (!cardsOf(device).some((card) => cards.has(card))) continue;
    throw new CustodyError(
      "INPUT_INVALID",
      `key index ${keyIndex} of ${wanted.device} ${purpose === "wraps" ? "wraps" : "signs or decrypts"} for ${by} already: a card's key pair serves one purpose, take another index`,
    );
  }
}

/** One use, or none for material of another kind. */
function pairUse(device: string, material: string, by: string): readonly PairUse[] {
  const key = { keyId: by, version: 1, suite: "sm", material: Buffer.from(material, "base64") } as const;
  try {
    const { scheme, keyIndex } = readMaterial(key, ["sm2-envelope", "sm2-key"]);
    return [{ device, keyIndex, purpose: scheme === "sm2-envelope" ? "wraps" : "itself", by }];
  } catch {
    return [];
  }
}
