import { recordTypes } from "../ercc/registry-state.ts";
import { EnclaveError } from "../errors.ts";
import type { LedgerIdentity } from "../ledger/ledger.ts";
import { decodeArgument } from "../messages/argument.ts";
import { CredentialsSchema } from "../messages/generated/fpc/fpc_pb.ts";
import { type ReadCredentials, readCredentials } from "../protocol/attested-data.ts";
import { type QuorumSettings, SignedQuorumReads } from "../trusted-ledger/signed-quorum-reads.ts";
import type { TrustedLedger } from "../trusted-ledger/trusted-ledger.ts";
import { hostExchange } from "./host-exchange.ts";
import { ofId, type RegistryClient } from "./registry-client.ts";

/**
 * What a caller has to know before it lets a request go and believes an answer: the chaincode's key, enclaves' credentials, and who
 * endorses. {@link RegistryClient} takes the own organisation's peer at its word, {@link QuorumRegistry} nobody alone.
 */
export interface RegistryView {
  /** PEM of the active generation's EK; undefined where no keys are registered. */
  chaincodeEncryptionKey(): Promise<Buffer | undefined>;
  /** @param id - Upper-case hexadecimal. @throws EnclaveError NOT_FOUND */
  requireEnclave(id: string): Promise<ReadCredentials>;
  /** Whether an enclave may endorse for the chaincode as it is defined now. @param id - Upper-case hexadecimal */
  canEndorse(id: string): Promise<boolean>;
}

/** Whom a caller believes, where as many as `quorum` say the same. */
export type BelievedQuorum = Pick<QuorumSettings, "organisations" | "quorum">;

/**
 * What peers of several organisations say alike of the registry, as the own one's gateway passes it on.
 *
 * @throws EnclaveError SETTINGS_INVALID: a quorum that these organisations cannot give, or a root certificate that is none
 */
export function quorumView(
  client: RegistryClient,
  identity: Pick<LedgerIdentity, "mspId" | "certificate">,
  believed: BelievedQuorum,
): RegistryView {
  const { registry: erccName, chaincodeId, connection } = client;
  const settings = { ...believed, erccName, chaincodeId, channelId: connection.channelId };
  try {
    return new QuorumRegistry(new SignedQuorumReads(hostExchange(client, identity), settings), chaincodeId);
  } catch (cause) {
    if (!(cause instanceof EnclaveError)) throw cause;
    throw new EnclaveError("SETTINGS_INVALID", `trustedLedger: ${cause.message}`, { cause });
  }
}

/** The registry as enclaves read it: what a trusted ledger says, such as peers of a quorum of pinned organisations (decision 0634). */
export class QuorumRegistry implements RegistryView {
  readonly #ledger: Pick<TrustedLedger, "record" | "canEndorse">;
  readonly #chaincodeId: string;

  constructor(ledger: Pick<TrustedLedger, "record" | "canEndorse">, chaincodeId: string) {
    this.#ledger = ledger;
    this.#chaincodeId = chaincodeId;
  }

  async chaincodeEncryptionKey(): Promise<Buffer | undefined> {
    const pem = await this.#ledger.record({ type: recordTypes.chaincodeEk, attributes: [this.#chaincodeId] });
    return pem === undefined ? undefined : Buffer.from(pem);
  }

  async requireEnclave(id: string): Promise<ReadCredentials> {
    const name = { type: recordTypes.credentials, attributes: [this.#chaincodeId, id] };
    const record = await this.#ledger.record(name);
    if (record === undefined) throw new EnclaveError("NOT_FOUND", `${this.#chaincodeId} has no enclave ${id}`);
    return ofId(readCredentials(decodeArgument(CredentialsSchema, Buffer.from(record).toString("utf8"))), id);
  }

  canEndorse(id: string): Promise<boolean> {
    return this.#ledger.canEndorse(this.#chaincodeId, id);
  }
}
