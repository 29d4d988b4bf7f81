import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { writeNewFile } from "../../node/file-steps.ts";
import { ChainAuthority } from "./chain-authority.ts";
import {
  configGenesis,
  configIni,
  firstStartFile,
  nodesJson,
  type PlacedNode,
  pinFileName,
  placeNodes,
} from "./config-writer.ts";
import { ChainBuildError } from "./errors.ts";
import { readHsmPin } from "./hsm-settings.ts";
import { readKmsSecret } from "./kms-access.ts";
import { newKmsNodeKeys, writeKmsFiles } from "./kms-node-keys.ts";
import { makeNodeKeys, type NewNodeKey, readNodeKeys } from "./node-key-folder.ts";
import { type ChainBuildOptions, checkOptions } from "./options.ts";
import {
  programName,
  referenceNodeLauncher,
  startAllScript,
  startScript,
  stopAllScript,
  stopScript,
} from "./scripts.ts";

const firstStartText = "This node has never run. Its first start removes this file; do not put it back.\n";

/** A chain as it was built. */
export interface BuiltChain {
  /** Absolute. */
  readonly output: string;
  readonly nodes: readonly BuiltNode[];
}

export interface BuiltNode extends PlacedNode {
  /** Absolute. */
  readonly folder: string;
  readonly nodeId: string;
  /** Index of its key in the cipher machine. */
  readonly keyIndex?: number;
  /** ARN of its key in the KMS. */
  readonly kmsKey?: string;
  /** The file that its key was read from. */
  readonly keySource?: string;
  /** True when that file holds a private key that the cipher machine is to hold alone. */
  readonly keySourceIsPrivate?: boolean;
}

/**
 * Builds the folders of a new chain, as FISCO BCOS's build_chain.sh lays them out: `ca/` with the authority's key, and for
 * each host its program, scripts, `ca/` with certificates alone, `sdk/`, and its nodes.
 *
 * The output folder appears whole or not at all. Private keys and the PIN are in files of mode 0600 in folders of mode 0700;
 * the authority's key is in `ca/` alone; a node's key that is in a cipher machine or a KMS is in no file.
 *
 * @throws {ChainBuildError} `OPTION_INVALID`, `NODE_KEYS_INVALID`, `TARGET_EXISTS`, `FILE_UNUSABLE`, `FILE_UNSAFE`,
 *   `CONFIG_INVALID` for the PIN.
 */
export function buildChain(options: ChainBuildOptions, nowMs: number = Date.now()): BuiltChain {
  checkOptions(options);
  const output = resolve(options.output);
  if (existsSync(output))
    throw new ChainBuildError("TARGET_EXISTS", `${output} exists already`, {
      hint: "move it away, or name another: -o",
    });
  const binary = options.binary === undefined ? undefined : checkedProgram(options.binary);
  const nodes = placeNodes(options);
  using cleanup = new DisposableStack();
  const pin = pinOf(options);
  if (pin !== undefined) cleanup.use(pin);
  const kmsKeys = (options.kms?.keys ?? []).map(({ access }) => {
    return { access, secret: cleanup.use(readKmsSecret(resolve(access.secretFile))) };
  });
  const keys = keysOf(options, nodes.length);
  for (const { pem } of keys) if (typeof pem !== "string") cleanup.use(pem);

  mkdirSync(dirname(output), { recursive: true });
  // A new folder under a name that no one could have taken before: nobody else's folder ever holds the authority's key.
  const unfinished = mkdtempSync(`${output}.unfinished-`);
  try {
    const authorities = makeAuthorities(options, nowMs);
    for (const { authority } of authorities) cleanup.use(authority);
    writeAuthorities(join(unfinished, "ca"), authorities);
    for (const { host } of options.hosts) writeHost(join(unfinished, host), host, binary, authorities);
    const genesis = configGenesis(
      keys.map(({ nodeId }) => nodeId),
      options,
    );
    for (const node of nodes) {
      const folder = join(unfinished, node.host, node.name);
      makeFolder(folder);
      writeNodeConfiguration(folder, node, options, pin, genesis, nodesJson(nodes));
      writeNodeKeys(join(folder, "conf"), node, keys[node.index], authorities, options, pin);
      const kmsKey = kmsKeys[node.index];
      if (kmsKey !== undefined) writeKmsFiles(folder, kmsKey.access, kmsKey.secret);
    }
    chmodSync(unfinished, 0o755);
    renameSync(unfinished, output);
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true });
    throw error;
  }
  return { output, nodes: nodes.map((node) => describe(node, output, keys[node.index], options)) };
}

interface NamedAuthority {
  /** Prefix of its files' names. */
  readonly prefix: "" | "sm_";
  readonly authority: ChainAuthority;
}

/** P-256 for the reference node's TLS; SM2 for the SM TLS of FISCO BCOS's program. An SM chain of reference nodes has both. */
function makeAuthorities({ sm, binary }: ChainBuildOptions, nowMs: number): NamedAuthority[] {
  const authorities: NamedAuthority[] = [];
  if (!sm || binary === undefined) authorities.push({ prefix: "", authority: new ChainAuthority("p256", nowMs) });
  if (sm) authorities.push({ prefix: "sm_", authority: new ChainAuthority("sm2", nowMs) });
  return authorities;
}

function writeAuthorities(folder: string, authorities: readonly NamedAuthority[]): void {
  makeFolder(folder);
  for (const { prefix, authority } of authorities) {
    using key = authority.exposeKeyPem();
    writeSecret(join(folder, `${prefix}ca.key`), key);
  }
  writeAuthorityCertificates(folder, authorities);
}

function writeAuthorityCertificates(folder: string, authorities: readonly NamedAuthority[]): void {
  for (const { prefix, authority } of authorities)
    writePublic(join(folder, `${prefix}ca.crt`), authority.certificatePem);
}

function writeHost(folder: string, host: string, binary: string | undefined, authorities: readonly NamedAuthority[]) {
  makeFolder(folder, 0o755);
  const program = join(folder, programName);
  if (binary === undefined) writeScript(program, referenceNodeLauncher());
  else {
    copyFileSync(binary, program);
    chmodSync(program, 0o755);
  }
  writeScript(join(folder, "start_all.sh"), startAllScript());
  writeScript(join(folder, "stop_all.sh"), stopAllScript());
  makeFolder(join(folder, "ca"), 0o755);
  writeAuthorityCertificates(join(folder, "ca"), authorities);
  const sdk = join(folder, "sdk");
  makeFolder(sdk);
  writeCertificates(sdk, "sdk", host, authorities);
}

function writeNodeConfiguration(
  folder: string,
  node: PlacedNode,
  options: ChainBuildOptions,
  pin: SecretBuffer | undefined,
  genesis: string,
  nodes: string,
): void {
  const { before, after } = configIni(node, options);
  const none = Buffer.alloc(0);
  const withPin = (bytes: Buffer) => SecretBuffer.take(Buffer.concat([Buffer.from(before), bytes, Buffer.from(after)]));
  using config = options.hsm?.pinInConfig && pin !== undefined ? pin.expose(withPin) : withPin(none);
  writeSecret(join(folder, "config.ini"), config);
  writePublic(join(folder, "config.genesis"), genesis);
  writePublic(join(folder, "nodes.json"), nodes);
  writeScript(join(folder, "start.sh"), startScript());
  writeScript(join(folder, "stop.sh"), stopScript());
}

function writeNodeKeys(
  folder: string,
  node: PlacedNode,
  key: NewNodeKey | undefined,
  authorities: readonly NamedAuthority[],
  { hsm, binary }: ChainBuildOptions,
  pin: SecretBuffer | undefined,
): void {
  if (key === undefined) throw new RangeError(`there is no key for node ${node.index}`);
  makeFolder(folder);
  writeAuthorityCertificates(folder, authorities);
  writeCertificates(folder, "ssl", node.host, authorities);
  writePublic(join(folder, "node.nodeid"), `${key.nodeId}\n`);
  if (binary === undefined) writePublic(join(dirname(folder), firstStartFile), firstStartText);
  if (typeof key.pem === "string") writePublic(join(folder, "node.pem"), key.pem);
  else writeSecret(join(folder, "node.pem"), key.pem);
  if (pin !== undefined && hsm?.pinInConfig === false) writeSecret(join(dirname(folder), pinFileName), pin);
}

/** Certificate, key and id of one end of the links, `ssl.crt` and so on; with SM TLS there are two of each. */
function writeCertificates(folder: string, type: "ssl" | "sdk", host: string, authorities: readonly NamedAuthority[]) {
  for (const { prefix, authority } of authorities) {
    const pairs =
      prefix === ""
        ? ([[type, type === "ssl" ? "agency" : type, "tls"]] as const)
        : ([
            [type, type, "sign"],
            [`en${type}`, `en${type}`, "encrypt"],
          ] as const);
    for (const [name, unit, use] of pairs) {
      const issued = authority.issue(unit, use, type === "ssl" ? [host] : []);
      using key = issued.privateKeyPem;
      writePublic(join(folder, `${prefix}${name}.crt`), issued.certificatePem);
      writeSecret(join(folder, `${prefix}${name}.key`), key);
      if (name === type)
        writePublic(join(folder, `${prefix}${name}.nodeid`), `${issued.publicKey.subarray(1).toString("hex")}\n`);
    }
    if (type === "sdk") writePublic(join(folder, `${prefix}ca.crt`), authority.certificatePem);
  }
}

function keysOf({ sm, hsm, kms, nodeKeys }: ChainBuildOptions, nodes: number): NewNodeKey[] {
  const curve = sm ? "sm2" : "secp256k1";
  if (kms !== undefined) return newKmsNodeKeys(curve, kms.keys, nodes);
  return nodeKeys === undefined
    ? makeNodeKeys(curve, nodes)
    : readNodeKeys(resolve(nodeKeys), curve, nodes, hsm !== undefined);
}

function pinOf({ hsm }: ChainBuildOptions): SecretBuffer | undefined {
  if (hsm?.pinFile === undefined) return undefined;
  const pin = readHsmPin({ kind: "file", file: resolve(hsm.pinFile) });
  // Readers of config.ini drop blanks around a value.
  if (!hsm.pinInConfig || !pin.expose((bytes) => bytes[0] === 0x20 || bytes.at(-1) === 0x20)) return pin;
  pin[Symbol.dispose]();
  throw new ChainBuildError(
    "CONFIG_INVALID",
    `${hsm.pinFile}: a PIN that begins or ends with a blank cannot stand in config.ini`,
  );
}

function checkedProgram(path: string): string {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats?.isFile() !== true || (stats.mode & 0o111) === 0)
    throw new ChainBuildError("FILE_UNUSABLE", `${path} is not a program: -e takes FISCO BCOS's executable file`);
  return resolve(path);
}

function describe(
  node: PlacedNode,
  output: string,
  key: NewNodeKey | undefined,
  { hsm, kms }: ChainBuildOptions,
): BuiltNode {
  const keyIndex = hsm?.keyIndices?.[node.index];
  const kmsKey = kms?.keys[node.index]?.keyArn;
  return {
    ...node,
    folder: join(output, node.host, node.name),
    nodeId: key?.nodeId ?? "",
    ...(keyIndex === undefined ? {} : { keyIndex }),
    ...(kmsKey === undefined ? {} : { kmsKey }),
    ...(key?.source === undefined ? {} : { keySource: key.source }),
    ...(key?.sourceIsPrivate === undefined ? {} : { keySourceIsPrivate: key.sourceIsPrivate }),
  };
}

/** Folders with a secret in them are 0700; the others are open, so that each node can run as a user of its own. */
function makeFolder(path: string, mode = 0o700): void {
  mkdirSync(path, { recursive: true, mode });
}

function writeSecret(path: string, secret: SecretBuffer): void {
  secret.expose((bytes) => writeNewFile(path, bytes, 0o600));
}

function writePublic(path: string, text: string): void {
  writeNewFile(path, Buffer.from(text), 0o644);
}

function writeScript(path: string, text: string): void {
  writeNewFile(path, Buffer.from(text), 0o755);
}
