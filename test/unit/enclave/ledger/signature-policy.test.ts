import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import type { Role } from "../../../../src/enclave/ledger/membership.ts";
import {
  channelPolicies,
  EndorsementPolicy,
  policyOf,
  policyReference,
} from "../../../../src/enclave/ledger/signature-policy.ts";
import {
  MSPPrincipalSchema,
  MSPRoleSchema,
  type SignaturePolicy,
  SignaturePolicy_NOutOfSchema,
  SignaturePolicyEnvelopeSchema,
  SignaturePolicySchema,
} from "../../../../src/enclave/messages/generated/fabric/common_pb.ts";
import { ApplicationPolicySchema } from "../../../../src/enclave/messages/generated/fabric/peer_pb.ts";

const mspIds = ["A", "B", "C"];
const roleNumbers = { member: 0, admin: 1, client: 2, peer: 3, orderer: 4 };

const signedBy = (value: number) => create(SignaturePolicySchema, { type: { case: "signedBy", value } });
const outOf = (n: number, rules: SignaturePolicy[]) =>
  create(SignaturePolicySchema, {
    type: { case: "nOutOf", value: create(SignaturePolicy_NOutOfSchema, { n, rules }) },
  });
const principal = (mspIdentifier: string, role: keyof typeof roleNumbers) =>
  create(MSPPrincipalSchema, {
    principal: toBinary(MSPRoleSchema, create(MSPRoleSchema, { mspIdentifier, role: roleNumbers[role] })),
  });

function policy(envelope: MessageInitShape<typeof SignaturePolicyEnvelopeSchema>): EndorsementPolicy {
  const value = create(SignaturePolicyEnvelopeSchema, envelope);
  const message = create(ApplicationPolicySchema, { type: { case: "signaturePolicy", value } });
  return new EndorsementPolicy(toBinary(ApplicationPolicySchema, message), mspIds);
}

const by = (...endorsers: readonly (readonly [string, Role])[]) => endorsers.map(([mspId, role]) => ({ mspId, role }));
const malformed = { code: "MALFORMED" };

describe("an endorsement policy", () => {
  it("of two of three organisations is satisfied by peers of any two, and by nothing less", () => {
    const twoOfThree = new EndorsementPolicy(policyOf(2, mspIds), mspIds);
    assert.ok(twoOfThree.isSatisfiedBy(by(["A", "peer"], ["C", "peer"])));
    assert.ok(twoOfThree.isSatisfiedBy(by(["C", "peer"], ["B", "peer"], ["A", "peer"])));
    for (const few of [by(), by(["A", "peer"]), by(["A", "peer"], ["A", "peer"]), by(["A", "peer"], ["D", "peer"])])
      assert.equal(twoOfThree.isSatisfiedBy(few), false);
  });

  it("that wants peers is not satisfied by an organisation's clients or admins", () => {
    const one = new EndorsementPolicy(policyOf(1, ["A"]), mspIds);
    for (const role of ["client", "admin", "orderer"] as const) assert.equal(one.isSatisfiedBy(by(["A", role])), false);
    const anybody = new EndorsementPolicy(policyOf(1, ["A"], "member"), mspIds);
    assert.ok(anybody.isSatisfiedBy(by(["A", "client"])));
  });

  it("counts an endorser once, where two principals could be the same one", () => {
    const identities = [principal("A", "peer"), principal("A", "member")];
    const both = policy({ rule: outOf(2, [signedBy(0), signedBy(1)]), identities });
    assert.equal(both.isSatisfiedBy(by(["A", "peer"])), false);
    assert.ok(both.isSatisfiedBy(by(["A", "peer"], ["A", "client"])));
  });

  it("gives back what a rule that failed had taken", () => {
    const identities = [principal("A", "peer"), principal("B", "peer")];
    const rule = outOf(1, [outOf(2, [signedBy(0), signedBy(1)]), signedBy(0)]);
    assert.ok(policy({ rule, identities }).isSatisfiedBy(by(["A", "peer"])));
  });

  it("of the channel's configuration wants a peer of more than half of the organisations", () => {
    for (const name of Object.values(channelPolicies)) {
      const majority = new EndorsementPolicy(policyReference(name), mspIds);
      assert.ok(majority.isSatisfiedBy(by(["A", "peer"], ["B", "peer"])));
      for (const few of [
        by(["A", "peer"], ["A", "peer"]),
        by(["A", "peer"], ["B", "admin"]),
        by(["A", "peer"], ["D", "peer"]),
      ])
        assert.equal(majority.isSatisfiedBy(few), false);
    }
    const even = new EndorsementPolicy(policyReference(channelPolicies.endorsement), ["A", "B"]);
    assert.equal(even.isSatisfiedBy(by(["A", "peer"])), false);
  });

  it("names the fewest organisations that satisfy it, those that come first before others", () => {
    const twoOfThree = new EndorsementPolicy(policyOf(2, mspIds), mspIds);
    assert.deepEqual(twoOfThree.fewestOf(["C", "A", "B"]), ["C", "A"]);
    assert.equal(twoOfThree.fewestOf(["C"]), undefined);
    assert.equal(twoOfThree.fewestOf(["D", "C", "E"]), undefined);
    const identities = [principal("A", "peer"), principal("B", "peer"), principal("C", "peer")];
    const rule = outOf(2, [signedBy(2), outOf(1, [signedBy(0), signedBy(1)])]);
    assert.deepEqual(policy({ rule, identities }).fewestOf(["A", "B", "C"]), ["A", "C"]);
  });

  it("is refused where nobody would have to sign", () => {
    const identities = [principal("A", "peer")];
    for (const rule of [outOf(0, [signedBy(0)]), outOf(0, []), outOf(-1, [signedBy(0)]), outOf(1, [outOf(0, [])])])
      assert.throws(() => policy({ rule, identities }), malformed);
  });

  it("is refused where it can never be satisfied, or names what it does not have", () => {
    const identities = [principal("A", "peer")];
    for (const rule of [outOf(2, [signedBy(0)]), signedBy(1), signedBy(-1), create(SignaturePolicySchema)])
      assert.throws(() => policy({ rule, identities }), malformed);
    assert.throws(() => policy({ identities }), malformed);
  });

  it("is refused with principals that are not roles, or are of no organisation or an unknown role", () => {
    const unit = create(MSPPrincipalSchema, { ...principal("A", "peer"), principalClassification: 1 });
    const nobody = principal("", "peer");
    const unknown = create(MSPPrincipalSchema, {
      principal: toBinary(MSPRoleSchema, create(MSPRoleSchema, { mspIdentifier: "A", role: 9 })),
    });
    for (const identity of [unit, nobody, unknown])
      assert.throws(() => policy({ rule: signedBy(0), identities: [identity] }), malformed);
  });

  it("is refused with rules too deep or too many", () => {
    const identities = [principal("A", "peer")];
    let deep = signedBy(0);
    for (let i = 0; i < 10; i++) deep = outOf(1, [deep]);
    assert.throws(() => policy({ rule: deep, identities }), malformed);
    const rule = outOf(
      1,
      Array.from({ length: 300 }, () => signedBy(0)),
    );
    assert.throws(() => policy({ rule, identities }), malformed);
  });

  it("is refused where it is of no kind, or refers to a policy that the channel does not have", () => {
    assert.throws(() => new EndorsementPolicy(Buffer.alloc(0), mspIds), malformed);
    assert.throws(() => new EndorsementPolicy(Buffer.from("no policy"), mspIds), malformed);
    assert.throws(() => new EndorsementPolicy(policyReference("/Channel/Application/Writers"), mspIds), malformed);
  });

  it("is not made of more organisations than there are, or of none", () => {
    for (const count of [0, -1, 4, 1.5]) assert.throws(() => policyOf(count, mspIds), RangeError);
  });
});
