import { type CommittedState, type StateChange, StateOverlay, type Version } from "./committed-state.ts";
import { all, endorsersOf, type Judgement, judgeNamespace, namespacesToJudge } from "./endorsement-rules.ts";
import { claimedResults, claimedTxId, type ReadTransaction, readTransaction } from "./envelope.ts";
import type { Membership } from "./membership.ts";
import { findConflict } from "./read-conflicts.ts";
import {
  isDeletion,
  isFollowed,
  isHashDeletion,
  keyOfHash,
  partOf,
  partsInDoubt,
  partsWithPolicies,
  type ReadWriteSets,
  readSets,
  unfollowedParts,
} from "./read-write-sets.ts";
import { type ValidationCode, validationCodes } from "./validation-codes.ts";

export interface ValidatedBlock {
  /** One a transaction; INVALID_OTHER_REASON where it cannot be told here. */
  readonly codes: readonly ValidationCode[];
  /** Ids that transactions of the block claim, valid or not, and that none has before it; with the place of the valid one, or the first. */
  readonly txIds: readonly { readonly txId: string; readonly position: number }[];
  /** What the valid ones write: the last change of each key, in a fixed order. */
  readonly changes: readonly StateChange[];
  /** Parts of the state (`partOf`) that are not known any more after the block, with the reason. */
  readonly unknown: ReadonlyMap<string, string>;
  /** Peers applied a transaction of which cannot be told what it writes: nothing of the state is known any more. */
  readonly isLost: boolean;
}

/** Of a channel's configuration, what transactions are judged by. */
export interface JudgedChannel {
  readonly channelId: string;
  /** Of the application's organisations, a majority of which endorses where the channel's policy is asked for. */
  readonly membership: Pick<Membership, "mspIds">;
  /** Whose signatures count. */
  readonly signers: Membership;
}

/**
 * Judges the transactions of a block as Fabric's committing peers do (2.x with the capability V2_0): the creator's signature, the endorsement
 * policies of all that is written (by the definitions before this block), then one after the other whether what each has read is still so. It
 * depends on the block, the channel's configuration and the state before it, and on nothing else (decision 0633).
 *
 * What it does not decide (a policy of a single key or a collection, another plugin, a read from what it does not know), and what peers tell
 * otherwise, leaves unknown what the transaction writes, and nothing else.
 *
 * @param told - The peers' own codes, one byte a transaction. They add doubt and never a change: nobody signs them.
 */
export function validateBlock(
  block: { readonly number: bigint; readonly envelopes: readonly Uint8Array[] },
  channel: JudgedChannel,
  state: CommittedState,
  told?: Uint8Array,
): ValidatedBlock {
  return new BlockJudge(block.number, channel, state, told).judge(block.envelopes);
}

class BlockJudge {
  readonly #blockNumber: bigint;
  readonly #channel: JudgedChannel;
  readonly #state: CommittedState;
  readonly #told: Uint8Array | undefined;
  #isLost = false;
  readonly #overlay = new StateOverlay();
  readonly #unknown = new Map<string, string>();
  readonly #claimed = new Map<string, { position: number; isValid: boolean }>();
  /** How transactions of this block whose endorsements suffice are found; Fabric takes the first of an id, whatever it has read. */
  readonly #endorsed = new Map<string, "valid" | "undecided">();

  constructor(blockNumber: bigint, channel: JudgedChannel, state: CommittedState, told: Uint8Array | undefined) {
    this.#blockNumber = blockNumber;
    this.#channel = channel;
    this.#state = state;
    this.#told = told;
  }

  judge(envelopes: readonly Uint8Array[]): ValidatedBlock {
    const codes = envelopes.map((envelope, position) => this.#codeOf(envelope, position));
    return {
      codes,
      txIds: [...this.#claimed].map(([txId, { position }]) => ({ txId, position })),
      changes: this.#overlay.changes(),
      unknown: this.#unknown,
      isLost: this.#isLost,
    };
  }

  #codeOf(envelope: Uint8Array, position: number): ValidationCode {
    const txId = claimedTxId(envelope);
    const sets = readSets(claimedResults(envelope));
    const own = this.#judgementOf(readTransaction(envelope, this.#channel), sets);
    const judgement = this.#isToldOtherwise(own, position) ? this.#doubt(txId, sets) : own;
    const code = "code" in judgement ? judgement.code : validationCodes.INVALID_OTHER_REASON;
    this.#claim(txId, position, code === validationCodes.VALID);
    if (sets === undefined) return code;
    if ("undecided" in judgement) this.#leaveUnknown(partsInDoubt(sets), judgement.undecided);
    else if (code === validationCodes.VALID)
      this.#apply(sets, { blockNumber: this.#blockNumber, position: BigInt(position) });
    return code;
  }

  #judgementOf(transaction: ReturnType<typeof readTransaction>, sets: ReadWriteSets | undefined): Judgement {
    if ("code" in transaction) return transaction;
    const { txId } = transaction;
    if (this.#state.hasTransaction(txId)) return { code: validationCodes.DUPLICATE_TXID };
    if (sets === undefined) return { code: validationCodes.BAD_RWSET };
    const endorsement = this.#judgeEndorsements(transaction, sets);
    if ("code" in endorsement && endorsement.code !== validationCodes.VALID) return endorsement;
    const earlier = this.#endorsed.get(txId);
    if (earlier === "valid") return { code: validationCodes.DUPLICATE_TXID };
    this.#endorsed.set(txId, earlier ?? ("undecided" in endorsement ? "undecided" : "valid"));
    if (earlier === "undecided") return { undecided: "a transaction of the same id is undecided" };
    const current = {
      state: this.#state,
      overlay: this.#overlay,
      whyUnknown: (part: string) => this.#whyUnknown(part),
    };
    return all([endorsement, findConflict(sets, current) ?? endorsement]);
  }

  #judgeEndorsements(transaction: ReadTransaction, sets: ReadWriteSets): Judgement {
    const { chaincode, responsePayload, endorsements, creatorDoubt } = transaction;
    const { membership, signers } = this.#channel;
    const endorsers = endorsersOf(responsePayload, endorsements, signers);
    const context = {
      mspIds: membership.mspIds,
      endorsers,
      state: this.#state,
      whyUnknown: (part: string) => this.#whyUnknown(part),
    };
    const judged = namespacesToJudge(chaincode, sets).map((one) => ({
      one,
      judgement: judgeNamespace(one, context),
    }));
    // To Fabric a key's new policy stands in the way of later transactions of the block even if this one comes to nothing.
    for (const { one, judgement } of judged)
      if (!("code" in judgement && judgement.code !== validationCodes.VALID))
        this.#leaveUnknown(partsWithPolicies([one]), `${one.namespace} gives keys an endorsement policy of their own`);
    const ofCreator = creatorDoubt === undefined ? [] : [{ undecided: `its creator's certificate: ${creatorDoubt}` }];
    return all([...judged.map(({ judgement }) => judgement), ...ofCreator]);
  }

  #isToldOtherwise(judgement: Judgement, position: number): boolean {
    const told = this.#told?.[position];
    if (told === undefined || !("code" in judgement)) return false;
    return (told === validationCodes.VALID) !== (judgement.code === validationCodes.VALID);
  }

  /** They and this code do not hold the same state: whichever is right, what the transaction writes is not known. */
  #doubt(txId: string, sets: ReadWriteSets | undefined): Judgement {
    this.#endorsed.set(txId, "undecided");
    this.#isLost ||= sets === undefined;
    return { undecided: "the peer that gave the block judged a transaction otherwise" };
  }

  #claim(txId: string, position: number, isValid: boolean): void {
    if (txId === "" || this.#state.hasTransaction(txId)) return;
    const claimed = this.#claimed.get(txId);
    if (claimed === undefined || (isValid && !claimed.isValid)) this.#claimed.set(txId, { position, isValid });
  }

  #apply(sets: ReadWriteSets, version: Version): void {
    for (const { namespace, set, collections } of sets) {
      for (const write of set.writes) {
        const value = isDeletion(write) ? undefined : write.value;
        this.#overlay.add({ namespace: partOf(namespace), key: write.key, value, version });
      }
      for (const { name, set: hashed } of collections.filter((one) => isFollowed(one.name)))
        for (const write of hashed.hashedWrites) {
          const value = isHashDeletion(write) ? undefined : write.valueHash;
          this.#overlay.add({ namespace: partOf(namespace, name), key: keyOfHash(write.keyHash), value, version });
        }
    }
    this.#leaveUnknown(unfollowedParts(sets), "what was written there is not followed");
  }

  #leaveUnknown(parts: readonly string[], why: string): void {
    for (const part of parts) if (this.#whyUnknown(part) === undefined) this.#unknown.set(part, why);
  }

  #whyUnknown(part: string): string | undefined {
    return this.#unknown.get(part) ?? this.#state.whyUnknown?.(part);
  }
}
