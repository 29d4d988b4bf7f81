import type { LedgerIdentity } from "../ledger/ledger.ts";
import type { EnclaveAgent } from "../stub/agent.ts";
import type { EnclaveStatus } from "../stub/enclave-status.ts";
import type { EnclaveCreation } from "../stub/stub.ts";
import type { TeeKind } from "../tee/backend.ts";
import type { EnclaveKeyManagers } from "./enclave-key-managers.ts";
import type { OrganisationKeys } from "./recovery.ts";
import type { RegistryClient } from "./registry-client.ts";
import type { RegistryView } from "./registry-view.ts";
import type { StubRecords } from "./trace.ts";

/**
 * One organisation's place in a consortium, as its commands work from it: its admin's view of the ledger, its own keys, and the
 * host of its enclaves. On a trial network, or on a channel of Fabric.
 */
export interface Member {
  readonly mspId: string;
  /** ERCC as the admin sees it. */
  readonly client: RegistryClient;
  /** ERCC as a caller of the chaincode sees it. @throws EnclaveError SETTINGS_INVALID */
  view(): RegistryView;
  /** The admin's. */
  readonly identity: LedgerIdentity;
  /** Of its host's platform; undefined where the host is not named. */
  readonly teeKind: TeeKind | undefined;
  /** Of the enclaves at its host; undefined where the host is not at hand. */
  readonly keyManagers: EnclaveKeyManagers | undefined;
  /** Names of the enclaves that were created at its host, in order. */
  enclaves(): readonly string[];
  /** The same of those whose files are at hand, by their ids, upper-case hexadecimal. */
  enclaveNames(): ReadonlyMap<string, string>;
  /**
   * The agent of an enclave at its host; the enclave need not be there yet.
   *
   * @throws EnclaveError CONFLICT: it is in use; SETTINGS_INVALID
   */
  agent(name: string): Promise<EnclaveAgent>;
  /** Of an enclave that its host would create; nothing is created. @throws EnclaveError SETTINGS_INVALID; ENCLAVE_ENDED */
  measure(): Promise<Pick<EnclaveStatus, "measurement" | "tee">>;
  /** What an enclave at its host is to be, by what the ledger says. @throws EnclaveError NOT_FOUND: no chaincode, no policy */
  creation(): Promise<EnclaveCreation>;
  /** Whether the organisation's own keys are at hand. */
  readonly hasKeys: boolean;
  /** Private keys, which are read when they are asked for. @throws EnclaveError SETTINGS_INVALID */
  keys(): OrganisationKeys;
  /** How many blocks the ledger has. */
  height(): Promise<bigint>;
  /** What the agents at hand wrote down. */
  stubRecords(): readonly StubRecords[];
}
