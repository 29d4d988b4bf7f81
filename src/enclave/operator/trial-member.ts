import { readChannelConfig } from "../ledger/channel-config.ts";
import type { LedgerIdentity } from "../ledger/ledger.ts";
import type { EnclaveAgent } from "../stub/agent.ts";
import type { EnclaveStatus } from "../stub/enclave-status.ts";
import { measureEnclave } from "../stub/measure.ts";
import type { EnclaveCreation } from "../stub/stub.ts";
import type { EnclaveKeyManagers } from "./enclave-key-managers.ts";
import type { Member } from "./member.ts";
import type { OrganisationKeys } from "./recovery.ts";
import type { RegistryClient } from "./registry-client.ts";
import { quorumView, type RegistryView } from "./registry-view.ts";
import type { StubRecords } from "./trace.ts";
import type { TrialNetwork } from "./trial-network.ts";
import type { TrialOrganisation } from "./trial-organisation.ts";
import { majorityOf } from "./trial-policy.ts";

/** An organisation of a trial network. */
export class TrialMember implements Member {
  readonly network: TrialNetwork;
  readonly organisation: TrialOrganisation;
  readonly client: RegistryClient;
  readonly identity: LedgerIdentity;
  readonly teeKind = "process";
  readonly hasKeys = true;

  private constructor(network: TrialNetwork, organisation: TrialOrganisation, client: RegistryClient) {
    this.network = network;
    this.organisation = organisation;
    this.client = client;
    this.identity = network.ledger.identity(organisation.mspId, "admin");
  }

  static async open(network: TrialNetwork, organisation: TrialOrganisation): Promise<TrialMember> {
    return new TrialMember(network, organisation, await network.client(organisation));
  }

  get mspId(): string {
    return this.organisation.mspId;
  }

  /** Believes peers of a majority of the organisations, as the enclaves do. */
  view(): RegistryView {
    const { organisations } = readChannelConfig(this.network.ledger.genesisBlock);
    return quorumView(this.client, this.identity, { organisations, quorum: majorityOf(organisations) });
  }

  get keyManagers(): EnclaveKeyManagers {
    return this.organisation.keyManagers(this.network.chaincodeId);
  }

  enclaves(): readonly string[] {
    return this.organisation.enclaves(this.network.chaincodeId);
  }

  enclaveNames(): ReadonlyMap<string, string> {
    return this.organisation.enclaveNames(this.network.chaincodeId);
  }

  agent(name: string): Promise<EnclaveAgent> {
    return this.network.stub(this.client, this.organisation, name);
  }

  measure(): Promise<Pick<EnclaveStatus, "measurement" | "tee">> {
    return measureEnclave({ kind: "process", platform: this.organisation.platform });
  }

  creation(): Promise<EnclaveCreation> {
    return this.network.creation(this.client, this.organisation);
  }

  keys(): OrganisationKeys {
    return this.organisation.keys();
  }

  async height(): Promise<bigint> {
    return this.network.ledger.height;
  }

  /** Of all organisations: the one folder has them. */
  stubRecords(): readonly StubRecords[] {
    const { organisations, chaincodeId } = this.network;
    return organisations.flatMap((one) => one.stubRecords(chaincodeId));
  }
}
