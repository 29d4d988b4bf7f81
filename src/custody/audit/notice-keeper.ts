import type { Journal } from "../journal.ts";
import type { AuditRecord, Caller } from "../service.ts";
import { change } from "../state/records.ts";
import type { Store } from "../store/store.ts";
import { type Notice, type NoticeKind, NoticeRules } from "./notice-rules.ts";
import { decodeRecord } from "./read-record.ts";
import { systemPrincipal } from "./record-text.ts";

const noticeAction = "strongroom:Notice";
const keptRow = "audit-notices";
/** What has been learnt is kept every so many records: a start reads no more than about these. */
const keepEveryRecords = 20_000;
/** A chain of which nothing was kept is learnt from its last so many records, without notices about them. */
const maxReplayed = 50_000;
const readAtOnce = 200;

const keeper: Caller = { principal: systemPrincipal, door: "local", peer: "local", requestId: "notice" };

/**
 * Follows the chain with {@link NoticeRules} and writes what they say into it, as records of their own. A notice that a crash
 * kept from being written is found missing at the next start, by the same rules over the same records.
 */
export class NoticeKeeper {
  readonly #journal: Journal;
  readonly #store: Pick<Store, "readAudit">;
  readonly #onNotice: (kind: NoticeKind) => void;
  readonly #rules: NoticeRules;
  readonly #unfollow: () => void;
  /** Notices that the rules have given and the chain does not hold yet, and which of them are being written. */
  readonly #owed = new Map<string, Notice>();
  readonly #writing = new Set<string>();
  readonly #silentUpTo: number;
  #position: number;
  #keptAt: number;
  #closing = false;
  #catchingUp: Promise<void> | undefined;
  readonly #work = new Set<Promise<void>>();

  /** Begins at once; the journal must have begun. */
  constructor(journal: Journal, store: Pick<Store, "readAudit">, onNotice: (kind: NoticeKind) => void = () => {}) {
    this.#journal = journal;
    this.#store = store;
    this.#onNotice = onNotice;
    const row = journal.state.get("public", keptRow);
    const kept = row === undefined ? undefined : (JSON.parse(Buffer.from(row.value, "base64").toString()) as Kept);
    this.#rules = new NoticeRules(kept?.learnt);
    this.#position = kept?.sequence ?? Math.max(0, journal.head.sequence - maxReplayed);
    this.#keptAt = this.#position;
    this.#silentUpTo = kept === undefined && this.#position > 0 ? journal.head.sequence : 0;
    this.#unfollow = journal.follow((records) => this.#follow(records));
    this.#catchUp();
  }

  /** Ends the following; what is being written is written first. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#unfollow();
    await this.#catchingUp;
    await Promise.all(this.#work);
  }

  #follow(records: readonly AuditRecord[]): void {
    if (this.#catchingUp !== undefined) return;
    if (records[0]?.sequence === this.#position + 1) {
      for (const record of records) this.#take(record);
      this.#writeOwed();
    } else this.#catchUp();
  }

  /** Reads what was committed and not followed: at the start, and after another server has written. */
  #catchUp(): void {
    this.#catchingUp ??= this.#readOn()
      // A store that does not answer fails the requests too; the next record that is followed tries again.
      .catch(() => false)
      .then((complete) => {
        this.#catchingUp = undefined;
        if (this.#closing) return;
        this.#writeOwed();
        // Commits of the moment between were not followed.
        if (complete && this.#position < this.#journal.head.sequence) this.#catchUp();
      });
  }

  /** True when it came to the chain's end. */
  async #readOn(): Promise<boolean> {
    while (!this.#closing && this.#position < this.#journal.head.sequence) {
      const entries = await this.#store.readAudit(this.#position, readAtOnce);
      if (entries.length === 0) return false;
      for (const { sequence, body } of entries) {
        const record = decodeRecord(body);
        if (record === undefined) this.#position = sequence;
        else this.#take(record);
      }
    }
    return true;
  }

  #take(record: AuditRecord): void {
    this.#position = record.sequence;
    if (record.action === noticeAction && record.principal === systemPrincipal) {
      this.#owed.delete(`${record.detail.kind} ${record.detail.of}`);
      return;
    }
    for (const notice of this.#rules.observe(record))
      if (record.sequence > this.#silentUpTo) this.#owed.set(nameOf(notice), notice);
  }

  #writeOwed(): void {
    for (const [name, notice] of this.#owed) {
      if (this.#writing.has(name)) continue;
      this.#writing.add(name);
      this.#do(this.#write(notice).finally(() => this.#writing.delete(name)));
    }
    if (this.#owed.size === 0 && this.#position - this.#keptAt >= keepEveryRecords) this.#keep();
  }

  async #write(notice: Notice): Promise<void> {
    const { kind, of, principal, key, facts } = notice;
    const subject = {
      action: noticeAction,
      detail: { kind, of, principal, ...facts },
      ...(key === null ? {} : { key }),
    };
    await this.#journal.perform(keeper, subject, () => ({ value: undefined }));
    this.#onNotice(kind);
  }

  #keep(): void {
    this.#keptAt = this.#position;
    const kept: Kept = { sequence: this.#position, learnt: this.#rules.save() };
    const value = Buffer.from(JSON.stringify(kept)).toString("base64");
    const subject = { action: "strongroom:KeepNoticeRules", detail: { upTo: kept.sequence } };
    this.#do(
      this.#journal.perform(keeper, subject, () => ({
        value: undefined,
        changes: [change("public", keptRow, { value })],
      })),
    );
  }

  /** What fails stays owed: it is tried again with the next record, or after the next start. */
  #do(work: Promise<void>): void {
    const done: Promise<void> = work.catch(() => {}).finally(() => this.#work.delete(done));
    this.#work.add(done);
  }
}

interface Kept {
  readonly sequence: number;
  readonly learnt: string;
}

function nameOf({ kind, of }: Notice): string {
  return `${kind} ${of}`;
}
