import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, it } from "node:test";
import { RecordEncoder } from "../../../src/custody/audit/record-text.ts";
import type { Core } from "../../../src/custody/core.ts";
import { Leases } from "../../../src/custody/operations/leases.ts";
import type { AuditRecord, Caller } from "../../../src/custody/service.ts";
import type { StoredAuditEntry } from "../../../src/custody/store/store.ts";

const startMs = Date.parse("2026-11-21T12:00:00Z");
const encoder = new RecordEncoder({ account: "123456789012", region: "local" });
const reader: Caller = { principal: "", door: "local", peer: "local", requestId: "r" };

/** A chain that this server and others write to: only what this one commits itself is told to it. */
class SharedChain {
  readonly records: AuditRecord[] = [];
  readonly core: Core;
  damaged = 0;
  reads = 0;
  #tell: (records: readonly AuditRecord[]) => void = () => {};

  constructor() {
    const chain = this;
    this.core = {
      identity: { account: "123456789012", region: "local", localAdministrator: "" },
      state: { get: (_: string, name: string) => ({ kind: name.startsWith("user") ? "user" : "node" }) },
      authorizer: { check() {} },
      journal: {
        get head() {
          return { sequence: chain.records.length };
        },
        nowMs: () => startMs,
        clockMs: () => startMs,
        follow(listener: (records: readonly AuditRecord[]) => void) {
          chain.#tell = listener;
        },
        async perform(_: Caller, { action }: { action: string }, decide: () => Promise<{ value: unknown }>) {
          const { value } = await decide();
          chain.write({ action }, "here");
          return value;
        },
      },
    } as unknown as Core;
  }

  write(more: Partial<AuditRecord>, where: "here" | "elsewhere"): void {
    const sequence = this.records.length + 1;
    const at = new Date(startMs).toISOString();
    const ids = { sequence, eventId: randomUUID(), at, requestId: "r" };
    const who = { door: "native", principal: "arn:aws:iam::123456789012:node/node-1", accessKeyId: null } as const;
    const what = { peer: "127.0.0.1", userAgent: null, action: "kms:Decrypt", key: null, context: null } as const;
    const record: AuditRecord = { ...ids, ...who, ...what, result: "done", error: null, detail: {}, ...more };
    this.records.push(record);
    if (where === "here") this.#tell([record]);
  }

  async readAudit(after: number, limit: number): Promise<readonly StoredAuditEntry[]> {
    this.reads += 1;
    return this.records.slice(after, after + limit).map((record) => ({
      sequence: record.sequence,
      body: record.sequence === this.damaged ? '{"a":":node/ Decrypt' : encoder.encode(record, 1),
      hash: Buffer.alloc(32),
      seal: Buffer.alloc(32),
    }));
  }
}

const stated = (launch: string) => ({ detail: { leaseSeconds: 10, launch } });

describe("leases of a store that several servers share", () => {
  it("are seen although another server wrote the check", async () => {
    const chain = new SharedChain();
    chain.write({}, "elsewhere");
    const leases = new Leases(chain.core, chain);
    const [one, other] = [randomUUID(), randomUUID()];
    chain.write(stated(one), "elsewhere");
    chain.write(stated(one), "here");
    chain.write({ action: "strongroom:ReleaseLease", detail: { launch: one } }, "elsewhere");
    chain.write(stated(other), "elsewhere");
    const { leases: found, since } = await leases.list(reader);
    assert.deepEqual([found[0]?.lease.state, found[0]?.lease.launch, found[0]?.lease.launchesHeld], ["held", other, 1]);
    assert.equal(since, null);
    chain.write({ action: "strongroom:ReleaseLease", detail: { launch: other } }, "elsewhere");
    assert.equal((await leases.list(reader)).leases[0]?.lease.state, "released");
  });

  it("show to who looks on without a record, a moment after another server wrote", async () => {
    const chain = new SharedChain();
    chain.write(stated(randomUUID()), "elsewhere");
    const leases = new Leases(chain.core, chain);
    assert.deepEqual(leases.current(), []);
    await new Promise(setImmediate);
    assert.equal(leases.current()[0]?.lease.state, "held");
    assert.equal(chain.records.length, 1);
  });

  it("are read once: what was read, and what this server commits, is not read again", async () => {
    const chain = new SharedChain();
    for (let count = 0; count < 450; count++) chain.write(stated(randomUUID()), "elsewhere");
    const leases = new Leases(chain.core, chain);
    await leases.list(reader);
    const { reads } = chain;
    for (let count = 0; count < 5; count++) chain.write(stated(randomUUID()), "here");
    await Promise.all([leases.list(reader), leases.list(reader)]);
    assert.equal(chain.reads, reads);
  });

  it("of a long chain are those of its last 50,000 records, and the answer says since when", async () => {
    const chain = new SharedChain();
    const forgotten = "2026-01-01T00:00:00.000Z";
    const principal = "arn:aws:iam::123456789012:node/node-9";
    chain.write({ principal, at: forgotten }, "elsewhere");
    for (let count = 0; count < 50_000; count++) chain.write({ action: "kms:Sign" }, "elsewhere");
    const answer = await new Leases(chain.core, chain).list(reader);
    assert.deepEqual(answer, { leases: [], since: new Date(startMs).toISOString() });
  });

  it("are not told from a damaged record, and the next answer tries again", async () => {
    const chain = new SharedChain();
    chain.write(stated(randomUUID()), "elsewhere");
    chain.damaged = 1;
    const leases = new Leases(chain.core, chain);
    await assert.rejects(leases.list(reader), { code: "STATE_TAMPERED" });
    await assert.rejects(leases.list(reader), { code: "STATE_TAMPERED" });
    const { reads } = chain;
    assert.deepEqual(leases.current(), []);
    assert.equal(chain.reads, reads);
    chain.damaged = 0;
    assert.equal((await leases.list(reader)).leases.length, 1);
  });

  it("name nodes only: a principal that is none any more is left out", async () => {
    const chain = new SharedChain();
    chain.write({ ...stated(randomUUID()), principal: "arn:aws:iam::123456789012:node/user-1" }, "elsewhere");
    assert.deepEqual((await new Leases(chain.core, chain).list(reader)).leases, []);
  });
});
