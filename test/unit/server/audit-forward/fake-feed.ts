import type { AuditFeed, ForwardingEvent, StoredRecord } from "../../../../src/custody/contract/audit.ts";

/** A FAKE chain in memory, whose notes become records of it, as in the real one. */
export class FakeFeed implements AuditFeed {
  readonly records: StoredRecord[] = [];
  readonly notes: ForwardingEvent[] = [];
  readonly #positions = new Map<string, number>();
  readonly #followers = new Set<() => void>();

  get sequence(): number {
    return this.records.at(-1)?.sequence ?? 0;
  }

  append(count = 1, more: Readonly<Record<string, string>> = {}): void {
    for (let index = 0; index < count; index++) {
      const sequence = this.sequence + 1;
      const text = JSON.stringify({
        sequence,
        eventTime: "2026-11-21T12:00:00.000Z",
        eventName: "Decrypt",
        result: "done",
        ...more,
      });
      this.records.push({ sequence, text, hash: "00".repeat(32) });
    }
    for (const tell of this.#followers) tell();
  }

  async read(after: number, limit: number): Promise<readonly StoredRecord[]> {
    return this.records.filter(({ sequence }) => sequence > after).slice(0, limit);
  }

  follow(listener: () => void): () => void {
    this.#followers.add(listener);
    return () => this.#followers.delete(listener);
  }

  forwardedUpTo(id: string): number | undefined {
    return this.#positions.get(id);
  }

  async note(event: ForwardingEvent): Promise<void> {
    this.notes.push(event);
    this.#positions.set(event.id, event.sequence);
    this.append(1, { eventName: "AuditForwarding" });
  }
}
