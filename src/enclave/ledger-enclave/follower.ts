import { canEndorse, type EndorserState } from "../ercc/can-endorse.ts";
import { compositeKey, type RecordName } from "../ercc/registry-state.ts";
import { EnclaveError, type EnclaveErrorCode } from "../errors.ts";
import type { EvidenceJudge } from "../evidence/judge.ts";
import {
  blockMetadata,
  isSignedByOrderer,
  type ReadBlock,
  readBlock,
  requireFollows,
  requireWholeTransactions,
} from "../ledger/block.ts";
import { type ChannelConfig, readChannelConfig } from "../ledger/channel-config.ts";
import { lifecycleName, readDefinition } from "../ledger/definitions.ts";
import { readAsGo } from "../ledger/go-message.ts";
import { headerTypes } from "../ledger/proposal.ts";
import { validateBlock } from "../ledger/validation.ts";
import { ChannelHeaderSchema, EnvelopeSchema, PayloadSchema } from "../messages/generated/fabric/common_pb.ts";
import type { LedgerView } from "./answers.ts";
import { SortedState } from "./sorted-state.ts";

export interface FollowerSettings {
  /** Name of the registry on the channel. */
  readonly erccName: string;
  readonly judge: EvidenceJudge;
  /** @defaultValue the system's clock */
  readonly nowMs?: () => number;
}

/**
 * Follows a channel from its first block on, and believes nothing that the blocks do not prove: each is signed by an orderer
 * and chained to the one before, its data is what the header says, and each transaction is judged here as a committing peer
 * does. Whoever brings the blocks can only keep them back (decision 0606).
 */
export class ChannelFollower implements LedgerView {
  readonly erccName: string;
  readonly channel: ChannelConfig;
  readonly #state: SortedState;
  readonly #judge: EvidenceJudge;
  readonly #nowMs: () => number;
  #last: { readonly number: bigint; readonly hash: Buffer };
  /** Why nothing is answered any more. */
  #stoppedBy: EnclaveError | undefined;

  /** @param genesisBlock - common.Block 0. @throws EnclaveError MALFORMED: none, or one that names no orderers */
  constructor(genesisBlock: Uint8Array, { erccName, judge, nowMs = Date.now }: FollowerSettings) {
    this.channel = readChannelConfig(genesisBlock);
    if (this.channel.orderers.length === 0)
      throw new EnclaveError(
        "MALFORMED",
        "the first block names no orderers: nobody could tell which blocks are the channel's",
      );
    this.erccName = erccName;
    this.#state = new SortedState(erccName);
    this.#judge = judge;
    this.#nowMs = nowMs;
    this.#last = { number: 0n, hash: readBlock(genesisBlock).hash };
  }

  get blockNumber(): bigint {
    return this.#last.number;
  }

  /**
   * Takes the next block (common.Block). One that it has already is passed over; nothing changes when it throws.
   *
   * @throws EnclaveError MALFORMED: the data is not what the header says, not cut into its transactions, or has not a peer's code for each;
   *   WRONG_CONTEXT: it does not follow the last one, or changes the channel's configuration; BAD_SIGNATURE: no orderer signed it; CONFLICT: it leaves
   *   unknown what the registry or the definitions hold. After a change of the configuration and after CONFLICT nothing is answered any more: what is
   *   known is not the channel's
   */
  append(bytes: Uint8Array): void {
    this.#requireGoing();
    const block = readBlock(bytes);
    if (block.number <= this.#last.number) return;
    requireFollows(block, this.#last);
    if (!isSignedByOrderer(block, this.channel.ordererMembership))
      throw new EnclaveError("BAD_SIGNATURE", `block ${block.number} is not signed by an orderer of the channel`);
    requireWholeTransactions(block);
    if (block.envelopes.some(isConfiguration))
      throw this.#stop(
        "WRONG_CONTEXT",
        `block ${block.number} changes the channel's configuration, which is followed from its first block alone`,
      );
    const { txIds, changes, unknown, isLost } = validateBlock(block, this.channel, this.#state, toldCodes(block));
    const why = isLost
      ? "the peer that gave it applied what cannot be read here"
      : (unknown.get(this.erccName) ?? unknown.get(lifecycleName));
    if (why !== undefined)
      throw this.#stop("CONFLICT", `after block ${block.number} it is not known what the registry holds: ${why}`);
    this.#state.commit(
      changes,
      txIds.map(({ txId }) => txId),
      unknown,
    );
    this.#last = { number: block.number, hash: block.hash };
  }

  value(key: string): Uint8Array | undefined {
    this.#requireGoing();
    return this.#state.get(this.erccName, key)?.value;
  }

  /** @throws EnclaveError LEDGER_UNAVAILABLE: what this chaincode holds is not known any more (decision 0633) */
  hash(namespace: string, key: string): Uint8Array | undefined {
    this.#requireGoing();
    const why = this.#state.whyUnknown(namespace);
    if (why !== undefined)
      throw new EnclaveError(
        "LEDGER_UNAVAILABLE",
        `the ledger enclave does not know any more what ${namespace} holds: ${why}`,
      );
    return this.#state.hash(namespace, key);
  }

  *range(prefix: string): Iterable<readonly [key: string, value: Uint8Array]> {
    this.#requireGoing();
    for (const { key, value } of this.#state.range(this.erccName, prefix, "")) {
      if (!key.startsWith(prefix)) return;
      yield [key, value];
    }
  }

  isMember(serializedIdentity: Uint8Array): boolean {
    this.#requireGoing();
    return this.channel.membership.identify(serializedIdentity, this.#nowMs()) !== undefined;
  }

  async canEndorse(chaincodeId: string, enclaveId: string): Promise<boolean> {
    return await canEndorse(this.registry(), this.#judge, chaincodeId, enclaveId);
  }

  /** The registry's records, as its own transactions read them, at the present time. */
  registry(): EndorserState {
    this.#requireGoing();
    return {
      timestampMs: this.#nowMs(),
      get: async (name: RecordName) => {
        for (const attribute of name.attributes)
          if (attribute === "" || attribute.includes("\u0000"))
            throw new EnclaveError("MALFORMED", "a name within a record's key is empty or has a zero character");
        return this.value(compositeKey(name));
      },
      definition: async (chaincodeId: string) =>
        readDefinition(chaincodeId, (key) => this.#state.get(lifecycleName, key)?.value),
    };
  }

  #stop(code: EnclaveErrorCode, message: string): EnclaveError {
    this.#stoppedBy = new EnclaveError(code, message);
    return this.#stoppedBy;
  }

  #requireGoing(): void {
    if (this.#stoppedBy !== undefined)
      throw new EnclaveError("LEDGER_UNAVAILABLE", `the ledger enclave has stopped: ${this.#stoppedBy.message}`);
  }
}

function isConfiguration(envelope: Uint8Array): boolean {
  try {
    const { header } = readAsGo(PayloadSchema, readAsGo(EnvelopeSchema, envelope).payload);
    const { type } = readAsGo(ChannelHeaderSchema, header?.channelHeader ?? new Uint8Array());
    return type === headerTypes.config;
  } catch {
    // What cannot be read changes nothing; it is judged as a transaction that is not valid.
    return false;
  }
}

/**
 * Peers write beside a block how they judged it, a byte a transaction. No change rests on that; but where it differs, this follower and the
 * channel's peers do not hold the same state any more.
 *
 * @throws EnclaveError MALFORMED: not one a transaction
 */
function toldCodes(block: ReadBlock): Uint8Array | undefined {
  const told = block.metadata[blockMetadata.validationCodes];
  if (told === undefined || told.length === 0) return undefined;
  if (told.length !== block.envelopes.length)
    throw new EnclaveError(
      "MALFORMED",
      `block ${block.number} does not have a peer's code for each of its transactions`,
    );
  return told;
}
