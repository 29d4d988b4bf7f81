import { randomBytes, randomUUID } from "node:crypto";
import type { SuiteName } from "../../crypto/suite.ts";
import { type AccountSubject, type Core, type KeySubject, performOnAccount, performOnKey } from "../core.ts";
import { CustodyError } from "../errors.ts";
import { type KeyTransition, mustBeAlive, stateAfter } from "../key-states.ts";
import { checkAlias, checkDescription } from "../names.ts";
import { chooseKey, type KeyMaterial, makeSpecifiedKey } from "../new-key.ts";
import type { ActionName } from "../policy/actions.ts";
import type { Caller, CreateKeyInput, KeyDescription, KeyOperations } from "../service.ts";
import { change, type KeyRecord, type KeyVersionRecord } from "../state/records.ts";

const dayMs = 24 * 60 * 60 * 1000;

/** Master keys: create, describe, list, rotate, and their life and death. */
export class Keys implements KeyOperations {
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
  }

  async create(caller: Caller, input: CreateKeyInput): Promise<KeyDescription> {
    const choice = chooseKey(input);
    const description = checkDescription(input.description ?? "");
    const alias = input.alias === undefined ? undefined : checkAlias(input.alias);
    const subject: AccountSubject = {
      action: "kms:CreateKey",
      detail: { ...choice, ...(alias === undefined ? {} : { alias }) },
      key: "",
    };
    const id = randomUUID();
    // Made once, however often the decision is taken anew: an RSA key takes seconds.
    let material: KeyMaterial | undefined;
    return performOnAccount(this.#core, caller, subject, async (now) => {
      if (alias !== undefined && this.#core.state.get("alias", alias) !== undefined)
        throw new CustodyError("ALIAS_EXISTS", `${alias} points at a key already`);
      subject.key = id;
      const unmade: KeyRecord = {
        id,
        description,
        ...choice,
        origin: "soft",
        state: "enabled",
        versions: [],
        policy: input.policy ?? this.#core.authorizer.defaultKeyPolicy,
        createdAt: now.toISOString(),
        deletionAt: null,
        tags: {},
        rotation: null,
        publicKey: null,
        imported: null,
      };
      this.#core.authorizer.checkKeyPolicy(unmade.policy, unmade, caller, now);
      material ??= (await makeSpecifiedKey(this.#core.device, id, choice, unmade.createdAt)) ?? {
        versions: [await this.#newVersion(id, choice.suite, 1, now)],
        publicKey: null,
      };
      const key: KeyRecord = { ...unmade, ...material };
      return {
        value: { ...this.#core.directory.describe(key), aliases: alias === undefined ? [] : [alias] },
        changes: [change("key", id, key), ...(alias === undefined ? [] : [change("alias", alias, { keyId: id })])],
      };
    });
  }

  async describe(caller: Caller, key: string): Promise<KeyDescription> {
    return performOnKey(this.#core, caller, { action: "kms:DescribeKey", reference: key }, (record) => ({
      value: this.#core.directory.describe(record),
    }));
  }

  async list(caller: Caller): Promise<readonly KeyDescription[]> {
    return performOnAccount(this.#core, caller, { action: "kms:ListKeys" }, () => ({
      value: [...this.#core.state.all("key")].map(([, key]) => this.#core.directory.describe(key)),
    }));
  }

  async enable(caller: Caller, key: string): Promise<KeyDescription> {
    return this.#move(caller, "kms:EnableKey", key, "enable");
  }

  async disable(caller: Caller, key: string): Promise<KeyDescription> {
    return this.#move(caller, "kms:DisableKey", key, "disable");
  }

  async rotate(caller: Caller, key: string): Promise<KeyDescription> {
    const subject: KeySubject = { action: "kms:RotateKeyOnDemand", reference: key, detail: {} };
    return performOnKey(this.#core, caller, subject, async (record, now) => {
      mustBeAlive(record);
      const version = (record.versions.at(-1)?.version ?? 0) + 1;
      subject.detail = { version };
      const rotated = {
        ...record,
        versions: [...record.versions, await this.#newVersion(record.id, record.suite, version, now)],
      };
      return { value: this.#core.directory.describe(rotated), changes: [change("key", record.id, rotated)] };
    });
  }

  async scheduleDeletion(caller: Caller, key: string, pendingDays: number): Promise<KeyDescription> {
    if (!Number.isInteger(pendingDays) || pendingDays < 7 || pendingDays > 30)
      throw new CustodyError("INPUT_INVALID", `the waiting time is 7 to 30 days, got ${pendingDays}`);
    return this.#move(caller, "kms:ScheduleKeyDeletion", key, "scheduleDeletion", pendingDays);
  }

  async cancelDeletion(caller: Caller, key: string): Promise<KeyDescription> {
    return this.#move(caller, "kms:CancelKeyDeletion", key, "cancelDeletion");
  }

  async destroy(caller: Caller, key: string): Promise<KeyDescription> {
    return performOnKey(
      this.#core,
      caller,
      { action: "strongroom:DestroyKey", permission: "kms:ScheduleKeyDeletion", reference: key },
      async (record, now) => {
        const state = stateAfter(record, "destroy");
        if (record.deletionAt === null || now.getTime() < Date.parse(record.deletionAt))
          throw new CustodyError("KEY_STATE_INVALID", `master key ${record.id} waits until ${record.deletionAt}`);
        const destroyed: KeyRecord = { ...record, state, versions: record.versions.map(withoutMaterial) };
        for (const { version, material } of record.versions) {
          const deviceKey = {
            keyId: record.id,
            version,
            suite: record.suite,
            material: Buffer.from(material ?? "", "base64"),
          };
          await this.#core.device.destroyKey(deviceKey);
        }
        return { value: this.#core.directory.describe(destroyed), changes: [change("key", record.id, destroyed)] };
      },
    );
  }

  async updateDescription(caller: Caller, key: string, description: string): Promise<KeyDescription> {
    checkDescription(description);
    return performOnKey(this.#core, caller, { action: "kms:UpdateKeyDescription", reference: key }, (record) => {
      mustBeAlive(record);
      const described = { ...record, description };
      return { value: this.#core.directory.describe(described), changes: [change("key", record.id, described)] };
    });
  }

  #move(
    caller: Caller,
    action: ActionName,
    key: string,
    transition: KeyTransition,
    pendingDays?: number,
  ): Promise<KeyDescription> {
    const detail: Record<string, number> = pendingDays === undefined ? {} : { pendingDays };
    const facts = pendingDays === undefined ? {} : { facts: { pendingDays } };
    return performOnKey(this.#core, caller, { action, reference: key, detail, ...facts }, (record, now) => {
      const state = stateAfter(record, transition);
      const deletionAt = pendingDays === undefined ? null : new Date(now.getTime() + pendingDays * dayMs).toISOString();
      const moved: KeyRecord = { ...record, state, deletionAt };
      return { value: this.#core.directory.describe(moved), changes: [change("key", record.id, moved)] };
    });
  }

  async #newVersion(keyId: string, suite: SuiteName, version: number, now: Date): Promise<KeyVersionRecord> {
    const material = await this.#core.device.createKey({ keyId, version, suite });
    return {
      version,
      createdAt: now.toISOString(),
      materialId: randomBytes(32).toString("hex"),
      kind: version === 1 ? "created" : "on-demand",
      material: material.toString("base64"),
    };
  }
}

function withoutMaterial(version: KeyVersionRecord): KeyVersionRecord {
  return { ...version, material: null };
}
