import assert from "node:assert/strict";
import type { Caller, CustodyService } from "../../../src/custody/service.ts";

/**
 * What the state of a key manager must be, as its answers told: each thing has the state that was acknowledged last, or,
 * while a change of it was under way when the server died, the one it was to get.
 *
 * Things: `key ID`, `alias NAME`, `grant ID`, `node NAME`.
 */
export class ExpectedState {
  readonly #acknowledged = new Map<string, string>();
  readonly #underWay = new Map<string, string>();

  /** Carries out one change. The state is expected from now on only once `work` has been answered. */
  async change<T>(thing: string, state: string, work: () => Promise<T>): Promise<T> {
    this.#underWay.set(thing, state);
    const answer = await work();
    this.acknowledge(thing, state);
    return answer;
  }

  acknowledge(thing: string, state: string): void {
    this.#underWay.delete(thing);
    this.#acknowledged.set(thing, state);
  }

  things(kind: string, state: string): string[] {
    return [...this.#acknowledged]
      .filter(([thing, now]) => thing.startsWith(`${kind} `) && now === state)
      .map(([thing]) => thing.slice(kind.length + 1));
  }

  /** Holds a key manager to it, then takes what it found for acknowledged. */
  async check(custody: CustodyService, caller: Caller): Promise<void> {
    const actual = await actualState(custody, caller);
    for (const [thing, state] of this.#acknowledged) {
      const now = actual.get(thing) ?? "absent";
      const allowed = [state, ...(this.#underWay.has(thing) ? [this.#underWay.get(thing)] : [])];
      assert.ok(
        allowed.includes(now),
        `${thing} is ${now}, it was acknowledged as ${allowed.join(" or was to become ")}`,
      );
      this.#acknowledged.set(thing, now);
    }
    this.#underWay.clear();
  }
}

async function actualState(custody: CustodyService, caller: Caller): Promise<Map<string, string>> {
  const actual = new Map<string, string>();
  for (const key of await custody.keys.list(caller)) {
    actual.set(`key ${key.keyId}`, key.state);
    for (const alias of key.aliases) actual.set(`alias ${alias}`, key.keyId);
    for (const grant of await custody.grants.list(caller, key.keyId)) actual.set(`grant ${grant.id}`, "present");
  }
  for (const node of await custody.nodes.list(caller)) actual.set(`node ${node.name}`, node.state);
  return actual;
}
