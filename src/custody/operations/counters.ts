import {
  type AdvanceCounterInput,
  type CounterDescription,
  type CounterOperations,
  type CounterStanding,
  counterNamePattern,
  counterStampPattern,
  maxCountersOfNode,
  type NodeCounter,
} from "../contract/counters.ts";
import { type AccountSubject, type Core, performDecided, performOnAccount } from "../core.ts";
import { CustodyError } from "../errors.ts";
import type { Subject } from "../journal.ts";
import type { Caller } from "../service.ts";
import { type CounterRecord, change, type StateChange } from "../state/records.ts";
import { nodeOf } from "./leases.ts";
import { findPrincipal } from "./principals.ts";

/** Counters of nodes. Which node is meant is never said in a node's request: it is the one that calls. */
export class Counters implements CounterOperations {
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
  }

  async advance(caller: Caller, { name, previous, next }: AdvanceCounterInput): Promise<CounterStanding> {
    checkName(name);
    if (previous !== null) checkStanding(previous);
    checkStanding(next);
    const asked = { counter: name, from: previous?.value ?? 0, to: next.value };
    const subject: Subject = { action: "strongroom:AdvanceCounter", detail: asked };
    return performDecided(this.#core, caller, subject, () => {
      const node = this.#callingNode(caller);
      const stands = this.#core.state.get("counter", counterId(node, name));
      subject.detail = { ...asked, stamp: next.stamp };
      const value = { value: next.value, stamp: next.stamp };
      if (stands !== undefined && isSame(stands, next)) return { value };
      const asBelieved = previous === null ? stands === undefined : stands !== undefined && isSame(stands, previous);
      if (!asBelieved || (previous !== null && next.value <= previous.value)) {
        subject.detail = { ...subject.detail, stands: stands?.value ?? 0 };
        throw conflict(name, stands, previous, next);
      }
      if (stands === undefined) this.#mustHaveRoom(node);
      const advancedAt = new Date(this.#core.journal.nowMs()).toISOString();
      const record: CounterRecord = { node, name, ...value, advancedAt };
      return { value, changes: [change("counter", counterId(node, name), record)] };
    });
  }

  async read(caller: Caller, name: string): Promise<CounterDescription | null> {
    checkName(name);
    const subject: Subject = { action: "strongroom:ReadCounter", detail: { counter: name } };
    return performDecided(this.#core, caller, subject, () => {
      const stands = this.#core.state.get("counter", counterId(this.#callingNode(caller), name));
      subject.detail = { counter: name, stands: stands?.value ?? 0 };
      if (stands === undefined) return { value: null };
      const { value, stamp, advancedAt } = stands;
      return { value: { value, stamp, advancedAt } };
    });
  }

  async list(caller: Caller, node?: string): Promise<readonly NodeCounter[]> {
    const detail = node === undefined ? {} : { node: node.slice(0, 64) };
    const subject: AccountSubject = { action: "strongroom:ListCounters", detail };
    return performOnAccount(this.#core, caller, subject, () => {
      if (node !== undefined) this.#mustBeNode(node);
      const found = [...this.#core.state.all("counter")].filter(([, each]) => node === undefined || each.node === node);
      return { value: found.sort(([left], [right]) => (left < right ? -1 : 1)).map(([, each]) => each) };
    });
  }

  async reset(caller: Caller, node: string, name: string): Promise<void> {
    checkName(name);
    const detail = { node: node.slice(0, 64), counter: name };
    const subject: AccountSubject = { action: "strongroom:ResetCounter", detail };
    return performOnAccount(this.#core, caller, subject, () => {
      this.#mustBeNode(node);
      const stands = this.#core.state.get("counter", counterId(node, name));
      if (stands === undefined)
        throw new CustodyError("COUNTER_NOT_FOUND", `${node} has no counter ${JSON.stringify(name)}`);
      subject.detail = { ...detail, from: stands.value, stamp: stands.stamp };
      return { value: undefined, changes: [change("counter", counterId(node, name), null)] };
    });
  }

  /** @throws {CustodyError} `ACCESS_DENIED` for every caller that is not an enabled node. */
  #callingNode(caller: Caller): string {
    const node = nodeOf(this.#core, caller);
    if (node?.state === "enabled") return node.name;
    const deniedBy = node === undefined ? "nothing-allows" : "principal-disabled";
    throw new CustodyError("ACCESS_DENIED", "a counter is its node's own: only an enabled node has any", undefined, {
      deniedBy,
    });
  }

  #mustBeNode(name: string): void {
    const { kind } = findPrincipal(this.#core, name);
    if (kind !== "node") throw new CustodyError("PRINCIPAL_NOT_FOUND", `${name} is a ${kind}, not a node`);
  }

  /** Asked for a new counter only: all others are found by their name. */
  #mustHaveRoom(node: string): void {
    if (countersOf(this.#core, node).length >= maxCountersOfNode)
      throw new CustodyError("LIMIT_EXCEEDED", `a node has at most ${maxCountersOfNode} counters`);
  }
}

/** The removal of every counter of a node, for a node that is destroyed. */
export function withoutCounters(core: Core, node: string): StateChange[] {
  return countersOf(core, node).map(([id]) => change("counter", id, null));
}

function countersOf(core: Core, node: string): [string, CounterRecord][] {
  return [...core.state.all("counter")].filter(([, each]) => each.node === node);
}

/** A node's name holds no `/`, so no two counters have one id. */
function counterId(node: string, name: string): string {
  return `${node}/${name}`;
}

function isSame(one: CounterStanding, other: CounterStanding): boolean {
  return one.value === other.value && one.stamp === other.stamp;
}

function conflict(
  name: string,
  stands: CounterStanding | undefined,
  previous: CounterStanding | null,
  next: CounterStanding,
): CustodyError {
  const asked = `asked to go from ${previous?.value ?? "nothing"} to ${next.value}`;
  return new CustodyError(
    "COUNTER_CONFLICT",
    `counter ${name}, ${asked}, ${standingText(stands, previous, next)}: the node's state was put back, or it runs twice`,
  );
}

function standingText(
  stands: CounterStanding | undefined,
  previous: CounterStanding | null,
  next: CounterStanding,
): string {
  if (stands === undefined) return "is not there";
  if (previous !== null && isSame(stands, previous)) return `stands at ${stands.value} and only goes up`;
  const sameValue = stands.value === previous?.value || stands.value === next.value;
  return `stands at ${stands.value}${sameValue ? " under another stamp" : ""}`;
}

function checkName(name: string): void {
  if (!counterNamePattern.test(name))
    throw new CustodyError(
      "INPUT_INVALID",
      "a counter's name is 1 to 128 small letters, digits or ._:/- beginning with a letter or digit",
    );
}

function checkStanding({ value, stamp }: CounterStanding): void {
  if (!Number.isSafeInteger(value) || value < 1)
    throw new CustodyError("INPUT_INVALID", "a counter's value is a whole number from 1 to 2^53 - 1");
  if (!counterStampPattern.test(stamp))
    throw new CustodyError("INPUT_INVALID", "a counter's stamp is 64 hex digits in small letters");
}
