import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { recordTypes } from "../../../../src/enclave/ercc/registry-state.ts";
import { decodeQuestion, encodeQuestion } from "../../../../src/enclave/process/ledger-questions.ts";
import type { LedgerQuestion } from "../../../../src/enclave/trusted-ledger/exchange.ts";

const questions: readonly LedgerQuestion[] = [
  { kind: "creator" },
  { kind: "endorse", proposal: Buffer.from("proposal"), organisations: ["Org1MSP", "Org2MSP"] },
  { kind: "session", message: Buffer.from("message") },
  { kind: "record", name: { type: recordTypes.exported, attributes: ["auction", "AB"] } },
];

describe("questions of an enclave about the ledger", () => {
  for (const question of questions)
    test(`of kind ${question.kind} come through`, () => {
      assert.deepEqual(decodeQuestion(encodeQuestion(question).map((part) => Buffer.from(part))), question);
    });

  for (const [what, parts] of [
    ["no kind", []],
    ["an unknown kind", ["write"]],
    ["a creator with more", ["creator", "x"]],
    ["an endorsement of nothing", ["endorse"]],
    ["a session without a message", ["session"]],
    ["a session with two messages", ["session", "a", "b"]],
    ["a record of no type", ["record"]],
    ["a record of an unknown type", ["record", "namespaces/other", "auction"]],
  ] as const)
    test(`with ${what} are refused`, () => {
      assert.throws(() => decodeQuestion(parts.map((part) => Buffer.from(part))), { code: "MALFORMED" });
    });
});
