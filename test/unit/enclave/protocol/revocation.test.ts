import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import {
  type RevocationStatement,
  RevocationStatementSchema,
  type SignedRevocationStatement,
  SignedRevocationStatementSchema,
} from "../../../../src/enclave/messages/generated/fpc/policy_pb.ts";
import { encode } from "../../../../src/enclave/messages/strict.ts";
import { readRevocation, signRevocation, verifyRevocation } from "../../../../src/enclave/protocol/revocation.ts";
import { enclave, mspIds, policy, reason, signingKey } from "./fixtures.ts";

function signed(
  changes: Partial<RevocationStatement> = {},
  signers: readonly (keyof typeof mspIds)[] = ["org1", "org2"],
): SignedRevocationStatement {
  const statement = create(RevocationStatementSchema, {
    channelId: "ch1",
    chaincodeId: "auction",
    enclaveId: enclave("enclave2").enclaveId.bytes,
    reason: "its host was broken into",
    policyNumber: 1n,
  });
  const bytes = encode(RevocationStatementSchema, Object.assign(statement, changes));
  return create(SignedRevocationStatementSchema, {
    statement: bytes,
    signatures: signers.map((name) => signRevocation(bytes, mspIds[name], signingKey(name).key)),
  });
}

test("a revocation that the threshold of the policy's organisations signed is verified", () => {
  const statement = verifyRevocation(signed(), policy());
  assert.deepEqual(Buffer.from(statement.enclaveId), enclave("enclave2").enclaveId.bytes);
  assert.equal(verifyRevocation(signed({}, ["org3", "org2", "org1"]), policy()).reason, "its host was broken into");
});

test("too few signatures, one twice, one by another's key or a stranger's are refused", () => {
  for (const signers of [[], ["org1"], ["org1", "org1"]] as const)
    assert.throws(() => verifyRevocation(signed({}, signers), policy()), reason("BAD_SIGNATURE"));
  const forged = signed();
  forged.signatures[1] = signRevocation(forged.statement, "Org2MSP", signingKey("org3").key);
  assert.throws(() => verifyRevocation(forged, policy()), reason("BAD_SIGNATURE", /Org2MSP/));
  forged.signatures[1] = signRevocation(forged.statement, "Org9MSP", signingKey("enclave1").key);
  assert.throws(() => verifyRevocation(forged, policy()), reason("BAD_SIGNATURE", /none of the policy's/));
});

test("a statement for another channel, chaincode or policy is refused", () => {
  assert.throws(() => verifyRevocation(signed({ channelId: "ch2" }), policy()), reason("WRONG_CONTEXT"));
  assert.throws(() => verifyRevocation(signed({ chaincodeId: "other" }), policy()), reason("WRONG_CONTEXT"));
  for (const policyNumber of [2n, 9n])
    assert.throws(() => verifyRevocation(signed({ policyNumber }), policy()), reason("REPLAY"));
});

test("signatures over one statement do not carry another", () => {
  const { signatures } = signed();
  const other = signed({ enclaveId: enclave("enclave1").enclaveId.bytes });
  assert.throws(() => verifyRevocation({ ...other, signatures }, policy()), reason("BAD_SIGNATURE"));
});

const malformed: readonly [changes: Partial<RevocationStatement>, field: string][] = [
  [{ channelId: "" }, "channel_id"],
  [{ chaincodeId: "a/b" }, "chaincode_id"],
  [{ enclaveId: new Uint8Array() }, "enclave_id"],
  [{ enclaveId: Buffer.alloc(31, 1) }, "enclave_id"],
  [{ reason: "" }, "reason"],
  [{ reason: "x".repeat(257) }, "reason"],
  [{ reason: "two\nlines" }, "reason"],
  [{ reason: "\u001b[2J" }, "reason"],
  [{ reason: "\u202e right to left" }, "reason"],
  [{ policyNumber: 0n }, "policy_number"],
];
for (const [index, [changes, field]] of malformed.entries())
  test(`a statement whose ${field} is of another form is malformed (${index})`, () => {
    assert.throws(
      () => readRevocation(signed(changes)),
      reason("MALFORMED", new RegExp(`^RevocationStatement\\.${field} `)),
    );
  });
