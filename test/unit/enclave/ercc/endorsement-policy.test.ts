import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { endorsingOrganisations } from "../../../../src/enclave/ercc/endorsement-policy.ts";
import { EnclaveError } from "../../../../src/enclave/errors.ts";
import { ApplicationPolicySchema } from "../../../../src/enclave/messages/generated/fabric/peer_pb.ts";
import { applicationPolicy, outOf, type Principal, type Rule, roles, signedBy } from "./endorsement.ts";

const [org1, org2, org3] = [{ mspId: "Org1MSP" }, { mspId: "Org2MSP" }, { mspId: "Org3MSP" }];

function organisations(rule: Rule, principals: readonly Principal[] = [org1, org2, org3]): string[] {
  return [...endorsingOrganisations(applicationPolicy(rule, principals))].sort();
}

function refused(bytes: Uint8Array, text: RegExp): void {
  assert.throws(
    () => endorsingOrganisations(bytes),
    (error: unknown) => {
      assert(error instanceof EnclaveError);
      assert.equal(error.code, "POLICY_DENIED");
      assert.match(error.message, text);
      return true;
    },
  );
}

describe("The organisations of an endorsement policy", () => {
  it("are those of every rule that can be part of a set of signatures", () => {
    assert.deepEqual(organisations(signedBy(1)), ["Org2MSP"]);
    assert.deepEqual(organisations(outOf(1, signedBy(0), signedBy(2))), ["Org1MSP", "Org3MSP"]);
    const nested = outOf(2, signedBy(0), outOf(1, signedBy(1), signedBy(2)));
    assert.deepEqual(organisations(nested), ["Org1MSP", "Org2MSP", "Org3MSP"]);
  });

  it("are none that the policy names, but no rule asks for", () => {
    assert.deepEqual(organisations(signedBy(0), [org1, org2, org3]), ["Org1MSP"]);
  });

  it("are none of a branch that nothing satisfies", () => {
    const branch = outOf(3, signedBy(1), signedBy(2));
    assert.deepEqual(organisations(outOf(1, signedBy(0), branch)), ["Org1MSP"]);
  });

  it("are none of a rule that is met without a signature", () => {
    assert.deepEqual(organisations(outOf(1, outOf(0, signedBy(1)), signedBy(0))), ["Org1MSP"]);
    assert.deepEqual(organisations(outOf(0, signedBy(0))), []);
    assert.deepEqual(organisations(outOf(-1, signedBy(0))), []);
  });

  it("count by roles that a peer has: member and peer, not admin, client or orderer", () => {
    for (const role of [roles.member, roles.peer])
      assert.deepEqual(organisations(signedBy(0), [{ mspId: "Org1MSP", role }]), ["Org1MSP"]);
    for (const role of [roles.admin, roles.client, roles.orderer, 9])
      assert.deepEqual(organisations(signedBy(0), [{ mspId: "Org1MSP", role }]), []);
  });

  it("are none of a principal that is told by its unit or certificate", () => {
    assert.deepEqual(organisations(signedBy(0), [{ mspId: "Org1MSP", classification: 1 }]), []);
    assert.deepEqual(organisations(outOf(2, signedBy(0), signedBy(1)), [{ mspId: "x", classification: 2 }, org2]), [
      "Org2MSP",
    ]);
  });
});

describe("An endorsement policy that cannot be judged: POLICY_DENIED", () => {
  it("is one that refers to the channel's configuration", () => {
    const type = { case: "channelConfigPolicyReference", value: "/Channel/Application/Endorsement" } as const;
    refused(toBinary(ApplicationPolicySchema, create(ApplicationPolicySchema, { type })), /channel's configuration/);
  });

  it("is an empty one, or bytes that are none", () => {
    refused(new Uint8Array(), /is empty/);
    refused(Buffer.from("endorse"), /not an ApplicationPolicy|is empty/);
  });

  it("is one that no set of signatures satisfies", () => {
    refused(applicationPolicy(outOf(2, signedBy(0)), [org1]), /no set of signatures/);
  });

  it("is one whose rule is missing, or names an identity that is not there", () => {
    refused(applicationPolicy(undefined, [org1]), /rule is missing/);
    refused(applicationPolicy({}, [org1]), /unknown kind/);
    refused(applicationPolicy(signedBy(3), [org1]), /not there/);
    refused(applicationPolicy(signedBy(-1), [org1]), /not there/);
  });

  it("is one that is nested too deeply, or has too many rules", () => {
    let deep = signedBy(0);
    for (let depth = 0; depth < 40; depth++) deep = outOf(1, deep);
    refused(applicationPolicy(deep, [org1]), /too deep/);
    const many = outOf(1, ...Array.from({ length: 5000 }, () => signedBy(0)));
    refused(applicationPolicy(many, [org1]), /too deep/);
  });
});
