import assert from "node:assert/strict";
import { test } from "node:test";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { DeviceError } from "../../../../src/devices/errors.ts";
import { NativeDevice } from "../../../../src/devices/native/native-device.ts";
import { fakeGround, fault, openFake, settle } from "./fake-ground.ts";

const one = { minSessions: 1, maxSessions: 1 };

function failure(kind: string, code: string) {
  return (error: unknown): boolean => {
    assert(error instanceof DeviceError, String(error));
    assert.equal(`${error.failure?.kind} ${error.failure?.code}`, `${kind} ${code}`, error.message);
    return true;
  };
}

/** The outcome of a call, watched from the start so that no rejection goes unhandled. */
function outcome(call: Promise<readonly Buffer[]>): Promise<string> {
  return call.then(
    () => "answered",
    (error: DeviceError) => error.failure?.code ?? error.code,
  );
}

test("a session takes two calls of some length: one runs, one waits beside it; the rest waits here", async () => {
  const { device, link } = await openFake(one);
  const calls = ["a", "b", "c"].map((name) => outcome(device.call(name, [])));
  assert.deepEqual(link().operations, ["a", "b"]);
  assert.equal(device.health().queue, 1);
  for (const name of ["a", "b", "c"]) link().answer(name);
  assert.deepEqual(await Promise.all(calls), ["answered", "answered", "answered"]);
});

test("a call above the bound of the queue fails at once as busy, without being sent", async () => {
  const { device, link } = await openFake({ ...one, queueCalls: 2 });
  for (const name of ["a", "b", "c", "d"]) void outcome(device.call(name, []));
  await assert.rejects(device.call("e", []), failure("busy", "QUEUE_FULL"));
  assert.deepEqual(link().operations, ["a", "b"]);
});

test("a call above the bound in bytes fails at once as busy, and one that fits is taken once others have ended", async () => {
  const mebibyte = 1024 * 1024;
  const { device, link } = await openFake({ ...one, queueBytes: 8 * mebibyte });
  const call = (name: string, mebibytes: number) => device.call(name, [Buffer.alloc(mebibytes * mebibyte)]);
  const first = outcome(call("a", 5));
  void outcome(call("b", 2));
  void outcome(call("c", 1));
  for (const bytes of [1, 5]) await assert.rejects(call("d", bytes), failure("busy", "QUEUE_FULL"));
  void outcome(device.call("no bytes", []));
  link().answer("a");
  assert.equal(await first, "answered");
  void outcome(call("e", 5));
  await assert.rejects(call("f", 1), failure("busy", "QUEUE_FULL"));
});

test("a call that finds no session in time fails as busy, and is never sent", async () => {
  const { device, link, clock } = await openFake({ ...one, acquireTimeoutMs: 100, callDeadlineMs: 1_000 });
  void outcome(device.call("a", []));
  void outcome(device.call("b", []));
  const late = outcome(device.call("c", []));
  await clock.advance(101);
  assert.equal(await late, "NO_SESSION");
  link().answer("a");
  assert.deepEqual(link().operations, ["b"]);
});

test("a call above 8 MiB is refused before it is sent", async () => {
  const { device, link } = await openFake(one);
  await assert.rejects(
    device.call("a", [Buffer.alloc(8 * 1024 * 1024), Buffer.alloc(1)]),
    failure("bad-input", "TOO_LARGE"),
  );
  assert.deepEqual(link().operations, []);
});

test("a further session is opened while calls wait, but none beyond the most", async () => {
  const { device, link } = await openFake({ minSessions: 1, maxSessions: 2 });
  for (const name of ["a", "b", "c", "d", "e", "f"]) void outcome(device.call(name, []));
  assert.deepEqual(link().asked, ["open 2"]);
  link().openSessions();
  assert.deepEqual(link().operations, ["a", "b", "c", "d"]);
  assert.deepEqual(link().asked, []);
  assert.equal(device.health().sessions, 2);
});

test("a call past its deadline fails with its outcome unknown, and what waited behind it goes to another session", async () => {
  const { device, link, clock, events } = await openFake({ minSessions: 2, maxSessions: 2, callDeadlineMs: 100 });
  const [a, b, c, d] = ["a", "b", "c", "d"].map((name) => outcome(device.call(name, [])));
  link().answer("b");
  link().answer("d");
  const id = link().idOf("c");
  await clock.advance(101);
  assert.equal(await a, "DEADLINE");
  assert(link().asked.includes(`revoke ${id}`));
  link().events.revoked(id);
  assert.deepEqual(link().operations.slice(1), ["c"]);
  link().idOf("a");
  link().answer("c");
  assert.deepEqual(await Promise.all([b, c, d]), ["answered", "answered", "answered"]);
  assert.equal(device.health().abandoned, 1);
  assert.equal(events.filter(({ event }) => event === "session-abandoned").length, 1);
});

test("an abandoned call that comes back after all has its answer wiped, and its session is replaced", async () => {
  const { device, link, clock } = await openFake({
    minSessions: 2,
    maxSessions: 2,
    callDeadlineMs: 100,
    reopenFirstMs: 10,
  });
  const late = outcome(device.call("a", []));
  await clock.advance(101);
  assert.equal(await late, "DEADLINE");
  const answer = Buffer.from("a secret");
  link().answer("a", [answer]);
  assert.deepEqual(answer, Buffer.alloc(8));
  assert.deepEqual(link().asked, ["close 1"]);
  link().openSessions();
  await clock.advance(10);
  link().openSessions();
  assert.deepEqual(
    { ...device.health(), detail: "", lastError: undefined },
    {
      state: "ready",
      detail: "",
      sessions: 2,
      queue: 0,
      abandoned: 0,
      restarts: 0,
      lastError: undefined,
    },
  );
});

test("a process that does not answer a revocation is killed, and the calls with it are told apart from those that waited", async () => {
  const { device, links, link, clock } = await openFake({
    minSessions: 2,
    maxSessions: 2,
    callDeadlineMs: 1_000,
    acquireTimeoutMs: 60_000,
  });
  const calls = ["a", "b", "c", "d", "e"].map((name) =>
    outcome(device.call(name, [], { deadlineMs: name === "a" ? 100 : 60_000 })),
  );
  await clock.advance(101);
  assert.equal(await calls[0], "DEADLINE");
  await clock.advance(2_000);
  assert.equal(links[0]?.killed, true);
  assert.deepEqual(await Promise.all(calls.slice(1, 4)), ["NO_ANSWER", "NO_ANSWER", "NO_ANSWER"]);
  await clock.advance(100);
  link().comeUp();
  assert.deepEqual(link().operations, ["e"]);
  link().answer("e");
  assert.equal(await calls[4], "answered");
});

test("a process that even SIGKILL does not end is left behind, and what it says later is not heard", async () => {
  const { device, links, link, clock } = await openFake({ ...one, callDeadlineMs: 100, reopenFirstMs: 10 });
  const [first] = links;
  assert(first !== undefined);
  first.mortal = false;
  const hung = outcome(device.call("a", []));
  await clock.advance(101);
  assert.equal(await hung, "DEADLINE");
  await clock.advance(2_020);
  assert.equal(links.length, 2);
  link().comeUp();
  const next = outcome(device.call("b", []));
  first.events.answered(1, []);
  first.events.ended(null, "SIGKILL");
  assert.equal(device.health().state, "ready");
  link().answer("b");
  assert.equal(await next, "answered");
});

test("the time in which a session opens does not count against the calls that wait for it", async () => {
  const { device, link, clock } = await openFake({ minSessions: 1, maxSessions: 2, callDeadlineMs: 100 });
  const calls = ["a", "b"].map((name) => outcome(device.call(name, [])));
  link().answer("a");
  link().events.alone();
  await clock.advance(500);
  link().openSessions();
  await clock.advance(99);
  link().answer("b");
  assert.deepEqual(await Promise.all(calls), ["answered", "answered"]);
});

test("a session that does not open in time costs the process", async () => {
  const { device, link, links, clock } = await openFake({ minSessions: 1, maxSessions: 2, openDeadlineMs: 1_000 });
  void outcome(device.call("a", []));
  const second = outcome(device.call("b", []));
  link().answer("a");
  link().events.alone();
  await clock.advance(1_001);
  assert.equal(links[0]?.killed, true);
  assert.equal(await second, "OPEN_DEADLINE");
});

test("a fault that ends a session sends what waited there elsewhere, and is not repeated for a signature", async () => {
  const { device, link, clock } = await openFake({ minSessions: 1, maxSessions: 1, reopenFirstMs: 100 });
  const calls = ["sign", "next"].map((name) => outcome(device.call(name, [])));
  const next = link().sent[1]?.id ?? 0;
  link().fail("sign", fault("session", "CKR_SESSION_HANDLE_INVALID"));
  assert.equal(await calls[0], "CKR_SESSION_HANDLE_INVALID");
  link().idOf("next");
  link().events.revoked(next);
  assert.deepEqual(link().asked, ["close 1"]);
  link().openSessions();
  await clock.advance(74);
  assert.deepEqual(link().asked, []);
  await clock.advance(1);
  link().openSessions();
  assert.deepEqual(link().operations, ["next"]);
  link().answer("next");
  assert.equal(await calls[1], "answered");
});

test("only a repeatable call is sent a second time after a fault, and never a third", async () => {
  const { device, link } = await openFake({ minSessions: 3, maxSessions: 3 });
  const call = outcome(device.call("public key", [], { repeatable: true }));
  link().fail("public key", fault("comm"));
  assert.deepEqual(link().operations, ["public key"]);
  link().fail("public key", fault("comm"));
  assert.equal(await call, "0x01000003");
  assert.deepEqual(link().operations, []);
});

test("after so many troubles in a row calls are refused, then one is let through to try", async () => {
  const { device, link, clock, events } = await openFake({
    minSessions: 1,
    maxSessions: 1,
    breakerFailures: 3,
    breakerCoolDownMs: 1_000,
  });
  const trouble = { kind: "device", code: "0x01000004", message: "hardware", evict: false, retryable: true } as const;
  for (let times = 0; times < 3; times += 1) {
    const call = outcome(device.call("sign", []));
    link().fail("sign", trouble);
    assert.equal(await call, "0x01000004");
  }
  await assert.rejects(device.call("sign", []), failure("busy", "BREAKER_OPEN"));
  assert.equal(device.health().state, "degraded");
  await clock.advance(1_000);
  const trial = outcome(device.call("sign", []));
  await assert.rejects(device.call("sign", []), failure("busy", "BREAKER_OPEN"));
  link().fail("sign", trouble);
  assert.equal(await trial, "0x01000004");
  await assert.rejects(device.call("sign", []), failure("busy", "BREAKER_OPEN"));
  await clock.advance(1_000);
  const second = outcome(device.call("sign", []));
  link().answer("sign");
  assert.equal(await second, "answered");
  assert.deepEqual(
    events.map(({ event }) => event).filter((event) => event.startsWith("breaker")),
    ["breaker-opened", "breaker-closed"],
  );
});

test("a trial that is given up before it was sent leaves the way free for another", async () => {
  const { device, link, clock } = await openFake({
    ...one,
    breakerFailures: 1,
    breakerCoolDownMs: 1_000,
    reopenFirstMs: 60_000,
    reopenLongestMs: 60_000,
  });
  const lost = outcome(device.call("sign", []));
  link().fail("sign", fault("comm"));
  await lost;
  await clock.advance(1_000);
  const abort = new AbortController();
  const trial = outcome(device.call("sign", [], { signal: abort.signal }));
  abort.abort();
  assert.equal(await trial, "ABORTED");
  void outcome(device.call("sign", []));
  assert.equal(device.health().queue, 1);
});

test("a caller that gives up a call that runs is told so at once, and the session stays in use", async () => {
  const { device, link } = await openFake(one);
  const abort = new AbortController();
  const call = assert.rejects(device.call("sign", [], { signal: abort.signal }), (error: unknown) => {
    assert.match(String(error), /may carry out all the same/);
    return failure("timeout", "ABORTED")(error);
  });
  abort.abort();
  await call;
  link().answer("sign", [Buffer.from("late")]);
  assert.equal(device.health().sessions, 1);
  await assert.rejects(device.call("sign", [], { signal: abort.signal }), failure("timeout", "ABORTED"));
  assert.deepEqual(link().operations, []);
});

test("a device that can't be opened again is tried for as long as it takes, with growing waits", async () => {
  const { device, links, link, clock } = await openFake({
    ...one,
    restarts: 1,
    reopenFirstMs: 100,
    reopenLongestMs: 1_000,
    breakerFailures: 100,
  });
  links[0]?.events.ended(139, null);
  for (let times = 0; times < 20; times += 1) {
    await clock.advance(1_000);
    link().events.failed(fault("comm"));
    link().events.ended(1, null);
  }
  assert(links.length > 15);
  await clock.advance(1_000);
  link().comeUp();
  assert.equal(device.health().state, "ready");
});

test("a session that can't be opened anew, with none left, has the device opened anew", async () => {
  const { device, links, link, clock } = await openFake({ ...one, reopenFirstMs: 10 });
  const call = outcome(device.call("sign", []));
  link().fail("sign", fault("comm"));
  await call;
  link().openSessions();
  await clock.advance(10);
  link().events.sessionFailed(2, fault("comm"));
  await clock.advance(20);
  assert.equal(links[0]?.killed, true);
  assert.equal(links.length, 2);
  link().comeUp();
  assert.equal(device.health().state, "ready");
});

test("a PIN refused for a later session locks the device and ends all that waits", async () => {
  const pin = SecretBuffer.take(Buffer.from("12345678"));
  const { device, link, links } = await openFake({ minSessions: 1, maxSessions: 2 }, pin);
  const calls = ["a", "b", "c"].map((name) => outcome(device.call(name, [])));
  link().events.sessionFailed(2, fault("auth", "0x01000100"));
  assert.equal(await calls[2], "0x01000100");
  assert.equal(pin.disposed, true);
  link().answer("a");
  assert.equal(await calls[0], "answered");
  link().events.revoked(link().idOf("b"));
  link().events.closed();
  link().events.ended(0, null);
  assert.equal(await calls[1], "DEVICE_LOCKED");
  assert.equal(device.health().state, "locked");
  await assert.rejects(device.call("d", []), { code: "DEVICE_LOCKED" });
  assert.equal(links.length, 1);
});

test("a key without right refuses its own call only", async () => {
  const { device, link } = await openFake(one);
  const call = outcome(device.call("sign", []));
  link().fail("sign", fault("auth", "0x01000018"));
  assert.equal(await call, "0x01000018");
  assert.equal(device.health().state, "ready");
});

test("a PIN that the device reports as locked locks ours too, from whichever call", async () => {
  const { device, link } = await openFake(one);
  const call = outcome(device.call("sign", []));
  link().fail("sign", fault("locked-out", "CKR_PIN_LOCKED"));
  assert.equal(await call, "CKR_PIN_LOCKED");
  assert.equal(device.health().state, "locked");
});

test("a device that never opens is given up at its deadline, its PIN wiped and no timer left", async () => {
  const pin = SecretBuffer.take(Buffer.from("12345678"));
  const { ground, clock, links } = fakeGround({ openDeadlineMs: 1_000 }, pin);
  const opening = assert.rejects(NativeDevice.openOn(ground), failure("timeout", "OPEN_DEADLINE"));
  await clock.advance(1_001);
  await opening;
  assert.equal(links[0]?.killed, true);
  assert.equal(pin.disposed, true);
  assert.equal(clock.timers, 0);
});

test("a device of which not all sessions open is not open", async () => {
  const { ground, links, clock } = fakeGround({ minSessions: 2, maxSessions: 2 });
  const opening = assert.rejects(NativeDevice.openOn(ground), failure("not-found", "0x01000008"));
  links[0]?.events.opened({});
  links[0]?.events.sessionOpened(1);
  links[0]?.events.sessionFailed(2, fault("not-found", "0x01000008"));
  await opening;
  assert.equal(links[0]?.killed, true);
  assert.equal(clock.timers, 0);
});

test("closing leaves no timer, and the PIN wiped", async () => {
  const pin = SecretBuffer.take(Buffer.from("12345678"));
  const { device, link, clock } = await openFake(one, pin);
  const call = outcome(device.call("a", []));
  const closing = device[Symbol.asyncDispose]();
  assert.deepEqual(link().asked, ["close"]);
  link().answer("a");
  link().events.closed();
  link().events.ended(0, null);
  await closing;
  assert.equal(await call, "answered");
  assert.equal(pin.disposed, true);
  assert.equal(clock.timers, 0);
});

test("a closing that the process ignores ends with the process being killed", async () => {
  const { device, links, clock } = await openFake({ ...one, callDeadlineMs: 100, openDeadlineMs: 1_000 });
  const closing = device[Symbol.asyncDispose]();
  await clock.advance(1_101);
  assert.equal(links[0]?.killed, true);
  await closing;
  await settle();
  assert.equal(clock.timers, 0);
});

/** Ten minutes in which somebody always calls. @param failing - Whether a call loses its session. */
async function tenMinutesOf(failing: (call: number) => boolean) {
  const { device, link, clock, events } = await openFake(one);
  let calls = 0;
  let answered = 0;
  for (let passedMs = 0; passedMs < 600_000; passedMs += 50) {
    for (let waiting = device.health().queue + link().sent.length; waiting < 4; waiting += 1)
      void outcome(device.call("sign", [])).then((how) => {
        if (how === "answered") answered += 1;
      });
    link().openSessions();
    for (const { id } of link().sent.splice(0)) {
      calls += 1;
      if (failing(calls)) link().events.faulted(id, fault("session"));
      else link().events.answered(id, []);
    }
    await clock.advance(50);
  }
  return { events: events.length, answered };
}

test("a card that loses a session at every call tells no more than a line in two seconds", async () => {
  const { events, answered } = await tenMinutesOf(() => true);
  assert.equal(answered, 0);
  assert.ok(events <= 300, `${events} events`);
});

test("a card that loses a session at every other call tells no more than two lines for each wait before reopening", async () => {
  const { events, answered } = await tenMinutesOf((call) => call % 2 === 0);
  assert.ok(answered > 1000, `${answered} answered`);
  assert.ok(events <= 2 * (600_000 / 75) + 10, `${events} events`);
});
