import { type Core, performDecided } from "../core.ts";
import { CustodyError } from "../errors.ts";
import { stateAfter, withoutMaterial } from "../key-states.ts";
import { change, type KeyRecord, type StateChange } from "../state/records.ts";
import { serverItself } from "./server-itself.ts";

/** The end of master keys whose waiting time has passed: their material, aliases and grants go, as with AWS KMS. */
export class KeyDestruction {
  readonly #core: Core;
  #running: Promise<number> | undefined;

  constructor(core: Core) {
    this.#core = core;
  }

  /**
   * What is left of a key. @throws {CustodyError} `KEY_STATE_INVALID` unless its deletion is scheduled and its time has come.
   */
  after(record: KeyRecord, now: Date): KeyRecord {
    const state = stateAfter(record, "destroy");
    if (!timeHasCome(record, now.getTime()))
      throw new CustodyError("KEY_STATE_INVALID", `master key ${record.id} waits until ${record.deletionAt}`);
    return { ...record, state, versions: record.versions.map(withoutMaterial), rotation: null };
  }

  /**
   * Has the key's device destroy every version, and gives the changes that tell of it. The device comes first: a key that is
   * cut off between the two still waits for its destruction, and is destroyed again.
   *
   * @param left - What {@link after} gave.
   */
  async carryOut(record: KeyRecord, left: KeyRecord): Promise<StateChange[]> {
    const { id: keyId, suite, origin } = record;
    for (const { version, material } of record.versions) {
      const deviceKey = { keyId, version, suite, material: Buffer.from(material ?? "", "base64") };
      await this.#core.devices.use(origin, (device) => device.destroyKey(deviceKey));
    }
    return [
      change("key", keyId, left),
      ...this.#core.directory.aliasesOf(keyId).map((alias) => change("alias", alias, null)),
      ...this.#core.authorizer.grantsOn(keyId).map(({ id }) => change("grant", id, null)),
      ...[...this.#core.state.all("importToken")]
        .filter(([, token]) => token.keyId === keyId)
        .map(([id]) => change("importToken", id, null)),
    ];
  }

  /**
   * Destroys every key whose waiting time has passed, each with its own record under the name that CloudTrail has for it.
   * A key whose device fails is tried again the next time, and does not keep the others. Returns how many there were.
   *
   * @throws {Error} What kept a key from being destroyed, the first of them, when all others have been tried.
   */
  destroyDue(): Promise<number> {
    this.#running ??= this.#destroyAllDue().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #destroyAllDue(): Promise<number> {
    const nowMs = this.#core.journal.nowMs();
    const due = [...this.#core.state.all("key")].filter(([, key]) => isDue(key, nowMs)).map(([id]) => id);
    let destroyed = 0;
    const failures: unknown[] = [];
    for (const id of due) {
      try {
        await this.#destroy(id);
        destroyed += 1;
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
    return destroyed;
  }

  /** No caller has asked for it now: who scheduled the deletion is in the record of that. */
  #destroy(keyId: string): Promise<void> {
    const subject = { action: "kms:DeleteKey", key: keyId };
    return performDecided(this.#core, serverItself("deletion"), subject, async () => {
      const record = this.#core.directory.find(keyId);
      const left = this.after(record, new Date(this.#core.journal.nowMs()));
      return { value: undefined, changes: await this.carryOut(record, left) };
    });
  }
}

function isDue(key: KeyRecord, nowMs: number): boolean {
  return key.state === "pending-deletion" && timeHasCome(key, nowMs);
}

function timeHasCome({ deletionAt }: KeyRecord, nowMs: number): boolean {
  return deletionAt !== null && nowMs >= Date.parse(deletionAt);
}
