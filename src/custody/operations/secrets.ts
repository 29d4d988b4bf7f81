import { openBox, sealBox } from "../../crypto/sealed-box.ts";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import type { RootKey } from "../../devices/root-key.ts";
import type { ServiceSecrets } from "../contract/secrets.ts";
import type { Core } from "../core.ts";
import { CustodyError } from "../errors.ts";
import type { Caller } from "../service.ts";
import { change, type StateChange } from "../state/records.ts";
import { stateBoxHeader } from "../state-box.ts";

/** Secrets of the server itself, sealed under a key of the root; with public companions beside them. */
export class Secrets implements ServiceSecrets {
  readonly #core: Pick<Core, "journal" | "state">;
  readonly #root: Pick<RootKey, "id" | "suiteName">;
  readonly #sealingSecret: SecretBuffer;

  constructor(core: Pick<Core, "journal" | "state">, root: RootKey) {
    this.#core = core;
    this.#root = root;
    this.#sealingSecret = root.derive("serviceSecrets");
  }

  async read(name: string): Promise<SecretBuffer | undefined> {
    const record = this.#core.state.get("secret", name);
    if (record === undefined) return undefined;
    try {
      return openBox(Buffer.from(record.box, "base64"), "state", this.#sealingSecret, { name });
    } catch (cause) {
      throw new CustodyError("STATE_TAMPERED", `the key manager's own secret ${name} does not open`, cause);
    }
  }

  async write(caller: Caller, name: string, secret: SecretBuffer): Promise<void> {
    const changes = [this.sealed(name, secret)];
    const subject = { action: "strongroom:WriteServiceSecret", detail: { name } };
    return this.#core.journal.perform(caller, subject, () => ({ value: undefined, changes }));
  }

  async readPublic(name: string): Promise<Buffer | undefined> {
    const record = this.#core.state.get("public", name);
    return record === undefined ? undefined : Buffer.from(record.value, "base64");
  }

  async writePublic(caller: Caller, name: string, value: Buffer): Promise<void> {
    const changes = [change("public", name, { value: value.toString("base64") })];
    const subject = { action: "strongroom:WriteServicePublic", detail: { name } };
    return this.#core.journal.perform(caller, subject, () => ({ value: undefined, changes }));
  }

  /** The change that stores a secret, for a caller that commits it with others. */
  sealed(name: string, secret: SecretBuffer): StateChange {
    const box = secret.expose((bytes) => sealBox(stateBoxHeader(this.#root), this.#sealingSecret, { name }, bytes));
    return change("secret", name, { box: box.toString("base64") });
  }
}
