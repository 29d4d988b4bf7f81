import { isDefined } from "../ercc/can-endorse.ts";
import { recordTypes } from "../ercc/registry-state.ts";
import { formatPolicy } from "../ledger/policy-text.ts";
import { decodeArgument } from "../messages/argument.ts";
import { SignedCCKeyRegistrationMessageSchema } from "../messages/generated/fpc/key_dist_pb.ts";
import { readRegistration } from "../protocol/registration.ts";
import { queryDefinition } from "./definition.ts";
import { type IssueStanding, issueStandings } from "./recovery-issues.ts";
import type { RegistryClient } from "./registry-client.ts";

/** Where an enclave stands: on the ledger without keys, with them, left behind by the chaincode's definition, or put out. */
export type EnclaveState = "registered" | "provisioned" | "former" | "revoked";

export interface EnclaveRow {
  /** Upper-case hexadecimal. */
  readonly id: string;
  readonly mspId: string;
  /** `host:port` of its peer. */
  readonly endpoint: string;
  /** The code's, 64 upper-case hex digits. */
  readonly measurement: string;
  /** Of the chaincode's definition that it was made for. */
  readonly sequence: number;
  readonly state: EnclaveState;
  /** The newest of the keys that the ledger lists it for; undefined where there are none. */
  readonly generation: number | undefined;
  readonly revokedBecause: string | undefined;
}

export interface ChaincodeStatus {
  readonly channelId: string;
  readonly chaincodeId: string;
  /** Of the keys in force; undefined before the first. */
  readonly activeGeneration: number | undefined;
  readonly proposedGeneration: number | undefined;
  /** Ids of the enclaves that have confirmed the proposed generation. */
  readonly confirmedBy: readonly string[];
  /** Whether an enclave was revoked since, so that nothing is written or exported before the keys are rotated. */
  readonly mustRotate: boolean;
  /** How many organisations recover the keys; undefined where the active generation has no shares for those of the policy in force. */
  readonly recoveryThreshold: number | undefined;
  /** Of the active generation. */
  readonly recoveryIssues: readonly IssueStanding[];
  readonly policyNumber: number;
  readonly definition: {
    readonly sequence: number;
    /** The measurement of its enclaves. */
    readonly version: string;
    /** The endorsement policy, as Fabric writes it. */
    readonly endorsement: string;
  };
  readonly enclaves: readonly EnclaveRow[];
}

/** What the ledger says of a chaincode's enclaves and keys. */
export async function chaincodeStatus(client: RegistryClient): Promise<ChaincodeStatus> {
  const [definition, keyState, policy, enclaves, provisioned, revocations] = await Promise.all([
    queryDefinition(client.connection, client.chaincodeId),
    client.keyState(),
    client.policy(),
    client.enclaves(),
    client.provisioned(),
    client.revocations(),
  ]);
  const recoveryIssues = keyState === undefined ? [] : await issueStandings(client, keyState.active, policy);
  const proposed = keyState === undefined || keyState.proposed === 0n ? undefined : keyState.proposed;
  const confirmedBy = proposed === undefined ? [] : await client.confirmations(proposed);
  const reasons = new Map(
    revocations.map(({ enclaveId, reason }) => [Buffer.from(enclaveId).toString("hex").toUpperCase(), reason]),
  );
  const rows: EnclaveRow[] = [];
  for (const { enclaveId, mspId, attested, ccParams } of enclaves) {
    const id = enclaveId.text;
    rows.push({
      id,
      mspId,
      endpoint: attested.hostParams?.peerEndpoint ?? "",
      measurement: ccParams.version,
      sequence: Number(ccParams.sequence),
      state: stateOf({
        isRevoked: reasons.has(id),
        isDefined: isDefined(ccParams, definition, policy),
        isProvisioned: provisioned.includes(id),
      }),
      generation: await generationOf(client, id),
      revokedBecause: reasons.get(id),
    });
  }
  return {
    channelId: client.connection.channelId,
    chaincodeId: client.chaincodeId,
    activeGeneration: keyState === undefined ? undefined : Number(keyState.active),
    proposedGeneration: proposed === undefined ? undefined : Number(proposed),
    confirmedBy,
    mustRotate: keyState !== undefined && keyState.rotateAbove >= keyState.active,
    recoveryThreshold: recoveryIssues.some((one) => one.isForPolicy) ? policy.recoveryThreshold : undefined,
    recoveryIssues,
    policyNumber: Number(policy.number),
    definition: {
      sequence: Number(definition.sequence),
      version: definition.version,
      endorsement: formatPolicy(definition.validationParameter),
    },
    enclaves: rows,
  };
}

function stateOf(enclave: {
  readonly isRevoked: boolean;
  readonly isDefined: boolean;
  readonly isProvisioned: boolean;
}): EnclaveState {
  if (enclave.isRevoked) return "revoked";
  if (!enclave.isDefined) return "former";
  return enclave.isProvisioned ? "provisioned" : "registered";
}

/** The newest of the keys that the ledger lists an enclave for. @param enclaveId - Upper-case hexadecimal */
export async function generationOf(client: RegistryClient, enclaveId: string): Promise<number | undefined> {
  const bytes = await client.record({ type: recordTypes.provisioned, attributes: [client.chaincodeId, enclaveId] });
  if (bytes === undefined) return undefined;
  return Number(
    readRegistration(decodeArgument(SignedCCKeyRegistrationMessageSchema, bytes.toString("latin1"))).generation,
  );
}
