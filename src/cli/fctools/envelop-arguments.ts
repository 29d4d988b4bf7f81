import { closeSync, constants, existsSync, openSync, readSync } from "node:fs";
import { resolve } from "node:path";
import { readSecretFile } from "../../crypto/secret-file.ts";
import { DatabaseError } from "../../database/errors.ts";
import { maxPrivateKeyTextCharacters, openPrivateKey } from "../../database/gm/private-key.ts";
import { parsePublicKey } from "../../database/gm/public-key.ts";
import { type NewMasterKey, withMasterKey } from "../../database/settings-change.ts";
import { parseSettings, readSettingsText } from "../../database/settings-file.ts";
import type { Tell } from "../drop-in.ts";
import { CommandFailure, exitCodes } from "../failure.ts";
import { pincodeReading } from "./pincode.ts";

/** The options of `fctools envelop` that name keys. */
export interface KeyArguments {
  readonly pubkey?: string | undefined;
  readonly prikey?: string | undefined;
  readonly "prikey-file"?: string | undefined;
  readonly expubkey?: string | undefined;
  readonly expubley?: string | undefined;
  readonly hardware: boolean;
  readonly devices?: string | undefined;
  readonly device?: string | undefined;
}

/** The options that name settings. */
export interface SettingsArguments {
  readonly "update-config"?: string | undefined;
  readonly "exprikey-file"?: string | undefined;
  readonly "expincode-file"?: string | undefined;
}

/** The master key in force: its private half as text, or in a card. */
export type CurrentKey =
  | { readonly publicKey: Buffer; readonly text: string }
  | { readonly publicKey: Buffer; readonly devices: string; readonly device: string | undefined };

/** @throws {CommandFailure} 2. @throws {DatabaseError} `PUBLIC_KEY_INVALID`. */
export function currentKeyOf(values: KeyArguments, tell: Tell): CurrentKey {
  const { pubkey, prikey, "prikey-file": file, hardware, devices, device } = values;
  if (pubkey === undefined) throw usage("--pubkey is missing: the current public key");
  const publicKey = parsePublicKey(pubkey, "--pubkey");
  if (hardware) {
    if (prikey !== undefined || file !== undefined)
      tell("--prikey is not used: with --hardware, the key is in the card");
    if (devices === undefined) throw usage("--hardware needs --devices FILE, the devices.toml that names the card");
    return { publicKey, devices, device };
  }
  if (devices !== undefined || device !== undefined) throw usage("--devices and --device go with --hardware");
  if ((prikey === undefined) === (file === undefined))
    throw usage("give the current private key's text once: --prikey-file FILE, or --prikey TEXT");
  if (prikey !== undefined) {
    tell(
      "warning: --prikey was on the command line, where other users and the shell's history see it; use --prikey-file",
    );
    return { publicKey, text: prikey };
  }
  return { publicKey, text: textOfFile(file ?? "") };
}

/** @throws {CommandFailure} 2. @throws {DatabaseError} `PUBLIC_KEY_INVALID`. */
export function newPublicKeyOf({ expubkey, expubley }: KeyArguments, current: Buffer): Buffer {
  if (expubkey !== undefined && expubley !== undefined)
    throw usage("--expubkey and --expubley are one option: give it once");
  const text = expubkey ?? expubley;
  if (text === undefined) throw usage("--expubkey is missing: the new public key");
  const publicKey = parsePublicKey(text, "--expubkey");
  if (publicKey.equals(current)) throw usage("--expubkey is the current public key: there is nothing to change");
  return publicKey;
}

/** How the settings are changed once the new envelopes are in force. */
export interface SettingsChange {
  readonly file: string;
  readonly key: NewMasterKey;
  /** The settings still name the file of the former private key. */
  readonly leavesPath: boolean;
  /** The settings still name the file of the former private key's pincode, and the new one may have another. */
  readonly leavesPincode: boolean;
}

/**
 * What `--update-config`, `--exprikey-file` and `--expincode-file` ask for; undefined without them. The file can be changed so when the time has come,
 * and speaks of one of the two keys.
 *
 * @throws {CommandFailure} 2. @throws {DatabaseError} `SETTINGS_INVALID`.
 */
export function settingsChangeOf(
  { "update-config": file, "exprikey-file": keyFile, "expincode-file": pincodeFile }: SettingsArguments,
  current: Buffer,
  publicKey: Buffer,
): SettingsChange | undefined {
  if (keyFile !== undefined && (file === undefined || !existsSync(keyFile)))
    throw usage("--exprikey-file takes a file that is there, and needs --update-config");
  if (pincodeFile !== undefined && keyFile === undefined)
    throw usage("--expincode-file is the pincode's of --exprikey-file: give both");
  if (file === undefined) return undefined;
  const key: NewMasterKey = {
    publicKey,
    privateKeyFile: keyFile && resolve(keyFile),
    pincodeFile: pincodeFile && resolve(pincodeFile),
  };
  const text = readSettingsText(file);
  withMasterKey(text, file, key);
  const given = parseSettings(text, file);
  const named = given.get("publicKey");
  const known = [current, publicKey].some((each) => String(named).toLowerCase() === each.toString("hex"));
  if (!known) throw usage(`${file} has another public-key than --pubkey: is it the settings of this instance?`);
  const isSoft = ["gm-soft", "software"].includes(String(given.get("provider")));
  if (keyFile !== undefined && !isSoft) throw usage(`--exprikey-file is for the provider gm-soft, ${file} has another`);
  const leavesPincode = isSoft && pincodeFile === undefined && given.has("pincodeFile");
  return { file, key, leavesPath: isSoft && keyFile === undefined, leavesPincode };
}

/**
 * Opens the new private key, where its file and its pincode's are given: a key that nobody can open never comes into force.
 *
 * @throws {CommandFailure} 2, or 3 when it does not open.
 */
export async function proveNewKey(
  { "exprikey-file": file, "expincode-file": pincodeFile }: SettingsArguments,
  publicKey: Buffer,
): Promise<void> {
  if (file === undefined || pincodeFile === undefined) return;
  using pincode = readSecretFile(pincodeFile, pincodeReading);
  try {
    (await openPrivateKey({ text: textOfFile(file), publicKey, pincode }))[Symbol.dispose]();
  } catch (cause) {
    if (!(cause instanceof DatabaseError) || cause.code !== "PRIVATE_KEY_REFUSED") throw cause;
    throw new CommandFailure(
      exitCodes.refused,
      `the new private key in ${file} does not open with the pincode in ${pincodeFile}, or is not --expubkey's`,
      "nothing was changed",
    );
  }
}

/** Ciphertext: it may be read by whoever can. */
function textOfFile(path: string): string {
  const bytes = Buffer.alloc(maxPrivateKeyTextCharacters + 1);
  try {
    const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const length = readSync(file, bytes, 0, bytes.length, 0);
      return bytes.toString("latin1", 0, length);
    } finally {
      closeSync(file);
    }
  } catch (cause) {
    throw usage(`the private key file ${path} cannot be read: ${(cause as NodeJS.ErrnoException).code}`);
  }
}

function usage(message: string): CommandFailure {
  return new CommandFailure(exitCodes.usage, message, "fctools envelop --help shows every option");
}
