import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { parsePolicy } from "../../../../src/enclave/ledger/policy-text.ts";
import { policyReference } from "../../../../src/enclave/ledger/signature-policy.ts";
import type { MSPPrincipal, SignaturePolicy } from "../../../../src/enclave/messages/generated/fabric/common_pb.ts";
import { ApplicationPolicySchema } from "../../../../src/enclave/messages/generated/fabric/peer_pb.ts";
import { PolicySchema, SuccessorSchema } from "../../../../src/enclave/messages/generated/fpc/policy_pb.ts";
import { checkOwnUpgrade, type LedgerEnclave, upgradeWaits } from "../../../../src/enclave/operator/own-upgrade.ts";
import { targetOf } from "../../../../src/enclave/operator/upgrade-plan.ts";
import { policyHash } from "../../../../src/enclave/protocol/policy.ts";

const version = "AA".repeat(32);
const two = parsePolicy("OutOf(2, 'A.peer', 'B.peer', 'C.peer')").policy;
const all = parsePolicy("AND('A.peer', 'B.peer', 'C.peer')").policy;
const target = { version, sequence: 2n, endorsement: all };
const before = { version, sequence: 1n, validationParameter: two };
const defined = { version, sequence: 2n, validationParameter: all };

function policy(sequence?: bigint) {
  return create(PolicySchema, {
    number: 7n,
    threshold: 2,
    organisations: ["A", "B", "C"].map((mspId) => ({ mspId })),
    allowedVersions: [version, "BB".repeat(32)],
    ...(sequence !== undefined && { successor: create(SuccessorSchema, { version, sequence }) }),
  });
}

const enclave = (mspId: string, sequence = 1n, isProvisioned = true): LedgerEnclave => ({
  id: mspId,
  mspId,
  version,
  sequence,
  isProvisioned,
});
const moved = ["A", "B", "C"].map((mspId) => enclave(mspId, 2n));

/** By kind; of a document the sequence that it names. */
function waits(state: Partial<Parameters<typeof upgradeWaits>[0]>, mspId = "A"): readonly string[] {
  return upgradeWaits({ definition: before, policy: policy(), enclaves: [], ...state }, target, mspId).map((wait) =>
    wait.kind === "policy" ? `policy ${wait.document.successor?.sequence ?? "without"}` : wait.kind,
  );
}

describe("one organisation's view of an upgrade", () => {
  it("is first the document that names the successor, signed by the threshold, and with nothing else changed", () => {
    const inForce = policy();
    const [wait] = upgradeWaits({ definition: before, policy: inForce, enclaves: moved }, target, "A");
    assert.ok(wait?.kind === "policy");
    const { document, by, needed } = wait;
    assert.deepEqual([document.number, document.successor?.version, needed], [8n, version, 2]);
    assert.deepEqual(by, ["A", "B", "C"]);
    assert.deepEqual(document.allowedVersions, inForce.allowedVersions);
    assert.ok(policyHash(inForce).equals(document.previousPolicyHash));
  });

  it("is the same document at each organisation", () => {
    const of = (mspId: string) =>
      upgradeWaits({ definition: before, policy: policy(), enclaves: moved }, target, mspId);
    assert.deepEqual(of("A"), of("C"));
  });

  it("is the enclaves' own word, and the definition as soon as those that have attested meet it", () => {
    const named = { policy: policy(2n) };
    assert.deepEqual(waits({ ...named, enclaves: [enclave("A"), enclave("B"), enclave("C")] }), ["enclaves"]);
    assert.deepEqual(waits({ ...named, enclaves: [enclave("A", 2n), enclave("B", 2n), enclave("C")] }), ["enclaves"]);
    assert.deepEqual(waits({ ...named, enclaves: [...moved, enclave("C")] }), ["enclaves", "definition"]);
    assert.deepEqual(waits({ ...named, enclaves: moved }), ["definition"]);
    assert.deepEqual(waits({ ...named, enclaves: [enclave("A", 2n, false)] }), ["definition"], "before the first keys");
    const tooFew = [...moved.slice(0, 2), enclave("C", 2n, false)];
    assert.deepEqual(waits({ ...named, enclaves: tooFew }), [], "one that has not the keys endorses nothing");
  });

  it("is the document without a successor once it is defined, also while enclaves are behind", () => {
    assert.deepEqual(waits({ definition: defined, policy: policy(2n), enclaves: moved }), ["policy without"]);
    const enclaves = [...moved, enclave("C")];
    assert.deepEqual(waits({ definition: defined, policy: policy(2n), enclaves }), ["enclaves", "policy without"]);
  });

  it("is nothing at the end, and opens the way again for an own enclave that stayed behind, not for another's", () => {
    assert.deepEqual(waits({ definition: defined, enclaves: moved }), []);
    const enclaves = [...moved, enclave("C")];
    assert.deepEqual(waits({ definition: defined, enclaves }, "A"), []);
    assert.deepEqual(waits({ definition: defined, enclaves }, "C"), ["policy 2"]);
  });

  it("puts a successor out of the policy that the definition has passed", () => {
    assert.deepEqual(waits({ definition: defined, policy: policy(1n), enclaves: moved }), ["policy without"]);
  });
});

describe("an upgrade that cannot go well", () => {
  const check = (endorsement: Uint8Array, enclaves: readonly LedgerEnclave[]) => () =>
    checkOwnUpgrade({ definition: before, policy: policy(), enclaves }, { ...target, endorsement });
  const now = ["A", "B", "C"].map((mspId) => enclave(mspId));

  it("is refused before its first document where enclaves with the keys would not meet it: POLICY_DENIED", () => {
    check(all, now)();
    check(all, [])();
    const denied = { code: "POLICY_DENIED", message: /only enclaves of A, B would hold the keys as of sequence 2/ };
    assert.throws(check(all, now.slice(0, 2)), denied);
    assert.throws(check(all, [...now.slice(0, 2), enclave("C", 1n, false)]), denied);
  });

  it("is refused where it names others, or no peers meet it: SETTINGS_INVALID", () => {
    const invalid = (text: string, message: RegExp) =>
      assert.throws(check(parsePolicy(text).policy, now), { code: "SETTINGS_INVALID", message });
    invalid("OR('A.peer', 'D.peer')", /names D, which the policy document does not/);
    invalid("'A.admin'", /no peers of the organisations meet/);
  });

  it("is refused to an endorsement policy of the channel's configuration, which no enclaves' answers meet: POLICY_DENIED", () => {
    assert.throws(check(policyReference("/Channel/Application/Endorsement"), now), { code: "POLICY_DENIED" });
  });
});

describe("an endorsement policy in other bytes", () => {
  it("that says the same, as Fabric's own tools write it, is no other definition", () => {
    // Fabric's tools have a principal for each place where it is named; this code has each once.
    const text = "OR(AND('A.peer', 'B.peer'), AND('A.peer', 'C.peer'))";
    const ours = parsePolicy(text).policy;
    const theirs = withOwnPrincipals(ours);
    assert.ok(!theirs.equals(ours));
    const definition = { version, sequence: 4n, validationParameter: theirs };
    assert.equal(targetOf(definition, policy(), { endorsement: ours }).sequence, 4n);
    assert.equal(targetOf(definition, policy(), { endorsement: all }).sequence, 5n);
  });
});

/** The same endorsement policy with a principal of its own for each signature that it asks for. */
function withOwnPrincipals(bytes: Uint8Array): Buffer {
  const policy = fromBinary(ApplicationPolicySchema, bytes);
  assert.ok(policy.type.case === "signaturePolicy");
  const envelope = policy.type.value;
  const identities: MSPPrincipal[] = [];
  const each = (rule: SignaturePolicy | undefined): void => {
    if (rule?.type.case === "nOutOf") for (const one of rule.type.value.rules) each(one);
    if (rule?.type.case !== "signedBy") return;
    const named = envelope.identities[rule.type.value];
    assert.ok(named);
    rule.type.value = identities.push(named) - 1;
  };
  each(envelope.rule);
  envelope.identities = identities;
  return Buffer.from(toBinary(ApplicationPolicySchema, policy));
}
