import { peerNetwork } from "../rate-limit.ts";

export interface FailureLimitOptions {
  /** Failures a peer may have at once. @defaultValue `30` */
  readonly burst?: number;
  /** How fast they are forgiven, per second. @defaultValue `1` */
  readonly perSecond?: number;
  /** Peers remembered; the one unseen for longest is forgotten first. @defaultValue `4096` */
  readonly maxPeers?: number;
  readonly nowMs?: () => number;
}

interface Bucket {
  tokens: number;
  atMs: number;
}

/**
 * A token bucket of failures for each peer (each /64 for IPv6), in bounded memory. Successes cost nothing, so a node
 * that asks for its own key is never slowed down.
 */
export class FailureLimit {
  readonly #burst: number;
  readonly #perMs: number;
  readonly #maxPeers: number;
  readonly #nowMs: () => number;
  readonly #buckets = new Map<string, Bucket>();

  constructor(options: FailureLimitOptions = {}) {
    this.#burst = options.burst ?? 30;
    this.#perMs = (options.perSecond ?? 1) / 1000;
    this.#maxPeers = options.maxPeers ?? 4096;
    this.#nowMs = options.nowMs ?? (() => performance.now());
  }

  /** True when this peer has used up its failures. */
  exhausted(peer: string): boolean {
    const bucket = this.#buckets.get(peerNetwork(peer));
    return bucket !== undefined && this.#refilled(bucket) < 1;
  }

  countFailure(peer: string): void {
    const key = peerNetwork(peer);
    const known = this.#buckets.get(key);
    const tokens = known === undefined ? this.#burst : this.#refilled(known);
    this.#buckets.delete(key);
    this.#buckets.set(key, { tokens: Math.max(0, tokens - 1), atMs: this.#nowMs() });
    if (this.#buckets.size <= this.#maxPeers) return;
    for (const oldest of this.#buckets.keys()) {
      this.#buckets.delete(oldest);
      break;
    }
  }

  /** Peers remembered now. */
  get size(): number {
    return this.#buckets.size;
  }

  #refilled(bucket: Bucket): number {
    return Math.min(this.#burst, bucket.tokens + Math.max(0, this.#nowMs() - bucket.atMs) * this.#perMs);
  }
}
