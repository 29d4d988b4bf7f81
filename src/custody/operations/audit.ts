import { decodeRecord } from "../audit/chain.ts";
import type { CheckpointSigner } from "../audit/checkpoint.ts";
import { verifyChain } from "../audit/verify.ts";
import { type AccountSubject, type Core, performOnAccount } from "../core.ts";
import { CustodyError } from "../errors.ts";
import type { AuditOperations, AuditRecord, AuditVerdict, Caller, Checkpoint } from "../service.ts";
import type { Authenticator } from "../state/authenticator.ts";
import type { Store } from "../store/store.ts";

const maxRead = 10_000;

/** The audit chain as auditors and operators use it. Nothing here can change a record. */
export class Audit implements AuditOperations {
  readonly #core: Core;
  readonly #store: Store;
  readonly #authenticator: Authenticator;
  readonly #signer: CheckpointSigner;

  constructor(core: Core, store: Store, authenticator: Authenticator, signer: CheckpointSigner) {
    this.#core = core;
    this.#store = store;
    this.#authenticator = authenticator;
    this.#signer = signer;
  }

  async read(caller: Caller, input: { after: number; limit: number }): Promise<readonly AuditRecord[]> {
    if (!Number.isSafeInteger(input.after) || input.after < 0)
      throw new CustodyError("INPUT_INVALID", `after is a sequence number from 0, got ${input.after}`);
    if (!Number.isInteger(input.limit) || input.limit < 1 || input.limit > maxRead)
      throw new CustodyError("INPUT_INVALID", `limit is 1 to ${maxRead}, got ${input.limit}`);
    const subject: AccountSubject = {
      action: "strongroom:ReadAudit",
      detail: { after: input.after, limit: input.limit },
    };
    return performOnAccount(this.#core, caller, subject, async () => {
      const entries = await this.#store.readAudit(input.after, input.limit);
      const value = entries.map((entry) => {
        const record = decodeRecord(entry.body);
        if (record?.sequence !== entry.sequence)
          throw new CustodyError("STATE_TAMPERED", `audit record ${entry.sequence} is damaged`);
        return record;
      });
      return { value };
    });
  }

  async checkpoint(caller: Caller): Promise<Checkpoint> {
    await performOnAccount(this.#core, caller, { action: "strongroom:Checkpoint" }, () => ({ value: undefined }));
    const { epoch, sequence, auditHash, stateVersion } = this.#core.journal.head;
    return this.#signer.sign({
      account: this.#core.identity.account,
      epoch,
      sequence,
      head: Buffer.from(auditHash).toString("hex"),
      stateVersion,
      at: new Date(this.#core.journal.nowMs()).toISOString(),
    });
  }

  async verify(caller: Caller, checkpoint?: Checkpoint): Promise<AuditVerdict> {
    return performOnAccount(this.#core, caller, { action: "strongroom:VerifyAudit" }, async () => ({
      value: await verifyChain(this.#store, this.#core.journal.head, this.#authenticator, {
        ...(checkpoint === undefined ? {} : { checkpoint, publicKey: this.#signer.publicKey }),
        account: this.#core.identity.account,
      }),
    }));
  }
}
