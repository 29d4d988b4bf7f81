import type { Chain } from "../ledger/genesis.ts";
import type { SealerSignature } from "../ledger/types.ts";
import type { Equivocation } from "./events.ts";
import { viewWindow } from "./limits.ts";
import { isSigned, type Phase, type Vote } from "./vote.ts";

export type BallotAnswer =
  | { readonly kind: "counted" | "known" | "outside" | "bad-signature" }
  | { readonly kind: "equivocation"; readonly evidence: Equivocation };

/**
 * The votes of one height, one for each sealer, view and phase; the first one stands. It holds at most
 * sealers × phases × (`viewWindow` + 1), whatever peers send.
 */
export class BallotBox {
  readonly #chain: Chain;
  readonly #votes = new Map<string, Vote>();
  readonly #cheated = new Set<string>();

  constructor(chain: Chain) {
    this.#chain = chain;
  }

  /** Votes that are held. */
  get size(): number {
    return this.#votes.size;
  }

  /**
   * Counts a vote whose signature holds.
   *
   * @param currentView - Votes of views below it, or more than `viewWindow` above, stay outside.
   */
  add(vote: Vote, currentView: number): BallotAnswer {
    if (vote.view < currentView || vote.view > currentView + viewWindow) return { kind: "outside" };
    const name = nameOf(vote.view, vote.phase, vote.sealer);
    const first = this.#votes.get(name);
    // A sealer that has cheated on this slot is not worth another check of a signature.
    if (first?.digest.equals(vote.digest) || this.#cheated.has(name)) return { kind: "known" };
    if (!isSigned(this.#chain, vote)) return { kind: "bad-signature" };
    if (first === undefined) {
      this.#votes.set(name, vote);
      return { kind: "counted" };
    }
    this.#cheated.add(name);
    return { kind: "equivocation", evidence: { first, second: vote } };
  }

  /** The digest that a sealer's vote in this slot names. */
  digestOf(view: number, phase: Phase, sealer: number): Buffer | undefined {
    return this.#votes.get(nameOf(view, phase, sealer))?.digest;
  }

  /** Signatures for one digest, by sealer ascending. */
  signatures(view: number, phase: Phase, digest: Buffer): SealerSignature[] {
    const found: SealerSignature[] = [];
    for (let sealer = 0; sealer < this.#chain.sealers.length; sealer++) {
      const vote = this.#votes.get(nameOf(view, phase, sealer));
      if (vote?.digest.equals(digest)) found.push({ sealer, signature: vote.signature });
    }
    return found;
  }

  forgetBelow(view: number): void {
    for (const [name, vote] of this.#votes) {
      if (vote.view >= view) continue;
      this.#votes.delete(name);
      this.#cheated.delete(name);
    }
  }
}

function nameOf(view: number, phase: Phase, sealer: number): string {
  return `${view} ${phase} ${sealer}`;
}
