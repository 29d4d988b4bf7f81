import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import fc from "fast-check";
import type { AuditFilter, AuditPage } from "../../../../src/custody/contract/audit.ts";
import type { AuditRecord, Caller } from "../../../../src/custody/service.ts";
import { scaled, seed } from "../../../run-settings.ts";
import { TestKeyManager } from "../key-manager.ts";

/** What a filter means, said once more and slowly. */
function fits(record: AuditRecord, filter: AuditFilter): boolean {
  const last = record.principal.split(":").at(-1) ?? "";
  const isPrincipal =
    filter.principal === undefined ||
    [record.principal, last, last.split("/").slice(1).join("/"), record.accessKeyId].includes(filter.principal);
  const named = [record.context?.node, record.detail.node, record.detail.name];
  const isNode =
    filter.node === undefined ||
    last === `node/${filter.node}` ||
    named.includes(filter.node) ||
    String(record.detail.grantee ?? "").endsWith(`:node/${filter.node}`);
  const [family = "", name = ""] = record.action.split(":");
  const wanted = filter.action?.replace(/\*$/, "");
  const isAction =
    filter.action === undefined ||
    wanted === undefined ||
    (filter.action.endsWith("*")
      ? name.startsWith(wanted) || `${family}:${name}`.startsWith(wanted)
      : name === wanted || `${family}:${name}` === wanted);
  return (
    isPrincipal &&
    isNode &&
    isAction &&
    (filter.purpose === undefined || record.context?.purpose === filter.purpose) &&
    (filter.key === undefined || record.key === filter.key || record.detail.toKey === filter.key) &&
    (filter.since === undefined || record.at >= filter.since) &&
    (filter.until === undefined || record.at < filter.until) &&
    (!filter.denied || record.result === "refused")
  );
}

const purposes = [{}, { purpose: "backup" }, { purpose: "node-data-key" }, { about: "backup" }];

describe("a search of the audit chain", () => {
  let km: TestKeyManager;
  let all: readonly AuditRecord[];
  let accessKeyId = "";
  const keys: string[] = [];
  const startMs = Date.parse("2026-11-21T12:00:00Z");

  before(async () => {
    km = await TestKeyManager.make();
    const { custody } = km;
    for (const alias of ["alias/a", "alias/b"]) keys.push((await custody.keys.create(km.admin, { alias })).keyId);
    const nodes = [await km.enrol("n1", "alias/a"), await km.enrol("n11", "alias/b"), await km.enrol("n2", "alias/a")];
    const user = await km.user("n1-auditor", "auditor");
    const key = await custody.users.createAccessKey(km.admin, "n1-auditor");
    key.secret[Symbol.dispose]();
    accessKeyId = key.id;
    for (let round = 0; round < 30; round++) {
      km.nowMs = startMs + round * 60_000;
      const node = nodes[round % 3] as Caller;
      const name = ["n1", "n11", "n2"][round % 5] ?? "nobody";
      const input = { key: round % 2 === 0 ? "alias/a" : "alias/b", context: { node: name, ...purposes[round % 4] } };
      await custody.data.generateDataKeyWithoutPlaintext(node, input).catch(() => {});
      await custody.keys.describe({ ...user, accessKeyId }, "alias/a");
      await custody.keys.describe(user, "alias/none").catch(() => {});
    }
    all = await custody.audit.read(km.admin, { after: 0, limit: 10_000 });
  });
  after(() => km.end());

  async function search(filter: AuditFilter, order: "newest" | "oldest", limit: number): Promise<AuditRecord[]> {
    const found: AuditRecord[] = [];
    let cursor: number | undefined = order === "newest" ? all.length + 1 : undefined;
    for (;;) {
      const page: AuditPage = await km.custody.audit.search(km.admin, {
        ...filter,
        order,
        limit,
        ...(cursor === undefined ? {} : { cursor }),
      });
      assert.ok(page.records.length <= limit);
      found.push(...page.records.filter(({ sequence }) => sequence <= all.length));
      if (page.next === null || page.next >= all.length + (order === "oldest" ? 0 : 2)) return found;
      cursor = page.next;
    }
  }

  it("finds what the filter means, in either order, over any pages", async () => {
    const time = fc.nat({ max: 31 }).map((minute) => new Date(startMs + minute * 60_000).toISOString());
    const optional = <T>(values: fc.Arbitrary<T>) => fc.option(values, { nil: undefined });
    const filter = fc.record({
      principal: optional(fc.constantFrom("n1", "node/n1", "n11", "n1-auditor", accessKeyId, "nobody")),
      node: optional(fc.constantFrom("n1", "n11", "n2", "n3")),
      purpose: optional(fc.constantFrom("backup", "node-data-key", "node")),
      key: optional(fc.constantFrom("alias/a", "alias/b")),
      action: optional(fc.constantFrom("kms:DescribeKey", "DescribeKey", "kms:*", "Gen*", "Describe", "EnrollNode")),
      since: optional(time),
      until: optional(time),
      denied: optional(fc.boolean()),
    });
    await fc.assert(
      fc.asyncProperty(
        filter,
        fc.constantFrom("newest", "oldest"),
        fc.integer({ min: 1, max: 50 }),
        async (given, order, limit) => {
          const wanted = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
          const byId = {
            ...wanted,
            ...(given.key === undefined ? {} : { key: keys[given.key === "alias/a" ? 0 : 1] ?? "" }),
          };
          const expected = all.filter((record) => fits(record, byId)).map(({ sequence }) => sequence);
          const found = (await search(wanted, order, limit)).map(({ sequence }) => sequence);
          assert.deepEqual(found, order === "newest" ? expected.toReversed() : expected);
        },
      ),
      { seed, numRuns: scaled(400) },
    );
  });

  it("names a key by id, alias or ARN, also one that is not there any more", async () => {
    const [id = ""] = keys;
    const { arn } = await km.custody.keys.describe(km.admin, id);
    const counts = await Promise.all(
      [id, "alias/a", arn].map(
        async (key) => (await search({ key, until: new Date(km.nowMs).toISOString() }, "oldest", 1000)).length,
      ),
    );
    assert.ok((counts[0] ?? 0) > 10);
    assert.equal(new Set(counts).size, 1);
    assert.deepEqual(
      await search({ key: "00000000-0000-4000-8000-000000000000", until: "2026-11-21T12:20:00Z" }, "newest", 10),
      [],
    );
    await assert.rejects(search({ key: "alias/none" }, "newest", 10), { code: "KEY_NOT_FOUND" });
  });

  it("is on record itself, with what was searched", async () => {
    await km.custody.audit.search(km.admin, { node: "n1", denied: true, limit: 1 });
    const { records } = await km.custody.audit.search(km.admin, { action: "SearchAudit", limit: 2 });
    assert.deepEqual(records[0]?.detail, { byNode: "n1", byDenied: "true", byLimit: 1 });
  });

  it("is for those who may read the chain", async () => {
    const node = await km.enrol("n5", "alias/a");
    await assert.rejects(km.custody.audit.search(node, { limit: 1 }), { code: "ACCESS_DENIED" });
    await assert.rejects(km.custody.audit.export(node, { after: 0, limit: 1 }), { code: "ACCESS_DENIED" });
    await assert.rejects(km.custody.audit.reportPosition(node, "n1"), { code: "ACCESS_DENIED" });
    await assert.rejects(km.custody.audit.completeReport(node, "n1", 1), { code: "ACCESS_DENIED" });
    const auditor = await km.user("a2", "auditor");
    assert.equal((await km.custody.audit.search(auditor, { limit: 1 })).records.length, 1);
  });

  for (const [name, query] of Object.entries({
    "a time that is none": { since: "yesterday", limit: 1 },
    "a time of no calendar": { until: "2026-13-45", limit: 1 },
    "no limit": { limit: 0 },
    "a limit beyond all bounds": { limit: 1001 },
    "a fraction": { limit: 1.5 },
    "a cursor below the chain": { limit: 1, cursor: -1 },
  }))
    it(`refuses ${name}`, () => assert.rejects(km.custody.audit.search(km.admin, query), { code: "INPUT_INVALID" }));

  it("gives the stored lines with the links of the chain", async () => {
    const stored = await km.custody.audit.export(km.admin, { after: 0, limit: 10 });
    assert.deepEqual(
      stored.map(({ sequence, text }) => [sequence, JSON.parse(text).sequence]),
      stored.map((_, index) => [index + 1, index + 1]),
    );
    const checkpoint = await km.custody.audit.checkpoint(km.admin);
    const [last] = await km.custody.audit.export(km.admin, { after: checkpoint.sequence - 1, limit: 1 });
    assert.equal(last?.hash, checkpoint.head);
  });

  it("remembers where the last report on a node ended, never moves back, and knows no other nodes", async () => {
    const { audit } = km.custody;
    assert.deepEqual((await audit.reportPosition(km.admin, "n1")).after, 0);
    await audit.completeReport(km.admin, "n1", 20);
    await audit.completeReport(km.admin, "n1", 10);
    await km.restart();
    const { after: from, reportedAt } = await km.custody.audit.reportPosition(km.admin, "n1");
    assert.deepEqual([from, reportedAt], [20, new Date(km.nowMs).toISOString()]);
    assert.equal((await km.custody.audit.reportPosition(km.admin, "n2")).after, 0);
    await assert.rejects(km.custody.audit.completeReport(km.admin, "n1-auditor", 1), { code: "PRINCIPAL_NOT_FOUND" });
    await assert.rejects(km.custody.audit.completeReport(km.admin, "../n1", 1), { code: "INPUT_INVALID" });
    assert.equal((await km.custody.audit.reportPosition(km.admin, "node-under-a-kms")).after, 0);
    await assert.rejects(km.custody.audit.completeReport(km.admin, "n1", 10 ** 9), { code: "INPUT_INVALID" });
  });
});
