import assert from "node:assert/strict";
import { test } from "node:test";
import { EnclaveError, enclaveErrors, fromAbortText, toAbortText } from "../../../src/enclave/errors.ts";

test("every reason comes through a ledger's text as it was", () => {
  for (const code of Object.keys(enclaveErrors) as (keyof typeof enclaveErrors)[]) {
    const back = fromAbortText(toAbortText(new EnclaveError(code, "what: happened")));
    assert.deepEqual([back?.code, back?.message], [code, "what: happened"]);
  }
});

test("a hint comes along, and what follows it does not", () => {
  const error = new EnclaveError("CONFLICT", "another came first", { hint: "call again" });
  const back = fromAbortText(`10 ABORTED: chaincode response 500, ${toAbortText(error)}\nat line 5`);
  assert.deepEqual([back?.code, back?.message, back?.hint], ["CONFLICT", "another came first", "call again"]);
});

test("neither a message nor a hint of several lines makes a hint of its own", () => {
  const error = new EnclaveError("CONFLICT", "came\nhint: false", { hint: "call\n again" });
  const back = fromAbortText(toAbortText(error));
  assert.deepEqual([back?.message, back?.hint], ["came hint: false", "call again"]);
  assert.equal(fromAbortText("CONFLICT: came first\nhint:none")?.hint, undefined);
  assert.equal(fromAbortText("CONFLICT: came first\n\nhint: none")?.hint, undefined);
  assert.equal(fromAbortText(`CONFLICT: came\nhint: ${"x".repeat(600)}`)?.hint?.length, 500);
});

test("a reason is found behind words of the peer, and ends with its line", () => {
  const text = "10 ABORTED: failed to endorse, ERROR: chaincode response 500, EK_MISMATCH: another key\nat line 5";
  const found = fromAbortText(text);
  assert.deepEqual([found?.code, found?.message], ["EK_MISMATCH", "another key"]);
});

test("text without a reason gives none", () => {
  for (const text of [
    "",
    "it failed",
    "ERROR: it failed",
    "REPLAY",
    "REPLAY:x",
    "toString: x",
    "XREPLAY: x",
    "replay: x",
  ])
    assert.equal(fromAbortText(text), undefined, text);
});
