import { createHash } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import { EnclaveError } from "../errors.ts";

/** Where a call's stored values come from, and what they are held against. */
export interface StateSource {
  /** The host's word; undefined where it says that there is none. */
  readonly stored: (key: string) => Promise<Uint8Array | undefined>;
  /** The trusted ledger's: SHA-256 of each value, all at one time, in the order of the keys; undefined where there is none. */
  readonly hashes: (keys: readonly string[]) => Promise<readonly (Uint8Array | undefined)[]>;
  /** How often is asked while the host's peer and the trusted ledger are not at the same block. @defaultValue 5 */
  readonly attempts?: number;
  /** Before the second attempt; each later one waits as long again. @defaultValue 100 */
  readonly waitMs?: number;
}

interface Batch {
  readonly keys: string[];
  readonly values: Promise<readonly (Uint8Array | undefined)[]>;
}

/**
 * Stored values of the state, each one that the ledger holds at this time: what the host brings is held against the ledger's hash
 * before anything is done with it. Keys that are asked for at the same time are asked of the ledger together.
 */
export class LedgerValues {
  readonly #source: Required<StateSource>;
  readonly #seen = new Map<string, Buffer | undefined>();
  #gathering: Batch | undefined;
  #batches = 0;

  constructor(source: StateSource) {
    this.#source = { attempts: 5, waitMs: 100, ...source };
  }

  /** @throws EnclaveError REPLAY: the host has another value than the ledger; what the trusted ledger throws */
  async read(key: string): Promise<Uint8Array | undefined> {
    const batch = this.#gathering ?? this.#newBatch();
    const at = batch.keys.push(key) - 1;
    return (await batch.values)[at];
  }

  /**
   * Whether all that was read was on the ledger at one and the same time. One batch was; of several, the first may have been
   * read before another transaction and the last after it.
   *
   * @throws EnclaveError CONFLICT; what the trusted ledger throws
   */
  async requireOneTime(): Promise<void> {
    if (this.#batches <= 1) return;
    const keys = [...this.#seen.keys()];
    const now = await this.#source.hashes(keys);
    for (const [index, key] of keys.entries())
      if (!isSame(this.#seen.get(key), now[index]))
        throw new EnclaveError("CONFLICT", "a value has changed while the chaincode ran", {
          hint: "make the request again",
        });
  }

  #newBatch(): Batch {
    const keys: string[] = [];
    // What the chaincode asks for before it waits for an answer comes in before this goes on.
    const values = Promise.resolve().then(() => {
      this.#gathering = undefined;
      this.#batches += 1;
      return this.#fetch(keys);
    });
    this.#gathering = { keys, values };
    return this.#gathering;
  }

  async #fetch(keys: readonly string[]): Promise<readonly (Uint8Array | undefined)[]> {
    const { stored, hashes, attempts, waitMs } = this.#source;
    for (let attempt = 1; ; attempt += 1) {
      const [onLedger, brought] = await Promise.all([hashes(keys), Promise.all(keys.map(stored))]);
      if (onLedger.length !== keys.length)
        throw new EnclaveError("MALFORMED", "the trusted ledger tells of other keys than were asked for");
      // An empty value is none: so Fabric has it.
      const values = brought.map((value) => (value === undefined || value.length === 0 ? undefined : value));
      const isLast = attempt >= attempts;
      // A value that the ledger does not have counts for nothing, whatever the host shows; before the last attempt it may be on its way.
      const differing = keys.findIndex((_, index) => {
        const hash = onLedger[index];
        const value = values[index];
        return hash === undefined ? !isLast && value !== undefined : value === undefined || !sha256(value).equals(hash);
      });
      if (differing < 0) {
        for (const [index, key] of keys.entries()) this.#seen.set(key, toBuffer(onLedger[index]));
        return values.map((value, index) => (onLedger[index] === undefined ? undefined : value));
      }
      if (isLast)
        throw new EnclaveError("REPLAY", "the host has another value of the chaincode's state than the ledger", {
          hint: "its peer may be behind: call again",
        });
      await wait(waitMs * attempt);
    }
  }
}

function isSame(one: Buffer | undefined, other: Uint8Array | undefined): boolean {
  return one === undefined || other === undefined ? one === other : one.equals(other);
}

function toBuffer(bytes: Uint8Array | undefined): Buffer | undefined {
  return bytes === undefined ? undefined : Buffer.from(bytes);
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}
