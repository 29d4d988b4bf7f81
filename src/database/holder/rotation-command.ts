import { isAbsolute } from "node:path";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { readSecretFile } from "../../crypto/secret-file.ts";
import { DatabaseError } from "../errors.ts";
import { parsePublicKey } from "../gm/public-key.ts";
import type { EncryptionSettings } from "../settings.ts";
import { withMasterKey } from "../settings-change.ts";
import { parseSettings, readSettingsText } from "../settings-file.ts";
import { openNextKeyManagerHolder } from "./key-manager-holder.ts";
import { openKeyHolder } from "./open-key-holder.ts";
import type { OpenedKeyHolder } from "./opened-holder.ts";
import { type MasterRotation, type RunningInstance, rotateMaster } from "./rotate-master.ts";
import type { SettingsToChange } from "./rotation-journal.ts";

/** Under this name a running instance is asked to change its master key. */
export const rotateMasterRequest = "rotate-master";

/** The new master key, of the provider that the instance has. Paths are absolute; the running instance reads them. */
export interface RotationRequest {
  /** Of gm-soft and gm-rk: 130 hexadecimal digits. */
  readonly publicKey?: string;
  /** Of gm-soft. */
  readonly privateKeyFile?: string;
  /** Of gm-soft, and of gm-rk where the card's PIN is another. */
  readonly pincodeFile?: string;
  /** Of gm-rk, where it is another card. */
  readonly device?: string;
  /** Of key-manager: the key manager's key that wraps the new master key. */
  readonly masterKey?: string;
  /** The strongroom.toml to change. */
  readonly updateConfig?: string;
}

const requestNames = ["publicKey", "privateKeyFile", "pincodeFile", "device", "masterKey", "updateConfig"] as const;
const flags: Readonly<Record<string, string>> = {
  publicKey: "--new-public-key",
  privateKeyFile: "--new-private-key-file",
  pincodeFile: "--new-pincode-file",
  device: "--new-device",
  masterKey: "--new-master-key",
};
const pathNames: ReadonlySet<string> = new Set(["privateKeyFile", "pincodeFile", "updateConfig"]);
const longestText = 4096;

/**
 * The handler of {@link rotateMasterRequest}: one change at a time.
 *
 * @param encryption - The settings that the instance was started with.
 */
export function rotationHandler(
  instance: RunningInstance,
  encryption: EncryptionSettings,
): (parameters: unknown) => Promise<MasterRotation> {
  let isChanging = false;
  return async (parameters) => {
    const request = parseRotationRequest(parameters);
    if (isChanging) throw new DatabaseError("INSTANCE_BUSY", "the master key is being changed already");
    isChanging = true;
    try {
      const settings = settingsToChange(request, encryption, instance.holder.publicKey);
      const next = await openNextHolder(request, encryption, instance.paths.folder);
      return await rotateMaster(instance, next, settings);
    } finally {
      isChanging = false;
    }
  };
}

/** @throws {DatabaseError} `SETTINGS_INVALID`. */
export function parseRotationRequest(value: unknown): RotationRequest {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalid("the request is no object");
  const request: { -readonly [name in keyof RotationRequest]: string } = {};
  for (const [name, text] of Object.entries(value)) {
    const known = requestNames.find((each) => each === name);
    if (known === undefined || typeof text !== "string" || text.length === 0 || text.length > longestText)
      throw invalid(`${JSON.stringify(name).slice(0, 40)} is not what a change of the master key takes`);
    if (pathNames.has(name) && (!isAbsolute(text) || text.includes("\0")))
      throw invalid(`${name} is not an absolute path`);
    request[known] = text;
  }
  return request;
}

async function openNextHolder(
  request: RotationRequest,
  encryption: EncryptionSettings,
  dataFolder: string,
): Promise<OpenedKeyHolder> {
  const { publicKey, privateKeyFile, pincodeFile, device, masterKey } = request;
  if (encryption.provider === "key-manager") {
    refuseOthers({ publicKey, privateKeyFile, pincodeFile, device }, encryption.provider);
    return await openNextKeyManagerHolder({ ...encryption, masterKey: masterKey ?? encryption.masterKey }, dataFolder);
  }
  if (encryption.provider === "gm-rk") refuseOthers({ privateKeyFile, masterKey }, encryption.provider);
  else refuseOthers({ device, masterKey }, encryption.provider);
  if (publicKey === undefined) throw invalid("the new public key is missing (--new-public-key)");
  const changed = { publicKey: parsePublicKey(publicKey, "--new-public-key"), pincode: pincodeOf(request, encryption) };
  using pincode = readPincodeFile(changed.pincode.file);
  if (encryption.provider === "gm-rk")
    return await openKeyHolder(
      { ...encryption, ...changed, device: device ?? encryption.device },
      { pincode, dataFolder },
    );
  if (privateKeyFile === undefined) throw invalid("the new private key's file is missing (--new-private-key-file)");
  return await openKeyHolder({ ...encryption, ...changed, privateKeyFile }, { pincode, dataFolder });
}

/** Nothing is changed here: that the settings can be is found out before a key is. */
function settingsToChange(
  { updateConfig: file, publicKey, privateKeyFile, pincodeFile }: RotationRequest,
  encryption: EncryptionSettings,
  inForce: Buffer,
): SettingsToChange | undefined {
  if (file === undefined || publicKey === undefined) {
    // Of what else is missing then, the holder's opening tells.
    if (file === undefined || encryption.provider !== "key-manager") return undefined;
    throw invalid("the settings of the provider key-manager name no public key: there is nothing to change in them");
  }
  const text = readSettingsText(file);
  const named = parseSettings(text, file).get("publicKey");
  if (![inForce.toString("hex"), publicKey.toLowerCase()].includes(String(named).toLowerCase()))
    throw invalid(`${file} has another public-key than the running instance: is it the settings of this instance?`);
  const soft = encryption.provider === "gm-soft" ? { privateKeyFile } : { privateKeyFile: undefined };
  const change = { ...soft, pincodeFile };
  withMasterKey(text, file, { publicKey: parsePublicKey(publicKey, "--new-public-key"), ...change });
  return { file, ...change };
}

function pincodeOf(
  { pincodeFile }: RotationRequest,
  encryption: Exclude<EncryptionSettings, { provider: "key-manager" }>,
): { readonly file: string } {
  if (pincodeFile !== undefined) return { file: pincodeFile };
  const { pincode } = encryption;
  if (pincode !== undefined && "file" in pincode) return pincode;
  throw invalid("the new key's pincode is missing: the running instance reads it from a file (--new-pincode-file)");
}

function readPincodeFile(file: string): SecretBuffer {
  return readSecretFile(file, {
    what: "pincode",
    fileName: "pincode file",
    refusal: (message, more) => new DatabaseError("PINCODE_INVALID", message, more),
  });
}

function refuseOthers(given: Readonly<Record<string, string | undefined>>, provider: string): void {
  for (const [name, value] of Object.entries(given))
    if (value !== undefined) throw invalid(`${flags[name] ?? name} is nothing that the provider ${provider} takes`);
}

function invalid(message: string): DatabaseError {
  return new DatabaseError("SETTINGS_INVALID", message);
}
