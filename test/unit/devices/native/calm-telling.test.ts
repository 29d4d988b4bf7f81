import assert from "node:assert/strict";
import { test } from "node:test";
import { calmly } from "../../../../src/devices/native/calm-telling.ts";

test("of events of one name ten a minute are told, with how many were withheld; others are told beside them", () => {
  let nowMs = 0;
  const told: string[] = [];
  const tell = calmly(
    ({ event }, withheld) => told.push(`${event} ${withheld}`),
    () => nowMs,
  );
  for (let second = 0; second < 120; second += 1) {
    nowMs = second * 1000;
    tell({ event: "session-opened", sessions: 1 });
    tell({ event: "session-opened", sessions: 2 });
  }
  tell({ event: "breaker-closed" });
  const opened = told.filter((line) => line.startsWith("session-opened"));
  assert.equal(opened.length, 20);
  assert.deepEqual(opened.slice(9, 12), ["session-opened 0", "session-opened 110", "session-opened 0"]);
  assert.equal(told.at(-1), "breaker-closed 0");
});

test("an event that is rare is told each time", () => {
  let nowMs = 0;
  let told = 0;
  const tell = calmly(
    (_, withheld) => {
      told += 1;
      assert.equal(withheld, 0);
    },
    () => nowMs,
  );
  for (; nowMs < 3_600_000; nowMs += 7_000) tell({ event: "breaker-closed" });
  assert.equal(told, Math.ceil(3_600_000 / 7_000));
});
