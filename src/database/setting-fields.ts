/** Every setting of the encrypted database: its place in strongroom.toml, and its flag. */

import { resolve } from "node:path";

export interface SettingField {
  /** Table and name in the file. */
  readonly table: "database" | "security.encryption";
  readonly name: string;
  /** Without the dashes. */
  readonly flag: string;
  /** What the flag takes, as help shows it. */
  readonly argument: string;
  readonly what: string;
  /**
   * `path`: in the file it starts at the file's folder, as a flag at the current one. `program`: the same when there is a
   * slash in it, else a name. `texts`: a list; the flag may be repeated. @defaultValue `"text"`
   */
  readonly kind?: "text" | "path" | "program" | "texts";
}

export const settingFields = {
  data: { table: "database", name: "data", flag: "data", argument: "DIR", kind: "path", what: "the instance's folder" },
  listen: {
    table: "database",
    name: "listen",
    flag: "listen",
    argument: "HOST:PORT",
    what: "where clients connect; by default 127.0.0.1:8086",
  },
  influxd: {
    table: "database",
    name: "influxd",
    flag: "influxd",
    argument: "PATH",
    kind: "program",
    what: "the influxd to run, a path or a name on PATH; by default influxd",
  },
  influxdConfig: {
    table: "database",
    name: "influxd-config",
    flag: "influxd-config",
    argument: "FILE",
    kind: "path",
    what: "an influxdb.conf whose settings influxd gets, but for folders, addresses and logs, which are the instance's",
  },
  cipher: {
    table: "database",
    name: "cipher",
    flag: "cipher",
    argument: "NAME",
    what: "of a new instance: sm4-gcm (the default) or aes-256-gcm",
  },
  metadataKey: {
    table: "database",
    name: "metadata-key",
    flag: "metadata-key",
    argument: "WHERE",
    what: "where the key to names and metadata is kept: file (the default), or master: under the master key alone",
  },
  metadataKeyFile: {
    table: "database",
    name: "metadata-key-file",
    flag: "metadata-key-file",
    argument: "FILE",
    kind: "path",
    what: "with metadata-key file: that file; by default instance.key in the instance's folder",
  },
  onDamage: {
    table: "database",
    name: "on-damage",
    flag: "on-damage",
    argument: "WHAT",
    what: "when stored data turns out to be damaged: refuse (the default): close the encrypted databases; or tell: go on",
  },
  provider: {
    table: "security.encryption",
    name: "provider",
    flag: "provider",
    argument: "NAME",
    what: "where the master key is: gm-soft (or software), gm-rk (or hardware), key-manager",
  },
  publicKey: {
    table: "security.encryption",
    name: "public-key",
    flag: "public-key",
    argument: "HEX",
    what: "the SM2 public key, 04 || X || Y, 130 hex digits",
  },
  type: {
    table: "security.encryption",
    name: "type",
    flag: "private-key-type",
    argument: "file",
    what: "gm-soft: where the private key is kept; file is the only one, and the default",
  },
  path: {
    table: "security.encryption",
    name: "path",
    flag: "private-key-file",
    argument: "FILE",
    kind: "path",
    what: "gm-soft: the private key as fctools gm genkeypair prints it",
  },
  pincodeFile: {
    table: "security.encryption",
    name: "pincode-file",
    flag: "pincode-file",
    argument: "FILE",
    kind: "path",
    what: "gm-soft, gm-rk: file with the pincode (mode 0600 or 0400)",
  },
  pincodeDescriptor: {
    table: "security.encryption",
    name: "pincode-fd",
    flag: "pincode-fd",
    argument: "N",
    what: "gm-soft, gm-rk: open file descriptor to read the pincode from",
  },
  devices: {
    table: "security.encryption",
    name: "devices",
    flag: "devices",
    argument: "FILE",
    kind: "path",
    what: "gm-rk: the devices.toml that names the card",
  },
  device: {
    table: "security.encryption",
    name: "device",
    flag: "device",
    argument: "NAME",
    what: "gm-rk: the card, where devices.toml names more than one",
  },
  servers: {
    table: "security.encryption",
    name: "servers",
    flag: "server",
    argument: "URL",
    kind: "texts",
    what: "key-manager: https://HOST:PORT, one or more of one key manager",
  },
  identity: {
    table: "security.encryption",
    name: "identity",
    flag: "identity",
    argument: "DIR",
    kind: "path",
    what: "key-manager: identity folder, as strongroom node enroll --into makes it",
  },
  masterKey: {
    table: "security.encryption",
    name: "master-key",
    flag: "master-key",
    argument: "KEY",
    what: "key-manager: the master key, by id, alias or ARN",
  },
} as const satisfies Readonly<Record<string, SettingField>>;

export type SettingName = keyof typeof settingFields;

/** In the order of {@link settingFields}. */
export const settingNames = Object.keys(settingFields) as readonly SettingName[];

export function fieldOf(name: SettingName): SettingField {
  return settingFields[name];
}

/** Settings as they were given: text, or texts of a list. What is not given is not there. */
export type GivenSettings = ReadonlyMap<SettingName, string | readonly string[]>;

/** A text's meaning where relative paths start at `folder`, an absolute path. */
export function located(text: string, { kind }: SettingField, folder: string): string {
  return kind === "path" || (kind === "program" && text.includes("/")) ? resolve(folder, text) : text;
}
