import type { CheckpointSigner } from "../audit/checkpoint.ts";
import { decodeRecord } from "../audit/read-record.ts";
import { verifyChain } from "../audit/verify.ts";
import { type AccountSubject, type Core, performOnAccount } from "../core.ts";
import { CustodyError } from "../errors.ts";
import type { AuditOperations, AuditRecord, AuditVerdict, Caller, Checkpoint } from "../service.ts";
import type { Authenticator } from "../state/authenticator.ts";
import type { Store } from "../store/store.ts";

const maxRead = 10_000;
/** Enough for thousands of ordinary records, and small beside what a client takes. */
const maxReadCharacters = 4 * 1024 * 1024;
const readAtOnce = 200;

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
    const { sequence } = this.#core.journal.head;
    await performOnAccount(this.#core, caller, subject, () => ({ value: undefined }));
    return await this.#page(input.after, Math.min(input.limit, Math.max(0, sequence - input.after)));
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

  /** The permission is on record before the work, which takes as long as the chain and changes nothing. */
  async verify(caller: Caller, checkpoint?: Checkpoint): Promise<AuditVerdict> {
    await performOnAccount(this.#core, caller, { action: "strongroom:VerifyAudit" }, () => ({ value: undefined }));
    const { journal, identity } = this.#core;
    return await verifyChain(this.#store, journal.head, this.#authenticator, {
      ...(checkpoint === undefined ? {} : { checkpoint, publicKey: this.#signer.publicKey }),
      account: identity.account,
      latest: () => journal.head,
    });
  }

  /** SubjectPublicKeyInfo of the key that signs checkpoints, base64. */
  get publicKey(): string {
    return this.#signer.publicKey;
  }

  /** Records in order, until there are `limit` of them or they make a large answer; at least one, when there is one. */
  async #page(after: number, limit: number): Promise<AuditRecord[]> {
    const records: AuditRecord[] = [];
    let characters = 0;
    while (records.length < limit && characters < maxReadCharacters) {
      const last = records.at(-1)?.sequence ?? after;
      const entries = await this.#store.readAudit(last, Math.min(readAtOnce, limit - records.length));
      if (entries.length === 0) break;
      for (const entry of entries) {
        const record = decodeRecord(entry.body);
        if (record?.sequence !== entry.sequence)
          throw new CustodyError("STATE_TAMPERED", `audit record ${entry.sequence} is damaged`);
        records.push(record);
        characters += entry.body.length;
        if (characters >= maxReadCharacters) break;
      }
    }
    return records;
  }
}
