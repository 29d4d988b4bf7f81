import type { Rotation, RotationOperations, RotationStatus } from "../contract/key-attributes.ts";
import { type Core, performDecided, performOnKey } from "../core.ts";
import { CustodyError } from "../errors.ts";
import { mustBeUsable, mustEncrypt } from "../key-states.ts";
import type { Caller } from "../service.ts";
import { change, type KeyRecord } from "../state/records.ts";
import { mustHaveVersions, newVersion } from "./key-versions.ts";
import { serverItself } from "./server-itself.ts";

const defaultPeriodDays = 365;
const minPeriodDays = 90;
const maxPeriodDays = 2560;
const dayMs = 24 * 60 * 60 * 1000;

/** Automatic rotation: a new version of a key's material every so many days. Older versions open what they sealed. */
export class KeyRotation implements RotationOperations {
  readonly #core: Core;
  #running: Promise<number> | undefined;

  constructor(core: Core) {
    this.#core = core;
  }

  /** Begins anew: the next version is made one period from now. */
  async enable(caller: Caller, key: string, periodDays: number = defaultPeriodDays): Promise<RotationStatus> {
    if (!Number.isInteger(periodDays) || periodDays < minPeriodDays || periodDays > maxPeriodDays)
      throw new CustodyError(
        "INPUT_INVALID",
        `a rotation period is ${minPeriodDays} to ${maxPeriodDays} days, got ${periodDays}`,
      );
    const subject = { action: "kms:EnableKeyRotation", reference: key, detail: { periodDays } } as const;
    return performOnKey(this.#core, caller, { ...subject }, (record, now) => {
      mustHaveVersions(record);
      mustBeUsable(record);
      return this.#set(record, { periodDays, nextAt: later(now, periodDays) });
    });
  }

  async disable(caller: Caller, key: string): Promise<RotationStatus> {
    return performOnKey(this.#core, caller, { action: "kms:DisableKeyRotation", reference: key }, (record) => {
      mustHaveVersions(record);
      mustBeUsable(record);
      return this.#set(record, null);
    });
  }

  async status(caller: Caller, key: string): Promise<RotationStatus> {
    return performOnKey(this.#core, caller, { action: "kms:GetKeyRotationStatus", reference: key }, (record) => {
      mustHaveVersions(record);
      return { value: statusOf(record) };
    });
  }

  async list(caller: Caller, key: string): Promise<readonly Rotation[]> {
    return performOnKey(this.#core, caller, { action: "kms:ListKeyRotations", reference: key }, (record) => {
      mustEncrypt(record);
      const rotations = record.versions.flatMap(({ version, materialId, createdAt, kind }) =>
        materialId === null ? [] : [{ version, materialId, at: createdAt, kind }],
      );
      return { value: rotations };
    });
  }

  /**
   * Rotates what is due. A key that is disabled when its time comes is rotated once it is enabled again; one that cannot be
   * rotated does not keep the others.
   *
   * @throws {Error} What kept a key from being rotated, the first of them, when all others have been tried.
   */
  rotateDue(): Promise<number> {
    this.#running ??= this.#rotateAllDue().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #rotateAllDue(): Promise<number> {
    const nowMs = this.#core.journal.nowMs();
    const due = this.#core.directory.all().filter((key) => isDue(key, nowMs));
    let rotated = 0;
    const failures: unknown[] = [];
    for (const { id } of due) {
      try {
        await this.#rotateAutomatically(id);
        rotated += 1;
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
    return rotated;
  }

  /** Recorded under the name that CloudTrail has for it; no caller has asked for it. */
  #rotateAutomatically(keyId: string): Promise<void> {
    const subject: { action: string; key: string; detail: Record<string, number | string> } = {
      action: "kms:RotateKey",
      key: keyId,
      detail: {},
    };
    return performDecided(this.#core, serverItself("rotation"), subject, async () => {
      const now = new Date(this.#core.journal.nowMs());
      const record = this.#core.directory.find(keyId);
      if (record.rotation === null || !isDue(record, now.getTime()))
        throw new CustodyError("KEY_STATE_INVALID", `master key ${keyId} is not due for rotation any more`);
      const version = await newVersion(this.#core, record, "automatic", now);
      subject.detail = { version: version.version };
      const rotated = {
        ...record,
        versions: [...record.versions, version],
        rotation: { ...record.rotation, nextAt: later(now, record.rotation.periodDays) },
      };
      return { value: undefined, changes: [change("key", keyId, rotated)] };
    });
  }

  #set(record: KeyRecord, rotation: KeyRecord["rotation"]) {
    const changed = { ...record, rotation };
    return { value: statusOf(changed), changes: [change("key", record.id, changed)] };
  }
}

function isDue(key: KeyRecord, nowMs: number): boolean {
  return key.state === "enabled" && key.rotation !== null && Date.parse(key.rotation.nextAt) <= nowMs;
}

function statusOf({ rotation }: KeyRecord): RotationStatus {
  return {
    enabled: rotation !== null,
    periodDays: rotation?.periodDays ?? defaultPeriodDays,
    nextAt: rotation?.nextAt ?? null,
  };
}

function later(from: Date, days: number): string {
  return new Date(from.getTime() + days * dayMs).toISOString();
}
