import { setTimeout as wait } from "node:timers/promises";
import { hashesTransaction, readHashes } from "../ecc/state-queries.ts";
import { compositeKey, type RecordName, recordTypes } from "../ercc/registry-state.ts";
import { EnclaveError } from "../errors.ts";
import { Membership, type Organisation } from "../ledger/membership.ts";
import { makeProposal, readProposal } from "../ledger/proposal.ts";
import { decodeBase64 } from "../messages/argument.ts";
import type { LedgerExchange } from "./exchange.ts";
import { countVotes } from "./quorum.ts";
import { readSignedAnswer, type SignedAnswer } from "./signed-answer.ts";
import type { ReadVersion, SeenLedger, TrustedLedger } from "./trusted-ledger.ts";

export interface QuorumSettings {
  readonly channelId: string;
  readonly erccName: string;
  /** The private chaincode. */
  readonly chaincodeId: string;
  readonly organisations: readonly Organisation[];
  /** How many organisations have to have signed the same answer. */
  readonly quorum: number;
  /** Of an earlier opening. @defaultValue none */
  readonly seen?: readonly ReadVersion[];
  /** @defaultValue the system's clock */
  readonly nowMs?: () => number;
  /** How often is asked when peers do not answer, or not at the same block. @defaultValue 5 */
  readonly attempts?: number;
  /** Before the second attempt; each later one waits as long again. @defaultValue 100 */
  readonly waitMs?: number;
}

/** Signed for this question, and older than what was seen before. */
class OlderAnswer extends EnclaveError {
  constructor(message: string) {
    super("REPLAY", message);
  }
}

/** More answers than that are not looked at: a few peers an organisation. */
const mostAnswersEach = 8;
const mostRemembered = 100_000;
/** Of what is handed on: a few records for each enclave of the chaincode, some 150 bytes each. */
const mostHandedOn = 1000;
/** Where chaincodes' definitions lie. */
const lifecycle = "_lifecycle";

/**
 * Hears of the ledger without a ledger enclave: every question is a proposal whose nonce is made here, which the host has
 * endorsed by peers, and which nobody orders. An answer counts that `quorum` organisations' peers have signed for this very
 * proposal (decision 0606). What is trusted is that so many organisations' peers do not lie together.
 */
export class SignedQuorumReads implements TrustedLedger {
  readonly #exchange: LedgerExchange;
  readonly #settings: Required<QuorumSettings>;
  readonly #organisations: Membership;
  /** The newest version seen of each record that answers were made from. */
  readonly #seen = new Map<string, ReadVersion>();

  /** @throws EnclaveError MALFORMED: a quorum that these organisations cannot give, or roots that are none */
  constructor(exchange: LedgerExchange, settings: QuorumSettings) {
    const { organisations, quorum } = settings;
    if (!Number.isInteger(quorum) || quorum < 1 || quorum > organisations.length)
      throw new EnclaveError("MALFORMED", `a quorum of ${quorum} among ${organisations.length} organisations`);
    this.#exchange = exchange;
    this.#settings = { nowMs: Date.now, attempts: 5, waitMs: 100, seen: [], ...settings };
    this.#organisations = membershipOf(organisations);
    for (const read of this.#settings.seen) this.#seen.set(read.key, read);
  }

  /** What peers that are behind answer from are older versions than these; the newest are in the most danger. */
  get seen(): SeenLedger {
    const records = [...this.#seen.values()].filter(({ key }) => this.#isHandedOn(key));
    return { block: 0n, records: records.sort(newestFirst).slice(0, mostHandedOn) };
  }

  async canEndorse(chaincodeId: string, enclaveId: string): Promise<boolean> {
    const answer = await this.#query("canEndorse", [chaincodeId, enclaveId]);
    if (answer !== "true" && answer !== "false")
      throw new EnclaveError("MALFORMED", "the answer to canEndorse is neither true nor false");
    return answer === "true";
  }

  async record(name: RecordName): Promise<Uint8Array | undefined> {
    const answer = await this.#query("queryState", [name.type, ...name.attributes]);
    return answer === "" ? undefined : decodeBase64(answer, "the answer to queryState");
  }

  async stateHashes(keys: readonly string[]): Promise<readonly (Uint8Array | undefined)[]> {
    const answer = await this.#query(hashesTransaction, keys, this.#settings.chaincodeId);
    return readHashes(answer, keys.length);
  }

  async isMember(serializedIdentity: Uint8Array): Promise<boolean> {
    return this.#organisations.identify(serializedIdentity, this.#settings.nowMs()) !== undefined;
  }

  async #query(transaction: string, args: readonly string[], chaincode = this.#settings.erccName): Promise<string> {
    const { attempts, waitMs } = this.#settings;
    for (let attempt = 1; ; attempt += 1)
      try {
        const answer = await this.#ask(chaincode, transaction, args);
        this.#remember(answer);
        return Buffer.from(answer.result).toString("utf8");
      } catch (error) {
        // Of two questions at once, the answer that comes last may be the older one: asked again it is not.
        const again =
          error instanceof OlderAnswer || (error instanceof EnclaveError && error.code === "LEDGER_UNAVAILABLE");
        if (!again || attempt >= attempts) throw error;
        await wait(waitMs * attempt);
      }
  }

  async #ask(chaincode: string, transaction: string, args: readonly string[]): Promise<SignedAnswer> {
    const { channelId, nowMs, quorum } = this.#settings;
    const [creator] = await this.#exchange({ kind: "creator" });
    if (creator === undefined) throw new EnclaveError("LEDGER_UNAVAILABLE", "the host has no identity to ask with");
    // The nonce is made here, in the enclave: no answer given before this call can fit the proposal.
    const { proposal } = makeProposal({ channelId, chaincode, transaction, args, creator, timestampMs: nowMs() });
    const { hash: proposalHash } = readProposal(proposal);
    const organisations = this.#organisations.mspIds;
    const responses = await this.#exchange({ kind: "endorse", proposal, organisations });
    const answers: SignedAnswer[] = [];
    const refusals: EnclaveError[] = [];
    for (const response of responses.slice(0, organisations.length * mostAnswersEach))
      try {
        const expected = { proposalHash, chaincode, nowMs: nowMs() };
        answers.push(readSignedAnswer(response, this.#organisations, expected));
      } catch (error) {
        if (!(error instanceof EnclaveError)) throw error;
        refusals.push(error);
      }
    return countVotes(answers, refusals, quorum);
  }

  /**
   * Peers answer this proposal, but may be behind: what was read in a newer version before is not taken in an older one, nor as
   * absent. Of the registry's records only confirmations are ever deleted; a revocation, above all, is not. The private chaincode
   * may delete what it likes.
   *
   * @throws OlderAnswer
   */
  #remember({ reads, absent }: SignedAnswer): void {
    const own = `${this.#settings.erccName}\u0000`;
    const deletable = `${own}${compositeKey({ type: recordTypes.confirmed, attributes: [] })}`;
    for (const key of absent)
      if (this.#seen.has(key) && key.startsWith(own) && !key.startsWith(deletable))
        throw new OlderAnswer("peers answered that there is no record where one was seen before");
    for (const read of reads)
      if (isBefore(read, this.#seen.get(read.key)))
        throw new OlderAnswer(`peers answered from block ${read.block}, which is older than what they had`);
    for (const read of reads) {
      if (this.#seen.size >= mostRemembered) this.#forget();
      this.#seen.set(read.key, read);
    }
  }

  /** The private chaincode's own state, of which there may be any amount, does not push out what the registry says. */
  #forget(): void {
    for (const key of this.#seen.keys()) if (!this.#isHandedOn(key)) this.#seen.delete(key);
    if (this.#seen.size >= mostRemembered) this.#seen.clear();
  }

  #isHandedOn(key: string): boolean {
    return [this.#settings.erccName, lifecycle].some((namespace) => key.startsWith(`${namespace}\u0000`));
  }
}

/** @throws EnclaveError MALFORMED: an organisation named twice or without roots, or a root that is no certificate */
function membershipOf(organisations: readonly Organisation[]): Membership {
  if (new Set(organisations.map(({ mspId }) => mspId)).size !== organisations.length)
    throw new EnclaveError("MALFORMED", "an organisation is named twice: each has one vote");
  if (organisations.some(({ mspId, roots }) => mspId === "" || roots.length === 0))
    throw new EnclaveError("MALFORMED", "an organisation has no name or no root certificates");
  try {
    return new Membership(organisations);
  } catch (cause) {
    throw new EnclaveError("MALFORMED", "a root certificate of an organisation is none", { cause });
  }
}

function newestFirst(a: ReadVersion, b: ReadVersion): number {
  if (isBefore(a, b)) return 1;
  if (isBefore(b, a)) return -1;
  return a.key < b.key ? -1 : 1;
}

function isBefore(read: ReadVersion, seen: ReadVersion | undefined): boolean {
  if (seen === undefined) return false;
  return read.block < seen.block || (read.block === seen.block && read.transaction < seen.transaction);
}
