import { randomUUID } from "node:crypto";
import type { LeaseStatement } from "../client/protocol.ts";
import { type KeyManager, verdictOf } from "./key-manager.ts";

/** How long the end of a lease may hold up the end of a launch. */
const releasePatienceMs = 2000;

/**
 * A node's key manager that is told with every unwrap of one launch (the start itself, a FISCO node's sidecar, each check)
 * under which lease the node runs; {@link release} tells it that the launch is over. A KMS takes no such word: there the
 * checks themselves are all that is on its record.
 */
export class HeldLease implements KeyManager {
  readonly #keyManager: KeyManager;
  readonly #lease: LeaseStatement;
  #released = true;
  /** The last unwrap, while it is asked for; never rejects. */
  #asking: Promise<unknown> = Promise.resolve();

  constructor(keyManager: KeyManager, seconds: number) {
    this.#keyManager = keyManager;
    this.#lease = { seconds, launch: randomUUID() };
  }

  generateDataKey(input: Parameters<KeyManager["generateDataKey"]>[0]): ReturnType<KeyManager["generateDataKey"]> {
    return this.#keyManager.generateDataKey(input);
  }

  unwrap(input: Parameters<KeyManager["unwrap"]>[0]): ReturnType<KeyManager["unwrap"]> {
    const answer = this.#unwrap(input);
    this.#asking = answer.catch(() => {});
    return answer;
  }

  /** Says that the node is stopped, if its key was released to this launch. Best effort: a lease that is not released lapses. */
  async release(): Promise<void> {
    const { promise: waitedLongEnough, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, releasePatienceMs);
    await Promise.race([this.#release().catch(() => {}), waitedLongEnough]);
    clearTimeout(timer);
  }

  close(): void {
    this.#keyManager.close();
  }

  async #unwrap(input: Parameters<KeyManager["unwrap"]>[0]): Promise<Awaited<ReturnType<KeyManager["unwrap"]>>> {
    try {
      const opened = await this.#keyManager.unwrap({ ...input, lease: this.#lease });
      this.#released = false;
      return opened;
    } catch (error) {
      // There is nothing to give back to a key manager that has taken the lease away.
      if (verdictOf(error) === "refused") this.#released = true;
      throw error;
    }
  }

  /** A check that is still on its way would be taken for a sign of life after the end: it is waited for. */
  async #release(): Promise<void> {
    await this.#asking;
    if (this.#released) return;
    this.#released = true;
    await this.#keyManager.releaseLease?.(this.#lease.launch);
  }
}
