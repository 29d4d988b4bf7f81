import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create } from "@bufbuild/protobuf";
import { EnclaveError } from "../../../../src/enclave/errors.ts";
import { parsePolicy } from "../../../../src/enclave/ledger/policy-text.ts";
import {
  type Policy,
  PolicySchema,
  SuccessorSchema,
} from "../../../../src/enclave/messages/generated/fpc/policy_pb.ts";
import { nextPolicy } from "../../../../src/enclave/operator/policies.ts";
import {
  enclavesBehind,
  type HostedEnclave,
  isOfOneEnclave,
  planUpgrade,
  requireEndorsers,
  successorName,
  targetOf,
} from "../../../../src/enclave/operator/upgrade-plan.ts";
import { policyHash } from "../../../../src/enclave/protocol/policy.ts";

const [oldCode, newCode] = ["AA".repeat(32), "BB".repeat(32)];
const majority = parsePolicy("OutOf(2, 'A.peer', 'B.peer', 'C.peer')").policy;
const all = parsePolicy("AND('A.peer', 'B.peer', 'C.peer')").policy;
const definition = { version: oldCode, sequence: 1n, validationParameter: majority };
const defined = (sequence: bigint, validationParameter: Uint8Array, version = oldCode) => ({
  version,
  sequence,
  validationParameter,
});

function policy(successor?: readonly [string, bigint], allowedVersions: string[] = [oldCode]): Policy {
  const [version = "", sequence = 0n] = successor ?? [];
  const named = successor === undefined ? {} : { successor: create(SuccessorSchema, { version, sequence }) };
  return create(PolicySchema, { number: 7n, allowedVersions, ...named });
}

function enclave(mspId: string, change: Partial<HostedEnclave> = {}): HostedEnclave {
  return { mspId, name: "main", id: mspId, version: oldCode, sequence: 1n, isProvisioned: true, ...change };
}

describe("where an upgrade leads", () => {
  it("is the next sequence, with what is wished changed and nothing else", () => {
    assert.deepEqual(targetOf(definition, policy(), { endorsement: all }), {
      version: oldCode,
      sequence: 2n,
      endorsement: all,
    });
    assert.deepEqual(targetOf(definition, policy(), { version: newCode }), {
      version: newCode,
      sequence: 2n,
      endorsement: majority,
    });
  });

  it("is the sequence in force where nothing, or what is so already, is wished", () => {
    for (const wish of [{}, { endorsement: majority }, { version: oldCode }])
      assert.equal(targetOf(definition, policy(), wish).sequence, 1n);
  });

  it("is the one that was begun, until the definition is there", () => {
    const begun = policy([oldCode, 2n]);
    assert.equal(targetOf(definition, begun, { endorsement: all }).sequence, 2n);
    assert.equal(targetOf(definition, begun, { endorsement: majority }).sequence, 2n, "back to the former policy");
    assert.equal(targetOf(defined(2n, all), begun, { endorsement: all }).sequence, 2n);
    assert.equal(targetOf(defined(2n, all), begun, { endorsement: majority }).sequence, 3n);
  });

  it("is refused beside another that was begun: CONFLICT", () => {
    const conflict = {
      code: "CONFLICT",
      message: /an upgrade to it was begun/,
      hint: /the words that it was called with/,
    };
    assert.throws(() => targetOf(definition, policy([oldCode, 2n]), {}), conflict, "with no word of what it was");
    assert.throws(() => targetOf(definition, policy([oldCode, 2n]), { version: newCode }), conflict);
    assert.throws(() => targetOf(definition, policy([newCode, 2n]), { endorsement: all }), conflict);
    assert.throws(() => targetOf(definition, policy([oldCode, 3n]), { endorsement: all }), conflict);
  });
});

describe("the plan of an upgrade", () => {
  const target = { version: oldCode, sequence: 2n, endorsement: all };
  const plan = (change: Partial<Parameters<typeof planUpgrade>[0]>) =>
    planUpgrade({ definition, policy: policy(), enclaves: [], ...change }, target);
  const moved = [enclave("A", { sequence: 2n }), enclave("B", { sequence: 2n, isProvisioned: false })];

  it("names the successor, sees to enclaves, defines and closes, and leaves out what is done", () => {
    const enclaves = [enclave("A"), enclave("B")];
    assert.deepEqual(plan({ enclaves }), ["successor", "enclaves", "definition", "closing"]);
    assert.deepEqual(plan({}), ["successor", "definition", "closing"]);
    const named = policy([oldCode, 2n]);
    assert.deepEqual(plan({ enclaves, policy: named }), ["enclaves", "definition", "closing"]);
    assert.deepEqual(plan({ enclaves: moved, policy: named }), ["definition", "closing"]);
    assert.deepEqual(plan({ enclaves: moved, policy: named, definition: defined(2n, all) }), ["closing"]);
    assert.deepEqual(plan({ enclaves: moved, definition: defined(2n, all) }), []);
  });

  it("opens the way again for enclaves that stayed behind", () => {
    const enclaves = [...moved, enclave("C")];
    assert.deepEqual(plan({ enclaves, definition: defined(2n, all) }), ["successor", "enclaves", "closing"]);
  });

  it("does not take a definition of the right sequence with another policy or version for its own", () => {
    assert.ok(plan({ enclaves: moved, definition: defined(2n, majority) }).includes("definition"));
    assert.ok(plan({ enclaves: moved, definition: defined(2n, all, newCode) }).includes("definition"));
  });

  it("puts a successor that another upgrade left, or that is of other code, out of the policy", () => {
    assert.deepEqual(plan({ enclaves: moved, definition: defined(2n, all), policy: policy([newCode, 2n]) }), [
      "closing",
    ]);
    assert.ok(plan({ policy: policy([newCode, 2n]) }).includes("successor"));
    const wide = policy(undefined, [oldCode, newCode]);
    assert.deepEqual(plan({ enclaves: moved, definition: defined(2n, all), policy: wide }), ["closing"]);
  });
});

describe("enclaves of other code", () => {
  const target = { version: newCode, sequence: 2n, endorsement: majority };
  const successor = enclave("A", { name: "main-v2", version: newCode, sequence: 2n });

  it("stay behind while they hold keys and none of the new code does in their place", () => {
    const old = enclave("A");
    const behind = (...others: HostedEnclave[]) => enclavesBehind([old, ...others], target).includes(old);
    assert.ok(behind());
    assert.ok(behind({ ...successor, isProvisioned: false }));
    assert.ok(behind({ ...successor, mspId: "B" }), "that of another organisation");
    assert.ok(behind({ ...successor, name: "other-v2" }), "that of another enclave");
    assert.ok(behind({ ...successor, version: oldCode }));
    assert.equal(behind(successor), false);
    assert.deepEqual(enclavesBehind([enclave("A", { isProvisioned: false })], target), []);
  });

  it("have been seen to where an upgrade before put another in their place, which goes on by itself", () => {
    const later = { ...target, sequence: 3n };
    assert.deepEqual(enclavesBehind([enclave("A"), successor], later), [successor]);
  });

  it("are succeeded under a name that tells the sequence, and is no longer than names may be", () => {
    assert.equal(successorName("main", 2n), "main-v2");
    assert.equal(successorName("main-v2", 13n), "main-v13");
    assert.equal(successorName("x".repeat(32), 2n), `${"x".repeat(29)}-v2`);
  });
});

describe("enclaves with the keys", () => {
  const target = { version: newCode, sequence: 2n, endorsement: all };
  const ready = (mspId: string) => enclave(mspId, { version: newCode, sequence: 2n });

  it("have to meet the endorsement policy that comes: POLICY_DENIED", () => {
    const denied = { code: "POLICY_DENIED", hint: /create enclaves/ };
    requireEndorsers(["A", "B", "C"].map(ready), target);
    const few: readonly (readonly HostedEnclave[])[] = [
      [],
      [ready("A"), ready("B")],
      [ready("A"), ready("B"), ready("B")],
      [ready("A"), ready("B"), { ...ready("C"), isProvisioned: false }],
      [ready("A"), ready("B"), { ...ready("C"), sequence: 1n }],
      [ready("A"), ready("B"), { ...ready("C"), version: oldCode }],
    ];
    for (const enclaves of few) assert.throws(() => requireEndorsers(enclaves, target), denied);
  });
});

describe("the policy that follows one", () => {
  it("has the next number and the former one's hash, and changes nothing but what is said", () => {
    const former = policy([newCode, 2n]);
    const next = nextPolicy(former, { allowedVersions: [newCode], successor: undefined });
    assert.equal(next.number, 8n);
    assert.deepEqual(Buffer.from(next.previousPolicyHash), policyHash(former));
    assert.deepEqual([next.allowedVersions, next.successor], [[newCode], undefined]);
    assert.deepEqual([former.allowedVersions, former.successor?.version], [[oldCode], newCode], "which stays");
  });
});

describe("what keeps one enclave behind", () => {
  it("is that it is gone, in use, or not opened by its seal, its key manager or its platform", () => {
    for (const code of ["UNSEAL_FAILED", "ENCLAVE_ENDED", "BAD_EVIDENCE", "CONFLICT", "KEY_MANAGER_REFUSED"] as const)
      assert.equal(isOfOneEnclave(new EnclaveError(code, "so")), true, code);
  });

  it("is nothing that concerns all of them, and no defect", () => {
    for (const code of ["LEDGER_UNAVAILABLE", "POLICY_DENIED", "SETTINGS_INVALID", "UNAUTHORIZED"] as const)
      assert.equal(isOfOneEnclave(new EnclaveError(code, "so")), false, code);
    for (const other of [new Error("CONFLICT"), { code: "CONFLICT" }, undefined])
      assert.equal(isOfOneEnclave(other), false);
  });
});
