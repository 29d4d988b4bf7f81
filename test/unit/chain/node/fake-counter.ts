import { setImmediate as turn } from "node:timers/promises";
import { ChainNodeError } from "../../../../src/chain/node/errors.ts";
import type { GuardCounter } from "../../../../src/chain/node/guard-counter.ts";
import type { GuardMark } from "../../../../src/chain/node/guard-file.ts";

/**
 * What becomes of one request. `lost`: it is carried out, and its answer does not come. `late`: it is carried out after the
 * caller has given up.
 */
export type Fate = "answered" | "away" | "late" | "lost" | "refused";

/** A key manager's counter, in memory, that fails as it is told. */
export class FakeCounter implements GuardCounter {
  stands: GuardMark | undefined;
  /** Of the next requests; `answered` for those after them. */
  readonly fates: Fate[] = [];
  /** Every step that was asked for. */
  readonly asked: { readonly from: number; readonly to: number }[] = [];
  /** Requests wait for it, when set. */
  gate: Promise<void> | undefined;
  isClosed = false;

  async read(): Promise<GuardMark | undefined> {
    await this.#fate();
    return this.stands;
  }

  async advance(previous: GuardMark | undefined, next: GuardMark): Promise<"advanced" | "conflict"> {
    this.asked.push({ from: previous?.value ?? 0, to: next.value });
    await this.gate;
    const fate = await this.#fate();
    if (fate === "late") {
      void turn().then(() => this.#set(previous, next));
      throw new ChainNodeError("KEY_MANAGER_UNREACHABLE", "no answer in time");
    }
    const outcome = this.#set(previous, next);
    if (fate === "lost") throw new ChainNodeError("KEY_MANAGER_UNREACHABLE", "the answer was lost");
    return outcome;
  }

  close(): void {
    this.isClosed = true;
  }

  #set(previous: GuardMark | undefined, next: GuardMark): "advanced" | "conflict" {
    if (isSame(this.stands, next)) return "advanced";
    if (!isSame(this.stands, previous) || next.value <= (previous?.value ?? 0)) return "conflict";
    this.stands = next;
    return "advanced";
  }

  async #fate(): Promise<Fate> {
    await Promise.resolve();
    const fate = this.fates.shift() ?? "answered";
    if (fate === "away") throw new ChainNodeError("KEY_MANAGER_UNREACHABLE", "the key manager is away");
    if (fate === "refused") throw new ChainNodeError("KEY_MANAGER_REFUSED", "the node is revoked");
    return fate;
  }
}

function isSame(one: GuardMark | undefined, other: GuardMark | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  return one.value === other.value && one.stamp.equals(other.stamp);
}
