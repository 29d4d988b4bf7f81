import assert from "node:assert/strict";
import { test } from "node:test";
import { DeviceError } from "../../../../src/devices/errors.ts";
import { FailoverSet } from "../../../../src/devices/native/failover.ts";
import type { NativeCalls } from "../../../../src/devices/native/native-calls.ts";
import { type FakeDevice, fault, openFake, settle } from "./fake-ground.ts";

const key = Buffer.alloc(32, 1);
const otherKey = Buffer.alloc(32, 2);

interface Member {
  readonly fake: FakeDevice;
  readonly calls: NativeCalls;
  key: Buffer;
  asked: number;
  keyFault: DeviceError | undefined;
}

async function member(holds = key): Promise<Member> {
  const fake = await openFake({
    minSessions: 1,
    maxSessions: 1,
    reopenFirstMs: 10,
    breakerFailures: 1,
    breakerCoolDownMs: 60_000,
  });
  return { fake, calls: fake.device, key: holds, asked: 0, keyFault: undefined };
}

function setOf(members: readonly Member[], expected?: Buffer): Promise<FailoverSet> {
  return FailoverSet.open(
    members.map(({ calls }, index) => ({ name: `card ${index + 1}`, calls })),
    (calls) => {
      const asked = members.find((one) => one.calls === calls);
      assert(asked !== undefined);
      asked.asked += 1;
      return asked.keyFault === undefined ? Promise.resolve(asked.key) : Promise.reject(asked.keyFault);
    },
    expected,
  );
}

function outcome(call: Promise<readonly Buffer[]>): Promise<string> {
  return call.then(
    () => "answered",
    (error: DeviceError) => error.failure?.code ?? error.code,
  );
}

const unreachable = new DeviceError("DEVICE_UNREACHABLE", "no answer");

test("members with different keys make no set", async () => {
  await assert.rejects(setOf([await member(), await member(otherKey)]), (error: unknown) => {
    assert(error instanceof DeviceError);
    assert.equal(error.code, "DEVICE_KEY_CHANGED");
    assert.match(error.message, /card 2 holds another key than card 1/);
    return true;
  });
});

test("members that agree on a key other than the stored one make no set", async () => {
  await assert.rejects(setOf([await member(otherKey), await member(otherKey)], key), { code: "DEVICE_KEY_CHANGED" });
});

test("a set without members, or with none that tells its key, does not open", async () => {
  await assert.rejects(setOf([]), RangeError);
  const silent = await member();
  silent.keyFault = unreachable;
  await assert.rejects(setOf([silent]), { code: "DEVICE_UNREACHABLE" });
  await assert.rejects(setOf([silent], key), { code: "DEVICE_UNREACHABLE" });
});

test("calls go to the first member for as long as it is well", async () => {
  const members = [await member(), await member()];
  const set = await setOf(members);
  const call = outcome(set.call("sign", []));
  await settle();
  members[0]?.fake.link().answer("sign");
  assert.equal(await call, "answered");
  assert.deepEqual(members[1]?.fake.link().operations, []);
  assert.equal(set.health().state, "ready");
});

test("a signature that may have been made is not asked of another member", async () => {
  const members = [await member(), await member()];
  const set = await setOf(members);
  const call = outcome(set.call("sign", []));
  await settle();
  members[0]?.fake.link().fail("sign", fault("comm"));
  assert.equal(await call, "0x01000003");
  assert.deepEqual(members[1]?.fake.link().operations, []);
});

test("a call that was never sent goes to the next member", async () => {
  const members = [await member(), await member()];
  const set = await setOf(members);
  const lost = outcome(set.call("sign", []));
  await settle();
  members[0]?.fake.link().fail("sign", { kind: "device", code: "0x4", message: "", evict: false, retryable: true });
  await lost;
  // The first member's breaker is open now.
  const call = outcome(set.call("sign", []));
  await settle();
  members[1]?.fake.link().answer("sign");
  assert.equal(await call, "answered");
  assert.equal(set.health().state, "degraded");
});

test("a locked member is passed over; when all are locked, so is the set", async () => {
  const members = [await member(), await member()];
  const set = await setOf(members);
  for (const { fake } of members) {
    void fake.device.lock();
    fake.link().events.ended(0, null);
    const last = fake === members[1]?.fake;
    const call = outcome(set.call("sign", []));
    await settle();
    if (!last) members[1]?.fake.link().answer("sign");
    assert.equal(await call, last ? "DEVICE_LOCKED" : "answered");
  }
  assert.equal(set.health().state, "locked");
});

test("a repeatable call goes on to the next member after a fault that may pass, and not after another", async () => {
  const members = [await member(), await member()];
  const set = await setOf(members);
  const call = outcome(set.call("public key", [], { repeatable: true }));
  await settle();
  members[0]?.fake.link().fail("public key", { kind: "comm", code: "0x3", message: "", evict: false, retryable: true });
  await settle();
  members[1]?.fake.link().fail("public key", fault("not-found", "0x8"));
  assert.equal(await call, "0x8");
});

test("a member whose process was replaced shows its key again before it is used", async () => {
  const first = await member();
  const set = await setOf([first]);
  first.fake.link().events.ended(139, null);
  await first.fake.clock.advance(20);
  first.fake.link().comeUp();
  first.key = otherKey;
  assert.equal(await outcome(set.call("sign", [])), "KEY_DIFFERS");
  assert.equal(await outcome(set.call("sign", [])), "DEVICE_LOCKED");
  assert.deepEqual(first.fake.link().operations, []);
  assert.equal(set.health().state, "down");
  assert.match(set.health().detail, /card 1: holds another key/);
});

test("the answer of a card that took the first one's place while the call waited is wiped and refused", async () => {
  const first = await member();
  const fake = await openFake({ minSessions: 1, maxSessions: 1, reopenFirstMs: 10, breakerFailures: 100 });
  const only: Member = { ...first, fake, calls: fake.device };
  const set = await setOf([only]);
  const calls = ["a", "b", "c"].map((name) => outcome(set.call(name, [])));
  await settle();
  assert.equal(fake.device.health().queue, 1);
  fake.link().events.ended(139, null);
  await fake.clock.advance(20);
  fake.link().comeUp();
  only.key = otherKey;
  const answer = Buffer.from("by another key");
  fake.link().answer("c", [answer]);
  assert.deepEqual(await Promise.all(calls), ["PROCESS_ENDED", "PROCESS_ENDED", "KEY_DIFFERS"]);
  assert(answer.every((byte) => byte === 0));
});

test("a member that can't tell its key at the opening is asked before its first use", async () => {
  const members = [await member(), await member()];
  const [first] = members;
  assert(first !== undefined);
  first.keyFault = unreachable;
  const set = await setOf(members);
  first.keyFault = undefined;
  const call = outcome(set.call("sign", []));
  await settle();
  first.fake.link().answer("sign");
  assert.equal(await call, "answered");
  assert.equal(first.asked, 2);
});

test("a set without a member that could not be opened is degraded, and says which", async () => {
  const { calls } = await member();
  const set = await FailoverSet.open([{ name: "card 1", calls }], () => Promise.resolve(key), undefined, ["card 2"]);
  const { state, detail } = set.health();
  assert.equal(state, "degraded");
  assert.equal(detail, "card 1: ready, card 2: could not be opened");
});
