import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CounterStanding } from "../../../src/custody/contract/counters.ts";
import { assertOneClearLine } from "../faults/one-clear-line.ts";
import { KeyManagerFolder, runStrongroom, startServer } from "../running-server.ts";

const at = (value: number, stampOf = value) => ({ value, stamp: stampOf.toString(16).padStart(64, "0") });

describe("counters of a key manager that runs", () => {
  it("stand where the last answer says, after SIGKILL, and take no node back behind it", async () => {
    using manager = await KeyManagerFolder.make();
    await using first = await startServer(manager);
    const enrolment = await first.enrol("node-1");
    let answered = 0;
    {
      using client = first.clientOf(enrolment);
      const advancing = (async () => {
        for (let value = 1; ; value++) {
          const previous = value === 1 ? null : at(value - 1);
          await client.advanceCounter({ name: "votes", previous, next: at(value) });
          answered = value;
          if (value === 50) void first.kill();
        }
      })();
      await assert.rejects(advancing, { code: "UNREACHABLE" });
    }
    await using second = await startServer(manager);
    const client = second.clientOf(enrolment);
    const stands = await client.readCounter("votes");
    assert.ok(stands !== null && answered >= 50);
    // The request that got no answer was carried out or not; nothing else.
    assert.ok(stands.value === answered || stands.value === answered + 1, `${stands.value} after ${answered}`);
    assert.equal(stands.stamp, at(stands.value).stamp);
    await client.advanceCounter({ name: "votes", previous: at(answered), next: at(answered + 1) });
    for (const previous of [null, at(1), at(answered)])
      await assert.rejects(client.advanceCounter({ name: "votes", previous, next: at(answered + 2) }), {
        code: "CONFLICT",
        serverCode: "COUNTER_CONFLICT",
      });
    client.close();
    const { ok } = await second.admin.audit.verify();
    assert.equal(ok, true);
  });

  it("let one of two programs with the same identity advance, and not both", async () => {
    using manager = await KeyManagerFolder.make();
    await using server = await startServer(manager);
    const enrolment = await server.enrol("node-1");
    const copies = [server.clientOf(enrolment), server.clientOf(enrolment)];
    let previous: CounterStanding | null = null;
    for (let round = 1; round <= 10; round++) {
      const from: CounterStanding | null = previous;
      const outcomes = await Promise.allSettled(
        copies.map((copy, index) => copy.advanceCounter({ name: "votes", previous: from, next: at(round, index + 1) })),
      );
      const won: readonly CounterStanding[] = outcomes.flatMap((each) =>
        each.status === "fulfilled" ? [each.value] : [],
      );
      assert.equal(won.length, 1, `round ${round}`);
      previous = won[0] ?? null;
    }
    for (const copy of copies) copy.close();
  });
});

describe("strongroom node counter", () => {
  it("lists counters, and resets one only when told --yes", async () => {
    using manager = await KeyManagerFolder.make();
    await using server = await startServer(manager);
    const place = ["--data", manager.dataDir];
    const run = (...args: string[]) => runStrongroom(["node", "counter", ...args, ...place]);
    const empty = await run("list");
    assert.equal(empty.code, 0, empty.stderr);
    assert.match(empty.stdout, /^NODE +COUNTER +VALUE +ADVANCED +STAMP\n$/);
    {
      using client = server.clientOf(await server.enrol("node-1"));
      await client.advanceCounter({ name: "chain-1/votes", previous: null, next: at(17) });
    }
    const listed = await run("list", "node-1", "--json");
    const [counter] = JSON.parse(listed.stdout);
    assert.deepEqual(
      [counter.node, counter.name, counter.value, counter.stamp],
      ["node-1", "chain-1/votes", 17, at(17).stamp],
    );

    const unconfirmed = await run("reset", "node-1", "chain-1/votes");
    assert.equal(unconfirmed.code, 2);
    assert.match(unconfirmed.stderr, /node-1 is at 17 of chain-1\/votes: .*could vote again/);
    assert.match(unconfirmed.stderr, /safe only while no other copy of node-1 runs, .* then say --yes/);
    assert.equal((await server.admin.counters.list("node-1")).length, 1);

    const wrong: readonly (readonly [readonly string[], number, RegExp])[] = [
      [["reset", "node-1", "other"], 1, /node-1 has no counter "other"/],
      [["reset", "node-1", "other", "--yes"], 1, /node-1 has no counter "other"/],
      [["reset", "nobody", "chain-1/votes", "--yes"], 1, /no principal "nobody"/],
      [["reset", "node-1", "Chain", "--yes"], 2, /name: 1 to 128 small letters/],
      [["list", "nobody"], 1, /no principal "nobody"/],
    ];
    for (const [args, code, message] of wrong) {
      const refused = await run(...args);
      assertOneClearLine(refused, code, message);
    }

    const reset = await run("reset", "node-1", "chain-1/votes", "--yes");
    assert.equal(reset.code, 0, reset.stderr);
    assert.match(reset.stderr, /chain-1\/votes of node-1 is gone/);
    assert.deepEqual(await server.admin.counters.list(), []);
  });
});
