import { kmsFileNames } from "./kms-node-keys.ts";
import { kmsType } from "./kms-settings.ts";
import type { ChainBuildOptions, KmsOptions } from "./options.ts";

/** One node of a new chain: where it is, and its number on its host and in the chain. */
export interface PlacedNode {
  readonly host: string;
  /** `node0`, `node1`, … on each host. */
  readonly name: string;
  readonly p2pPort: number;
  readonly rpcPort: number;
  /** From 0, over the whole chain. */
  readonly index: number;
}

/** Where the PIN of a cipher machine is, for `[security]`. */
export type PinSetting = { readonly file: string } | { readonly inConfig: true } | undefined;

/** The file with the PIN, in the node's folder. */
export const pinFileName = "conf/hsm_password";

/** In a reference node's folder until its first start makes the double-sign guard: only then may there be none. */
export const firstStartFile = "conf/first-start";

/** Every node of a chain, host by host. */
export function placeNodes({ hosts, ports }: Pick<ChainBuildOptions, "hosts" | "ports">): PlacedNode[] {
  return hosts
    .flatMap(({ host, nodes }) => Array.from({ length: nodes }, (_, number) => ({ host, number })))
    .map(({ host, number }, index) => ({
      host,
      name: `node${number}`,
      p2pPort: ports.p2p + number,
      rpcPort: ports.rpc + number,
      index,
    }));
}

/**
 * config.ini of a node, as FISCO BCOS 3 reads it. Without its own program the links are TLS 1.3 with P-256 certificates and
 * the RPC is plain HTTP on the loopback interface, whatever the chain's own cryptography is.
 *
 * @returns The text up to the PIN and after it: the PIN is a secret and goes between as bytes, where it goes here at all.
 */
export function configIni(
  node: PlacedNode,
  options: ChainBuildOptions,
): { readonly before: string; readonly after: string } {
  const { sm, binary } = options;
  const smTls = sm && binary !== undefined;
  const isLocal = node.host === "localhost" || node.host.startsWith("127.");
  const before = `[p2p]
    listen_ip=${isLocal ? "127.0.0.1" : "0.0.0.0"}
    listen_port=${node.p2pPort}
    ; ssl or sm ssl
    sm_ssl=${smTls}
    nodes_path=./
    nodes_file=nodes.json

[rpc]
    listen_ip=127.0.0.1
    listen_port=${node.rpcPort}
    thread_count=4
    ; ssl or sm ssl
    sm_ssl=${smTls}
    ; ssl connection switch
    disable_ssl=${binary === undefined}

[cert]
    ; directory the certificates are in
    ca_path=./conf
${certificateLines(smTls)}

[chain]
    ; as in config.genesis, never to be changed
    sm_crypto=${sm}
    group_id=${options.groupId}
    chain_id=${options.chainId}

[security]
    private_key_path=conf/node.pem
${options.kms === undefined ? hsmLines(node, options) : kmsLines(node, options.kms)}`;
  const after = `

[storage_security]
    ; enable data disk encryption or not
    enable=false
    ; the key manager's FISCO door, or a sidecar, in format of ip:port
    ;key_center_url=
    ;cipher_data_key=

[consensus]
    ; min block generation time(ms)
    min_seal_time=${binary === undefined ? 1000 : 500}

[storage]
    data_path=data
    enable_cache=true
    ; in bytes, not less than 4096
    key_page_size=10240

[txpool]
    ; size of the txpool
    limit=15000
    notify_worker_num=2
    ; txs expiration time, in seconds
    txs_expiration_time=600

[log]
    enable=true
    log_path=./log
    ; fatal error warning info debug trace
    level=info
    ; MB
    max_log_file_size=200
`;
  return { before, after };
}

function certificateLines(smTls: boolean): string {
  const lines = smTls
    ? [
        "; the ca certificate file",
        "sm_ca_cert=sm_ca.crt",
        "; the node's private key and certificate for signatures",
        "sm_node_key=sm_ssl.key",
        "sm_node_cert=sm_ssl.crt",
        "; the node's private key and certificate for key exchange",
        "sm_ennode_key=sm_enssl.key",
        "sm_ennode_cert=sm_enssl.crt",
      ]
    : [
        "; the ca certificate file",
        "ca_cert=ca.crt",
        "; the node's private key and certificate",
        "node_key=ssl.key",
        "node_cert=ssl.crt",
      ];
  return indented(lines);
}

function hsmLines(node: PlacedNode, { hsm, binary }: ChainBuildOptions): string {
  if (hsm === undefined)
    return indented([
      "; true: the node's key is in a cipher machine (GM/T 0018)",
      "enable_hsm=false",
      ";hsm_lib_path=/usr/local/lib/libgmt0018.so",
      ";key_index=",
    ]);
  const index = hsm.keyIndices?.[node.index];
  const lines = [
    "; true: the node's key is in a cipher machine (GM/T 0018)",
    "enable_hsm=true",
    "; the cipher machine's library",
    hsm.library === undefined ? ";hsm_lib_path=/usr/local/lib/libgmt0018.so" : `hsm_lib_path=${hsm.library}`,
    "; index of this node's key in the cipher machine",
    index === undefined ? ";key_index=" : `key_index=${index}`,
  ];
  if (hsm.profile !== undefined && binary === undefined)
    lines.push("; layout of the library's structures", `hsm_profile=${hsm.profile}`);
  lines.push("; the PIN: in a private file, or here in clear (password)");
  if (hsm.pinFile === undefined) lines.push(`;password_file=${pinFileName}`);
  else lines.push(hsm.pinInConfig ? "password=" : `password_file=${pinFileName}`);
  return indented(lines);
}

function kmsLines({ index }: PlacedNode, { keys }: KmsOptions): string {
  const key = keys[index];
  if (key === undefined) throw new RangeError(`there is no key for node ${index}`);
  const { region, url, accessKeyId, caFile } = key.access;
  return indented([
    "; the node's key signs inside a KMS that speaks AWS's protocol",
    `kms_type=${kmsType}`,
    url === undefined ? "; without kms_url: AWS's own endpoint of the region" : `kms_url=${url}`,
    ...(caFile === undefined ? [] : [`kms_ca_file=${kmsFileNames.ca}`]),
    `kms_region=${region}`,
    `kms_key=${key.keyArn}`,
    `kms_access_key_id=${accessKeyId}`,
    "; the secret access key, in a private file",
    `kms_secret_file=${kmsFileNames.secret}`,
  ]);
}

/** config.genesis: the same file for every node. */
export function configGenesis(nodeIds: readonly string[], options: ChainBuildOptions): string {
  return `[chain]
    ; use SM crypto or not, never to be changed
    sm_crypto=${options.sm}
    ; the group id, never to be changed
    group_id=${options.groupId}
    ; the chain id, never to be changed
    chain_id=${options.chainId}

[consensus]
    consensus_type=pbft
    ; the max number of transactions of a block
    block_tx_count_limit=1000
    ; in milliseconds, block consensus timeout
    consensus_timeout=3000
    ; the number of blocks generated by each leader
    leader_period=1
    ; the node ids of the consensus nodes, with their weights
${indented(nodeIds.map((nodeId, index) => `node.${index}=${nodeId}: 1`))}

[version]
    compatibility_version=${options.compatibilityVersion}

[tx]
    ; transaction gas limit
    gas_limit=3000000000

[executor]
    is_wasm=false
    is_auth_check=false
    auth_admin_account=
    is_serial_execute=false
`;
}

/** nodes.json: where every node is reached. */
export function nodesJson(nodes: readonly PlacedNode[]): string {
  return `${JSON.stringify({ nodes: nodes.map(({ host, p2pPort }) => `${host}:${p2pPort}`) })}\n`;
}

function indented(lines: readonly string[]): string {
  return lines.map((line) => `    ${line}`).join("\n");
}
