import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create } from "@bufbuild/protobuf";
import { PolicySchema, SuccessorSchema } from "../../../../src/enclave/messages/generated/fpc/policy_pb.ts";
import { confirmationsOf, stepsAwaited } from "../../../../src/enclave/operator/awaited.ts";
import type { AwaitedFacts } from "../../../../src/enclave/operator/awaited-step.ts";
import type { ChaincodeStatus, EnclaveRow } from "../../../../src/enclave/operator/status.ts";

const version = "AA".repeat(32);
const idOf = (name: string) => Buffer.from(name.padEnd(32)).toString("hex").toUpperCase();
const short = (name: string) => idOf(name).slice(0, 16);

function enclave(name: string, mspId: string, change: Partial<EnclaveRow> = {}): EnclaveRow {
  const row = { id: idOf(name), mspId, endpoint: "peer:7051", measurement: version, sequence: 1 };
  return { ...row, state: "provisioned", generation: 1, revokedBecause: undefined, ...change };
}

const four = [enclave("a1", "A"), enclave("a2", "A"), enclave("b", "B"), enclave("c", "C")];

function status(change: Partial<ChaincodeStatus> = {}): ChaincodeStatus {
  return {
    channelId: "channel1",
    chaincodeId: "auction",
    activeGeneration: 1,
    proposedGeneration: undefined,
    confirmedBy: [],
    mustRotate: false,
    recoveryThreshold: 2,
    recoveryIssues: [],
    policyNumber: 1,
    definition: { sequence: 1, version, endorsement: "OutOf(2, 'A.peer', 'B.peer')" },
    enclaves: four,
    ...change,
  };
}

const policy = create(PolicySchema, {
  organisations: ["A", "B", "C"].map((mspId) => ({ mspId })),
  recoveryThreshold: 2,
});

/** As `A or B: keys import`. */
const steps = (change: Partial<ChaincodeStatus>, facts: Partial<AwaitedFacts> = {}) =>
  stepsAwaited(status(change), { policy, proposer: undefined, abandonVotes: [], exported: new Map(), ...facts }).map(
    ({ of, command }) => `${of.join(" or ")}: ${command}`,
  );
const proposed = (confirmed: readonly string[], exported: readonly string[], change: Partial<ChaincodeStatus> = {}) =>
  steps(
    { proposedGeneration: 2, confirmedBy: confirmed.map(idOf), ...change },
    { proposer: "A", exported: new Map(exported.map((name) => [idOf(name), 2])) },
  );

describe("what a chaincode waits for", () => {
  it("is nothing where all enclaves hold the keys in force and shares are issued", () => {
    assert.deepEqual(steps({}), []);
    assert.deepEqual(steps({ enclaves: [...four, enclave("d", "C", { state: "revoked" })] }), []);
    const without = create(PolicySchema, { organisations: policy.organisations, recoveryThreshold: 0 });
    assert.deepEqual(steps({ recoveryThreshold: undefined }, { policy: without }), []);
  });

  it("is an enclave, and then its keys", () => {
    assert.deepEqual(steps({ activeGeneration: undefined, enclaves: [] }), ["A or B or C: enclave create"]);
    const created = enclave("b", "B", { state: "registered", generation: undefined });
    assert.deepEqual(steps({ activeGeneration: undefined, enclaves: [created] }), ["B: keys generate"]);
  });

  it("is an export by who holds the keys, and its import by who has been given them", () => {
    const added = enclave("d", "C", { state: "registered", generation: undefined });
    const enclaves = [enclave("a1", "A"), added];
    assert.deepEqual(steps({ enclaves }), [`A: keys export --to ${short("d")}`]);
    assert.deepEqual(steps({ enclaves }, { exported: new Map([[added.id, 1]]) }), ["C: keys import"]);
  });

  it("is the import of a generation that came into force without an enclave", () => {
    const enclaves = [enclave("a1", "A", { generation: 2 }), enclave("b", "B")];
    assert.deepEqual(steps({ activeGeneration: 2, enclaves }, { exported: new Map([[idOf("b"), 2]]) }), [
      "B: keys import",
    ]);
    assert.deepEqual(
      steps({ activeGeneration: 2, enclaves }, { exported: new Map([[idOf("b"), 1]]) }),
      [`A: keys export --to ${short("b")}`],
      "an export of the former one does not do",
    );
  });

  it("is a rotation by who holds the keys after a revocation, before anything else", () => {
    const enclaves = [
      enclave("a1", "A"),
      enclave("b", "B", { state: "revoked" }),
      enclave("c", "C", { state: "registered", generation: undefined }),
    ];
    assert.deepEqual(steps({ mustRotate: true, recoveryThreshold: undefined, enclaves }), [
      "A: keys rotate --phase propose",
    ]);
  });

  describe("where no enclave holds the generation in force any more", () => {
    const put = (name: string, mspId: string) => enclave(name, mspId, { state: "revoked" });
    const added = (name: string, mspId: string) => enclave(name, mspId, { state: "registered", generation: undefined });
    const issued = [{ issuedBy: "A", policy: 1, isForPolicy: true }];
    const lost = { mustRotate: true, enclaves: [put("a1", "A"), put("b", "B")] };

    it("is an enclave first, which is to put the keys together", () => {
      assert.deepEqual(steps({ ...lost, recoveryIssues: issued }), ["A or B or C: enclave create"]);
      assert.deepEqual(steps({ ...lost, enclaves: [], recoveryIssues: issued }), ["A or B or C: enclave create"]);
    });

    it("is then the members' shares for it, and that it puts the keys together", () => {
      const enclaves = [...lost.enclaves, added("c", "C")];
      const recovery = ["A or B or C: keys release ID", "C: keys recover"];
      for (const recoveryThreshold of [2, undefined])
        for (const mustRotate of [true, false])
          assert.deepEqual(
            steps({ enclaves, mustRotate, recoveryThreshold, recoveryIssues: issued }),
            recovery.map((step) => step.replace("ID", short("c"))),
          );
      const several = [...enclaves, added("b2", "B"), added("b3", "B")];
      assert.deepEqual(steps({ ...lost, enclaves: several, recoveryIssues: issued }), [
        "A or B or C: keys release ID",
        "B or C: keys recover",
      ]);
    });

    it("says how many of the members, and by which enclave", () => {
      const stand = (change: Partial<ChaincodeStatus>) =>
        stepsAwaited(status({ ...lost, recoveryIssues: issued, ...change }), {
          policy,
          proposer: undefined,
          abandonVotes: [],
          exported: new Map(),
        });
      const [release, recover] = stand({ enclaves: [...lost.enclaves, added("c", "C")] });
      assert.match(release?.why ?? "", /no enclave holds generation 1/);
      assert.match(release?.why ?? "", /at least 2 of the organisations/);
      assert.deepEqual([release?.enclave, recover?.enclave], [undefined, idOf("c")]);
      const wantsNone = create(PolicySchema, { organisations: policy.organisations });
      const [former] = stepsAwaited(status({ ...lost, enclaves: [added("c", "C")], recoveryIssues: issued }), {
        policy: wantsNone,
        proposer: undefined,
        abandonVotes: [],
        exported: new Map(),
      });
      assert.match(former?.why ?? "", /as many as the shares ask for/);
      const [, anyOf] = stand({ enclaves: [...lost.enclaves, added("c", "C"), added("b2", "B")] });
      assert.equal(anyOf?.enclave, undefined);
    });

    it("is one line that the keys are lost, and no step, where no recovery shares were issued", () => {
      for (const enclaves of [lost.enclaves, [...lost.enclaves, added("c", "C")]])
        for (const recoveryThreshold of [0, 2]) {
          const without = create(PolicySchema, { organisations: policy.organisations, recoveryThreshold });
          const facts = { policy: without, proposer: undefined, abandonVotes: [], exported: new Map() };
          assert.deepEqual(stepsAwaited(status({ ...lost, enclaves, recoveryThreshold: undefined }), facts), [
            {
              of: [],
              command: undefined,
              enclave: undefined,
              why: "no enclave holds generation 1, and no recovery shares of it were issued",
            },
          ]);
        }
    });

    it("is the import of an export that still lies there, before shares are released", () => {
      const enclaves = [...lost.enclaves, added("b2", "B"), added("c", "C")];
      const there = { exported: new Map([[idOf("c"), 1]]) };
      assert.deepEqual(steps({ ...lost, enclaves }, there), ["C: keys import"]);
      assert.deepEqual(steps({ ...lost, enclaves, recoveryIssues: issued }, there), ["C: keys import"]);
    });

    it("is not the work of one that has an older generation alone, but for what any other could do", () => {
      const enclaves = [put("a1", "A"), enclave("b", "B")];
      assert.deepEqual(steps({ activeGeneration: 2, enclaves, recoveryIssues: issued }), [
        `A or B or C: keys release ${short("b")}`,
        "B: keys recover",
      ]);
    });

    it("is that those attest again, or are seen to, which hold it and were left behind", () => {
      const former = enclave("b", "B", { state: "former" });
      const enclaves = [put("a1", "A"), former, added("c", "C")];
      const [step] = steps({ enclaves, recoveryIssues: issued });
      assert.equal(step, "B: chaincode upgrade auction");
      const successor = create(SuccessorSchema, { version, sequence: 2n });
      const named = create(PolicySchema, { organisations: policy.organisations, successor, recoveryThreshold: 2 });
      const definition = { sequence: 2, version, endorsement: "OR('A.peer')" };
      assert.deepEqual(steps({ enclaves: [former], definition, recoveryIssues: issued }, { policy: named }), [
        "B: enclave attest --sequence 2",
      ]);
    });

    it("is what enclaves of other code can do that hold it, under a policy that names the successor", () => {
      const other = "BB".repeat(32);
      const old = enclave("b", "B", { state: "former", measurement: other });
      const heir = enclave("c", "C", { state: "registered", generation: undefined, sequence: 2 });
      const definition = { sequence: 2, version, endorsement: "OR('A.peer')" };
      const under = (allowedVersions: string[], successor?: { version: string; sequence: bigint }) => {
        const named = successor && { successor: create(SuccessorSchema, successor) };
        return { policy: create(PolicySchema, { organisations: policy.organisations, allowedVersions, ...named }) };
      };
      const both = [other, version];
      const follows = { version, sequence: 2n };
      const enclaves = [old, heir];
      assert.deepEqual(steps({ enclaves, definition }, under(both, follows)), [`B: keys export --to ${short("c")}`]);
      assert.deepEqual(steps({ enclaves: [old], definition }, under(both, follows)), ["A or B or C: enclave create"]);
      for (const facts of [under(both), under([version], follows), under(both, { version: other, sequence: 2n })])
        assert.deepEqual(steps({ enclaves, definition }, facts), ["A or B or C: policy set"]);
      assert.deepEqual(
        steps({ enclaves, definition, mustRotate: true, recoveryIssues: issued }, under(both, follows)),
        [`A or B or C: keys release ${short("c")}`, "C: keys recover"],
        "after a revocation nothing is exported",
      );
    });

    it("is neither an export nor shares by nobody", () => {
      const enclaves = [put("a1", "A"), added("c", "C")];
      for (const recoveryIssues of [[], issued])
        for (const { of, command } of stepsAwaited(status({ enclaves, recoveryIssues, recoveryThreshold: undefined }), {
          policy,
          proposer: undefined,
          abandonVotes: [],
          exported: new Map(),
        })) {
          assert.ok(of.length > 0 || command === undefined, `${command}`);
          assert.doesNotMatch(command ?? "", /export|share$|rotate/);
        }
    });
  });

  it("is each enclave's confirmation of a proposed generation that lies there for it", () => {
    assert.deepEqual(proposed(["a1"], ["a2", "b", "c"]), ["A: keys import", "B: keys import", "C: keys import"]);
    assert.deepEqual(proposed(["a1", "b"], ["a2", "c"]), ["A: keys import", "C: keys import"]);
  });

  it("is the proposer again where its exports are not all there", () => {
    assert.deepEqual(proposed([], []), ["A: keys rotate --phase propose"]);
    assert.deepEqual(proposed(["a1"], ["b"]), ["A: keys rotate --phase propose", "B: keys import"]);
  });

  it("is the activation by any organisation once more than half of enclaves and of organisations have confirmed", () => {
    assert.deepEqual(proposed(["a1", "a2"], ["b", "c"]), ["B: keys import", "C: keys import"], "half of the enclaves");
    assert.deepEqual(
      proposed(["a1", "a2", "a3"], ["b", "c"], { enclaves: [...four, enclave("a3", "A")] }),
      ["B: keys import", "C: keys import"],
      "of one organisation in three",
    );
    assert.deepEqual(proposed(["a1", "a2", "b"], ["c"]), [
      "A or B or C: keys rotate --phase activate",
      "C: keys import",
    ]);
  });

  it("is the end of a proposal that some want to end, by the others, beside what it waits for else", () => {
    const exported = new Map([[idOf("b"), 2]]);
    const enclaves = [enclave("a1", "A"), enclave("b", "B")];
    const open = { enclaves, proposedGeneration: 2, confirmedBy: [idOf("a1")] };
    assert.deepEqual(steps(open, { proposer: "A", exported, abandonVotes: ["C"] }), [
      "B: keys import",
      "A or B: keys rotate --phase abandon",
    ]);
  });

  it("counts no confirmation of an enclave that was revoked, left behind or never held the keys", () => {
    for (const state of ["revoked", "former", "registered"] as const) {
      const enclaves = [...four.slice(0, 3), enclave("c", "C", { state })];
      const { voters, confirmed, isEnough } = confirmationsOf(
        status({ enclaves, proposedGeneration: 2, confirmedBy: ["a1", "c"].map(idOf) }),
      );
      assert.deepEqual([voters.length, confirmed.length, isEnough], [3, 1, false], state);
    }
  });

  it("is recovery shares anew after a rotation, by who holds the generation", () => {
    const enclaves = [enclave("a1", "A", { generation: 2 }), enclave("c", "C", { generation: 2 })];
    assert.deepEqual(steps({ activeGeneration: 2, recoveryThreshold: undefined, enclaves }), ["A or C: keys share"]);
  });

  it("is recovery shares anew where all that there are is for former organisations", () => {
    const recoveryIssues = [{ issuedBy: "A", policy: 1, isForPolicy: false }];
    const [step] = stepsAwaited(status({ recoveryThreshold: undefined, recoveryIssues, policyNumber: 2 }), {
      policy,
      proposer: undefined,
      abandonVotes: [],
      exported: new Map(),
    });
    assert.equal(step?.command, "keys share");
    assert.match(step?.why ?? "", /no recovery shares for the organisations of policy 2/);
  });

  it("is that enclaves attest for the sequence that the policy names, but for those that were put out or are of other code", () => {
    const follows = (measurement: string) =>
      create(PolicySchema, {
        organisations: policy.organisations,
        successor: create(SuccessorSchema, { version: measurement, sequence: 2n }),
      });
    const enclaves = [
      enclave("a1", "A", { sequence: 2 }),
      enclave("b", "B"),
      enclave("c", "C", { state: "revoked" }),
      enclave("c2", "C", { measurement: "BB".repeat(32), state: "former" }),
    ];
    assert.deepEqual(steps({ enclaves }, { policy: follows(version) }), ["B: enclave attest --sequence 2"]);
    assert.deepEqual(steps({ enclaves }, { policy: follows("BB".repeat(32)) }), []);
  });
});
