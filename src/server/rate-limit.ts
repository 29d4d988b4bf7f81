import { isIP } from "node:net";
import { ByLastUse } from "./by-last-use.ts";

export interface RateLimitOptions {
  /** Requests a second, in the long run. */
  readonly perSecond: number;
  /** Requests at once, after a quiet time. */
  readonly burst: number;
  /** Callers remembered; the one unseen for longest is forgotten first. @defaultValue `16384` */
  readonly maxCallers?: number;
  /** Milliseconds, from any moment on. @defaultValue `performance.now` */
  readonly nowMs?: () => number;
}

interface Bucket {
  tokens: number;
  atMs: number;
}

/**
 * A token bucket for each caller, in bounded memory. A caller that is over its limit is refused at once and waits for
 * nothing, so it slows no other.
 */
export class RateLimit {
  readonly #perMs: number;
  readonly #burst: number;
  readonly #maxCallers: number;
  readonly #nowMs: () => number;
  readonly #buckets = new ByLastUse<Bucket>();

  /** @throws {RangeError} */
  constructor({ perSecond, burst, maxCallers = 16_384, nowMs = () => performance.now() }: RateLimitOptions) {
    if (!(perSecond > 0) || !(burst >= 1) || !(maxCallers >= 1))
      throw new RangeError("a rate limit is above 0 a second, with a burst and a number of callers of at least 1");
    this.#perMs = perSecond / 1000;
    this.#burst = burst;
    this.#maxCallers = maxCallers;
    this.#nowMs = nowMs;
  }

  /** Takes one request from the caller's bucket; false when it is empty. */
  take(caller: string): boolean {
    const nowMs = this.#nowMs();
    const bucket = this.#buckets.use(caller) ?? this.#newBucket(caller, nowMs);
    bucket.tokens = Math.min(this.#burst, bucket.tokens + Math.max(0, nowMs - bucket.atMs) * this.#perMs);
    bucket.atMs = nowMs;
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }

  /** Callers remembered now. */
  get size(): number {
    return this.#buckets.size;
  }

  #newBucket(caller: string, nowMs: number): Bucket {
    const bucket = { tokens: this.#burst, atMs: nowMs };
    this.#buckets.set(caller, bucket);
    if (this.#buckets.size > this.#maxCallers) this.#buckets.deleteOldest();
    return bucket;
  }
}

/** What counts as one stranger: an IPv4 address, or an IPv6 network of 64 bits, which one host may have to itself. */
export function peerNetwork(peer: string): string {
  if (isIP(peer) !== 6) return peer;
  const [head = "", tail] = peer.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const groups = [...left, ...Array<string>(Math.max(0, 8 - left.length - right.length)).fill("0"), ...right];
  return `${groups.slice(0, 4).join(":")}::/64`;
}
