import { DatabaseError } from "./errors.ts";
import { parsePublicKey } from "./gm/public-key.ts";
import { fieldOf, type GivenSettings, located, type SettingName, settingNames } from "./setting-fields.ts";
import { parseSettings, plainText, readSettingsText } from "./settings-file.ts";

/** Where the pincode comes from when it is not in the environment; undefined: asked for on the terminal. */
export type PincodeSource = { readonly file: string } | { readonly descriptor: number };

/** Where the master key is. Paths are absolute. */
export type EncryptionSettings =
  | {
      readonly provider: "gm-soft";
      /** `04 ‖ X ‖ Y`. */
      readonly publicKey: Buffer;
      readonly privateKeyFile: string;
      readonly pincode: PincodeSource | undefined;
    }
  | {
      readonly provider: "gm-rk";
      readonly publicKey: Buffer;
      readonly devicesFile: string;
      /** Undefined: the one that the file names. */
      readonly device: string | undefined;
      readonly pincode: PincodeSource | undefined;
    }
  | {
      readonly provider: "key-manager";
      readonly servers: readonly string[];
      readonly identityFolder: string;
      readonly masterKey: string;
    };

/** Where the key to an instance's names and metadata is: a file, undefined for the one in the instance's folder; or nowhere but under the master key. */
export type MetadataKeySettings =
  | { readonly in: "file"; readonly file: string | undefined }
  | { readonly in: "master" };

export interface DatabaseSettings {
  readonly dataFolder: string;
  readonly listen: { readonly host: string; readonly port: number };
  /** A path, or a name to look for on PATH. */
  readonly influxd: string;
  /** An influxdb.conf. */
  readonly influxdConfig: string | undefined;
  /** Of the instance when it is made. */
  readonly cipher: "sm4-gcm" | "aes-256-gcm";
  readonly metadataKey: MetadataKeySettings;
  /** `refuse`: once stored data is found damaged, encrypted databases are closed until the next start; `tell`: it is only told. */
  readonly onDamage: "refuse" | "tell";
  /** Undefined when none of its settings is given: then only databases without encryption work. */
  readonly encryption: EncryptionSettings | undefined;
}

/** Of `[security.encryption]`, which settings each provider takes; `?` marks those that may be left out. */
const settingsOf = {
  "gm-soft": { publicKey: "", type: "?", path: "", pincodeFile: "?", pincodeDescriptor: "?" },
  "gm-rk": { publicKey: "", devices: "", device: "?", pincodeFile: "?", pincodeDescriptor: "?" },
  "key-manager": { servers: "", identity: "", masterKey: "" },
} as const satisfies Readonly<Record<string, Partial<Readonly<Record<SettingName, "" | "?">>>>>;

const providers = new Map<string, keyof typeof settingsOf>([
  ["gm-soft", "gm-soft"],
  ["software", "gm-soft"],
  ["gm-rk", "gm-rk"],
  ["hardware", "gm-rk"],
  ["key-manager", "key-manager"],
]);

const defaultListen = "127.0.0.1:8086";

/**
 * The settings of an instance: those of the file, and those of flags, which come first. A flag's relative path starts at the
 * current folder.
 *
 * @param config - A `strongroom.toml`.
 * @param flags - By the names of `setting-fields.ts`.
 * @throws {DatabaseError} `SETTINGS_INVALID`, `PUBLIC_KEY_INVALID`.
 */
export function readDatabaseSettings(config: string | undefined, flags: GivenSettings): DatabaseSettings {
  const ofFile: GivenSettings = config === undefined ? new Map() : parseSettings(readSettingsText(config), config);
  const given = new Map([...ofFile, ...[...flags].map(([name, value]) => [name, ofFlag(name, value)] as const)]);
  const text = (name: SettingName) => textOf(given, name);
  const encryption = encryptionOf(given);
  return {
    dataFolder: text("data") ?? missingData(config),
    listen: listenAddress(text("listen") ?? defaultListen),
    influxd: text("influxd") ?? "influxd",
    influxdConfig: text("influxdConfig"),
    cipher: cipherOf(given),
    metadataKey: metadataKeyOf(given, encryption),
    onDamage: onDamageOf(given),
    encryption,
  };
}

function cipherOf(given: GivenSettings): DatabaseSettings["cipher"] {
  const cipher = textOf(given, "cipher") ?? "sm4-gcm";
  if (cipher !== "sm4-gcm" && cipher !== "aes-256-gcm")
    throw invalid(`${called("cipher")} is sm4-gcm or aes-256-gcm, not ${JSON.stringify(cipher)}`);
  return cipher;
}

function onDamageOf(given: GivenSettings): DatabaseSettings["onDamage"] {
  const wanted = textOf(given, "onDamage") ?? "refuse";
  if (wanted !== "refuse" && wanted !== "tell")
    throw invalid(`${called("onDamage")} is refuse or tell, not ${JSON.stringify(wanted)}`);
  return wanted;
}

function metadataKeyOf(given: GivenSettings, encryption: EncryptionSettings | undefined): MetadataKeySettings {
  const where = textOf(given, "metadataKey") ?? "file";
  const file = textOf(given, "metadataKeyFile");
  if (where === "file") return { in: "file", file };
  if (where !== "master") throw invalid(`${called("metadataKey")} is file or master, not ${JSON.stringify(where)}`);
  if (file !== undefined) throw invalid(`${called("metadataKeyFile")} goes with ${called("metadataKey")} = file only`);
  if (encryption === undefined)
    throw invalid(`${called("metadataKey")} = master needs the settings of [security.encryption]`);
  return { in: "master" };
}

/**
 * The settings of encryption alone, of the file's text.
 *
 * @throws {DatabaseError} `SETTINGS_INVALID`, `PUBLIC_KEY_INVALID`.
 */
export function encryptionOf(given: GivenSettings): EncryptionSettings | undefined {
  const named = settingNames.filter((name) => given.has(name) && fieldOf(name).table === "security.encryption");
  if (named.length === 0) return undefined;
  const provider = providers.get(textOf(given, "provider") ?? missing("provider"));
  if (provider === undefined)
    throw invalid(
      `${called("provider")} is one of ${[...providers.keys()].join(", ")}, not ${JSON.stringify(textOf(given, "provider"))}`,
    );
  const taken: Partial<Readonly<Record<SettingName, "" | "?">>> = settingsOf[provider];
  for (const name of named)
    if (name !== "provider" && taken[name] === undefined)
      throw invalid(`${called(name)} is no setting of the provider ${provider}`);
  const need = (name: SettingName) => textOf(given, name) ?? missing(name, provider);
  if (provider === "key-manager")
    return { provider, servers: serversOf(given), identityFolder: need("identity"), masterKey: need("masterKey") };
  const publicKey = parsePublicKey(need("publicKey"), called("publicKey"));
  const pincode = pincodeSource(given);
  if (provider === "gm-rk")
    return { provider, publicKey, devicesFile: need("devices"), device: textOf(given, "device"), pincode };
  const type = textOf(given, "type") ?? "file";
  if (type !== "file") throw invalid(`${called("type")} is file, which is all there is, not ${JSON.stringify(type)}`);
  return { provider, publicKey, privateKeyFile: need("path"), pincode };
}

function pincodeSource(given: GivenSettings): PincodeSource | undefined {
  const [file, descriptor] = [textOf(given, "pincodeFile"), textOf(given, "pincodeDescriptor")];
  if (file !== undefined && descriptor !== undefined)
    throw invalid(`${called("pincodeFile")} and ${called("pincodeDescriptor")} are two sources: give one of them`);
  if (file !== undefined) return { file };
  if (descriptor === undefined) return undefined;
  if (!/^\d{1,6}$/.test(descriptor)) throw invalid(`${called("pincodeDescriptor")} is the number of a file descriptor`);
  return { descriptor: Number(descriptor) };
}

function serversOf(given: GivenSettings): readonly string[] {
  const servers = given.get("servers");
  if (servers === undefined) return missing("servers", "key-manager");
  const all = typeof servers === "string" ? [servers] : servers;
  const wrong = all.find((server) => !/^https:\/\/[^/?#@\s]+\/?$/.test(server) || !URL.canParse(server));
  if (wrong !== undefined) throw invalid(`${called("servers")} takes https://HOST:PORT, not ${JSON.stringify(wrong)}`);
  return all;
}

function listenAddress(text: string): DatabaseSettings["listen"] {
  const { host, ipv6, port } =
    /^(?:\[(?<ipv6>[0-9a-fA-F:.]+)\]|(?<host>[A-Za-z0-9.-]+)):(?<port>\d{1,5})$/.exec(text)?.groups ?? {};
  const name = host ?? ipv6;
  const number = Number(port);
  if (name === undefined || !(number >= 1 && number <= 65_535))
    throw invalid(`${called("listen")} takes HOST:PORT with a port from 1 to 65535, not ${JSON.stringify(text)}`);
  return { host: name, port: number };
}

function ofFlag(name: SettingName, value: string | readonly string[]): string | readonly string[] {
  const { flag, kind = "text" } = fieldOf(name);
  const texts = typeof value === "string" ? [value] : value;
  for (const text of texts) {
    if (text === "") throw invalid(`--${flag} is empty`);
    plainText(text, (what) => invalid(`--${flag} ${what}`));
  }
  if (kind === "texts") return texts;
  const [text = "", ...more] = texts;
  if (more.length > 0) throw invalid(`--${flag} is given more than once`);
  return located(text, fieldOf(name), process.cwd());
}

function textOf(given: GivenSettings, name: SettingName): string | undefined {
  const value = given.get(name);
  return typeof value === "string" ? value : undefined;
}

function missing(name: SettingName, provider?: string): never {
  const needed = provider === undefined ? "" : `the provider ${provider} needs it: `;
  throw invalid(`${called(name)} is missing; ${needed}${fieldOf(name).what}`);
}

function missingData(config: string | undefined): never {
  const hint =
    config === undefined ? "name the settings with --config strongroom.toml, or the folder with --data" : undefined;
  throw new DatabaseError(
    "SETTINGS_INVALID",
    `${called("data")} is missing; ${fieldOf("data").what}`,
    hint === undefined ? {} : { hint },
  );
}

function called(name: SettingName): string {
  const { table, name: field, flag } = fieldOf(name);
  return `${field} of [${table}] (--${flag})`;
}

function invalid(message: string): DatabaseError {
  return new DatabaseError("SETTINGS_INVALID", message);
}
