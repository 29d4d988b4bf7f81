import type { Command } from "commander";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { DatabaseError } from "../../database/errors.ts";
import { openKeyHolder } from "../../database/holder/open-key-holder.ts";
import type { OpenedKeyHolder } from "../../database/holder/opened-holder.ts";
import type { SettingName } from "../../database/setting-fields.ts";
import {
  type DatabaseSettings,
  type EncryptionSettings,
  type PincodeSource,
  readDatabaseSettings,
} from "../../database/settings.ts";
import { readPincode } from "../fctools/pincode.ts";

export { takeEnvironmentPincode } from "../../database/environment-pincode.ts";

/** How a command names the instance that it works on. */
export interface InstanceOptions {
  readonly config?: string;
  readonly data?: string;
  readonly pincodeFile?: string;
  readonly pincodeFd?: string;
}

/** Adds `--config` and the flags of the settings that say more than it does. */
export function withInstanceOptions(command: Command): Command {
  return command
    .option("--config <FILE>", "strongroom.toml with the instance's settings (docs/encrypted-database.md)")
    .option("--data <DIR>", "the instance's folder, where the settings do not name it or name another")
    .option("--pincode-file <FILE>", "file with the pincode of the master key (mode 0600 or 0400)")
    .option("--pincode-fd <N>", "open file descriptor to read that pincode from");
}

/** @throws {DatabaseError} `SETTINGS_INVALID`, `PUBLIC_KEY_INVALID`. */
export function settingsOf({ config, data, pincodeFile, pincodeFd }: InstanceOptions): DatabaseSettings {
  const flags = new Map<SettingName, string>();
  if (data !== undefined) flags.set("data", data);
  if (pincodeFile !== undefined) flags.set("pincodeFile", pincodeFile);
  if (pincodeFd !== undefined) flags.set("pincodeDescriptor", pincodeFd);
  return readDatabaseSettings(config, flags);
}

/**
 * The master key of the settings.
 *
 * @param fromEnvironment - The pincode that {@link takeEnvironmentPincode} gave, first of all; without one it is read where the
 *   settings say, else asked for on the terminal.
 * @returns Undefined without the settings of encryption.
 */
export async function holderOf(
  { encryption }: Pick<DatabaseSettings, "encryption">,
  dataFolder: string,
  fromEnvironment: SecretBuffer | undefined,
): Promise<OpenedKeyHolder | undefined> {
  if (encryption === undefined) return undefined;
  using asked = fromEnvironment === undefined ? await pincodeOf(encryption) : undefined;
  try {
    return await openKeyHolder(encryption, { pincode: fromEnvironment ?? asked, dataFolder });
  } catch (cause) {
    if (!(cause instanceof DatabaseError) || cause.code !== "PRIVATE_KEY_REFUSED") throw cause;
    if (encryption.provider !== "gm-soft") throw cause;
    const source = fromEnvironment === undefined ? sourceOf(encryption.pincode) : "FCTSDB_PINCODE";
    const hint = `the private key is in ${encryption.privateKeyFile}, the pincode came from ${source}: see that both, and public-key, are of one pair`;
    throw new DatabaseError(cause.code, cause.message, { hint, cause });
  }
}

function sourceOf(pincode: PincodeSource | undefined): string {
  if (pincode === undefined) return "the terminal";
  return "file" in pincode ? pincode.file : `file descriptor ${pincode.descriptor}`;
}

async function pincodeOf(encryption: EncryptionSettings): Promise<SecretBuffer | undefined> {
  if (encryption.provider === "key-manager") return undefined;
  const { pincode } = encryption;
  if (pincode === undefined) return readPincode({});
  return readPincode(
    "file" in pincode ? { "pincode-file": pincode.file } : { "pincode-fd": String(pincode.descriptor) },
  );
}
