import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CodedError, type ErrorDetails } from "../../../src/crypto/coded-error.ts";

const table = {
  ABSENT: { exit: 1, meaning: "there is no such thing" },
  DAMAGED: { exit: 5, meaning: "the thing is damaged" },
} as const;

class ThingError extends CodedError<keyof typeof table> {
  override readonly name = "ThingError";

  constructor(code: keyof typeof table, message?: string, details?: ErrorDetails) {
    super(table, code, message, details);
  }
}

describe("an error with a code", () => {
  it("says what its table says, and has its exit code", () => {
    const error = new ThingError("DAMAGED");
    assert.ok(error instanceof Error);
    assert.equal(String(error), "ThingError: the thing is damaged");
    assert.deepEqual([error.code, error.exitCode, error.hint], ["DAMAGED", 5, undefined]);
    assert.equal("cause" in error, false);
  });

  it("carries another message, its cause and a hint", () => {
    const cause = new Error("deeper");
    const error = new ThingError("ABSENT", "there is no thing at /x", { cause, hint: "make one" });
    assert.deepEqual([error.message, error.exitCode, error.hint], ["there is no thing at /x", 1, "make one"]);
    assert.equal(error.cause, cause);
  });

  it("takes a message left out for the table's, also with details", () => {
    assert.equal(new ThingError("ABSENT", undefined, { hint: "make one" }).message, "there is no such thing");
  });
});
