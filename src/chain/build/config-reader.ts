import { readFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { ConfigSections, type KnownKeys } from "./config-section.ts";
import { ChainBuildError } from "./errors.ts";
import { type ChainGenesis, readGenesis } from "./genesis-reader.ts";
import { type HsmSettings, hsmSettings } from "./hsm-settings.ts";
import { type Ini, parseIni } from "./ini.ts";
import { type KmsSettings, kmsEntries, kmsSettings, kmsType, refuseStrayKmsSettings } from "./kms-settings.ts";
import { type NodeEndpoint, readNodesFile } from "./nodes-file.ts";

/** What a node of the reference chain reads from its folder. Paths are absolute. */
export interface ChainNodeConfig {
  /** The folder of config.ini: relative paths start there. */
  readonly folder: string;
  readonly p2p: {
    readonly listenIp: string;
    readonly listenPort: number;
    /** Where the chain's nodes are reached, this one among them. */
    readonly nodes: readonly NodeEndpoint[];
  };
  /** Plain JSON-RPC over HTTP. */
  readonly rpc: { readonly listenIp: string; readonly listenPort: number };
  /** TLS of the P2P links: P-256, whatever the chain's own cryptography is. */
  readonly tls: { readonly caCertificate: string; readonly certificate: string; readonly privateKey: string };
  /** Where the node's signing key is. */
  readonly signing:
    | { readonly kind: "file"; readonly privateKeyPath: string }
    | {
        readonly kind: "hsm";
        readonly hsm: HsmSettings;
        /** node.pem: the public key that the machine must have under the index. */
        readonly publicKeyPath: string;
      }
    | {
        readonly kind: "kms";
        readonly kms: KmsSettings;
        /** node.pem: the public key that the KMS must show. */
        readonly publicKeyPath: string;
      };
  readonly storageSecurity: {
    readonly enable: boolean;
    /** `ip:port`, FISCO's door. */
    readonly keyCenterUrl?: string;
    readonly cipherDataKey?: string;
  };
  readonly consensus: { /** Shortest time between two blocks. */ readonly minSealTimeMs: number };
  readonly storage: { readonly dataPath: string };
  readonly log: {
    readonly enable: boolean;
    readonly folder: string;
    readonly level: "fatal" | "error" | "warning" | "info" | "debug" | "trace";
    readonly maxFileMiB: number;
  };
  readonly genesis: ChainGenesis;
  /** Settings of `[strongroom]`: the reference node's own, which it checks itself. */
  readonly strongroom: Readonly<Record<string, string>>;
  /** `section.key` of what is set for FISCO BCOS and has no effect here. */
  readonly unused: readonly string[];
}

const logLevels = ["fatal", "error", "warning", "info", "debug", "trace"] as const;

/** FISCO BCOS 3's config.ini. What would promise protection that the reference node does not give is in neither list. */
const known: Readonly<Record<string, KnownKeys>> = {
  p2p: {
    used: ["listen_ip", "listen_port", "nodes_path", "nodes_file", "sm_ssl"],
    unused: ["enable_rip_protocol", "enable_compression", "thread_count"],
  },
  rpc: {
    used: ["listen_ip", "listen_port", "sm_ssl", "disable_ssl"],
    unused: ["thread_count", "return_input_params", "filter_timeout", "filter_max_process_block"],
  },
  cert: {
    used: ["ca_path", "ca_cert", "node_key", "node_cert"],
    unused: ["sm_ca_cert", "sm_node_key", "sm_node_cert", "sm_ennode_key", "sm_ennode_cert", "multi_ca_path"],
  },
  chain: { used: [], unused: ["sm_crypto", "group_id", "chain_id"] },
  security: {
    used: [
      "private_key_path",
      "enable_hsm",
      "hsm_lib_path",
      "hsm_profile",
      "key_index",
      "key_id",
      "password",
      "password_file",
      ...kmsEntries,
    ],
    unused: [],
  },
  hsm_environment: { used: ["*"], unused: [] },
  storage_security: { used: ["enable", "key_center_url", "key_manager_url", "cipher_data_key"], unused: [] },
  consensus: { used: ["min_seal_time"], unused: [] },
  storage: {
    used: ["data_path"],
    unused: ["enable_cache", "key_page_size", "type", "pd_addrs", "enable_archive", "archive_ip", "archive_port"],
  },
  log: {
    used: ["enable", "log_path", "level", "max_log_file_size"],
    unused: ["stat_flush_interval", "format", "enable_rotate_by_hour", "log_name_pattern", "rotate_name_pattern"],
  },
  txpool: { used: [], unused: "any" },
  executor: { used: [], unused: "any" },
  flow_control: { used: [], unused: "any" },
  web3_rpc: { used: ["enable"], unused: "any" },
  redis: { used: [], unused: "any" },
  sync: { used: [], unused: "any" },
  certificate_blacklist: { used: [], unused: [] },
  certificate_whitelist: { used: [], unused: [] },
  strongroom: { used: ["*"], unused: [] },
};

/** The entry whose value is a secret. */
export const pinEntry = "security.password";

/**
 * Reads config.ini of a node, and beside it config.genesis and nodes.json, strictly: an unknown section or key is refused,
 * so is a setting that would promise a protection that the reference node does not give (certificate lists, SM TLS).
 * No secret is read: {@link readHsmPin} does that.
 *
 * @param file - config.ini; config.genesis lies beside it.
 * @throws {ChainBuildError} `CONFIG_INVALID`, `FILE_UNUSABLE`.
 */
export function readChainNodeConfig(file: string): ChainNodeConfig {
  const folder = resolve(dirname(file));
  const at = (path: string) => resolve(folder, path);
  const ini = readIni(file);
  const sections = new ConfigSections(ini, basename(file), known);
  const genesis = readGenesis(at("config.genesis"));
  const signing = signingOf(ini, sections, resolve(file), genesis, at);
  if (sections.flag("p2p.sm_ssl", false))
    throw sections.refuse("p2p.sm_ssl", "must be false: the reference node speaks TLS 1.3 with P-256 certificates");
  if (!sections.flag("rpc.disable_ssl", false) || sections.flag("rpc.sm_ssl", false))
    throw sections.refuse("rpc.disable_ssl", "must be true, without sm_ssl: the reference node's RPC is plain HTTP");
  if (sections.flag("web3_rpc.enable", false)) throw sections.refuse("web3_rpc.enable", "is not offered here");
  const nodesFile = join(at(sections.text("p2p.nodes_path") ?? "."), sections.text("p2p.nodes_file") ?? "nodes.json");
  const certificates = at(sections.text("cert.ca_path") ?? "./conf");
  const level = logLevels.find((each) => each === (sections.text("log.level") ?? "info"));
  if (level === undefined) throw sections.refuse("log.level", `takes ${logLevels.join(", ")}`);
  return {
    folder,
    p2p: {
      listenIp: sections.required("p2p.listen_ip"),
      listenPort: sections.number("p2p.listen_port", 1, 65_535),
      nodes: readNodesFile(nodesFile),
    },
    rpc: {
      listenIp: sections.required("rpc.listen_ip"),
      listenPort: sections.number("rpc.listen_port", 1, 65_535),
    },
    tls: {
      caCertificate: join(certificates, sections.text("cert.ca_cert") ?? "ca.crt"),
      certificate: join(certificates, sections.text("cert.node_cert") ?? "ssl.crt"),
      privateKey: join(certificates, sections.text("cert.node_key") ?? "ssl.key"),
    },
    signing,
    storageSecurity: storageSecurityOf(sections),
    consensus: { minSealTimeMs: sections.number("consensus.min_seal_time", 10, 3_600_000, 500) },
    storage: { dataPath: at(sections.text("storage.data_path") ?? "data") },
    log: {
      enable: sections.flag("log.enable", true),
      folder: at(sections.text("log.log_path") ?? "./log"),
      level,
      maxFileMiB: sections.number("log.max_log_file_size", 1, 1_000_000, 200),
    },
    genesis,
    strongroom: sections.all("strongroom"),
    unused: sections.unused,
  };
}

function readIni(file: string): Ini {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (cause) {
    throw new ChainBuildError("FILE_UNUSABLE", `${file} cannot be read`, { cause });
  }
  try {
    return parseIni(bytes, basename(file), [pinEntry]);
  } finally {
    bytes.fill(0);
  }
}

function signingOf(
  ini: Ini,
  sections: ConfigSections,
  file: string,
  genesis: ChainGenesis,
  at: (path: string) => string,
): ChainNodeConfig["signing"] {
  const pem = at(sections.text("security.private_key_path") ?? "conf/node.pem");
  const [variable] = Object.keys(sections.all("hsm_environment"));
  const kind = sections.text("security.kms_type") ?? "LEGACY";
  if (kind !== "LEGACY" && kind !== "HSM" && kind !== kmsType)
    throw sections.refuse("security.kms_type", `takes LEGACY, HSM or ${kmsType} (a key that signs inside a KMS)`);
  if (kind === kmsType) {
    if (ini.secrets.has(pinEntry)) throw sections.refuse(pinEntry, `is of a cipher machine, but kms_type=${kmsType}`);
    if (variable !== undefined)
      throw sections.refuse(`hsm_environment.${variable}`, `is of a cipher machine, but kms_type=${kmsType}`);
    return { kind: "kms", kms: kmsSettings(sections, basename(file), at), publicKeyPath: pem };
  }
  refuseStrayKmsSettings(sections);
  if (!sections.flag("security.enable_hsm", kind === "HSM")) {
    if (ini.secrets.has(pinEntry)) throw sections.refuse(pinEntry, "is there, but enable_hsm is not true");
    if (variable !== undefined)
      throw sections.refuse(`hsm_environment.${variable}`, "is there, but enable_hsm is not true");
    return { kind: "file", privateKeyPath: pem };
  }
  if (!genesis.smCrypto) throw sections.refuse("security.enable_hsm", "needs a chain with sm_crypto=true");
  return { kind: "hsm", hsm: hsmSettings(ini, sections, file), publicKeyPath: pem };
}

/** The manual's spelling `key_manager_url` is read as well: FISCO BCOS's own manual and program differ. */
function storageSecurityOf(sections: ConfigSections): ChainNodeConfig["storageSecurity"] {
  const enable = sections.flag("storage_security.enable", false);
  const url = sections.text("storage_security.key_center_url") ?? sections.text("storage_security.key_manager_url");
  const cipherDataKey = sections.text("storage_security.cipher_data_key");
  if (url !== undefined && !/^[A-Za-z0-9.-]{1,253}:\d{1,5}$/.test(url))
    throw sections.refuse("storage_security.key_center_url", "takes IP:PORT");
  if (cipherDataKey !== undefined && !/^(?:[0-9a-fA-F]{2}){1,4096}$/.test(cipherDataKey))
    throw sections.refuse("storage_security.cipher_data_key", "takes hexadecimal bytes");
  if (enable && (url === undefined || cipherDataKey === undefined))
    throw sections.refuse("storage_security.enable", "needs key_center_url and cipher_data_key");
  return {
    enable,
    ...(url === undefined ? {} : { keyCenterUrl: url }),
    ...(cipherDataKey === undefined ? {} : { cipherDataKey }),
  };
}
