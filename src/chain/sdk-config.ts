import { readFileSync, statSync } from "node:fs";
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import { parse, TomlError } from "smol-toml";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { ChainBuildError } from "./build/errors.ts";
import { defaultHsmLibraries } from "./build/hsm-settings.ts";
import type { NodeEndpoint } from "./build/nodes-file.ts";
import { copiedPin, readPrivateFile, withoutLineEnd } from "./build/pin-file.ts";
import { readAddress } from "./net/address.ts";
import { passwordForm, passwordSpan } from "./sdk-config-password.ts";

/** What a client of a chain reads from its config.toml, which the java-sdk of FISCO BCOS reads as well. Paths are absolute. */
export interface SdkConfig {
  readonly file: string;
  /** SM2 and SM3 in place of secp256k1 and Keccak-256. */
  readonly smCrypto: boolean;
  /** Undefined: no TLS. */
  readonly tls?: { readonly caCertificate: string; readonly certificate: string; readonly privateKey: string };
  /** The account's key in a cipher machine; undefined: in a file. */
  readonly hsm?: SdkHsm;
  readonly network: {
    /** The nodes' RPC. */
    readonly peers: readonly NodeEndpoint[];
    readonly group: string;
    readonly messageTimeoutMs: number;
  };
  /** PEM file of the account's key. */
  readonly accountFile?: string;
}

export interface SdkHsm {
  readonly libraries: readonly string[];
  readonly keyIndex: number;
  readonly profile?: string;
  /** True: {@link readSdkPin} finds a PIN. */
  readonly hasPin: boolean;
  /** File with the PIN, in the place of `hsmPassword`. */
  readonly pinFile?: string;
}

const maxConfigBytes = 256 * 1024;

const known: Readonly<Record<string, readonly string[]>> = {
  cryptoMaterial: [
    ...["certPath", "useSMCrypto", "disableSsl", "enableSsl", "caCert", "sslCert", "sslKey", "enSslCert", "enSslKey"],
    ...["enableHsm", "hsmLibPath", "hsmKeyIndex", "hsmPassword", "hsmPasswordFile", "hsmProfile"],
  ],
  network: ["messageTimeout", "defaultGroup", "peers"],
  account: ["keyStoreDir", "accountFilePath", "accountFileFormat", "accountAddress"],
  threadPool: ["threadPoolSize", "channelProcessorThreadSize", "receiptProcessorThreadSize", "maxBlockingQueueSize"],
  amop: ["publicAmopTopic", "privateAmopTopic", "cryptoMaterial"],
};

/**
 * Reads a client's config.toml strictly: the java-sdk's tables and keys, each value a text as it writes them (true and numbers
 * are taken bare too). The PIN is not read: {@link readSdkPin} does that.
 *
 * @throws {ChainBuildError} `CONFIG_INVALID`, `FILE_UNUSABLE`.
 */
export function readSdkConfig(path: string): SdkConfig {
  const file = resolve(path);
  const table = new SdkTables(file);
  const smCrypto = table.flag("cryptoMaterial", "useSMCrypto", false);
  const hsm = table.flag("cryptoMaterial", "enableHsm", false) ? hsmOf(table, file) : undefined;
  if (hsm !== undefined && !smCrypto) throw table.refuse("cryptoMaterial", "enableHsm", "needs useSMCrypto");
  const tls = tlsOf(table, file);
  const accountFile = table.text("account", "accountFilePath");
  const format = table.text("account", "accountFileFormat") ?? "pem";
  if (format !== "pem" && !(format === "HSM" && hsm !== undefined))
    throw table.refuse("account", "accountFileFormat", "takes pem, or HSM with enableHsm");
  return {
    file,
    smCrypto,
    ...(tls === undefined ? {} : { tls }),
    ...(hsm === undefined ? {} : { hsm }),
    network: {
      peers: table.peers(),
      group: table.text("network", "defaultGroup") ?? "group0",
      messageTimeoutMs: table.number("network", "messageTimeout", 1, 3_600_000, 10_000),
    },
    ...(accountFile === undefined ? {} : { accountFile: resolve(dirname(file), accountFile) }),
  };
}

/**
 * The PIN that a configuration names; undefined where it names none. The caller disposes of it.
 *
 * @throws {ChainBuildError} `FILE_UNSAFE` when others may read its file, `FILE_UNUSABLE`, `CONFIG_INVALID`.
 */
export function readSdkPin({ file, hsm }: SdkConfig): SecretBuffer | undefined {
  if (hsm?.hasPin !== true) return undefined;
  using content = readPrivateFile(hsm.pinFile ?? file);
  return content.expose((bytes) => {
    if (hsm.pinFile !== undefined) return copiedPin(hsm.pinFile, withoutLineEnd(bytes));
    const span = passwordSpan(basename(file), bytes);
    if (span === undefined) throw invalid(`${file} has no hsmPassword any more`);
    return copiedPin(file, bytes.subarray(span.start, span.end));
  });
}

function hsmOf(table: SdkTables, file: string): SdkHsm {
  const library = table.text("cryptoMaterial", "hsmLibPath");
  if (library?.includes("/") && !isAbsolute(library))
    throw table.refuse("cryptoMaterial", "hsmLibPath", "takes an absolute path, or a bare name for the loader's path");
  const profile = table.text("cryptoMaterial", "hsmProfile");
  if (profile !== undefined && !/^[a-z0-9-]{1,40}$/.test(profile))
    throw table.refuse("cryptoMaterial", "hsmProfile", "takes the name of a layout profile");
  const pinFile = table.text("cryptoMaterial", "hsmPasswordFile");
  if (pinFile !== undefined && table.hasPassword)
    throw table.refuse("cryptoMaterial", "hsmPasswordFile", "and hsmPassword are both there: one of them");
  return {
    libraries: library === undefined ? defaultHsmLibraries : [library],
    keyIndex: table.number("cryptoMaterial", "hsmKeyIndex", 1, 0xffff_ffff),
    hasPin: pinFile !== undefined || table.hasPassword,
    ...(profile === undefined ? {} : { profile }),
    ...(pinFile === undefined ? {} : { pinFile: resolve(dirname(file), pinFile) }),
  };
}

/** The client's TLS is P-256, as the reference node's: of an SM chain's folder it takes the same files. */
function tlsOf(table: SdkTables, file: string): SdkConfig["tls"] {
  if (table.flag("cryptoMaterial", "disableSsl", false) || !table.flag("cryptoMaterial", "enableSsl", true))
    return undefined;
  const folder = resolve(dirname(file), table.text("cryptoMaterial", "certPath") ?? "conf");
  const at = (key: string, usual: string) => join(folder, table.text("cryptoMaterial", key) ?? usual);
  return {
    caCertificate: at("caCert", "ca.crt"),
    certificate: at("sslCert", "sdk.crt"),
    privateKey: at("sslKey", "sdk.key"),
  };
}

/** The tables of config.toml, without the PIN. */
class SdkTables {
  readonly #name: string;
  readonly #tables: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly hasPassword: boolean;

  constructor(file: string) {
    this.#name = basename(file);
    let bytes: Buffer;
    try {
      // A named pipe would be waited for.
      if (!statSync(file).isFile()) throw new Error("it is not a regular file");
      bytes = readFileSync(file);
    } catch (cause) {
      throw new ChainBuildError("FILE_UNUSABLE", `${file} cannot be read`, { cause });
    }
    try {
      if (bytes.length > maxConfigBytes) throw invalid(`${this.#name} has more than ${maxConfigBytes} bytes`);
      const span = passwordSpan(this.#name, bytes);
      this.hasPassword = span !== undefined && span.end > span.start;
      if (span !== undefined) bytes.fill(0x2a, span.start, span.end);
      this.#tables = parseTables(this.#name, bytes);
      // A key in quotes, or in an inline table: its value would have become text.
      const read = this.#tables.cryptoMaterial?.hsmPassword;
      if ((read === undefined) !== (span === undefined) || /[^*]/.test(String(read ?? "")))
        throw invalid(`${this.#name}: ${passwordForm}`);
    } finally {
      bytes.fill(0);
    }
  }

  text(table: string, key: string): string | undefined {
    const value = this.#tables[table]?.[key];
    if (value === undefined || value === "") return undefined;
    if (typeof value === "string") return value;
    if (typeof value === "boolean" || typeof value === "number") return String(value);
    throw this.refuse(table, key, "takes a text");
  }

  flag(table: string, key: string, whenAbsent: boolean): boolean {
    const value = this.text(table, key) ?? String(whenAbsent);
    if (value !== "true" && value !== "false") throw this.refuse(table, key, 'takes "true" or "false"');
    return value === "true";
  }

  /** A whole number in decimal. */
  number(table: string, key: string, least: number, most: number, whenAbsent?: number): number {
    const value = this.text(table, key) ?? (whenAbsent === undefined ? "" : String(whenAbsent));
    const number = /^(?:0|[1-9]\d{0,14})$/.test(value) ? Number(value) : Number.NaN;
    if (!(number >= least && number <= most))
      throw this.refuse(table, key, `takes a whole number from ${least} to ${most}`);
    return number;
  }

  peers(): NodeEndpoint[] {
    const peers = this.#tables.network?.peers;
    if (!Array.isArray(peers) || peers.length === 0 || peers.length > 100)
      throw this.refuse("network", "peers", 'takes a list of 1 to 100 texts "HOST:PORT"');
    return peers.map((peer: unknown) => {
      try {
        return readAddress(String(peer));
      } catch {
        throw this.refuse("network", "peers", 'takes a list of texts "HOST:PORT"');
      }
    });
  }

  refuse(table: string, key: string, why: string): ChainBuildError {
    return invalid(`${this.#name}: [${table}] ${key} ${why}`);
  }
}

function parseTables(name: string, bytes: Buffer): Readonly<Record<string, Readonly<Record<string, unknown>>>> {
  let root: Readonly<Record<string, unknown>>;
  try {
    root = parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    // The parser's own message shows the line.
    const where = error instanceof TomlError ? ` line ${error.line}` : "";
    throw invalid(`${name}${where} is not TOML in UTF-8`);
  }
  const tables: Record<string, Readonly<Record<string, unknown>>> = {};
  for (const [table, content] of Object.entries(root)) {
    const keys = Object.hasOwn(known, table) ? known[table] : undefined;
    // amop holds an array of tables in some files; nothing of it is read here.
    if (table === "amop") continue;
    if (keys === undefined) throw invalid(`${name}: no table [${table}] is known`);
    if (typeof content !== "object" || content === null || Array.isArray(content))
      throw invalid(`${name}: ${table} is not a table`);
    const stray = Object.keys(content).find((key) => !keys.includes(key));
    if (stray !== undefined) throw invalid(`${name}: [${table}] has no key ${stray}`);
    tables[table] = content as Readonly<Record<string, unknown>>;
  }
  return tables;
}

function invalid(message: string): ChainBuildError {
  return new ChainBuildError("CONFIG_INVALID", message);
}
