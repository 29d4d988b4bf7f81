import type { Caller } from "../service.ts";

/** The caller of what the key manager does by itself, when its time has come. It asks no policy, and no door can be it. */
export function serverItself(occasion: "rotation" | "expiry" | "deletion"): Caller {
  return { principal: "strongroom", door: "local", peer: "local", requestId: occasion };
}
