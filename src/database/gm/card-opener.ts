import { randomUUID } from "node:crypto";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import type { SdfEntry } from "../../devices/catalogue/entry.ts";
import type { Catalogue } from "../../devices/catalogue/read.ts";
import { checkLibrary } from "../../devices/catalogue/safe-file.ts";
import type { SpecifiedDeviceKey } from "../../devices/device.ts";
import { DeviceError } from "../../devices/errors.ts";
import { openSdfDevice, type SdfDevice } from "../../devices/sdf/device.ts";
import { DatabaseError } from "../errors.ts";
import type { SubKeyOpener } from "./sub-key-envelope.ts";

export interface CardChoice {
  readonly catalogue: Pick<Catalogue, "entries" | "file">;
  /** Name of the card in the catalogue; may be left out where it names one only. */
  readonly device: string | undefined;
  /** `04 ‖ X ‖ Y` of an encryption key pair in the card, by which its index is found. */
  readonly publicKey: Buffer;
  /** The pincode is the card's PIN; stays the caller's. What the catalogue says of a PIN is not used. */
  readonly pincode: SecretBuffer;
}

/**
 * Opens envelopes with a key pair in a GM/T 0018 card, which its private half never leaves.
 *
 * @throws {DatabaseError} `SETTINGS_INVALID` when the catalogue names no such card, `MASTER_KEY_MISMATCH` when none of the
 *   card's key indices shows the public key.
 * @throws {DeviceError} What the card or its library fails with: `DEVICE_PIN_REFUSED` for a wrong pincode.
 * @throws {CatalogueError} When the library could have been changed by others.
 */
export async function cardOpener({ catalogue, device, publicKey, pincode }: CardChoice): Promise<SubKeyOpener> {
  const entry = cardOf(catalogue, device);
  checkLibrary(entry.library, entry.library_sha256);
  const card = await openSdfDevice({
    name: `device ${entry.name}`,
    library: entry.library,
    ...(entry.library_sha256 === undefined ? {} : { librarySha256: entry.library_sha256 }),
    profile: entry.profile,
    keyIndices: entry.key_indices,
    pin: { secret: pincode },
    environment: entry.environment,
    // One call after the other: a second session would only be opened for nothing.
    pool: { minSessions: 1, maxSessions: 1, callDeadlineMs: entry.call_timeout_ms },
  });
  try {
    const key = await keyOf(card, entry, publicKey);
    return {
      publicKey,
      open: (envelope) => card.decrypt(key, "SM2PKE", envelope),
      [Symbol.asyncDispose]: () => card[Symbol.asyncDispose](),
    };
  } catch (error) {
    await card[Symbol.asyncDispose]();
    throw error;
  }
}

function cardOf({ entries, file }: CardChoice["catalogue"], name: string | undefined): SdfEntry {
  const cards = [...entries.values()].filter((entry) => entry.kind === "sdf");
  const named = name === undefined ? cards : cards.filter((card) => card.name === name);
  const [card] = named;
  if (card !== undefined && named.length === 1) return card;
  const known = cards.map((each) => each.name).join(", ") || "none";
  throw new DatabaseError(
    "SETTINGS_INVALID",
    name === undefined ? `${file} names ${cards.length} cards of kind sdf, not one` : `${file} names no card ${name}`,
    { hint: `its cards: ${known}` },
  );
}

async function keyOf(card: SdfDevice, entry: SdfEntry, publicKey: Buffer): Promise<SpecifiedDeviceKey> {
  const named = { keyId: randomUUID(), version: 1, suite: "sm", spec: "SM2", usage: "encrypt" } as const;
  for (const keyIndex of entry.key_indices) {
    const found = await keyAt(card, named, keyIndex);
    if (found?.spki?.subarray(-publicKey.length).equals(publicKey)) return { ...named, material: found.material };
  }
  throw new DatabaseError(
    "MASTER_KEY_MISMATCH",
    `card ${entry.name} shows the public key at none of its key_indices (${entry.key_indices.join(", ") || "none"})`,
    { hint: "envelopes are for the encryption key pair of an index" },
  );
}

/** Undefined for an index without a key pair. */
async function keyAt(card: SdfDevice, named: Omit<SpecifiedDeviceKey, "material">, keyIndex: number) {
  try {
    return await card.createSpecifiedKey(named, { keyIndex });
  } catch (error) {
    if (error instanceof DeviceError && error.code === "DEVICE_KEY_NOT_FOUND") return undefined;
    throw error;
  }
}
