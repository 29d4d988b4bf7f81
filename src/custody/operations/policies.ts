import { hash } from "node:crypto";
import type { PolicyOperations } from "../contract/policies.ts";
import { type Core, type KeySubject, performOnKey } from "../core.ts";
import { mustExist } from "../key-states.ts";
import type { Caller } from "../service.ts";
import { change } from "../state/records.ts";

/** Key policies: AWS policy JSON, one document for each key. */
export class Policies implements PolicyOperations {
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
  }

  async get(caller: Caller, key: string): Promise<string> {
    return performOnKey(this.#core, caller, { action: "kms:GetKeyPolicy", reference: key }, (record) => ({
      value: record.policy,
    }));
  }

  async list(caller: Caller, key: string): Promise<readonly string[]> {
    return performOnKey(this.#core, caller, { action: "kms:ListKeyPolicies", reference: key }, () => ({
      value: ["default"],
    }));
  }

  async put(
    caller: Caller,
    key: string,
    policy: string,
    options: { bypassLockoutCheck?: boolean } = {},
  ): Promise<void> {
    const bypassLockoutCheck = options.bypassLockoutCheck ?? false;
    const subject: KeySubject = {
      action: "kms:PutKeyPolicy",
      reference: key,
      detail: { bytes: Buffer.byteLength(policy), sha256: hash("sha256", policy) },
      facts: { bypassLockoutCheck },
    };
    return performOnKey(this.#core, caller, subject, (record, now) => {
      mustExist(record);
      const checked = this.#core.authorizer.checkKeyPolicy(policy, record, caller, now, { bypassLockoutCheck });
      return { value: undefined, changes: [change("key", record.id, { ...record, policy: checked })] };
    });
  }
}
