import { type KVRWSet, KVRWSetSchema, TxReadWriteSetSchema } from "../messages/generated/fabric/rwset_pb.ts";
import { type CommittedState, type StateChange, StateOverlay, sameVersion, type Version } from "./committed-state.ts";
import { lifecycleName, readDefinition } from "./definitions.ts";
import { failureStatus, verifyEndorsement } from "./endorsement.ts";
import { type ReadTransaction, readTransaction } from "./envelope.ts";
import { readMessage } from "./fabric-message.ts";
import type { Identity, Membership } from "./membership.ts";
import { channelPolicies, EndorsementPolicy, policyReference } from "./signature-policy.ts";
import { type ValidationCode, validationCodes } from "./validation-codes.ts";

export interface ValidatedBlock {
  /** One a transaction. */
  readonly codes: readonly ValidationCode[];
  /** Ids of transactions that are in a block now, valid or not, with their places. */
  readonly txIds: readonly { readonly txId: string; readonly position: number }[];
  /** What the valid ones write: the last change of each key, in a fixed order. */
  readonly changes: readonly StateChange[];
}

/**
 * Judges the transactions of a block as Fabric's committing peers do: the creator's signature, the endorsement policy (by the
 * definitions before this block), then one after the other whether what each has read is still so. Deterministic: it depends
 * on the block, the channel's configuration and the state before it, and on nothing else.
 */
export function validateBlock(
  block: { readonly number: bigint; readonly envelopes: readonly Uint8Array[] },
  channel: { readonly channelId: string; readonly membership: Membership },
  state: CommittedState,
): ValidatedBlock {
  const overlay = new StateOverlay();
  const txIds = new Map<string, number>();
  const codes = block.envelopes.map((envelope, position): ValidationCode => {
    const transaction = readTransaction(envelope, channel);
    const txId = "code" in transaction ? transaction.txId : transaction.proposal.txId;
    if (txId !== undefined) {
      if (txIds.has(txId) || state.hasTransaction(txId)) return validationCodes.DUPLICATE_TXID;
      txIds.set(txId, position);
    }
    if ("code" in transaction) return transaction.code;
    const sets = readSets(transaction.action.results);
    if (sets === undefined) return validationCodes.BAD_RWSET;
    const code = judgeEndorsements(transaction, sets, channel.membership, state);
    if (code !== validationCodes.VALID) return code;
    const conflict = findConflict(sets, state, overlay);
    if (conflict !== undefined) return conflict;
    apply(sets, { blockNumber: block.number, position: BigInt(position) }, overlay);
    return validationCodes.VALID;
  });
  return {
    codes,
    txIds: [...txIds].map(([txId, position]) => ({ txId, position })),
    changes: overlay.changes(),
  };
}

type Sets = readonly { readonly namespace: string; readonly set: KVRWSet }[];

function readSets(results: Uint8Array): Sets | undefined {
  try {
    const sets = readMessage(TxReadWriteSetSchema, results).nsRwset.map(({ namespace, rwset }) => ({
      namespace,
      set: readMessage(KVRWSetSchema, rwset),
    }));
    const names = new Set(sets.map(({ namespace }) => namespace));
    const keysAreNamed = sets.every(({ set }) => set.writes.every(({ key }) => key !== ""));
    return names.size === sets.length && keysAreNamed ? sets : undefined;
  } catch {
    return undefined;
  }
}

function judgeEndorsements(
  { proposal, responsePayload, endorsements, action }: ReadTransaction,
  sets: Sets,
  membership: Membership,
  state: CommittedState,
): ValidationCode {
  if (action.status >= failureStatus) return validationCodes.BAD_RESPONSE_PAYLOAD;
  // A chaincode writes under its own name only.
  if (sets.some(({ namespace, set }) => namespace !== proposal.chaincode && set.writes.length > 0))
    return validationCodes.ILLEGAL_WRITESET;
  let policy: EndorsementPolicy;
  try {
    const parameter = validationParameterOf(proposal.chaincode, action.chaincode.version, state);
    if (typeof parameter === "number") return parameter;
    policy = new EndorsementPolicy(parameter, membership.mspIds);
  } catch {
    return validationCodes.ENDORSEMENT_POLICY_FAILURE;
  }
  const endorsers = new Map<string, Identity>();
  for (const endorsement of endorsements) {
    const identity = verifyEndorsement(responsePayload, endorsement, membership);
    // Fabric passes over those that are nobody's; what is left has to suffice.
    if (identity !== undefined) endorsers.set(identity.certificate.fingerprint256, identity);
  }
  return policy.isSatisfiedBy([...endorsers.values()])
    ? validationCodes.VALID
    : validationCodes.ENDORSEMENT_POLICY_FAILURE;
}

function validationParameterOf(chaincode: string, version: string, state: CommittedState): Uint8Array | ValidationCode {
  if (chaincode === lifecycleName) return policyReference(channelPolicies.lifecycleEndorsement);
  const definition = readDefinition(chaincode, (key) => state.get(lifecycleName, key)?.value);
  if (definition === undefined) return validationCodes.INVALID_CHAINCODE;
  return definition.version === version ? definition.validationParameter : validationCodes.EXPIRED_CHAINCODE;
}

function findConflict(sets: Sets, state: CommittedState, overlay: StateOverlay): ValidationCode | undefined {
  for (const { namespace, set } of sets)
    for (const { key, version } of set.reads)
      if (overlay.has(namespace, key) || !sameVersion(versionOf(version), state.get(namespace, key)?.version))
        return validationCodes.MVCC_READ_CONFLICT;
  for (const { namespace, set } of sets)
    for (const { startKey, endKey, itrExhausted, rawReads } of set.rangeQueriesInfo) {
      const now = overlay.range(state, { namespace, startKey, endKey, isEndIncluded: !itrExhausted });
      const then = rawReads?.kvReads ?? [];
      const isSame =
        now.length === then.length &&
        now.every(
          ({ key, version }, index) =>
            key === then[index]?.key && sameVersion(version, versionOf(then[index]?.version)),
        );
      if (!isSame) return validationCodes.PHANTOM_READ_CONFLICT;
    }
  return undefined;
}

function apply(sets: Sets, version: Version, overlay: StateOverlay): void {
  for (const { namespace, set } of sets)
    for (const { key, isDelete, value } of set.writes)
      overlay.add({ namespace, key, value: isDelete ? undefined : value, version });
}

function versionOf(version: { blockNum: bigint; txNum: bigint } | undefined): Version | undefined {
  return version === undefined ? undefined : { blockNumber: version.blockNum, position: version.txNum };
}
