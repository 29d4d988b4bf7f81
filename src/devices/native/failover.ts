import { DeviceError } from "../errors.ts";
import type { NativeDeviceHealth } from "./device-events.ts";
import { DeviceFault, deviceErrorOf } from "./fault.ts";
import type { NativeCallOptions, NativeCalls } from "./native-calls.ts";

export interface FailoverMember {
  readonly name: string;
  readonly calls: NativeCalls;
}

/**
 * The fingerprint of the key that a member would use, 32 bytes or so: members whose fingerprints differ hold different keys.
 * Asked at opening, and again each time a member's process has been replaced.
 */
export type FingerprintOf = (member: NativeCalls) => Promise<Buffer>;

interface Member extends FailoverMember {
  /** `restarts` of the health under which its key was last compared; undefined: not compared yet. */
  comparedAt: number | undefined;
  comparing: Promise<void> | undefined;
  /** Holds another key than the set's: it is not used until the set is opened anew. */
  foreign: boolean;
}

/**
 * Several devices that hold the same key, used as one: a call goes to the first that is well. A call that may have reached a
 * library is sent to another member only if it is `repeatable`; one that surely did not is always.
 */
export class FailoverSet implements NativeCalls {
  readonly #members: readonly Member[];
  readonly #fingerprintOf: FingerprintOf;
  readonly #fingerprint: Buffer;
  readonly #leftOut: readonly string[];

  private constructor(
    members: readonly Member[],
    fingerprintOf: FingerprintOf,
    fingerprint: Buffer,
    leftOut: readonly string[],
  ) {
    this.#members = members;
    this.#leftOut = leftOut;
    this.#fingerprintOf = fingerprintOf;
    this.#fingerprint = fingerprint;
  }

  /**
   * Compares the members' keys. The members belong to the set from then on, and are closed with it; they stay the caller's when
   * this throws. A member that can't tell its key now is compared before it is first used.
   *
   * @param expected - The key's fingerprint, where it is known from before; left out: what the first member that can tell says.
   * @param leftOut - Names of members that could not be opened: without them the set is degraded.
   * @throws {DeviceError} `DEVICE_KEY_CHANGED` when a member holds another key; what the last member said when none can tell.
   * @throws {RangeError} Without members.
   */
  static async open(
    members: readonly FailoverMember[],
    fingerprintOf: FingerprintOf,
    expected?: Buffer,
    leftOut: readonly string[] = [],
  ): Promise<FailoverSet> {
    if (members.length === 0) throw new RangeError("a failover set has at least one member");
    const own: Member[] = members.map((member) => ({
      ...member,
      comparedAt: undefined,
      comparing: undefined,
      foreign: false,
    }));
    let fingerprint = expected;
    let from = "what was stored";
    let trouble: unknown;
    for (const member of own) {
      const { restarts } = member.calls.health();
      let told: Buffer;
      try {
        told = await fingerprintOf(member.calls);
      } catch (error) {
        trouble = error;
        continue;
      }
      if (fingerprint === undefined) {
        fingerprint = told;
        from = member.name;
      } else if (!told.equals(fingerprint)) throw keyDiffers(member.name, from);
      member.comparedAt = restarts;
    }
    if (fingerprint === undefined || own.every(({ comparedAt }) => comparedAt === undefined)) throw trouble;
    return new FailoverSet(own, fingerprintOf, fingerprint, leftOut);
  }

  /** Of the member that calls would go to now. */
  get info(): Readonly<Record<string, string | number | boolean>> {
    return this.#inOrder()[0]?.calls.info ?? {};
  }

  /** The best member's, with the sums of all; `degraded` when any member is not `ready`, or was left out. */
  health(): NativeDeviceHealth {
    const all = this.#members.map((member) => ({ member, health: member.calls.health() }));
    const usable = all.filter(({ member, health }) => !member.foreign && isWell(health));
    const sum = (pick: (health: NativeDeviceHealth) => number) =>
      all.reduce((total, { health }) => total + pick(health), 0);
    const allLocked = all.every(({ health }) => health.state === "locked");
    const allReady =
      this.#leftOut.length === 0 && all.every(({ member, health }) => !member.foreign && health.state === "ready");
    const lastError = all.find(({ health }) => health.lastError !== undefined && health.state !== "ready")?.health
      .lastError;
    return {
      state: allLocked ? "locked" : usable.length === 0 ? "down" : allReady ? "ready" : "degraded",
      detail: [
        ...all.map(({ member, health }) => `${member.name}: ${member.foreign ? "holds another key" : health.state}`),
        ...this.#leftOut.map((name) => `${name}: could not be opened`),
      ].join(", "),
      sessions: sum(({ sessions }) => sessions),
      queue: sum(({ queue }) => queue),
      abandoned: sum(({ abandoned }) => abandoned),
      restarts: sum(({ restarts }) => restarts),
      ...(lastError === undefined ? {} : { lastError }),
    };
  }

  async call(operation: string, args: readonly Buffer[], options: NativeCallOptions = {}): Promise<readonly Buffer[]> {
    let trouble: unknown;
    for (const member of this.#inOrder()) {
      try {
        await this.#compare(member);
      } catch (error) {
        // Nothing of the call has been sent.
        trouble = error;
        continue;
      }
      try {
        const answers = await member.calls.call(operation, args, options);
        // It may have waited for a process that came back with another card: then the answer is another key's.
        await this.#compareAfter(member, answers);
        return answers;
      } catch (error) {
        trouble = error;
        if (options.signal?.aborted === true || !mayGoElsewhere(error, options.repeatable ?? false)) throw error;
      }
    }
    throw trouble ?? new DeviceError("DEVICE_LOCKED", "all devices of the set are locked or hold another key");
  }

  async lock(): Promise<void> {
    await Promise.all(this.#members.map(({ calls }) => calls.lock()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#members.map(({ calls }) => calls[Symbol.asyncDispose]()));
  }

  /** Those that are well first, each group in the order of the configuration; without locked and foreign ones. */
  #inOrder(): Member[] {
    const usable = this.#members.filter(({ calls, foreign }) => !foreign && calls.health().state !== "locked");
    const well = usable.filter(({ calls }) => isWell(calls.health()));
    return [...well, ...usable.filter((member) => !well.includes(member))];
  }

  /** A process that was replaced may have come back with another card. */
  #compare(member: Member): Promise<void> {
    const { restarts } = member.calls.health();
    if (member.comparedAt === restarts) return compared;
    member.comparing ??= this.#compareNow(member, restarts).finally(() => {
      member.comparing = undefined;
    });
    return member.comparing;
  }

  async #compareNow(member: Member, restarts: number): Promise<void> {
    const told = await this.#fingerprintOf(member.calls);
    if (!told.equals(this.#fingerprint)) {
      member.foreign = true;
      throw keyDiffers(member.name, "the set's");
    }
    // A process that was replaced meanwhile is asked again by the next call.
    member.comparedAt = restarts;
  }

  async #compareAfter(member: Member, answers: readonly Buffer[]): Promise<void> {
    try {
      await this.#compare(member);
    } catch (error) {
      for (const answer of answers) answer.fill(0);
      throw error;
    }
  }
}

const compared = Promise.resolve();

function isWell({ state, sessions }: NativeDeviceHealth): boolean {
  return (state === "ready" || state === "degraded") && sessions > 0;
}

/** Codes of calls that were never sent. */
const unsentCodes: ReadonlySet<string> = new Set(["QUEUE_FULL", "NO_SESSION", "BREAKER_OPEN", "DOWN", "CLOSING"]);

function mayGoElsewhere(error: unknown, repeatable: boolean): boolean {
  if (!(error instanceof DeviceError)) return false;
  if (error.code === "DEVICE_LOCKED") return true;
  const { failure } = error;
  if (failure === undefined) return false;
  return unsentCodes.has(failure.code) || (repeatable && failure.retryable);
}

function keyDiffers(member: string, other: string): DeviceError {
  return deviceErrorOf(
    new DeviceFault({
      kind: "integrity",
      code: "KEY_DIFFERS",
      message: `${member} holds another key than ${other}: check which card is plugged in where`,
    }),
  );
}
