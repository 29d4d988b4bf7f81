import { randomBytes } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import {
  type CommittedState,
  type CommittedValue,
  compareKeys,
  type StateChange,
  type Version,
} from "../../../../src/enclave/ledger/committed-state.ts";
import { definitionKeys, definitionRecords, lifecycleName } from "../../../../src/enclave/ledger/definitions.ts";
import {
  ledgerIdentity,
  type SigningIdentity,
  signingIdentity,
} from "../../../../src/enclave/ledger/embedded/identities.ts";
import { OrganisationAuthority } from "../../../../src/enclave/ledger/embedded/organisation-authority.ts";
import { makeEndorsedResponse, makeEnvelope, readResponse } from "../../../../src/enclave/ledger/endorsement.ts";
import type { LedgerIdentity } from "../../../../src/enclave/ledger/ledger.ts";
import { Membership, type MembershipForm, serializeIdentity } from "../../../../src/enclave/ledger/membership.ts";
import { makeProposal, readProposal } from "../../../../src/enclave/ledger/proposal.ts";
import { policyOf } from "../../../../src/enclave/ledger/signature-policy.ts";
import {
  KVRWSetSchema,
  QueryReadsSchema,
  TxReadWriteSetSchema,
} from "../../../../src/enclave/messages/generated/fabric/rwset_pb.ts";

export const channelId = "trial";
export const chaincode = "kv";
export const chaincodeVersion = "1.0";

/** An organisation whose keys are in memory. */
export interface TrialOrganisation {
  readonly mspId: string;
  readonly authority: OrganisationAuthority;
  readonly client: LedgerIdentity;
  readonly peer: SigningIdentity;
}

export async function trialOrganisation(mspId: string): Promise<TrialOrganisation> {
  const { authority } = await OrganisationAuthority.create(mspId);
  const client = ledgerIdentity(mspId, await authority.issue({ commonName: "client", units: ["client"] }));
  const peer = signingIdentity(mspId, await authority.issue({ commonName: "peer", units: ["peer"] }));
  return { mspId, authority, client, peer };
}

export function membershipOf(organisations: readonly TrialOrganisation[], form?: MembershipForm): Membership {
  const members = organisations.map(({ mspId, authority }) => ({ mspId, roots: [authority.certificate] }));
  return new Membership(members, form);
}

/** A state in memory, in which the trial chaincode is defined. */
export class TrialState implements CommittedState {
  readonly #values = new Map<string, CommittedValue & { namespace: string; key: string }>();
  readonly txIds = new Set<string>();

  constructor(policy: Uint8Array, version: string = chaincodeVersion) {
    const definition = { version, sequence: 1n, validationParameter: policy };
    for (const { key, value } of definitionRecords(chaincode, definition))
      this.apply({ namespace: lifecycleName, key, value, version: { blockNumber: 1n, position: 0n } });
  }

  apply({ namespace, key, value, version }: StateChange): void {
    const name = `${namespace}\u0000${key}`;
    if (value === undefined) this.#values.delete(name);
    else this.#values.set(name, { namespace, key, value, version });
  }

  get(namespace: string, key: string): CommittedValue | undefined {
    return this.#values.get(`${namespace}\u0000${key}`);
  }

  range(namespace: string, startKey: string, endKey: string): Iterable<CommittedValue & { readonly key: string }> {
    return [...this.#values.values()]
      .filter((one) => one.namespace === namespace && compareKeys(one.key, startKey) >= 0)
      .filter(({ key }) => endKey === "" || compareKeys(key, endKey) < 0)
      .sort((left, right) => compareKeys(left.key, right.key));
  }

  hasTransaction(txId: string): boolean {
    return this.txIds.has(txId);
  }
}

export interface TrialSets {
  readonly reads?: readonly { readonly key: string; readonly version?: Version }[];
  readonly ranges?: readonly {
    readonly startKey: string;
    readonly endKey: string;
    readonly isExhausted: boolean;
    readonly reads: readonly { readonly key: string; readonly version: Version }[];
  }[];
  /** No value: deleted. */
  readonly writes?: readonly { readonly key: string; readonly value?: string }[];
  readonly namespace?: string;
}

const versionMessage = (version: Version | undefined) =>
  version === undefined ? {} : { version: { blockNum: version.blockNumber, txNum: version.position } };

/** kvrwset.TxReadWriteSet of one chaincode, and of its definition as `sequenceAt` has it. */
export function encodeSets(sets: TrialSets, sequenceAt: Version = { blockNumber: 1n, position: 0n }): Buffer {
  const { reads = [], ranges = [], writes = [], namespace = chaincode } = sets;
  const own = create(KVRWSetSchema, {
    reads: reads.map(({ key, version }) => ({ key, ...versionMessage(version) })),
    rangeQueriesInfo: ranges.map(({ startKey, endKey, isExhausted, reads: seen }) => ({
      startKey,
      endKey,
      itrExhausted: isExhausted,
      readsInfo: {
        case: "rawReads" as const,
        value: create(QueryReadsSchema, {
          kvReads: seen.map(({ key, version }) => ({ key, ...versionMessage(version) })),
        }),
      },
    })),
    writes: writes.map(({ key, value }) => ({
      key,
      isDelete: value === undefined,
      value: Buffer.from(value ?? ""),
    })),
  });
  const definition = create(KVRWSetSchema, {
    reads: [{ key: definitionKeys(chaincode).sequence, ...versionMessage(sequenceAt) }],
  });
  const nsRwset = [
    { namespace: lifecycleName, rwset: toBinary(KVRWSetSchema, definition) },
    { namespace, rwset: toBinary(KVRWSetSchema, own) },
  ];
  return Buffer.from(toBinary(TxReadWriteSetSchema, create(TxReadWriteSetSchema, { nsRwset })));
}

export interface TrialEnvelope {
  readonly creator: LedgerIdentity;
  readonly endorsers: readonly SigningIdentity[];
  readonly sets?: TrialSets;
  readonly results?: Uint8Array;
  readonly status?: number;
  readonly channelId?: string;
  readonly chaincode?: string;
  readonly endorsedChaincode?: { readonly name: string; readonly version: string };
  readonly nonce?: Uint8Array;
  readonly proposalHash?: Uint8Array;
}

/** A complete, signed envelope; every part can be made wrong. */
export async function trialEnvelope(
  input: TrialEnvelope,
): Promise<{ readonly envelope: Buffer; readonly txId: string; readonly proposal: Buffer }> {
  const { proposal, txId } = makeProposal({
    channelId: input.channelId ?? channelId,
    chaincode: input.chaincode ?? chaincode,
    transaction: "put",
    args: ["a", "b"],
    creator: serializeIdentity(input.creator),
    nonce: input.nonce ?? randomBytes(24),
  });
  const result = {
    proposalHash: input.proposalHash ?? readProposal(proposal).hash,
    results: input.results ?? encodeSets(input.sets ?? { writes: [{ key: "a", value: "b" }] }),
    status: input.status ?? 200,
    message: "",
    payload: Buffer.from("done"),
    chaincode: input.endorsedChaincode ?? { name: input.chaincode ?? chaincode, version: chaincodeVersion },
  };
  const answers = input.endorsers.map((endorser) => readResponse(makeEndorsedResponse(result, endorser)));
  const responsePayload = answers[0]?.responsePayload ?? new Uint8Array();
  const endorsements = answers.flatMap(({ endorsement }) => (endorsement === undefined ? [] : [endorsement]));
  const envelope = await makeEnvelope(proposal, responsePayload, endorsements, input.creator.sign);
  return { envelope, txId, proposal };
}

/** Any two of the organisations. */
export function twoOf(organisations: readonly TrialOrganisation[]): Buffer {
  return policyOf(
    2,
    organisations.map(({ mspId }) => mspId),
  );
}
