import type { LeaseDescription, LeaseState } from "../contract/leases.ts";
import type { AuditRecord } from "../service.ts";

/** Launches that are remembered of one node; the one that was heard of longest ago is forgotten. */
const maxLaunches = 8;
const nodeArn = /^arn:aws:iam::\d{12}:node\/(.+)$/s;

/** Details of the records by which leases are known. */
export const leaseDetails = { seconds: "leaseSeconds", launch: "launch" } as const;
export const releaseAction = "strongroom:ReleaseLease";
const unwrapAction = "kms:Decrypt";
const authenticateAction = "strongroom:Authenticate";

interface Heard {
  readonly sequence: number;
  readonly at: string;
}

interface Launch {
  readonly id: string;
  readonly first: number;
  /** The last check, and whether it was answered with the key. */
  readonly check: Heard & { readonly seconds: number; readonly keyId: string | null; readonly refused: boolean };
  /** Sequence of the record in which the launcher said that it is over; 0 for none. */
  readonly released: number;
}

interface NodeFacts {
  readonly launches: Map<string, Launch>;
  withoutLease: (Heard & { readonly keyId: string | null }) | undefined;
  /** The node was not let in at all. */
  shutOut: Heard | undefined;
}

/**
 * Leases as the audit chain tells of them: each check is an unwrap that states its lease. What is known depends on the
 * records that were taken in and not on their order, so that a gap may be filled later.
 */
export class LeaseBook {
  /** By the node's name. Only principals that were enrolled as nodes have records under such an ARN. */
  readonly #nodes = new Map<string, NodeFacts>();

  /** Whether a stored record's text may be one that {@link take} learns from: a look that spares reading the others. */
  static mayConcern(text: string): boolean {
    return text.includes(":node/") && /Decrypt|ReleaseLease|Authenticate/.test(text);
  }

  take(record: AuditRecord): void {
    const { action, principal, result } = record;
    if (action !== unwrapAction && action !== releaseAction && action !== authenticateAction) return;
    const name = nodeArn.exec(principal)?.[1];
    if (name === undefined) return;
    const facts = this.#nodes.getOrInsertComputed(name, emptyFacts);
    if (action === unwrapAction) takeUnwrap(facts, record);
    else if (action === releaseAction && result === "done") takeRelease(facts, record);
    else if (action === authenticateAction && result === "refused") facts.shutOut = newest(facts.shutOut, record);
  }

  /** Names of the nodes of which anything is known. */
  get names(): readonly string[] {
    return [...this.#nodes.keys()];
  }

  /**
   * A node's lease; null when no key was released to it.
   *
   * @param nowMs - Unix milliseconds of the clock that the records' times are of.
   */
  of(name: string, nowMs: number): LeaseDescription | null {
    const facts = this.#nodes.get(name);
    if (facts === undefined) return null;
    const { withoutLease } = facts;
    const known = [...facts.launches.values()]
      .filter(({ check }) => check.sequence > 0)
      .map((launch) => ({ launch, state: stateOf(launch, facts.shutOut, nowMs) }))
      .sort((a, b) => b.launch.check.sequence - a.launch.check.sequence);
    const held = known.filter(({ state }) => state === "held");
    const shown = held[0] ?? known[0];
    const outside = withoutLease?.sequence ?? 0;
    if (shown === undefined || (shown.state !== "held" && outside > shown.launch.check.sequence)) {
      if (withoutLease === undefined) return null;
      const { at, keyId } = withoutLease;
      return { ...describe("none", at, nowMs), seconds: null, launch: null, keyId };
    }
    const { id, check, first } = shown.launch;
    return {
      ...describe(shown.state, check.at, nowMs),
      seconds: check.seconds,
      launch: id,
      keyId: check.keyId,
      alsoWithoutLeaseAt: withoutLease !== undefined && outside > first ? withoutLease.at : null,
      launchesHeld: held.length,
    };
  }
}

function takeUnwrap(facts: NodeFacts, record: AuditRecord): void {
  const { sequence, at, key: keyId, result } = record;
  const seconds = record.detail[leaseDetails.seconds];
  const id = record.detail[leaseDetails.launch];
  if (typeof seconds !== "number" || typeof id !== "string") {
    if (result === "done" && sequence > (facts.withoutLease?.sequence ?? 0))
      facts.withoutLease = { sequence, at, keyId };
    return;
  }
  // A check that failed without an answer changes nothing: the launcher asks on, within its grace.
  if (result === "failed") return;
  const known = facts.launches.get(id);
  const check = { sequence, at, seconds, keyId, refused: result === "refused" };
  remember(facts, {
    id,
    first: Math.min(known?.first ?? sequence, sequence),
    check: known !== undefined && known.check.sequence > sequence ? known.check : check,
    released: known?.released ?? 0,
  });
}

function takeRelease(facts: NodeFacts, { sequence, at, detail }: AuditRecord): void {
  const id = detail[leaseDetails.launch];
  if (typeof id !== "string") return;
  const known = facts.launches.get(id);
  const unheard = { sequence: 0, at, seconds: 0, keyId: null, refused: false };
  remember(facts, {
    id,
    first: known?.first ?? sequence,
    check: known?.check ?? unheard,
    released: Math.max(known?.released ?? 0, sequence),
  });
}

function remember({ launches }: NodeFacts, launch: Launch): void {
  launches.set(launch.id, launch);
  if (launches.size <= maxLaunches) return;
  const lastHeard = ({ check, released }: Launch) => Math.max(check.sequence, released);
  const [oldest] = [...launches.values()].sort((a, b) => lastHeard(a) - lastHeard(b));
  if (oldest !== undefined) launches.delete(oldest.id);
}

function stateOf({ check, released }: Launch, shutOut: Heard | undefined, nowMs: number): LeaseState {
  if (released > check.sequence) return "released";
  if (check.refused || (shutOut !== undefined && shutOut.sequence > check.sequence)) return "refused";
  return nowMs - Date.parse(check.at) <= 2 * check.seconds * 1000 ? "held" : "lapsed";
}

function describe(state: LeaseState, checkedAt: string, nowMs: number) {
  const checkedSecondsAgo = Math.max(0, Math.floor((nowMs - Date.parse(checkedAt)) / 1000));
  return { state, checkedAt, checkedSecondsAgo, alsoWithoutLeaseAt: null, launchesHeld: 0 };
}

function newest(known: Heard | undefined, { sequence, at }: AuditRecord): Heard {
  return known !== undefined && known.sequence > sequence ? known : { sequence, at };
}

function emptyFacts(): NodeFacts {
  return { launches: new Map(), withoutLease: undefined, shutOut: undefined };
}
