import assert from "node:assert/strict";
import { after, beforeEach, describe, it } from "node:test";
import fc from "fast-check";
import { type Notice, NoticeRules } from "../../../../src/custody/audit/notice-rules.ts";
import { openCustody } from "../../../../src/custody/open.ts";
import type { AuditRecord, Caller } from "../../../../src/custody/service.ts";
import { scaled, seed } from "../../../run-settings.ts";
import { TestKeyManager } from "../key-manager.ts";

const startMs = Date.parse("2026-01-05T09:30:00Z");
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

let sequence = 0;
function use(more: Partial<AuditRecord> & { atMs?: number } = {}): AuditRecord {
  const { atMs = startMs, ...rest } = more;
  return {
    sequence: ++sequence,
    eventId: "",
    at: new Date(atMs).toISOString(),
    door: "native",
    principal: "arn:aws:iam::123456789012:node/n1",
    accessKeyId: null,
    peer: "10.0.0.1",
    userAgent: null,
    action: "kms:Decrypt",
    key: "k1",
    context: null,
    result: "done",
    error: null,
    requestId: "r",
    detail: {},
    ...rest,
  };
}

const observeAll = (rules: NoticeRules, records: readonly AuditRecord[]): Notice[] =>
  records.flatMap((record) => rules.observe(record));
const kindsOf = (notices: readonly Notice[]) => notices.map(({ kind }) => kind);

describe("the rules for notices", () => {
  it("tell of a principal's further addresses for a key, and of none of them twice", () => {
    const rules = new NoticeRules();
    assert.deepEqual(observeAll(rules, [use(), use(), use({ key: "k2" })]), []);
    const [notice] = observeAll(rules, [use({ peer: "10.0.0.2" })]);
    assert.deepEqual([notice?.kind, notice?.facts], ["new-address", { address: "10.0.0.2", before: "10.0.0.1" }]);
    assert.deepEqual(observeAll(rules, [use({ peer: "10.0.0.1" }), use({ peer: "10.0.0.2" })]), []);
  });

  it("learn from nothing but uses of keys that were answered", () => {
    const rules = new NoticeRules();
    const others = [
      use({ peer: "10.0.0.2", result: "refused", error: "ACCESS_DENIED" }),
      use({ peer: "10.0.0.3", result: "failed", error: "INTERNAL" }),
      use({ peer: "10.0.0.4", action: "kms:DescribeKey" }),
      use({ peer: "10.0.0.5", key: null }),
      use({ peer: "10.0.0.6", principal: "strongroom" }),
    ];
    assert.deepEqual(observeAll(rules, [use(), ...others, use()]), []);
  });

  it("tell of a node's use outside the hours that it has shown on 14 days, and the hours beside them", () => {
    const rules = new NoticeRules();
    for (let day = 0; day < 14; day++) {
      assert.deepEqual(observeAll(rules, [use({ atMs: startMs + day * dayMs })]), []);
      if (day === 3) assert.deepEqual(observeAll(rules, [use({ atMs: startMs + day * dayMs + 2 * hourMs })]), []);
    }
    const last = startMs + 14 * dayMs;
    assert.deepEqual(observeAll(rules, [use({ atMs: last + hourMs })]), []);
    assert.deepEqual(kindsOf(observeAll(rules, [use({ atMs: last + 15 * hourMs })])), ["unusual-hour"]);
    assert.deepEqual(observeAll(rules, [use({ atMs: last + 15 * hourMs + 60_000 })]), []);
    assert.deepEqual(observeAll(rules, [use({ atMs: last + dayMs + 15 * hourMs })]), []);
  });

  it("say nothing of hours before 14 days, of users, and of a node that was away for a month", () => {
    const rules = new NoticeRules();
    const user = "arn:aws:iam::123456789012:user/u";
    for (let day = 0; day < 13; day++)
      observeAll(rules, [use({ atMs: startMs + day * dayMs }), use({ atMs: startMs + day * dayMs, principal: user })]);
    assert.deepEqual(observeAll(rules, [use({ atMs: startMs + 12 * dayMs + 12 * hourMs })]), []);
    for (let day = 13; day < 20; day++)
      observeAll(rules, [use({ atMs: startMs + day * dayMs }), use({ atMs: startMs + day * dayMs, principal: user })]);
    assert.deepEqual(observeAll(rules, [use({ atMs: startMs + 20 * dayMs + 12 * hourMs, principal: user })]), []);
    assert.deepEqual(observeAll(rules, [use({ atMs: startMs + 60 * dayMs + 6 * hourMs })]), []);
  });

  it("tell of 20 refusals of one principal within a minute, once", () => {
    const rules = new NoticeRules();
    const refusals = (count: number, atMs: number, principal = "arn:aws:iam::123456789012:node/n1") =>
      observeAll(
        rules,
        Array.from({ length: count }, () => use({ result: "refused", error: "ACCESS_DENIED", atMs, principal })),
      );
    assert.deepEqual(refusals(19, startMs), []);
    assert.deepEqual(refusals(19, startMs + 60_000), []);
    assert.deepEqual(kindsOf(refusals(500, startMs + 60_000)), ["refusal-burst"]);
    assert.deepEqual(refusals(500, startMs + 120_000), []);
    const [others] = refusals(20, startMs + 120_000, "arn:aws:iam::123456789012:node/n2");
    assert.deepEqual([others?.kind, others?.facts.suppressed], ["refusal-burst", 1]);
    assert.deepEqual(kindsOf(refusals(20, startMs + hourMs)), ["refusal-burst"]);
  });

  it("tell at once of a node whose counter stands elsewhere than it believes, once an hour", () => {
    const rules = new NoticeRules();
    const conflict = (atMs: number, stands: number) =>
      use({
        action: "strongroom:AdvanceCounter",
        key: null,
        result: "refused",
        error: "COUNTER_CONFLICT",
        detail: { counter: "votes", from: 4, to: 5, stamp: "0".repeat(64), stands },
        atMs,
      });
    const [notice] = observeAll(rules, [conflict(startMs, 9)]);
    assert.equal(notice?.kind, "counter-conflict");
    assert.deepEqual(notice?.facts, { counter: "votes", stands: 9, from: 4, to: 5 });
    assert.deepEqual(observeAll(rules, [conflict(startMs + 60_000, 9)]), []);
    assert.deepEqual(kindsOf(observeAll(rules, [conflict(startMs + hourMs, 9)])), ["counter-conflict"]);
  });

  it("say nothing of a counter that is advanced, or that its caller may not advance", () => {
    const rules = new NoticeRules();
    const advance = { action: "strongroom:AdvanceCounter", key: null, detail: { counter: "votes", from: 4, to: 5 } };
    const denied = { ...advance, result: "refused", error: "ACCESS_DENIED" } as const;
    assert.deepEqual(observeAll(rules, [use(advance), use(denied), use(advance)]), []);
  });

  it("tell of strangers' refusals by their summaries", () => {
    const rules = new NoticeRules();
    const summary = (count: number) =>
      use({ principal: "anonymous", action: "strongroom:Refusals", key: null, detail: { reason: "x", count } });
    assert.deepEqual(observeAll(rules, [summary(99)]), []);
    assert.deepEqual(kindsOf(observeAll(rules, [summary(100)])), ["refusal-burst"]);
  });

  it("can't be made to flood the chain", () => {
    const rules = new NoticeRules();
    const records = Array.from({ length: 20_000 }, (_, index) =>
      use({ principal: `arn:aws:iam::123456789012:node/n${index % 500}`, peer: `10.0.${index % 250}.${index % 7}` }),
    );
    const notices = observeAll(rules, records);
    assert.equal(notices.length, 60);
  });

  it("say the same of the same chain, whenever their memory was kept and taken up again", () => {
    const record = fc.record({
      principal: fc.constantFrom("n1", "n2", "n3").map((name) => `arn:aws:iam::123456789012:node/${name}`),
      peer: fc.constantFrom("10.0.0.1", "10.0.0.2", "10.0.0.3"),
      key: fc.constantFrom("k1", "k2"),
      result: fc.constantFrom("done", "refused"),
      afterMs: fc.constantFrom(0, 1000, hourMs, 5 * hourMs, dayMs),
      restart: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(record, { maxLength: 300 }), (steps) => {
        let atMs = startMs;
        const records = steps.map(({ afterMs, restart: _, ...rest }) => {
          atMs += afterMs;
          return use({ ...rest, result: rest.result as "done" | "refused", atMs });
        });
        const steady = new NoticeRules();
        let restarted = new NoticeRules();
        records.forEach((each, index) => {
          assert.deepEqual(restarted.observe(each), steady.observe(each));
          if (steps[index]?.restart) restarted = new NoticeRules(restarted.save());
        });
        assert.equal(restarted.save(), steady.save());
      }),
      { seed, numRuns: scaled(400) },
    );
  });
});

describe("notices in the chain", () => {
  const managers: TestKeyManager[] = [];
  let km: TestKeyManager;
  let node: Caller;
  beforeEach(async () => {
    km = await TestKeyManager.make();
    managers.push(km);
    await km.custody.keys.create(km.admin, { alias: "alias/k" });
    node = await km.enrol("n1", "alias/k");
  });
  after(async () => {
    for (const each of managers) await each.end().catch(() => {});
  });

  const wrap = (caller: Caller) =>
    km.custody.data.generateDataKeyWithoutPlaintext(caller, { key: "alias/k", context: { node: "n1" } });
  const noticesNow = async () =>
    (await km.custody.audit.search(km.admin, { action: "strongroom:Notice", order: "oldest", limit: 100 })).records;

  async function notices(count: number): Promise<readonly AuditRecord[]> {
    for (;;) {
      const found = await noticesNow();
      if (found.length >= count) return found;
      await new Promise(setImmediate);
    }
  }

  it("name the record, the principal, the key and the facts", async () => {
    await wrap(node);
    await wrap({ ...node, peer: "10.9.9.9" });
    const [notice] = await notices(1);
    const records = await km.custody.audit.read(km.admin, { after: 0, limit: 100 });
    const cause = records.find(({ peer }) => peer === "10.9.9.9");
    assert.deepEqual(notice?.detail, {
      kind: "new-address",
      of: cause?.sequence,
      principal: node.principal,
      address: "10.9.9.9",
      before: "127.0.0.1",
    });
    assert.deepEqual([notice?.principal, notice?.key], ["strongroom", cause?.key]);
    const { records: about } = await km.custody.audit.search(km.admin, { node: "n1", action: "Notice", limit: 10 });
    assert.equal(about.length, 1);
  });

  it("are written once, over any number of restarts", async () => {
    await wrap(node);
    await wrap({ ...node, peer: "10.9.9.9" });
    await notices(1);
    for (let round = 0; round < 3; round++) {
      await km.restart();
      await wrap(node);
      assert.equal((await noticesNow()).length, 1);
    }
    await km.restart();
    await wrap({ ...node, peer: "10.9.9.10" });
    km.nowMs += hourMs;
    await wrap({ ...node, peer: "10.9.9.11" });
    const found = await notices(2);
    assert.deepEqual(
      found.map(({ detail }) => [detail.address, detail.suppressed]),
      [
        ["10.9.9.9", undefined],
        ["10.9.9.11", 1],
      ],
    );
  });

  it("are told to whoever counts them", async () => {
    const counted: string[] = [];
    await km.custody.close();
    const options = { dataDir: km.dataDir, unlock: km.unlock, clock: () => km.nowMs };
    km.custody = await openCustody({ ...options, onNotice: (kind) => void counted.push(kind) });
    await wrap(node);
    await wrap({ ...node, peer: "10.9.9.9" });
    await notices(1);
    await km.custody.close();
    assert.deepEqual(counted, ["new-address"]);
    await km.open();
  });

  it("leave a chain that verifies", async () => {
    for (let round = 0; round < 25; round++)
      await wrap({ ...node, peer: `10.0.0.${round}` }).then(() => km.custody.keys.create(node, {}).catch(() => {}));
    await notices(2);
    assert.equal((await km.custody.audit.verify(km.admin)).ok, true);
  });
});
