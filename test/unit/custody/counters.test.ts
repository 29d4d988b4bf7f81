import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { maxCountersOfNode } from "../../../src/custody/contract/counters.ts";
import type { AuditRecord, Caller } from "../../../src/custody/service.ts";
import { TestKeyManager } from "./key-manager.ts";

/** A stamp of 64 hex digits that differs by its number. */
const stamp = (number: number) => number.toString(16).padStart(64, "0");
/** What a counter stands at: the stamp belongs to the value unless said otherwise. */
const at = (value: number, stampOf = value) => ({ value, stamp: stamp(stampOf) });

let km: TestKeyManager;
let enrolled = 0;

async function newNode(): Promise<{ readonly name: string; readonly caller: Caller }> {
  enrolled += 1;
  const name = `node-${enrolled}`;
  return { name, caller: await km.enrol(name, "alias/nodes") };
}

async function recordsSince(sequence: number): Promise<readonly AuditRecord[]> {
  return km.custody.audit.read(km.admin, { after: sequence, limit: 1000 });
}

/** Runs `ask` and gives the records of it, without the one that reading them leaves. */
async function recordsOf(ask: () => Promise<unknown>): Promise<readonly AuditRecord[]> {
  const { sequence } = await km.custody.audit.checkpoint(km.admin);
  await ask();
  return (await recordsSince(sequence)).filter(({ action }) => /Counter/.test(action));
}

before(async () => {
  km = await TestKeyManager.make();
  await km.custody.keys.create(km.admin, { alias: "alias/nodes" });
});
after(() => km.end());

describe("advancing a counter", () => {
  const advance = (caller: Caller, previous: number | null, next: number, name = "votes") =>
    km.custody.counters.advance(caller, { name, previous: previous === null ? null : at(previous), next: at(next) });

  it("begins a counter that is not there at any value, and answers what it stands at", async () => {
    const { caller } = await newNode();
    assert.deepEqual(await advance(caller, null, 41), at(41));
    assert.deepEqual(await km.custody.counters.read(caller, "votes"), {
      ...at(41),
      advancedAt: new Date(km.nowMs).toISOString(),
    });
  });

  it("takes it from where it stands to any higher value, up to 2^53 - 1", async () => {
    const { caller } = await newNode();
    await advance(caller, null, 1);
    await advance(caller, 1, 2);
    await advance(caller, 2, Number.MAX_SAFE_INTEGER);
    assert.equal((await km.custody.counters.read(caller, "votes"))?.value, Number.MAX_SAFE_INTEGER);
  });

  it("is done already when it stands at exactly what was asked for, whatever was before", async () => {
    const { caller } = await newNode();
    await advance(caller, null, 5);
    km.nowMs += 1000;
    for (const previous of [null, 1, 5, 9]) assert.deepEqual(await advance(caller, previous, 5), at(5));
    const stands = await km.custody.counters.read(caller, "votes");
    assert.equal(stands?.advancedAt, new Date(km.nowMs - 1000).toISOString());
  });

  const refused: readonly (readonly [string, ReturnType<typeof at> | null, ReturnType<typeof at>])[] = [
    ["begins anew where there is one", null, at(6)],
    ["begins anew at its value under another stamp", null, at(5, 1)],
    ["believes it lower than it stands", at(4), at(6)],
    ["believes it higher than it stands", at(6), at(7)],
    ["knows its value, but not its stamp", at(5, 1), at(6)],
    ["goes to the same value under another stamp", at(5), at(5, 1)],
    ["goes down", at(5), at(4)],
    ["goes down to a value that it stood at", at(5), at(3)],
  ];
  for (const [what, previous, next] of refused)
    it(`is refused when the request ${what}, and changes nothing`, async () => {
      const { caller } = await newNode();
      await advance(caller, null, 3);
      await advance(caller, 3, 5);
      const before = await km.custody.counters.read(caller, "votes");
      await assert.rejects(km.custody.counters.advance(caller, { name: "votes", previous, next }), {
        code: "COUNTER_CONFLICT",
      });
      assert.deepEqual(await km.custody.counters.read(caller, "votes"), before);
    });

  it("is refused when the request knows of a counter that is not there", async () => {
    const { caller } = await newNode();
    await assert.rejects(advance(caller, 1, 2), { code: "COUNTER_CONFLICT" });
    assert.equal(await km.custody.counters.read(caller, "votes"), null);
  });

  it("lets exactly one of many through that ask at once from the same standing", async () => {
    const { caller } = await newNode();
    await advance(caller, null, 1);
    const asked = Array.from({ length: 20 }, (_, index) =>
      km.custody.counters.advance(caller, { name: "votes", previous: at(1), next: at(2, 100 + index) }),
    );
    const outcomes = await Promise.allSettled(asked);
    const won = outcomes.filter((each) => each.status === "fulfilled");
    assert.equal(won.length, 1);
    for (const each of outcomes)
      if (each.status === "rejected") assert.equal((each.reason as { code: string }).code, "COUNTER_CONFLICT");
    const stands = await km.custody.counters.read(caller, "votes");
    assert.equal(stands?.stamp, won[0]?.value.stamp);
  });

  it("holds each node's counters, and each name, apart", async () => {
    const [one, other] = [await newNode(), await newNode()];
    await advance(one.caller, null, 7);
    assert.equal(await km.custody.counters.read(other.caller, "votes"), null);
    await advance(other.caller, null, 1);
    await advance(one.caller, null, 2, "votes/other");
    assert.equal((await km.custody.counters.read(one.caller, "votes"))?.value, 7);
    await assert.rejects(advance(other.caller, 7, 8), { code: "COUNTER_CONFLICT" });
  });

  it("is for sixteen counters of a node, and for no more", async () => {
    const [full, other] = [await newNode(), await newNode()];
    for (let index = 0; index < maxCountersOfNode; index++) await advance(full.caller, null, 1, `votes/${index}`);
    await assert.rejects(advance(full.caller, null, 1, "votes/one-more"), { code: "LIMIT_EXCEEDED" });
    await advance(full.caller, 1, 2, "votes/0");
    await advance(other.caller, null, 1);
    await km.custody.counters.reset(km.admin, full.name, "votes/0");
    await advance(full.caller, null, 1, "votes/one-more");
  });

  const malformed: readonly (readonly [string, object])[] = [
    ["no name", { name: "" }],
    ["a name with a capital", { name: "Votes" }],
    ["a name that begins with a dot", { name: ".votes" }],
    ["a name with a space", { name: "my votes" }],
    ["a name with a line's end", { name: "votes\n" }],
    ["a name of 129 characters", { name: "v".repeat(129) }],
    ["the value 0", { next: at(0) }],
    ["a negative value", { next: { value: -1, stamp: stamp(1) } }],
    ["a fraction", { next: { value: 1.5, stamp: stamp(1) } }],
    ["2^53", { next: { value: 2 ** 53, stamp: stamp(1) } }],
    ["no number", { next: { value: Number.NaN, stamp: stamp(1) } }],
    ["a stamp of 63 digits", { next: { value: 1, stamp: stamp(1).slice(1) } }],
    ["a stamp of 65 digits", { next: { value: 1, stamp: `0${stamp(1)}` } }],
    ["a stamp in capitals", { next: { value: 1, stamp: "A".repeat(64) } }],
    ["a stamp with a line's end", { next: { value: 1, stamp: `${stamp(1)}\n` } }],
    ["the value 0 before", { previous: { value: 0, stamp: stamp(0) } }],
    ["a malformed stamp before", { previous: { value: 1, stamp: "x".repeat(64) } }],
  ];
  for (const [what, members] of malformed)
    it(`refuses ${what}, and begins no counter`, async () => {
      const { caller } = await newNode();
      await assert.rejects(
        km.custody.counters.advance(caller, { name: "votes", previous: null, next: at(1), ...members }),
        { code: "INPUT_INVALID" },
      );
      assert.equal(await km.custody.counters.read(caller, "votes"), null);
    });

  it("takes a name of 128 characters with every sign that one may have", async () => {
    const { caller } = await newNode();
    const name = "0a._:/-".padEnd(128, "z");
    await advance(caller, null, 1, name);
    assert.equal((await km.custody.counters.read(caller, name))?.value, 1);
  });
});

describe("who has counters", () => {
  it("is no user, whatever its role, and no service", async () => {
    const callers = [km.admin, km.as("arn:aws:iam::000000000000:node/node-1"), km.as("anonymous")];
    for (const role of ["administrator", "auditor", "operator", "key-user"] as const)
      callers.push(await km.user(`without-counters-${role}`, role));
    const service = { name: "service-1", kind: "service", role: "key-user" } as const;
    callers.push(km.as((await km.custody.principals.create(km.admin, service)).arn));
    for (const caller of callers) {
      const input = { name: "votes", previous: null, next: at(1) };
      await assert.rejects(km.custody.counters.advance(caller, input), { code: "ACCESS_DENIED" }, caller.principal);
      await assert.rejects(km.custody.counters.read(caller, "votes"), { code: "ACCESS_DENIED" }, caller.principal);
    }
  });

  it("is no revoked node; its counters stay, and hold when it is let in again", async () => {
    const { name, caller } = await newNode();
    const input = { name: "votes", previous: null, next: at(9) };
    await km.custody.counters.advance(caller, input);
    await km.custody.nodes.revoke(km.admin, name);
    await assert.rejects(km.custody.counters.advance(caller, input), { code: "ACCESS_DENIED" });
    await assert.rejects(km.custody.counters.read(caller, "votes"), { code: "ACCESS_DENIED" });
    assert.equal((await km.custody.counters.list(km.admin, name))[0]?.value, 9);
    await km.custody.principals.enable(km.admin, name);
    await assert.rejects(km.custody.counters.advance(caller, { ...input, next: at(1) }), { code: "COUNTER_CONFLICT" });
  });

  it("is no destroyed node: its counters go with it, and no other's", async () => {
    const [ended, other] = [await newNode(), await newNode()];
    for (const each of [ended, other])
      for (const name of ["one", "two"])
        await km.custody.counters.advance(each.caller, { name, previous: null, next: at(1) });
    await km.custody.nodes.destroyed(ended.caller, { name: ended.name, network: "net", keys: [] });
    assert.deepEqual(await km.custody.counters.list(km.admin, ended.name), []);
    assert.equal((await km.custody.counters.list(km.admin, other.name)).length, 2);
  });
});

describe("governing counters", () => {
  it("lists those of one node or of all, by node and name", async () => {
    const { name, caller } = await newNode();
    for (const counter of ["b", "a"])
      await km.custody.counters.advance(caller, { name: counter, previous: null, next: at(4) });
    const listed = await km.custody.counters.list(km.admin, name);
    const advancedAt = new Date(km.nowMs).toISOString();
    assert.deepEqual(listed, [
      { node: name, name: "a", ...at(4), advancedAt },
      { node: name, name: "b", ...at(4), advancedAt },
    ]);
    const all = (await km.custody.counters.list(km.admin)).map((each) => `${each.node}/${each.name}`);
    assert.deepEqual(all, all.toSorted());
    assert.ok(all.includes(`${name}/a`) && all.length > 2);
  });

  it("lists none of a name that is no node's", async () => {
    for (const name of ["nobody", "local-administrator"])
      await assert.rejects(km.custody.counters.list(km.admin, name), { code: "PRINCIPAL_NOT_FOUND" }, name);
  });

  it("resets one, after which its node begins it anew", async () => {
    const { name, caller } = await newNode();
    for (const counter of ["one", "two"])
      await km.custody.counters.advance(caller, { name: counter, previous: null, next: at(9) });
    await km.custody.counters.reset(km.admin, name, "one");
    assert.equal(await km.custody.counters.read(caller, "one"), null);
    assert.equal((await km.custody.counters.read(caller, "two"))?.value, 9);
    await km.custody.counters.advance(caller, { name: "one", previous: null, next: at(1) });
  });

  it("resets nothing that is not there", async () => {
    const { name } = await newNode();
    await assert.rejects(km.custody.counters.reset(km.admin, name, "votes"), { code: "COUNTER_NOT_FOUND" });
    await assert.rejects(km.custody.counters.reset(km.admin, "nobody", "votes"), { code: "PRINCIPAL_NOT_FOUND" });
    await assert.rejects(km.custody.counters.reset(km.admin, "local-administrator", "votes"), {
      code: "PRINCIPAL_NOT_FOUND",
    });
    await assert.rejects(km.custody.counters.reset(km.admin, name, "Votes"), { code: "INPUT_INVALID" });
  });

  it("is an administrator's; an auditor reads, and all others do neither", async () => {
    const { name, caller } = await newNode();
    await km.custody.counters.advance(caller, { name: "votes", previous: null, next: at(1) });
    const auditor = await km.user("counters-auditor", "auditor");
    assert.equal((await km.custody.counters.list(auditor, name)).length, 1);
    await assert.rejects(km.custody.counters.reset(auditor, name, "votes"), { code: "ACCESS_DENIED" });
    for (const other of [caller, await km.user("counters-operator", "operator")]) {
      await assert.rejects(km.custody.counters.list(other, name), { code: "ACCESS_DENIED" });
      await assert.rejects(km.custody.counters.reset(other, name, "votes"), { code: "ACCESS_DENIED" });
    }
    const administrator = await km.user("counters-administrator", "administrator");
    await km.custody.counters.reset(administrator, name, "votes");
  });
});

describe("counters on record", () => {
  it("are told of by one record for each request, done or refused", async () => {
    const { name, caller } = await newNode();
    const { counters } = km.custody;
    const go = (previous: ReturnType<typeof at> | null, next: ReturnType<typeof at>) =>
      counters.advance(caller, { name: "votes", previous, next }).catch(() => {});
    const records = await recordsOf(async () => {
      await go(null, at(5));
      await go(null, at(5));
      await go(at(5), at(8));
      await go(at(5), at(9));
      await counters.read(caller, "votes");
      await counters.read(caller, "other");
      await counters.list(km.admin, name);
      await counters.list(km.admin);
      await counters.reset(km.admin, name, "votes");
      await counters.reset(km.admin, name, "votes").catch(() => {});
    });
    assert.deepEqual(
      records.map(({ action, result, error, detail }) => [
        action.slice("strongroom:".length),
        result,
        error,
        { ...detail },
      ]),
      [
        ["AdvanceCounter", "done", null, { counter: "votes", from: 0, to: 5, stamp: stamp(5) }],
        ["AdvanceCounter", "done", null, { counter: "votes", from: 0, to: 5, stamp: stamp(5) }],
        ["AdvanceCounter", "done", null, { counter: "votes", from: 5, to: 8, stamp: stamp(8) }],
        [
          "AdvanceCounter",
          "refused",
          "COUNTER_CONFLICT",
          { counter: "votes", from: 5, to: 9, stamp: stamp(9), stands: 8 },
        ],
        ["ReadCounter", "done", null, { counter: "votes", stands: 8 }],
        ["ReadCounter", "done", null, { counter: "other", stands: 0 }],
        ["ListCounters", "done", null, { node: name }],
        ["ListCounters", "done", null, {}],
        ["ResetCounter", "done", null, { node: name, counter: "votes", from: 8, stamp: stamp(8) }],
        ["ResetCounter", "refused", "COUNTER_NOT_FOUND", { node: name, counter: "votes" }],
      ],
    );
    for (const { action, principal } of records)
      assert.equal(principal, /Advance|Read/.test(action) ? caller.principal : km.admin.principal);
  });

  it("are found by their node's name, and not by the name of a counter", async () => {
    const [one, other] = [await newNode(), await newNode()];
    await km.custody.counters.advance(one.caller, { name: other.name, previous: null, next: at(1) });
    const about = async (node: string) =>
      (await km.custody.audit.search(km.admin, { node, limit: 100 })).records.filter(
        ({ action }) => action === "strongroom:AdvanceCounter",
      ).length;
    assert.deepEqual([await about(one.name), await about(other.name)], [1, 0]);
  });

  it("tell what denied a caller that has none", async () => {
    const { name, caller } = await newNode();
    await km.custody.nodes.revoke(km.admin, name);
    const records = await recordsOf(async () => {
      for (const each of [caller, km.admin])
        await assert.rejects(km.custody.counters.read(each, "votes"), { code: "ACCESS_DENIED" });
      await assert.rejects(km.custody.counters.reset(caller, name, "votes"), { code: "ACCESS_DENIED" });
    });
    assert.deepEqual(
      records.map(({ detail }) => detail.deniedBy),
      ["principal-disabled", "nothing-allows", "principal-disabled"],
    );
  });

  it("stand after a restart as they stood, in a chain that verifies", async () => {
    const { name, caller } = await newNode();
    await km.custody.counters.advance(caller, { name: "votes", previous: null, next: at(5) });
    await km.custody.counters.advance(caller, { name: "votes", previous: at(5), next: at(6) });
    await km.custody.counters.advance(caller, { name: "gone", previous: null, next: at(1) });
    await km.custody.counters.reset(km.admin, name, "gone");
    await km.restart();
    assert.equal((await km.custody.counters.read(caller, "votes"))?.value, 6);
    assert.equal(await km.custody.counters.read(caller, "gone"), null);
    await assert.rejects(km.custody.counters.advance(caller, { name: "votes", previous: at(5), next: at(7) }), {
      code: "COUNTER_CONFLICT",
    });
    assert.equal((await km.custody.audit.verify(km.admin)).ok, true);
  });
});
