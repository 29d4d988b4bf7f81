import type { Chain } from "../ledger/genesis.ts";
import type { Block } from "../ledger/types.ts";
import { certificateHolds, claimDigest, type PreparedCertificate } from "./certificate.ts";
import type { Equivocation } from "./events.ts";
import type { Proposal, ViewChange } from "./messages.ts";
import { isSigned, type Vote } from "./vote.ts";

/** The vote that a view change is. */
export function voteOf(chain: Chain, change: ViewChange): Vote {
  const { height, view, sealer, signature } = change;
  return { height, view, phase: "view-change", digest: claimDigest(chain, change.prepared), sealer, signature };
}

/** True when its sealer has signed it and what it claims to have prepared is proven. */
export function changeHolds(chain: Chain, change: ViewChange): boolean {
  const { height, view, prepared } = change;
  if (view === 0 || !isSigned(chain, voteOf(chain, change))) return false;
  return prepared === undefined || (prepared.view < view && certificateHolds(chain, height, prepared));
}

/** The prepared block that a new view has to take over: that of the highest view. */
export function highestPrepared(changes: readonly ViewChange[]): PreparedCertificate | undefined {
  return changes
    .map(({ prepared }) => prepared)
    .reduce((best, prepared) => ((prepared?.view ?? -1) > (best?.view ?? -1) ? prepared : best), undefined);
}

/**
 * True when view changes of a quorum allow this proposal in its view: no other block can be final at the height already, since
 * two quorums share an honest sealer, which would have told of it. In view 0 there is nothing to justify.
 */
export function isJustified(chain: Chain, proposal: Proposal): boolean {
  const { height, view, justification, block, sealer } = proposal;
  if (view === 0) return justification.length === 0 && block.header.proposer === sealer;
  const sealers = new Set(justification.map((change) => change.sealer));
  if (sealers.size !== justification.length || sealers.size < chain.quorum) return false;
  const fit = justification.every((change) => change.height === height && change.view === view);
  if (!fit || !justification.every((change) => changeHolds(chain, change))) return false;
  const best = highestPrepared(justification);
  return best === undefined ? block.header.proposer === sealer : best.digest.equals(block.hash);
}

interface KeptChange {
  readonly change: ViewChange;
  readonly block: Block | undefined;
}

/** The latest view change of each sealer at one height: memory for one each, whatever peers send. */
export class ViewChanges {
  readonly #chain: Chain;
  readonly #latest = new Map<number, KeptChange>();
  /** The view in which a sealer was last seen to cheat. */
  readonly #cheatedIn = new Map<number, number>();

  constructor(chain: Chain) {
    this.#chain = chain;
  }

  /** Whether a view change is news; if not, its signatures need no check. */
  isNews({ sealer, view, prepared }: ViewChange): boolean {
    const known = this.#latest.get(sealer)?.change;
    if (known === undefined || view > known.view) return true;
    return view === known.view && this.#cheatedIn.get(sealer) !== view && !this.#sameClaim(known.prepared, prepared);
  }

  /** Keeps one that holds. Two different ones of a sealer for one view are evidence; the first stands. */
  add(change: ViewChange, block: Block | undefined): Equivocation | undefined {
    const known = this.#latest.get(change.sealer)?.change;
    if (known !== undefined && known.view >= change.view) {
      if (known.view > change.view || this.#sameClaim(known.prepared, change.prepared)) return undefined;
      this.#cheatedIn.set(change.sealer, change.view);
      return { first: voteOf(this.#chain, known), second: voteOf(this.#chain, change) };
    }
    this.#latest.set(change.sealer, { change, block });
    return undefined;
  }

  /** Whether a sealer's latest is for this view. */
  has(sealer: number, view: number): boolean {
    return this.#latest.get(sealer)?.change.view === view;
  }

  /** Sealers other than `self` whose latest is for this view or a later one. */
  countFrom(view: number, self: number): number {
    return [...this.#latest].filter(([sealer, { change }]) => sealer !== self && change.view >= view).length;
  }

  /** The highest view that `count` sealers have at least reached, or 0. */
  reachedBy(count: number): number {
    const views = [...this.#latest.values()].map(({ change }) => change.view).sort((a, b) => b - a);
    return views[count - 1] ?? 0;
  }

  /** Those for exactly this view, by sealer ascending, once a quorum has sent one. */
  quorumFor(view: number): readonly ViewChange[] | undefined {
    const changes = [...this.#latest.values()].map(({ change }) => change).filter((change) => change.view === view);
    return changes.length < this.#chain.quorum ? undefined : changes.sort((a, b) => a.sealer - b.sealer);
  }

  /** The block that a view change has brought. */
  blockOf(digest: Buffer): Block | undefined {
    for (const { block } of this.#latest.values()) if (block?.hash.equals(digest)) return block;
    return undefined;
  }

  #sameClaim(one: PreparedCertificate | undefined, other: PreparedCertificate | undefined): boolean {
    return claimDigest(this.#chain, one).equals(claimDigest(this.#chain, other));
  }
}
