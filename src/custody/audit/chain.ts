import { hash } from "node:crypto";

/** The chain's first link: 32 zero bytes stand before the first record. */
export const chainStart: Uint8Array = Buffer.alloc(32);

/** Room to put a link together in without an allocation for each. */
const scratch = Buffer.allocUnsafeSlow(16 * 1024);

/**
 * The next link: H(previous link ‖ record body), H being the root's hash (SHA-256, or SM3). Anyone who has the records
 * can recompute it; the seals and checkpoints say whose chain it is.
 */
export function nextLink(hashName: "sha256" | "sm3", previous: Uint8Array, body: string): Buffer {
  const length = Buffer.byteLength(body);
  const linked = length <= scratch.length - 32 ? scratch : Buffer.allocUnsafeSlow(length + 32);
  linked.set(previous, 0);
  linked.write(body, 32, "utf8");
  return Buffer.from(hash(hashName, linked.subarray(0, length + 32), "latin1"), "latin1");
}
