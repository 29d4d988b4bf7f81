import assert from "node:assert/strict";
import { test } from "node:test";
import { Alarm } from "../../../../src/devices/native/alarm.ts";
import { BackOff } from "../../../../src/devices/native/back-off.ts";
import { Breaker } from "../../../../src/devices/native/breaker.ts";
import { RestartLimit } from "../../../../src/devices/native/restart-limit.ts";
import { FakeClock } from "./fake-ground.ts";

const settings = { breakerFailures: 2, breakerCoolDownMs: 100 };

test("troubles count only one after the other", () => {
  const breaker = new Breaker(settings);
  breaker.faulted("comm", 0);
  breaker.answered();
  assert.equal(breaker.faulted("comm", 0), "unchanged");
  assert.equal(breaker.faulted("timeout", 0), "opened");
  assert.equal(breaker.admit(0), "no");
});

test("a device that refuses an input or lacks a key is well", () => {
  const breaker = new Breaker(settings);
  for (const kind of ["bad-input", "not-found", "unsupported", "auth", "busy", "integrity"] as const) {
    breaker.faulted("comm", 0);
    assert.equal(breaker.faulted(kind, 0), "unchanged");
  }
  assert.equal(breaker.open, false);
});

test("exactly one call tries after the cool-down, and troubles of older calls do not end its trial's wait early", () => {
  const breaker = new Breaker(settings);
  breaker.faulted("device", 0);
  breaker.faulted("device", 0);
  breaker.faulted("device", 50);
  assert.equal(breaker.admit(99), "no");
  assert.equal(breaker.admit(100), "trial");
  assert.equal(breaker.admit(100), "no");
  breaker.faulted("device", 120);
  assert.equal(breaker.admit(219), "no");
  assert.equal(breaker.admit(220), "trial");
  breaker.trialUnsent();
  assert.equal(breaker.admit(220), "trial");
  assert.equal(breaker.answered(), true);
  assert.equal(breaker.admit(220), "yes");
});

test("waits double from the first to the longest, within the upper half of their span, and start over after a success", () => {
  const least = new BackOff(100, 1_000, () => 0);
  const most = new BackOff(100, 1_000, () => 0.999_999);
  const spans = [100, 200, 400, 800, 1_000, 1_000];
  assert.deepEqual(
    spans.map(() => least.nextMs()),
    spans.map((spanMs) => spanMs / 2),
  );
  assert.deepEqual(
    spans.map(() => most.nextMs()),
    spans,
  );
  least.succeeded();
  assert.equal(least.nextMs(), 50);
});

test("waits stay finite however often something fails", () => {
  const backOff = new BackOff(100, 30_000, () => 0.5);
  for (let times = 0; times < 2_000; times += 1) assert(backOff.nextMs() <= 30_000);
});

test("restarts are limited within a window that slides", () => {
  const limit = new RestartLimit({ restarts: 2, restartWindowMs: 100 });
  assert.deepEqual(
    [0, 10, 20, 115, 116].map((nowMs) => limit.admit(nowMs)),
    [true, true, false, true, false],
  );
});

test("an alarm keeps to its earliest deadline, and to what its run says is next", async () => {
  const clock = new FakeClock();
  const runsMs: number[] = [];
  const alarm = new Alarm(clock, (nowMs) => {
    runsMs.push(nowMs);
    return nowMs < 60 ? nowMs + 20 : undefined;
  });
  alarm.at(50);
  alarm.at(30);
  alarm.at(40);
  await clock.advance(200);
  assert.deepEqual(runsMs, [30, 50, 70]);
  assert.equal(clock.timers, 0);
});

test("an alarm that is stopped does not ring", async () => {
  const clock = new FakeClock();
  const alarm = new Alarm(clock, () => assert.fail("it rang"));
  alarm.at(10);
  alarm.stop();
  await clock.advance(100);
});
