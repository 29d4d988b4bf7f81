import type { ChannelCredentials, Client, credentials } from "@grpc/grpc-js";
import type { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import { EnclaveError } from "../../errors.ts";
import type { Ledger, LedgerConnection, LedgerIdentity } from "../ledger.ts";
import { FabricConnection } from "./fabric-connection.ts";

/** A peer that offers Fabric's gateway (Fabric 2.4 and later). */
export interface GatewayPeer {
  /** `host:port`. */
  readonly address: string;
  /** Root certificates of its TLS in PEM; only a peer on this machine's loopback goes without. */
  readonly tlsRoots?: string | undefined;
  /** The name that its TLS certificate has, where it is not the host of the address. */
  readonly tlsServerName?: string | undefined;
  /** What this client shows the peer, where the peer demands a certificate. The key becomes the ledger's. */
  readonly tlsIdentity?: { readonly certificate: string; readonly key: SecretBuffer };
}

export interface FabricLedgerOptions {
  readonly channelId: string;
  /** By organisation: the peer through which its identities reach the channel. */
  readonly gateways: Readonly<Record<string, GatewayPeer>>;
  /** How long each step of a call may take. @defaultValue 30,000 ms, and 60,000 ms for a commit */
  readonly timeoutsMs?: Partial<CallTimeoutsMs>;
}

export interface CallTimeoutsMs {
  readonly evaluate: number;
  readonly endorse: number;
  readonly submit: number;
  readonly commit: number;
}

const defaultTimeoutsMs: CallTimeoutsMs = { evaluate: 30_000, endorse: 30_000, submit: 30_000, commit: 60_000 };
/** Evidence with its collateral is large; Fabric's own limit is 100 MiB. */
const maxMessageBytes = 100 << 20;

/** A channel of Hyperledger Fabric, through the gateways of its peers (@hyperledger/fabric-gateway). */
export class FabricLedger implements Ledger {
  readonly channelId: string;
  readonly #gateways: ReadonlyMap<string, GatewayPeer>;
  readonly #timeoutsMs: CallTimeoutsMs;
  readonly #clients = new Map<string, Client>();
  #isClosed = false;

  private constructor({ channelId, gateways, timeoutsMs }: FabricLedgerOptions) {
    this.channelId = channelId;
    this.#gateways = new Map(Object.entries(gateways));
    this.#timeoutsMs = { ...defaultTimeoutsMs, ...timeoutsMs };
  }

  /** Connects to nothing yet. @throws EnclaveError SETTINGS_INVALID */
  static open(options: FabricLedgerOptions): FabricLedger {
    if (!/^[a-z][a-z0-9.-]{0,248}$/.test(options.channelId))
      throw new EnclaveError("SETTINGS_INVALID", `${JSON.stringify(options.channelId)} is no name of a channel`);
    for (const [mspId, peer] of Object.entries(options.gateways)) checkPeer(mspId, peer);
    return new FabricLedger(options);
  }

  /**
   * Connections of one organisation share its gateway's socket.
   *
   * @throws EnclaveError SETTINGS_INVALID: no gateway is named for the identity's organisation
   */
  async connect(identity: LedgerIdentity): Promise<LedgerConnection> {
    if (this.#isClosed) throw new EnclaveError("LEDGER_UNAVAILABLE", "this ledger is closed");
    const peer = this.#gateways.get(identity.mspId);
    if (peer === undefined)
      throw new EnclaveError("SETTINGS_INVALID", `no gateway is named for the organisation ${identity.mspId}`);
    return await FabricConnection.open(await this.#client(peer), this.channelId, identity, this.#timeoutsMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    for (const client of this.#clients.values()) client.close();
    this.#clients.clear();
    for (const { tlsIdentity } of this.#gateways.values()) tlsIdentity?.key[Symbol.dispose]();
  }

  async #client(peer: GatewayPeer): Promise<Client> {
    const { Client: GrpcClient, credentials } = await import("@grpc/grpc-js");
    const present = this.#clients.get(peer.address);
    if (present !== undefined) return present;
    const security = channelSecurity(credentials, peer);
    const client = new GrpcClient(peer.address, security, {
      "grpc.max_receive_message_length": maxMessageBytes,
      ...(peer.tlsServerName === undefined ? {} : { "grpc.ssl_target_name_override": peer.tlsServerName }),
    });
    this.#clients.set(peer.address, client);
    return client;
  }
}

/** The key is in TLS's own memory when this returns; the copy is wiped. */
function channelSecurity(grpc: typeof credentials, { tlsRoots, tlsIdentity }: GatewayPeer): ChannelCredentials {
  if (tlsRoots === undefined) return grpc.createInsecure();
  const roots = Buffer.from(tlsRoots);
  if (tlsIdentity === undefined) return grpc.createSsl(roots);
  const key = tlsIdentity.key.expose((bytes) => Buffer.from(bytes));
  try {
    return grpc.createSsl(roots, key, Buffer.from(tlsIdentity.certificate));
  } finally {
    key.fill(0);
  }
}

function checkPeer(mspId: string, { address, tlsRoots }: GatewayPeer): void {
  const match = /^(?<host>\[[0-9a-f:.]+\]|[A-Za-z0-9.-]+):(?<port>[0-9]{1,5})$/.exec(address);
  const { host = "", port } = match?.groups ?? {};
  if (match === null || Number(port) < 1 || Number(port) > 65_535)
    throw new EnclaveError("SETTINGS_INVALID", `the gateway of ${mspId} is not named as host:port`);
  if (tlsRoots === undefined && !/^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(host))
    throw new EnclaveError(
      "SETTINGS_INVALID",
      `the gateway of ${mspId} is on another machine, and no TLS roots are named`,
    );
}
