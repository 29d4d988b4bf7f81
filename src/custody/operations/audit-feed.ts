import { systemPrincipal } from "../audit/record-text.ts";
import type { AuditFeed, ForwardingEvent, StoredRecord } from "../contract/audit.ts";
import type { Journal } from "../journal.ts";
import type { Caller } from "../service.ts";
import { change } from "../state/records.ts";
import type { Store } from "../store/store.ts";

const forwarder: Caller = { principal: systemPrincipal, door: "local", peer: "local", requestId: "forwarding" };

/** The chain for the server's own use: read without a record of the reading. */
export class ChainFeed implements AuditFeed {
  readonly #journal: Journal;
  readonly #store: Pick<Store, "readAudit">;

  constructor(journal: Journal, store: Pick<Store, "readAudit">) {
    this.#journal = journal;
    this.#store = store;
  }

  get sequence(): number {
    return this.#journal.head.sequence;
  }

  async read(after: number, limit: number): Promise<readonly StoredRecord[]> {
    const entries = await this.#store.readAudit(after, limit);
    return entries.map(({ sequence, body, hash }) => ({
      sequence,
      text: body,
      hash: Buffer.from(hash).toString("hex"),
    }));
  }

  follow(listener: () => void): () => void {
    return this.#journal.follow(listener);
  }

  forwardedUpTo(id: string): number | undefined {
    const row = this.#journal.state.get("public", forwardRow(id));
    return row === undefined ? undefined : JSON.parse(Buffer.from(row.value, "base64").toString()).sequence;
  }

  note({ kind, target, id, sequence, from, reason }: ForwardingEvent): Promise<void> {
    const value = Buffer.from(JSON.stringify({ target, sequence })).toString("base64");
    const detail = {
      kind,
      target,
      upTo: sequence,
      ...(from === undefined ? {} : { from }),
      ...(reason === undefined ? {} : { reason }),
    };
    return this.#journal.perform(forwarder, { action: "strongroom:AuditForwarding", detail }, () => ({
      value: undefined,
      changes: [change("public", forwardRow(id), { value })],
    }));
  }
}

function forwardRow(id: string): string {
  return `audit-forward/${id}`;
}
