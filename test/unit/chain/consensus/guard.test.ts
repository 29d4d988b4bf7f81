import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodePrepared } from "../../../../src/chain/consensus/certificate.ts";
import {
  decodeGuardRecord,
  encodeGuardRecord,
  type GuardRecord,
} from "../../../../src/chain/consensus/guard-record.ts";
import { Replica } from "../../../../src/chain/consensus/replica.ts";
import { Ledger } from "../../../../src/chain/ledger/ledger.ts";
import { signedChain } from "../../../simulation/sealers.ts";
import { numberedSet } from "../../../simulation/transactions.ts";
import { block, changing, prepared, proposal, ReplicaUnderTest, vote } from "./replica-under-test.ts";

const first = block(1, 1);
const second = block(1, 2);

/** The replica has got a proposal and a quorum of prepares; what it has recorded up to then. */
function committing(): { replica: ReplicaUnderTest; records: GuardRecord[] } {
  const replica = new ReplicaUnderTest(2);
  replica.receive(1, proposal(first));
  for (const sealer of [0, 1]) replica.receive(sealer, vote(sealer, "prepare", first.hash));
  return { replica, records: replica.of("guard").map(({ record }) => decodeGuardRecord(encodeGuardRecord(record))) };
}

describe("the double-sign guard", () => {
  it("is stored before the device is asked, and the vote goes out only signed", () => {
    const replica = new ReplicaUnderTest(2, { answers: false });
    replica.receive(1, proposal(first));
    const [guard] = replica.of("guard");
    assert.ok(guard !== undefined);
    assert.deepEqual([replica.of("sign").length, replica.sent("vote").length], [0, 0]);
    replica.give({ kind: "guard-stored", id: guard.id });
    const [sign] = replica.of("sign");
    assert.ok(sign !== undefined);
    assert.equal(replica.sent("vote").length, 0);
    replica.give({ kind: "signed", id: sign.id, signature: replica.signatureOf(sign) });
    assert.equal(replica.sent("vote").length, 1);
  });

  it("that can't be stored stops all signing, but not the following of the chain", () => {
    const replica = new ReplicaUnderTest(2, { answers: false });
    replica.receive(1, proposal(first));
    replica.give({ kind: "guard-failed", id: replica.of("guard")[0]?.id ?? 0 });
    assert.equal(replica.of("halted").length, 1);
    replica.fire("view");
    assert.deepEqual([replica.of("guard").length, replica.of("sign").length], [1, 0]);
    for (const phase of ["prepare", "commit"] as const)
      for (const sealer of [0, 1, 3]) replica.receive(sealer, vote(sealer, phase, first.hash, 0));
    assert.equal(replica.replica.height, 0, "the view is left: its votes do not count");
    assert.equal(replica.of("sign").length, 0);
  });

  it("lets no answer for a vote through that is unknown, early or repeated", () => {
    const replica = new ReplicaUnderTest(2, { answers: false });
    replica.receive(1, proposal(first));
    const id = replica.of("guard")[0]?.id ?? 0;
    const signature = Buffer.alloc(64);
    replica.give({ kind: "signed", id, signature });
    replica.give({ kind: "guard-stored", id: id + 9 });
    assert.equal(replica.of("sign").length, 0);
    replica.give({ kind: "guard-stored", id });
    replica.give({ kind: "guard-stored", id });
    assert.equal(replica.of("sign").length, 1);
    assert.equal(replica.sent("vote").length, 0);
  });

  it("keeps a restarted replica from a second vote in a slot, whatever is proposed now", () => {
    const { records } = committing();
    for (const proposed of [first, second]) {
      const restarted = new ReplicaUnderTest(2, { guard: records });
      restarted.receive(1, proposal(proposed));
      for (const sealer of [0, 1, 3]) restarted.receive(sealer, vote(sealer, "prepare", proposed.hash));
      assert.deepEqual(restarted.asked(), []);
    }
  });

  it("that has forgotten a height keeps a replica from every vote there, and from no block", () => {
    const proposer = new ReplicaUnderTest(1, { closedHeight: 1 });
    proposer.submit(1);
    proposer.fire("propose");
    proposer.fire("view");
    assert.deepEqual([proposer.asked(), proposer.of("guard")], [[], []]);
    const follower = new ReplicaUnderTest(2, { closedHeight: 1 });
    follower.receive(1, proposal(first));
    for (const phase of ["prepare", "commit"] as const)
      for (const sealer of [0, 1, 3]) follower.receive(sealer, vote(sealer, phase, first.hash));
    assert.equal(follower.replica.height, 1);
    assert.deepEqual([follower.asked(), follower.of("guard")], [[], []]);
  });

  it("keeps a restarted proposer from a second proposal", () => {
    const proposer = new ReplicaUnderTest(1);
    proposer.submit(1);
    proposer.fire("propose");
    const guard = proposer.of("guard").map(({ record }) => record);
    const restarted = new ReplicaUnderTest(1, { guard });
    restarted.submit(2);
    restarted.fire("propose");
    assert.deepEqual(restarted.asked(), []);
  });

  it("makes a restarted replica tell in its view change what it had prepared", () => {
    const { records } = committing();
    const restarted = new ReplicaUnderTest(2, { guard: records });
    restarted.fire("view");
    const [sent] = restarted.sent("view-change");
    assert.deepEqual(sent?.change.prepared?.digest, first.hash);
    assert.deepEqual(sent?.block?.hash, first.hash);
  });

  it("takes a restarted replica back to its last view, where it waits without saying its word twice", () => {
    const replica = new ReplicaUnderTest(3);
    replica.submit(1);
    replica.fire("view");
    assert.deepEqual(replica.asked(), ["view-change 1"]);
    const restarted = new ReplicaUnderTest(3, { guard: replica.of("guard").map(({ record }) => record) });
    assert.equal(restarted.replica.view, 1);
    restarted.receive(1, proposal(first));
    assert.deepEqual(restarted.asked(), [], "no vote in the view that was given up");
    restarted.fire("view");
    assert.deepEqual(restarted.asked(), ["view-change 2"], "its word for view 1 may be lost, so it goes on");
  });

  it("never has a vote signed again whose signing may have happened", () => {
    const replica = new ReplicaUnderTest(2, { answers: false });
    replica.receive(1, proposal(first));
    const id = replica.of("guard")[0]?.id ?? 0;
    replica.give({ kind: "guard-stored", id });
    replica.give({ kind: "sign-failed", id, mayHaveSigned: true });
    for (let i = 0; i < 5; i++) replica.fire("resend");
    replica.receive(1, proposal(first));
    assert.equal(replica.of("sign").length, 1);
  });

  it("has a vote signed again that surely never reached the device, with the same bytes", () => {
    const replica = new ReplicaUnderTest(2, { answers: false });
    replica.receive(1, proposal(first));
    const id = replica.of("guard")[0]?.id ?? 0;
    replica.give({ kind: "guard-stored", id });
    replica.give({ kind: "sign-failed", id, mayHaveSigned: false });
    replica.fire("resend");
    const [one, again] = replica.of("sign");
    assert.deepEqual(again, one);
    assert.equal(replica.of("guard").length, 1);
  });

  it("drops a signature that comes when its view is over", () => {
    const replica = new ReplicaUnderTest(2, { answers: false });
    replica.receive(1, proposal(first));
    const id = replica.of("guard")[0]?.id ?? 0;
    replica.give({ kind: "guard-stored", id });
    const [sign] = replica.of("sign");
    assert.ok(sign !== undefined);
    for (const sealer of [0, 3]) replica.receive(sealer, changing(sealer, 1));
    assert.equal(replica.replica.view, 1);
    replica.give({ kind: "signed", id, signature: replica.signatureOf(sign) });
    assert.equal(replica.sent("vote").length, 0);
  });

  it("has no vote signed whose storing took so long that its height is over", () => {
    const replica = new ReplicaUnderTest(2, { answers: false });
    replica.receive(1, proposal(first));
    const [late] = replica.of("guard");
    assert.ok(late !== undefined);
    for (const phase of ["prepare", "commit"] as const)
      for (const sealer of [0, 1, 3]) replica.receive(sealer, vote(sealer, phase, first.hash));
    assert.equal(replica.replica.height, 1);
    for (const { id } of replica.of("guard")) replica.give({ kind: "guard-stored", id });
    assert.equal(replica.of("sign").length, 0);
  });

  it("stops signing when the device's answer is not this node's signature", () => {
    const real = signedChain("sm", 4);
    const replica = new Replica({ chain: real.chain, self: 2, ledger: new Ledger(real.chain), guard: [] });
    const nowMs = real.chain.genesisHeader.timestampMs;
    replica.handle({ kind: "start", nowMs });
    const begun = replica.handle({ kind: "submit", id: 1, bytes: numberedSet(real, 1), nowMs });
    const timer = begun.find((effect) => effect.kind === "set-timer" && effect.name === "view");
    assert.ok(timer?.kind === "set-timer");
    const [guard] = replica
      .handle({ kind: "timer", name: "view", token: timer.token, nowMs })
      .filter((e) => e.kind === "guard");
    assert.ok(guard?.kind === "guard");
    const [sign] = replica.handle({ kind: "guard-stored", id: guard.id, nowMs });
    assert.ok(sign?.kind === "sign");
    const signature = real.keys[3]?.sign(sign.digest) ?? Buffer.alloc(0);
    const effects = replica.handle({ kind: "signed", id: sign.id, signature, nowMs });
    assert.deepEqual(
      effects.map(({ kind }) => kind),
      ["halted"],
    );
  });
});

describe("a guard record", () => {
  const record: GuardRecord = {
    height: 1,
    view: 2,
    phase: "commit",
    digest: first.hash,
    prepared: encodePrepared(prepared(first, 2)),
  };
  const { prepared: _, ...bare } = record;

  it("reads back as it was", () => {
    assert.deepEqual(decodeGuardRecord(encodeGuardRecord(record)), record);
    assert.deepEqual(decodeGuardRecord(encodeGuardRecord({ ...bare, phase: "view-change" })), {
      ...bare,
      phase: "view-change",
    });
  });

  it("that is cut, longer, of an unknown version or phase, or without what its phase needs, can't be read", () => {
    const encoded = encodeGuardRecord({ ...bare, phase: "prepare" });
    const changed = (at: number, byte: number): Buffer =>
      Buffer.from(encoded.map((old, index) => (index === at ? byte : old)));
    const bad = [changed(0, 2), changed(13, 0), changed(13, 5), Buffer.concat([encoded, Buffer.of(0)])];
    for (let length = 0; length < encoded.length; length++) bad.push(encoded.subarray(0, length));
    bad.push(encodeGuardRecord({ ...record, phase: "prepare" }), encodeGuardRecord(bare));
    for (const bytes of bad) assert.throws(() => decodeGuardRecord(bytes), { code: "GUARD_DAMAGED" });
  });

  it("with a prepared block that can't be read lets no replica start", () => {
    const broken = { ...record, prepared: Buffer.alloc(40) };
    assert.throws(() => new ReplicaUnderTest(2, { guard: [broken] }), { code: "ENCODING_INVALID" });
  });
});
