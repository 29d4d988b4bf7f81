import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SigningLog } from "../../../../src/chain/node/signing-log.ts";

function logged() {
  const lines: string[] = [];
  const clock = { nowMs: 5 };
  const log = new SigningLog({ write: (level, message) => lines.push(`${level} ${message}`) }, () => clock.nowMs);
  return { lines, clock, log };
}

const away = new Error("the device is away");

describe("failed signatures in the log", () => {
  it("are one line at first, then one a minute with their number, and one when it signs again", () => {
    const { lines, clock, log } = logged();
    log.succeeded();
    for (let second = 0; second <= 150; second++, clock.nowMs += 1000) log.failed(away);
    log.succeeded();
    log.succeeded();
    assert.deepEqual(lines, [
      "error [SIGN]the device is away",
      "error [SIGN]and 60 more signatures failed in 60 s, last: the device is away",
      "error [SIGN]and 120 more signatures failed in 120 s, last: the device is away",
      "info [SIGN]signs again, after 151 failed in 151 s",
    ]);
  });

  it("name each further reason once, also when reasons alternate, and no more than eight", () => {
    const { lines, log } = logged();
    for (let number = 0; number < 100; number++) log.failed(new Error(`reason ${number % 3}`));
    assert.equal(lines.length, 3);
    for (let number = 0; number < 1000; number++) log.failed(new Error(`handle ${number}`));
    assert.equal(lines.length, 8);
    log.failed("no error at all");
    assert.equal(lines.length, 8);
  });

  it("are told anew after it has signed in between", () => {
    const { lines, log } = logged();
    log.failed(away);
    log.succeeded();
    log.failed(away);
    assert.equal(lines.filter((line) => line === "error [SIGN]the device is away").length, 2);
  });
});
