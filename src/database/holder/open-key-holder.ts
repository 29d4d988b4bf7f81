import { closeSync, constants, openSync, readSync } from "node:fs";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { DatabaseError } from "../errors.ts";
import { maxPrivateKeyTextCharacters, openPrivateKey } from "../gm/private-key.ts";
import { softOpener } from "../gm/sub-key-envelope.ts";
import type { EncryptionSettings } from "../settings.ts";
import { holderOver, type OpenedKeyHolder } from "./opened-holder.ts";

/** What a master key is opened with, beside its settings. */
export interface KeyHolderNeeds {
  /** For gm-soft the private key's, for gm-rk the card's PIN; stays the caller's. A key manager asks for none. */
  readonly pincode?: SecretBuffer | undefined;
  /** The instance's folder, where the master key of the provider key-manager is kept, wrapped by the key manager. */
  readonly dataFolder: string;
}

/**
 * Opens the master key that the settings name. A wrong pincode is refused here, before anything else is opened: the public key
 * is computed anew from the private one (gm-soft), the card is logged in to (gm-rk), the key manager is asked (key-manager).
 *
 * @returns To be disposed of after the volume that uses it.
 * @throws {DatabaseError} `PRIVATE_KEY_REFUSED` for a wrong pincode, `PINCODE_INVALID` when none is given where one is needed,
 *   `SETTINGS_INVALID`, `MASTER_KEY_MISMATCH`, `INSTANCE_DAMAGED`.
 * @throws {DeviceError} `DEVICE_PIN_REFUSED`, and what else a card fails with. @throws {ClientError} What a key manager answers.
 */
export async function openKeyHolder(
  settings: EncryptionSettings,
  { pincode, dataFolder }: KeyHolderNeeds,
): Promise<OpenedKeyHolder> {
  switch (settings.provider) {
    case "gm-soft": {
      const { publicKey, privateKeyFile } = settings;
      using scalar = await openPrivateKey({
        text: readPrivateKeyText(privateKeyFile),
        publicKey,
        pincode: needed(pincode, "the private key is encrypted under a pincode"),
      });
      return holderOver(await softOpener(scalar, publicKey));
    }
    case "gm-rk": {
      const { publicKey, device, devicesFile } = settings;
      const pin = needed(pincode, "the card's PIN is the pincode");
      // Loads the card's library only where there is a card.
      const [{ cardOpener }, { readCatalogue }] = await Promise.all([
        import("../gm/card-opener.ts"),
        import("../../devices/catalogue/read.ts"),
      ]);
      return holderOver(await cardOpener({ catalogue: readCatalogue(devicesFile), device, publicKey, pincode: pin }));
    }
    case "key-manager": {
      const { openKeyManagerHolder } = await import("./key-manager-holder.ts");
      return openKeyManagerHolder(settings, dataFolder);
    }
  }
}

function needed(pincode: SecretBuffer | undefined, why: string): SecretBuffer {
  if (pincode !== undefined) return pincode;
  throw new DatabaseError("PINCODE_INVALID", `no pincode was given, and ${why}`, {
    hint: "set pincode-file in [security.encryption], or FCTSDB_PINCODE",
  });
}

/** Ciphertext: it may be read by whoever can. @throws {DatabaseError} `SETTINGS_INVALID` when it cannot be read. */
export function readPrivateKeyText(file: string): string {
  const bytes = Buffer.alloc(maxPrivateKeyTextCharacters + 1);
  try {
    const descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      return bytes.toString("latin1", 0, readSync(descriptor, bytes, 0, bytes.length, 0));
    } finally {
      closeSync(descriptor);
    }
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    throw new DatabaseError("SETTINGS_INVALID", `the private key file ${file} cannot be read: ${code}`, { cause });
  }
}
