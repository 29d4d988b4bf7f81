import { type Core, performDecided } from "../core.ts";
import { CustodyError } from "../errors.ts";
import { stateAfter, withoutMaterial } from "../key-states.ts";
import { change, type KeyRecord, type StateChange } from "../state/records.ts";
import { serverItself } from "./server-itself.ts";

/** The end of master keys whose waiting time has passed: their material, aliases and grants go, as with AWS KMS. */
export class KeyDestruction {
  readonly #core: Core;
  /** Destroyed on record, and not yet by their devices. */
  readonly #inDevices = new Map<string, KeyRecord>();
  #begun = false;
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
   * The changes by which a key ends. Its device is asked only once they are committed ({@link inDevice}): a deletion that
   * is cancelled at the last moment, or whose record cannot be written, leaves the key whole.
   *
   * @param left - What {@link after} gave.
   */
  changesOf(left: KeyRecord): StateChange[] {
    const { id: keyId } = left;
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
   * Has the device destroy every version of a key whose end is committed. A device that fails is asked again by the next
   * {@link destroyDue}, and after a restart.
   *
   * @param record - The key as it was before; of one whose end is long past, what is left of it.
   */
  async inDevice(record: KeyRecord): Promise<void> {
    const { id: keyId, suite } = record;
    this.#inDevices.set(keyId, record);
    for (const { version, material } of record.versions) {
      const deviceKey = { keyId, version, suite, material: Buffer.from(material ?? "", "base64") };
      await this.#core.devices.use(record, (device) => device.destroyKey(deviceKey));
    }
    this.#inDevices.delete(keyId);
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
    this.#findCutOff();
    const nowMs = this.#core.journal.nowMs();
    const due = [...this.#core.state.all("key")].filter(([, key]) => isDue(key, nowMs)).map(([id]) => id);
    let destroyed = 0;
    const failures: unknown[] = [];
    for (const record of [...this.#inDevices.values()]) {
      try {
        await this.inDevice(record);
      } catch (error) {
        failures.push(error);
      }
    }
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

  /** A server that ended between a key's last record and its device's answer left that to the next one. */
  #findCutOff(): void {
    if (this.#begun) return;
    this.#begun = true;
    for (const [keyId, key] of this.#core.state.all("key"))
      if (key.state === "destroyed" && !this.#inDevices.has(keyId)) this.#inDevices.set(keyId, key);
  }

  /** No caller has asked for it now: who scheduled the deletion is in the record of that. */
  async #destroy(keyId: string): Promise<void> {
    const subject = { action: "kms:DeleteKey", key: keyId };
    const ended = await performDecided(this.#core, serverItself("deletion"), subject, () => {
      const record = this.#core.directory.find(keyId);
      const left = this.after(record, new Date(this.#core.journal.nowMs()));
      return { value: record, changes: this.changesOf(left) };
    });
    await this.inDevice(ended);
  }
}

function isDue(key: KeyRecord, nowMs: number): boolean {
  return key.state === "pending-deletion" && timeHasCome(key, nowMs);
}

function timeHasCome({ deletionAt }: KeyRecord, nowMs: number): boolean {
  return deletionAt !== null && nowMs >= Date.parse(deletionAt);
}
