import assert from "node:assert/strict";
import type { Outcome } from "../running-server.ts";

/** Holds an outcome to what a failed command owes: its exit code, one error line, at most one hint, and no stack. */
export function assertOneClearLine(outcome: Outcome, code: number, message: RegExp): void {
  const { stderr } = outcome;
  assert.equal(outcome.code, code, `exit code ${outcome.code ?? outcome.signal}: ${stderr}`);
  const lines = stderr.split("\n").filter((line) => line !== "");
  const errors = lines.filter((line) => line.startsWith("strongroom: error: "));
  const hints = lines.filter((line) => line.startsWith("strongroom: hint: "));
  assert.equal(errors.length, 1, stderr);
  assert.ok(hints.length <= 1, stderr);
  assert.match(errors[0] ?? "", message);
  assertNoStack(stderr);
  assert.equal(outcome.stdout, "");
}

/** Nothing that an unhandled error prints. */
export function assertNoStack(text: string): void {
  assert.doesNotMatch(text, /^\s+at .*(?:\.ts|node:)/m);
  assert.doesNotMatch(text, /Unhandled|throw er;|Node\.js v\d|ExperimentalWarning|file:\/\//);
}
