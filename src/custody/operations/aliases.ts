import { type Core, performOnAccount, performOnKey } from "../core.ts";
import { CustodyError } from "../errors.ts";
import { mustBeAlive } from "../key-states.ts";
import { checkAlias } from "../names.ts";
import type { AliasOperations, Caller } from "../service.ts";
import { change } from "../state/records.ts";

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
      (record) => {
        mustBeAlive(record);
        if (this.#core.state.get("alias", alias) !== undefined)
          throw new CustodyError("ALIAS_EXISTS", `${alias} points at a key already`);
        return { value: undefined, changes: [change("alias", alias, { keyId: record.id })] };
      },
    );
  }

  async update(caller: Caller, alias: string, key: string): Promise<void> {
    checkAlias(alias);
    return performOnKey(
      this.#core,
      caller,
      { action: "kms:UpdateAlias", reference: key, detail: { alias } },
      (record) => {
        mustBeAlive(record);
        if (this.#core.state.get("alias", alias) === undefined)
          throw new CustodyError("ALIAS_NOT_FOUND", `there is no ${alias}`);
        return { value: undefined, changes: [change("alias", alias, { keyId: record.id })] };
      },
    );
  }

  async delete(caller: Caller, alias: string): Promise<void> {
    checkAlias(alias);
    const subject = { action: "kms:DeleteAlias" as const, detail: { alias }, key: "" };
    return this.#core.journal.perform(caller, subject, () => {
      const target = this.#core.state.get("alias", alias);
      if (target === undefined) throw new CustodyError("ALIAS_NOT_FOUND", `there is no ${alias}`);
      const key = this.#core.directory.find(target.keyId);
      subject.key = key.id;
      this.#core.authorizer.check({ caller, action: subject.action, now: new Date(this.#core.journal.nowMs()), key });
      return { value: undefined, changes: [change("alias", alias, null)] };
    });
  }

  async list(caller: Caller): Promise<readonly { readonly alias: string; readonly keyId: string }[]> {
    return performOnAccount(this.#core, caller, { action: "kms:ListAliases" }, () => ({
      value: [...this.#core.state.all("alias")].map(([alias, { keyId }]) => ({ alias, keyId })),
    }));
  }
}
