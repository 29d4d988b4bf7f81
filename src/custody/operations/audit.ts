import type { CheckpointSigner } from "../audit/checkpoint.ts";
import { compileFilter } from "../audit/filter.ts";
import { decodeRecord } from "../audit/read-record.ts";
import { searchChain } from "../audit/search.ts";
import { verifyChain } from "../audit/verify.ts";
import type { AuditPage, AuditQuery, ReportPosition, StoredRecord } from "../contract/audit.ts";
import { type AccountSubject, type Core, performOnAccount } from "../core.ts";
import { CustodyError } from "../errors.ts";
import { checkPrincipalName } from "../names.ts";
import type { AuditOperations, AuditRecord, AuditVerdict, Caller, Checkpoint } from "../service.ts";
import type { Authenticator } from "../state/authenticator.ts";
import { change } from "../state/records.ts";
import type { Store, StoredAuditEntry } from "../store/store.ts";
import { ChainFeed } from "./audit-feed.ts";

const maxRead = 10_000;
const maxFound = 1000;
/** Enough for thousands of ordinary records, and small beside what a client takes. */
const maxReadCharacters = 4 * 1024 * 1024;
const readAtOnce = 200;
/** How much of a search's own words goes on record, in characters each. */
const maxWordLength = 256;

/** The audit chain as auditors and operators use it. Nothing here can change a record. */
export class Audit implements AuditOperations {
  /** For the server itself. */
  readonly feed: ChainFeed;
  readonly #core: Core;
  readonly #store: Store;
  readonly #authenticator: Authenticator;
  readonly #signer: CheckpointSigner;

  constructor(core: Core, store: Store, authenticator: Authenticator, signer: CheckpointSigner) {
    this.feed = new ChainFeed(core.journal, store);
    this.#core = core;
    this.#store = store;
    this.#authenticator = authenticator;
    this.#signer = signer;
  }

  async read(caller: Caller, input: { after: number; limit: number }): Promise<readonly AuditRecord[]> {
    const entries = await this.#range(caller, "strongroom:ReadAudit", input);
    return entries.map(({ sequence, body }) => {
      const record = decodeRecord(body);
      if (record?.sequence !== sequence)
        throw new CustodyError("STATE_TAMPERED", `audit record ${sequence} is damaged`);
      return record;
    });
  }

  async export(caller: Caller, input: { after: number; limit: number }): Promise<readonly StoredRecord[]> {
    const entries = await this.#range(caller, "strongroom:ExportAudit", input);
    return entries.map(({ sequence, body, hash }) => ({
      sequence,
      text: body,
      hash: Buffer.from(hash).toString("hex"),
    }));
  }

  async search(caller: Caller, query: AuditQuery): Promise<AuditPage> {
    const { limit, order, cursor, ...filter } = query;
    if (!Number.isInteger(limit) || limit < 1 || limit > maxFound)
      throw new CustodyError("INPUT_INVALID", `limit is 1 to ${maxFound}, got ${limit}`);
    if (cursor !== undefined && (!Number.isSafeInteger(cursor) || cursor < 0))
      throw new CustodyError("INPUT_INVALID", "a cursor is the next of an answer before");
    const key = filter.key === undefined ? {} : { key: this.#keyId(filter.key) };
    const compiled = compileFilter({ ...filter, ...key });
    const words = Object.entries({ ...filter, order, cursor, limit }).filter(([, word]) => word !== undefined);
    const subject: AccountSubject = {
      action: "strongroom:SearchAudit",
      permission: "strongroom:ReadAudit",
      detail: Object.fromEntries(
        words.map(([name, word]) => [
          `by${name.charAt(0).toUpperCase()}${name.slice(1)}`,
          typeof word === "number" ? word : String(word).slice(0, maxWordLength),
        ]),
      ),
    };
    const { sequence } = this.#core.journal.head;
    await performOnAccount(this.#core, caller, subject, () => ({ value: undefined }));
    return await searchChain(this.#store, query, compiled, sequence);
  }

  async reportPosition(caller: Caller, node: string): Promise<ReportPosition> {
    const { sequence: until } = this.#core.journal.head;
    const subject = reportSubject(node, {});
    return performOnAccount(this.#core, caller, subject, () => {
      this.#mustBeNode(node);
      const { sequence = 0, at = null } = this.#reported(node) ?? {};
      return { value: { node, after: sequence, reportedAt: at, until } };
    });
  }

  async completeReport(caller: Caller, node: string, sequence: number): Promise<void> {
    if (!Number.isSafeInteger(sequence) || sequence < 0 || sequence > this.#core.journal.head.sequence)
      throw new CustodyError("INPUT_INVALID", "a report ends at a record of the chain");
    return performOnAccount(this.#core, caller, reportSubject(node, { sequence }), (now) => {
      this.#mustBeNode(node);
      if (sequence <= (this.#reported(node)?.sequence ?? 0)) return { value: undefined };
      const value = Buffer.from(JSON.stringify({ sequence, at: now.toISOString() })).toString("base64");
      return { value: undefined, changes: [change("public", reportRow(node), { value })] };
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

  async #range(
    caller: Caller,
    action: "strongroom:ReadAudit" | "strongroom:ExportAudit",
    { after, limit }: { after: number; limit: number },
  ): Promise<readonly StoredAuditEntry[]> {
    if (!Number.isSafeInteger(after) || after < 0)
      throw new CustodyError("INPUT_INVALID", `after is a sequence number from 0, got ${after}`);
    if (!Number.isInteger(limit) || limit < 1 || limit > maxRead)
      throw new CustodyError("INPUT_INVALID", `limit is 1 to ${maxRead}, got ${limit}`);
    const subject: AccountSubject = { action, permission: "strongroom:ReadAudit", detail: { after, limit } };
    const { sequence } = this.#core.journal.head;
    await performOnAccount(this.#core, caller, subject, () => ({ value: undefined }));
    return await this.#page(after, Math.min(limit, Math.max(0, sequence - after)));
  }

  /** Entries in order, until there are `limit` of them or they make a large answer; at least one, when there is one. */
  async #page(after: number, limit: number): Promise<StoredAuditEntry[]> {
    const page: StoredAuditEntry[] = [];
    let characters = 0;
    while (page.length < limit && characters < maxReadCharacters) {
      const last = page.at(-1)?.sequence ?? after;
      const entries = await this.#store.readAudit(last, Math.min(readAtOnce, limit - page.length));
      if (entries.length === 0) break;
      for (const entry of entries) {
        page.push(entry);
        characters += entry.body.length;
        if (characters >= maxReadCharacters) break;
      }
    }
    return page;
  }

  /** A key that is gone is still in the chain under its id. */
  #keyId(reference: string): string {
    const id = /(?:^|:key\/)([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/.exec(reference)?.[1];
    return id ?? this.#core.directory.find(reference).id;
  }

  /** A node under a KMS is no principal here: its start asks as a user, and names the node in the context. */
  #mustBeNode(name: string): void {
    checkPrincipalName(name);
    const { kind = "node" } = this.#core.state.get("principal", name) ?? {};
    if (kind !== "node") throw new CustodyError("PRINCIPAL_NOT_FOUND", `${name} is a ${kind}, not a node`);
  }

  #reported(node: string): { readonly sequence: number; readonly at: string } | undefined {
    const row = this.#core.state.get("public", reportRow(node));
    return row === undefined ? undefined : JSON.parse(Buffer.from(row.value, "base64").toString());
  }
}

function reportRow(node: string): string {
  return `audit-report/${node}`;
}

function reportSubject(node: string, detail: Readonly<Record<string, number>>): AccountSubject {
  return {
    action: "strongroom:ReportAudit",
    permission: "strongroom:ReadAudit",
    detail: { onNode: node.slice(0, 64), ...detail },
  };
}
