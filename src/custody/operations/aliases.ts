import { isMacSpec } from "../../crypto/key-specs.ts";
import type { AliasDescription, AliasOperations } from "../contract/aliases.ts";
import { type Core, performDecided, performOnAccount, performOnKey } from "../core.ts";
import { CustodyError } from "../errors.ts";
import { mustBeAlive, mustExist } from "../key-states.ts";
import { checkAlias } from "../names.ts";
import type { Caller } from "../service.ts";
import { type AliasRecord, change, type KeyRecord } from "../state/records.ts";

const maxAliasesPerKey = 50;

/** Aliases: names that point at a master key and can be moved to another. */
export class Aliases implements AliasOperations {
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
  }

  async create(caller: Caller, alias: string, key: string): Promise<void> {
    checkAlias(alias);
    return performOnKey(
      this.#core,
      caller,
      { action: "kms:CreateAlias", reference: key, detail: { alias } },
      (record, now) => {
        mustBeAlive(record);
        if (this.#core.state.get("alias", alias) !== undefined)
          throw new CustodyError("ALIAS_EXISTS", `${alias} points at a key already`);
        this.#mustHaveRoom(record);
        return { value: undefined, changes: [change("alias", alias, newAlias(record.id, now))] };
      },
    );
  }

  /** The caller must be allowed to move an alias away from its present key as well. Only to a key of the same kind and usage. */
  async update(caller: Caller, alias: string, key: string): Promise<void> {
    checkAlias(alias);
    return performOnKey(
      this.#core,
      caller,
      { action: "kms:UpdateAlias", reference: key, detail: { alias } },
      (record, now) => {
        mustBeAlive(record);
        const present = this.#core.state.get("alias", alias);
        if (present === undefined) throw new CustodyError("ALIAS_NOT_FOUND", `there is no ${alias}`);
        const from = this.#core.directory.find(present.keyId);
        this.#core.authorizer.check({ caller, action: "kms:UpdateAlias", now, key: from });
        if (kindOf(from) !== kindOf(record) || from.usage !== record.usage)
          throw new CustodyError(
            "INPUT_INVALID",
            `${alias} points at ${from.spec} for ${from.usage}: it moves only to a key of the same kind and usage`,
          );
        if (from.id !== record.id) this.#mustHaveRoom(record);
        const moved = { ...present, keyId: record.id, updatedAt: now.toISOString() };
        return { value: undefined, changes: [change("alias", alias, moved)] };
      },
    );
  }

  async delete(caller: Caller, alias: string): Promise<void> {
    checkAlias(alias);
    const subject = { action: "kms:DeleteAlias" as const, detail: { alias }, key: "" };
    return performDecided(this.#core, caller, subject, () => {
      const target = this.#core.state.get("alias", alias);
      if (target === undefined) throw new CustodyError("ALIAS_NOT_FOUND", `there is no ${alias}`);
      const key = this.#core.directory.find(target.keyId);
      subject.key = key.id;
      this.#core.authorizer.check({ caller, action: subject.action, now: new Date(this.#core.journal.nowMs()), key });
      return { value: undefined, changes: [change("alias", alias, null)] };
    });
  }

  async list(caller: Caller, key?: string): Promise<readonly AliasDescription[]> {
    return performOnAccount(this.#core, caller, { action: "kms:ListAliases" }, () => {
      const only = key === undefined ? undefined : this.#core.directory.find(key);
      if (only !== undefined) mustExist(only);
      const value = [...this.#core.state.all("alias")].map(([alias, { keyId, createdAt, updatedAt }]) => ({
        alias,
        keyId,
        createdAt: createdAt ?? null,
        updatedAt: updatedAt ?? null,
      }));
      return { value: only === undefined ? value : value.filter(({ keyId }) => keyId === only.id) };
    });
  }

  #mustHaveRoom(key: KeyRecord): void {
    if (this.#core.directory.aliasesOf(key.id).length >= maxAliasesPerKey)
      throw new CustodyError("LIMIT_EXCEEDED", `key ${key.id} has ${maxAliasesPerKey} aliases, which is the limit`);
  }
}

/** AWS KMS tells symmetric keys, key pairs and MAC keys apart. */
function kindOf({ spec, publicKey }: KeyRecord): "symmetric" | "pair" | "mac" {
  return publicKey !== null ? "pair" : isMacSpec(spec) ? "mac" : "symmetric";
}

/** The record of an alias that is made now. */
export function newAlias(keyId: string, now: Date): AliasRecord {
  return { keyId, createdAt: now.toISOString(), updatedAt: now.toISOString() };
}
