import { randomUUID } from "node:crypto";
import { isSymmetricSpec } from "../../crypto/key-specs.ts";
import type { DeviceKeyChoice, UpstreamKeyChoice } from "../../devices/device.ts";
import { type AccountSubject, type Core, type KeySubject, performOnAccount, performOnKey } from "../core.ts";
import { CustodyError } from "../errors.ts";
import { choiceInDevice, deviceDetail, homeOf, mustHaveOnePurpose, originAskedFor, withSuiteOf } from "../key-home.ts";
import { withinShare } from "../key-pair-shares.ts";
import { type KeyTransition, mustBeAlive, mustBeUsable, stateAfter } from "../key-states.ts";
import { checkAlias, checkDescription } from "../names.ts";
import { chooseKey, type KeyChoice, type KeyMaterial, makeSpecifiedKey } from "../new-key.ts";
import type { ActionName } from "../policy/actions.ts";
import { keyFacts } from "../policy/key-facts.ts";
import type { Caller, CreateKeyInput, KeyDescription, KeyOperations } from "../service.ts";
import type { Page, PageInput } from "../sorted-ids.ts";
import { change, type IntegrationRecord, type KeyRecord } from "../state/records.ts";
import { newAlias } from "./aliases.ts";
import { findIntegration } from "./integrations.ts";
import { KeyDestruction } from "./key-destruction.ts";
import { mustHaveVersions, newVersion } from "./key-versions.ts";
import { checkTags } from "./tags.ts";

const dayMs = 24 * 60 * 60 * 1000;
const maxRotationsOnDemand = 25;

/** Master keys: create, describe, list, rotate, and their life and death. */
export class Keys implements KeyOperations {
  readonly #core: Core;
  readonly #destruction: KeyDestruction;

  constructor(core: Core) {
    this.#core = core;
    this.#destruction = new KeyDestruction(core);
  }

  async create(caller: Caller, given: CreateKeyInput): Promise<KeyDescription> {
    const input = withSuiteOf(this.#core.devices, given, () => this.#mayUseDevices(caller));
    const choice = chooseKey(input);
    const origin = originAskedFor(input);
    if (origin === "external") mustBeImportable(this.#core, choice);
    const upstream = upstreamOf(input, choice);
    const inDevice = input.device && { choice: choiceInDevice(input) };
    const description = checkDescription(input.description ?? "");
    const alias = input.alias === undefined ? undefined : checkAlias(input.alias);
    const tags = checkTags(input.tags ?? {});
    const bypassLockoutCheck = input.bypassLockoutCheck ?? false;
    const facts = {
      newKey: keyFacts({ ...choice, origin }),
      bypassLockoutCheck,
      ...(input.tags === undefined ? {} : { requestTags: tags }),
    };
    const subject: AccountSubject = {
      action: "kms:CreateKey",
      detail: {
        ...choice,
        origin,
        ...(alias === undefined ? {} : { alias }),
        ...upstreamDetail(upstream),
        ...deviceDetail(input),
      },
      key: "",
      facts,
    };
    const id = randomUUID();
    // Made once, however often the decision is taken anew: an RSA key takes seconds. Made over an integration, it is of use
    // only as long as that very integration is there.
    let made:
      | { readonly integration: IntegrationRecord | undefined; readonly material: Promise<KeyMaterial> }
      | undefined;
    return performOnAccount(this.#core, caller, subject, async (now) => {
      if (Object.keys(tags).length > 0) this.#core.authorizer.check({ caller, action: "kms:TagResource", now, facts });
      const integration = upstream && this.#integrationFor(caller, upstream, now);
      // A key of a card may be a node's identity already: to have it stand for another master key takes a right of its own.
      if (inDevice !== undefined) this.#core.authorizer.check({ caller, action: "strongroom:UseDevice", now });
      const home = homeOf(this.#core.devices, input);
      mustHaveOnePurpose(this.#core, home, input, choice);
      subject.detail = { ...subject.detail, origin: home.origin };
      if (alias !== undefined && this.#core.state.get("alias", alias) !== undefined)
        throw new CustodyError("ALIAS_EXISTS", `${alias} points at a key already`);
      subject.key = id;
      const unmade: KeyRecord = {
        id,
        description,
        ...choice,
        ...home,
        state: origin === "external" ? "pending-import" : "enabled",
        versions: [],
        policy: input.policy ?? this.#core.authorizer.defaultKeyPolicy,
        createdAt: now.toISOString(),
        deletionAt: null,
        tags,
        rotation: null,
        publicKey: null,
        imported: null,
      };
      // The default policy leaves the key to the account's administrators: it locks nobody out, as with AWS KMS.
      this.#core.authorizer.checkKeyPolicy(unmade.policy, unmade, caller, now, {
        bypassLockoutCheck: bypassLockoutCheck || input.policy === undefined,
      });
      if (origin !== "external" && (made === undefined || made.integration !== integration))
        made = { integration, material: this.#materialOf(caller, unmade, choice, upstream ?? inDevice?.choice, now) };
      const key: KeyRecord = { ...unmade, ...(await made?.material) };
      return {
        value: { ...this.#core.directory.describe(key), aliases: alias === undefined ? [] : [alias] },
        changes: [change("key", id, key), ...(alias === undefined ? [] : [change("alias", alias, newAlias(id, now))])],
      };
    });
  }

  async describe(
    caller: Caller,
    key: string,
    { unlessDestroyed = false }: { readonly unlessDestroyed?: boolean } = {},
  ): Promise<KeyDescription> {
    const subject = { action: "kms:DescribeKey", reference: key, ofDestroyed: !unlessDestroyed } as const;
    return performOnKey(this.#core, caller, subject, (record) => ({
      value: this.#core.directory.describe(record),
    }));
  }

  async list(caller: Caller): Promise<readonly KeyDescription[]> {
    return performOnAccount(this.#core, caller, { action: "kms:ListKeys" }, () => ({
      value: this.#core.directory.all().map((key) => this.#core.directory.describe(key)),
    }));
  }

  async page(
    caller: Caller,
    page: PageInput,
    { which = "living" }: { readonly which?: "all" | "living" } = {},
  ): Promise<Page<KeyDescription>> {
    return performOnAccount(this.#core, caller, { action: "kms:ListKeys" }, () => {
      const { items, more } = this.#core.directory.page(page, which);
      return { value: { items: items.map((key) => this.#core.directory.describe(key)), more } };
    });
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
      mustHaveVersions(record);
      mustBeUsable(record);
      if (record.versions.filter(({ kind }) => kind === "on-demand").length >= maxRotationsOnDemand)
        throw new CustodyError(
          "LIMIT_EXCEEDED",
          `master key ${record.id} was rotated on demand ${maxRotationsOnDemand} times, which is the limit`,
        );
      const version = await newVersion(
        this.#core,
        record,
        "on-demand",
        now,
        undefined,
        this.#toldOfDevice(caller, now),
      );
      subject.detail = { version: version.version };
      const rotated = { ...record, versions: [...record.versions, version] };
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
    const { record, description } = await performOnKey(
      this.#core,
      caller,
      { action: "strongroom:DestroyKey", permission: "kms:ScheduleKeyDeletion", reference: key },
      (record, now) => {
        const destroyed = this.#destruction.after(record, now);
        const description = { ...this.#core.directory.describe(destroyed), aliases: [] };
        return { value: { record, description }, changes: this.#destruction.changesOf(destroyed) };
      },
    );
    await this.#destruction.inDevice(record);
    return description;
  }

  destroyDue(): Promise<number> {
    return this.#destruction.destroyDue();
  }

  async updateDescription(caller: Caller, key: string, description: string): Promise<KeyDescription> {
    checkDescription(description);
    return performOnKey(this.#core, caller, { action: "kms:UpdateKeyDescription", reference: key }, (record) => {
      mustBeAlive(record);
      const described = { ...record, description };
      return { value: this.#core.directory.describe(described), changes: [change("key", record.id, described)] };
    });
  }

  async #materialOf(
    caller: Caller,
    key: KeyRecord,
    choice: KeyChoice,
    existing: UpstreamKeyChoice | DeviceKeyChoice | undefined,
    now: Date,
  ): Promise<KeyMaterial> {
    const inDevice = existing === undefined || "integration" in existing ? undefined : existing;
    const specified = await withinShare(caller, choice.spec, () =>
      makeSpecifiedKey(this.#core.devices, key, key.id, choice, key.createdAt, inDevice),
    );
    if (specified !== undefined) return specified;
    const told = key.device === undefined ? this.#toldOfUpstream(caller, now) : "reason";
    return { versions: [await newVersion(this.#core, key, "created", now, existing, told)], publicKey: null };
  }

  /**
   * The integration that a new key is to be made over: its KMS spends the institution's own access key on it, under any key
   * name, so it takes a permission of its own. Whoever has it not learns nothing of which integrations there are.
   *
   * @throws {CustodyError} `ACCESS_DENIED`, `INTEGRATION_NOT_FOUND`.
   */
  #integrationFor(caller: Caller, { integration }: UpstreamKeyChoice, now: Date): IntegrationRecord {
    this.#core.authorizer.check({ caller, action: "strongroom:UseIntegration", now, integration });
    return findIntegration(this.#core, integration);
  }

  /** Who sets up integrations is told why a KMS refused. Anyone else could find out what keys there are in it. */
  #toldOfUpstream(caller: Caller, now: Date): "outcome" | "reason" {
    const { effect } = this.#core.authorizer.decide({ caller, action: "strongroom:CreateIntegration", now });
    return effect === "allow" ? "reason" : "outcome";
  }

  /** Who may put keys into cards and tokens is told why one refused: the reason names files of this machine. */
  #toldOfDevice(caller: Caller, now: Date): "outcome" | "reason" {
    const { effect } = this.#core.authorizer.decide({ caller, action: "strongroom:UseDevice", now });
    return effect === "allow" ? "reason" : "outcome";
  }

  /** Before the request is decided: a denial is put on record when it is. */
  #mayUseDevices(caller: Caller): boolean {
    const now = new Date(this.#core.journal.nowMs());
    try {
      return this.#core.authorizer.decide({ caller, action: "strongroom:UseDevice", now }).effect === "allow";
    } catch (error) {
      if (error instanceof CustodyError && error.code === "ACCESS_DENIED") return false;
      throw error;
    }
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
}

/** @throws {CustodyError} `KEY_UNSUPPORTED` for a key that could not take material from outside. */
function mustBeImportable({ devices }: Core, { usage, spec }: KeyChoice): void {
  if (!devices.takesImports({ origin: "external" }) || usage !== "encrypt" || !isSymmetricSpec(spec))
    throw new CustodyError("KEY_UNSUPPORTED", `material is imported into symmetric keys for encryption, not ${spec}`);
}

/** @throws {CustodyError} `INPUT_INVALID`, `KEY_UNSUPPORTED` unless origin, spec and the upstream key go together. */
function upstreamOf({ origin, upstream }: CreateKeyInput, { usage, spec }: KeyChoice): UpstreamKeyChoice | undefined {
  if ((origin === "aws-kms") !== (upstream !== undefined))
    throw new CustodyError("INPUT_INVALID", "a key of origin aws-kms, and no other, names the integration of its KMS");
  if (upstream !== undefined && (usage !== "encrypt" || spec !== "AES_256"))
    throw new CustodyError(
      "KEY_UNSUPPORTED",
      `a key of origin aws-kms is AES_256 for encryption, not ${spec} for ${usage}`,
    );
  return upstream;
}

function upstreamDetail(upstream: UpstreamKeyChoice | undefined): Record<string, string> {
  if (upstream === undefined) return {};
  const { integration, key } = upstream;
  return { integration: integration.slice(0, 64), ...(key === undefined ? {} : { upstreamKey: key.slice(0, 512) }) };
}
