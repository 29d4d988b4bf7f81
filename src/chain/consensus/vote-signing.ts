import { LedgerError } from "../ledger/errors.ts";
import type { Chain } from "../ledger/genesis.ts";
import { encodePrepared, type PreparedBlock } from "./certificate.ts";
import type { GuardBook } from "./guard-book.ts";
import type { Outbox } from "./outbox.ts";
import { type UnsignedVote, type Vote, voteHash } from "./vote.ts";

interface PendingVote {
  readonly vote: UnsignedVote;
  state: "guarding" | "signing" | "to-ask-again";
}

/**
 * The way of this replica's own votes: guard first, then the signing device, then out. Each slot goes this way once. Only a
 * request that surely never reached the device is made again, with the same bytes.
 */
export class VoteSigning {
  readonly #chain: Chain;
  readonly #self: number;
  readonly #publicKey: Buffer;
  readonly #guard: GuardBook;
  readonly #outbox: Outbox;
  readonly #pending = new Map<number, PendingVote>();
  #lastId = 0;
  #halted = false;

  constructor(chain: Chain, self: number, guard: GuardBook, outbox: Outbox) {
    const publicKey = chain.publicKeyOf(self);
    if (publicKey === undefined) throw new RangeError(`there is no sealer ${self}`);
    this.#chain = chain;
    this.#self = self;
    this.#publicKey = publicKey;
    this.#guard = guard;
    this.#outbox = outbox;
  }

  /** Begins the way of a vote; does nothing when its slot is used or the replica is halted. */
  cast(vote: UnsignedVote, prepared?: PreparedBlock): void {
    if (this.#halted || this.#guard.isUsed(vote)) return;
    this.#guard.note(vote, prepared);
    this.#lastId += 1;
    this.#pending.set(this.#lastId, { vote, state: "guarding" });
    const record = prepared === undefined ? vote : { ...vote, prepared: encodePrepared(prepared) };
    this.#outbox.add({ kind: "guard", id: this.#lastId, record });
  }

  guardStored(id: number): void {
    const pending = this.#pending.get(id);
    if (pending?.state === "guarding") this.#ask(id, pending);
  }

  /** Without a guard nothing may be signed. */
  guardFailed(): void {
    this.#halt("the double-sign guard could not be stored");
  }

  /** The vote that the device has signed; undefined for one that is no longer wanted. */
  signed(id: number, rs: Buffer): Vote | undefined {
    const pending = this.#pending.get(id);
    if (pending?.state !== "signing") return undefined;
    this.#pending.delete(id);
    const { vote } = pending;
    try {
      const signature = this.#chain.suite.sealerSignature(this.#publicKey, voteHash(this.#chain, vote), rs);
      return { ...vote, sealer: this.#self, signature };
    } catch (error) {
      if (!(error instanceof LedgerError)) throw error;
      this.signedByAnother();
      return undefined;
    }
  }

  /** The device's key is not this node's, or not right: nothing that it signs may go out. */
  signedByAnother(): void {
    this.#halt("the signing device's answer is no signature of this node's key: the device may hold another key");
  }

  signFailed(id: number, mayHaveSigned: boolean): void {
    const pending = this.#pending.get(id);
    if (pending?.state !== "signing") return;
    if (mayHaveSigned) this.#pending.delete(id);
    else pending.state = "to-ask-again";
  }

  /** Asks again for what surely was not signed. */
  askAgain(): void {
    for (const [id, pending] of this.#pending) if (pending.state === "to-ask-again") this.#ask(id, pending);
  }

  /** Whether the vote is on its way. */
  isPending({ height, view, phase }: Omit<UnsignedVote, "digest">): boolean {
    for (const { vote } of this.#pending.values())
      if (vote.height === height && vote.view === view && vote.phase === phase) return true;
    return false;
  }

  /** Gives up votes of other heights and views: their slots stay used, late answers fall away. */
  keepOnly(height: number, view: number): void {
    for (const [id, { vote }] of this.#pending)
      if (vote.height !== height || vote.view !== view) this.#pending.delete(id);
  }

  #ask(id: number, pending: PendingVote): void {
    if (this.#halted) return;
    pending.state = "signing";
    const digest = this.#chain.suite.signingDigest(this.#publicKey, voteHash(this.#chain, pending.vote));
    this.#outbox.add({ kind: "sign", id, digest });
  }

  #halt(reason: string): void {
    if (this.#halted) return;
    this.#halted = true;
    this.#pending.clear();
    this.#outbox.add({ kind: "halted", reason });
  }
}
