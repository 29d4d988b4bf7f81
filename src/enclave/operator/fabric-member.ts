import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { readSecretFile } from "../../crypto/secret-file.ts";
import { EnclaveError } from "../errors.ts";
import { FabricLedger, type GatewayPeer } from "../ledger/fabric/fabric-ledger.ts";
import { identityFromFiles } from "../ledger/file-identity.ts";
import type { LedgerConnection, LedgerIdentity } from "../ledger/ledger.ts";
import { CCParametersSchema, HostParametersSchema } from "../messages/generated/fpc/fpc_pb.ts";
import { TrustedLedgerParametersSchema } from "../messages/generated/fpc/policy_pb.ts";
import { encode } from "../messages/strict.ts";
import { policyHash } from "../protocol/policy.ts";
import type { EnclaveAgent } from "../stub/agent.ts";
import type { EnclaveStatus } from "../stub/enclave-status.ts";
import { measureEnclave } from "../stub/measure.ts";
import { type EnclaveCreation, Stub } from "../stub/stub.ts";
import type { TeeKind } from "../tee/backend.ts";
import { queryHeight } from "./chain-height.ts";
import type { AnsweringAgent } from "./confidential-call.ts";
import {
  type ConnectionSettings,
  type FolderHost,
  readConnectionSettings,
  readPem,
  teeSettings,
} from "./connection-settings.ts";
import { createdEnclaves, enclaveNames } from "./created-enclaves.ts";
import { queryDefinition } from "./definition.ts";
import { EnclaveKeyManagers } from "./enclave-key-managers.ts";
import { checkEnclaveName } from "./enclave-name.ts";
import { hostExchange } from "./host-exchange.ts";
import type { Member } from "./member.ts";
import { readOrganisationKeys } from "./organisation-keys.ts";
import { PeerAgent } from "./peer-agent.ts";
import { PeerAnswers } from "./peer-answers.ts";
import type { OrganisationKeys } from "./recovery.ts";
import { RegistryClient } from "./registry-client.ts";
import { quorumView, type RegistryView } from "./registry-view.ts";
import { readHostRecords } from "./stub-records.ts";
import type { StubRecords } from "./trace.ts";

/** An organisation of a channel of Hyperledger Fabric, by the connection settings that its admin wrote down. */
export class FabricMember implements Member, AsyncDisposable {
  readonly client: RegistryClient;
  readonly identity: LedgerIdentity;
  readonly #settings: ConnectionSettings;
  readonly #ledger: FabricLedger;
  readonly #connection: LedgerConnection;

  private constructor(
    settings: ConnectionSettings,
    ledger: FabricLedger,
    connection: LedgerConnection,
    identity: LedgerIdentity,
  ) {
    this.identity = identity;
    this.client = new RegistryClient(connection, settings.registry, settings.chaincode);
    this.#settings = settings;
    this.#ledger = ledger;
    this.#connection = connection;
  }

  /**
   * Reaches nobody yet.
   *
   * @param path - Of the connection settings, JSON.
   * @throws EnclaveError SETTINGS_INVALID
   */
  static async open(path: string): Promise<FabricMember> {
    const settings = readConnectionSettings(path);
    const { mspId, certificate, key } = settings.identity;
    const identity = identityFromFiles(mspId, readPem(certificate), key);
    const ledger = FabricLedger.open({
      channelId: settings.channel,
      gateways: { [mspId]: readGateway(settings.gateway) },
    });
    return new FabricMember(settings, ledger, await ledger.connect(identity), identity);
  }

  get mspId(): string {
    return this.identity.mspId;
  }

  /** By the peers that the settings name in `trustedLedger`; where they name none, by the own one alone. */
  view(): RegistryView {
    const { trustedLedger } = this.#settings;
    if (trustedLedger === undefined) return this.client;
    const organisations = trustedLedger.organisations.map(({ mspId, roots }) => ({ mspId, roots: roots.map(readPem) }));
    return quorumView(this.client, this.identity, { organisations, quorum: trustedLedger.quorum });
  }

  get teeKind(): TeeKind | undefined {
    const { host } = this.#settings;
    return host?.kind === "folder" ? host.tee.kind : undefined;
  }

  /** Whether the settings say where the organisation's enclaves are. */
  get hasHost(): boolean {
    return this.#settings.host !== undefined;
  }

  /** Whether the enclaves' files are on this machine, and not with a peer that runs the agent. */
  get isOwnHost(): boolean {
    return this.#settings.host?.kind === "folder";
  }

  get hasKeys(): boolean {
    return this.#settings.organisationKeys !== undefined;
  }

  get keyManagers(): EnclaveKeyManagers | undefined {
    const { host } = this.#settings;
    if (host?.kind !== "folder") return undefined;
    return new EnclaveKeyManagers({
      names: () => this.enclaves(),
      folderOf: (name) => enclaveFolder(host, name),
      keyManager: () => host.keyManager,
    });
  }

  enclaves(): readonly string[] {
    const host = this.#host();
    if (host.kind === "chaincode") return [peersEnclave];
    return createdEnclaves(host.folder);
  }

  enclaveNames(): ReadonlyMap<string, string> {
    const { host } = this.#settings;
    return host?.kind === "folder" ? enclaveNames(host.folder) : new Map();
  }

  async agent(name: string): Promise<EnclaveAgent> {
    const host = this.#host();
    if (host.kind === "chaincode") {
      if (name !== peersEnclave)
        throw new EnclaveError("SETTINGS_INVALID", `the enclave that a peer runs is ${peersEnclave}, not ${name}`);
      return await PeerAgent.open(this.#connection, this.#settings.chaincode);
    }
    const { tee } = host;
    const keyManager = this.keyManagers?.of(name);
    return await Stub.open({
      folder: enclaveFolder(host, name),
      tee: { ...teeSettings(tee), ...(keyManager && { keyManager }) },
      exchange: hostExchange(this.client, this.identity),
    });
  }

  async measure(): Promise<Pick<EnclaveStatus, "measurement" | "tee">> {
    const host = this.#host();
    if (host.kind === "folder") return await measureEnclave(teeSettings(host.tee));
    await using agent = await this.agent(peersEnclave);
    const { measurement, tee } = await agent.status();
    return { measurement, tee };
  }

  /**
   * By whom an organisation's enclave answers calls: the own one's by the enclave at its host, where that is a folder here; all others'
   * beside their peers, which are reached through the own gateway and asked nothing yet.
   *
   * @param name - Of the own enclave.
   * @throws EnclaveError NOT_FOUND: the own host has no such enclave; what {@link agent} refuses with
   */
  async answering(mspId: string, name: string): Promise<AnsweringAgent> {
    if (mspId !== this.mspId || !this.isOwnHost)
      return new PeerAnswers(this.#connection, this.identity, this.#settings.chaincode, mspId);
    if (!this.enclaves().includes(name))
      throw new EnclaveError("NOT_FOUND", `there is no enclave ${name} at the own host (--enclave)`);
    return await this.agent(name);
  }

  async creation(): Promise<EnclaveCreation> {
    const { chaincode: chaincodeId, channel: channelId, channelHash } = this.#settings;
    const { peerEndpoint } = this.#host();
    const { version, sequence } = await queryDefinition(this.#connection, chaincodeId);
    const policy = await this.client.policy();
    if (policy.trustedLedger === undefined)
      throw new EnclaveError("POLICY_DENIED", "the policy says nothing of the ledger that enclaves are to believe");
    // What a peer says here is attested, and ERCC compares it with the ledger: a wrong word makes an enclave that nobody registers.
    const firstPolicyHash = policyHash(policy.number === 1n ? policy : await this.client.policy(1n));
    const trustedLedger = create(TrustedLedgerParametersSchema, { ...policy.trustedLedger, firstPolicyHash });
    return {
      ccParams: encode(CCParametersSchema, create(CCParametersSchema, { chaincodeId, version, sequence, channelId })),
      hostParams: encode(HostParametersSchema, create(HostParametersSchema, { peerMspId: this.mspId, peerEndpoint })),
      channelHash: Buffer.from(channelHash, "hex"),
      trustedLedger: encode(TrustedLedgerParametersSchema, trustedLedger),
    };
  }

  keys(): OrganisationKeys {
    const { organisationKeys } = this.#settings;
    if (organisationKeys === undefined) throw missing("organisationKeys", "the organisation's own keys");
    return readOrganisationKeys(organisationKeys.policy, organisationKeys.recovery);
  }

  height(): Promise<bigint> {
    return queryHeight(this.#connection);
  }

  /** Of this organisation's host: the others' are not at hand. */
  stubRecords(): readonly StubRecords[] {
    const { host } = this.#settings;
    if (host?.kind !== "folder") return [];
    return readHostRecords(this.mspId, host.folder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection[Symbol.asyncDispose]();
    await this.#ledger[Symbol.asyncDispose]();
  }

  #host(): NonNullable<ConnectionSettings["host"]> {
    const { host } = this.#settings;
    if (host === undefined) throw missing("host", "the host of the organisation's enclaves");
    return host;
  }
}

/** Of the enclave beside a peer that started its agent. */
const peersEnclave = "main";

function enclaveFolder({ folder }: FolderHost, name: string): string {
  checkEnclaveName(name);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return join(folder, name);
}

function missing(name: string, what: string): EnclaveError {
  return new EnclaveError("SETTINGS_INVALID", `the connection settings have no "${name}", which names ${what}`);
}

function readGateway(gateway: ConnectionSettings["gateway"]): GatewayPeer {
  const { address, tlsRoots, tlsServerName, tlsCertificate, tlsKey } = gateway;
  return {
    address,
    tlsServerName,
    tlsRoots: tlsRoots === undefined ? undefined : readPem(tlsRoots),
    ...(tlsCertificate === undefined || tlsKey === undefined
      ? {}
      : {
          tlsIdentity: {
            certificate: readPem(tlsCertificate),
            key: readSecretFile(tlsKey, {
              what: "key",
              fileName: "key file",
              refusal: (message, { hint }) => new EnclaveError("SETTINGS_INVALID", message, { hint }),
            }),
          },
        }),
  };
}
