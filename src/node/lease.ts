import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { NodeError } from "./errors.ts";
import { verdictOf } from "./key-manager.ts";

export interface LeaseOptions {
  /** Time between two checks. */
  readonly everyMs: number;
  /** How long the key manager may be out of reach before the lease counts as lost. */
  readonly graceMs: number;
  /** Asks the key manager for the data key as a launch does; the lease disposes of it at once. */
  readonly ask: () => Promise<SecretBuffer>;
  readonly tell: (message: string) => void;
  readonly stopped: AbortSignal;
}

/**
 * Watches that the key manager still agrees. Rejects with `LEASE_LOST` as soon as it refuses, or when it has not answered
 * for `graceMs`; a wrong data key, or an answer that no key manager gives, counts as no answer. Resolves when stopped.
 *
 * Whoever can cut the node off from its key manager can thereby keep a revoked node running for `graceMs`, no longer.
 */
export async function watchLease({ everyMs, graceMs, ask, tell, stopped }: LeaseOptions): Promise<void> {
  let answeredAtMs = performance.now();
  while (!stopped.aborted) {
    await pauseUnlessStopped(everyMs, stopped);
    if (stopped.aborted) return;
    try {
      using _released = await ask();
      answeredAtMs = performance.now();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      // A refusal by the key manager; why is for its administrators to read in the audit log.
      if (verdictOf(error) === "refused")
        throw new NodeError("LEASE_LOST", "lease lost: access refused", { cause: error });
      const silentMs = performance.now() - answeredAtMs;
      if (silentMs >= graceMs)
        throw new NodeError("LEASE_LOST", `lease lost: no key manager answered for ${Math.round(silentMs / 1000)} s`, {
          cause: error,
        });
      tell(`lease not confirmed (${reason}); the node is stopped in ${Math.ceil((graceMs - silentMs) / 1000)} s`);
    }
  }
}

/** Resolves after the time, or at once when stopped. */
export function pauseUnlessStopped(ms: number, stopped: AbortSignal): Promise<void> {
  if (stopped.aborted || ms <= 0) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done() {
      clearTimeout(timer);
      stopped.removeEventListener("abort", done);
      resolve();
    }
    stopped.addEventListener("abort", done);
  });
}
