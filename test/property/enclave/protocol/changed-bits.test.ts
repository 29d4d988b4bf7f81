import assert from "node:assert/strict";
import { before, test } from "node:test";
import { create, type DescMessage } from "@bufbuild/protobuf";
import { EnclaveError } from "../../../../src/enclave/errors.ts";
import {
  ChaincodeResponseMessageSchema,
  SignedChaincodeResponseMessageSchema,
} from "../../../../src/enclave/messages/generated/fpc/fpc_pb.ts";
import {
  CCKeyRegistrationMessageSchema,
  ExportMessageSchema,
  GenerationProposalMessageSchema,
  RecoveryMessageSchema,
  ReleasedShareMessageSchema,
  SignedCCKeyRegistrationMessageSchema,
  SignedExportMessageSchema,
  SignedGenerationProposalMessageSchema,
  SignedRecoveryMessageSchema,
  SignedReleasedShareMessageSchema,
} from "../../../../src/enclave/messages/generated/fpc/key_dist_pb.ts";
import {
  PolicySchema,
  RevocationStatementSchema,
  SignedPolicySchema,
  SignedRevocationStatementSchema,
} from "../../../../src/enclave/messages/generated/fpc/policy_pb.ts";
import { decodeStrict, encode } from "../../../../src/enclave/messages/strict.ts";
import { signResponse, verifyResponse } from "../../../../src/enclave/protocol/chaincode-response.ts";
import { makeExport, openExport, verifyExport } from "../../../../src/enclave/protocol/export.ts";
import { signProposal, verifyProposal } from "../../../../src/enclave/protocol/generation.ts";
import { verifySignedPolicy } from "../../../../src/enclave/protocol/policy.ts";
import { issueRecovery, openShare } from "../../../../src/enclave/protocol/recovery.ts";
import { readRecovery, verifyRecovery } from "../../../../src/enclave/protocol/recovery-form.ts";
import { signRegistration, verifyRegistration } from "../../../../src/enclave/protocol/registration.ts";
import { releaseShare, verifyReleasedShare } from "../../../../src/enclave/protocol/released-share.ts";
import { signRevocation, verifyRevocation } from "../../../../src/enclave/protocol/revocation.ts";
import { long } from "../../../run-settings.ts";
import {
  enclave,
  encryptionKey,
  generation,
  nextPolicy,
  policy,
  signedPolicy,
  signingKey,
} from "../../../unit/enclave/protocol/fixtures.ts";
import { everyField, parse, type WireField } from "../messages/wire-tree.ts";

interface SignedCase {
  readonly name: string;
  readonly bytes: Buffer;
  /** Where its fields lie, those of the signed message within included. */
  readonly fields: readonly WireField[];
  readonly verify: (bytes: Uint8Array) => void;
}

const [one, two] = [enclave("enclave1"), enclave("enclave2")];
const [first, second] = [generation(1), generation(2)];
const { key: sk } = signingKey("enclave1");
const { ccParamsHash } = one;
const enclaveId = one.enclaveId.bytes;
let cases: SignedCase[];

function caseOf<Desc extends DescMessage>(
  schema: Desc,
  signedSchema: DescMessage,
  message: Parameters<typeof encode<Desc>>[1],
  verify: (message: ReturnType<typeof decodeStrict<Desc>>) => void,
): SignedCase {
  const bytes = encode(schema, message);
  const fields = everyField(parse(schema, bytes));
  const signed = fields.find(({ field }) =>
    ["value", "policy", "statement", "chaincode_response_message"].includes(field.name),
  );
  assert.ok(signed?.value instanceof Uint8Array);
  return {
    name: schema.name,
    bytes,
    fields: [...fields, ...everyField(parse(signedSchema, signed.value))],
    verify: (bytes) => verify(decodeStrict(schema, bytes)),
  };
}

before(async () => {
  const receiver = { dk: encryptionKey("enclave2").key, ccParamsHash: two.ccParamsHash, vkPem: two.vkPem };
  const exported = makeExport({ sender: { sk, vkPem: one.vkPem, ccParamsHash }, receiver: two, generation: first });
  const recovery = await issueRecovery({
    ccParamsHash,
    generation: first,
    policy: policy(),
    issuer: { enclaveId, sk },
  });
  using share = openShare(readRecovery(recovery), "Org1MSP", encryptionKey("org1").key);
  const requestHash = Buffer.alloc(32, 1);
  const response = create(ChaincodeResponseMessageSchema, {
    encryptedResponse: Buffer.alloc(30, 1),
    proposal: { proposalBytes: Buffer.of(1), signature: Buffer.of(2) },
    chaincodeRequestMessageHash: requestHash,
    enclaveId: one.enclaveId.text,
  });
  const statement = encode(
    RevocationStatementSchema,
    create(RevocationStatementSchema, {
      channelId: "ch1",
      chaincodeId: "auction",
      enclaveId,
      reason: "lost",
      policyNumber: 1n,
    }),
  );
  const revocation = create(SignedRevocationStatementSchema, {
    statement,
    signatures: [
      signRevocation(statement, "Org1MSP", signingKey("org1").key),
      signRevocation(statement, "Org2MSP", signingKey("org2").key),
    ],
  });
  cases = [
    caseOf(
      SignedCCKeyRegistrationMessageSchema,
      CCKeyRegistrationMessageSchema,
      signRegistration(
        {
          ccParamsHash,
          chaincodeEk: first.ekPem,
          enclaveId,
          generation: 1n,
          stateKeyCommitment: first.stateKeyCommitment,
        },
        sk,
      ),
      (signed) => verifyRegistration(signed, one.vkPem),
    ),
    caseOf(SignedExportMessageSchema, ExportMessageSchema, exported, (signed) => {
      // The receiver's part does all of the registry's, and more; but it takes the sender from the message.
      verifyExport(signed);
      openExport(signed, receiver)[Symbol.dispose]();
    }),
    caseOf(
      SignedGenerationProposalMessageSchema,
      GenerationProposalMessageSchema,
      signProposal({ ccParamsHash, generation: second, previous: first, proposerId: enclaveId }, sk),
      (signed) => verifyProposal(signed, one.vkPem),
    ),
    caseOf(SignedRecoveryMessageSchema, RecoveryMessageSchema, recovery, (signed) =>
      verifyRecovery(signed, one.vkPem, policy()),
    ),
    caseOf(
      SignedReleasedShareMessageSchema,
      ReleasedShareMessageSchema,
      releaseShare({ recovery, mspId: "Org1MSP", share, receiver: two }, signingKey("org1").key),
      (signed) => verifyReleasedShare(signed, policy()),
    ),
    caseOf(SignedPolicySchema, PolicySchema, signedPolicy(nextPolicy(), ["org1", "org2"]), (signed) =>
      verifySignedPolicy(signed, policy()),
    ),
    caseOf(SignedRevocationStatementSchema, RevocationStatementSchema, revocation, (signed) =>
      verifyRevocation(signed, policy()),
    ),
    caseOf(SignedChaincodeResponseMessageSchema, ChaincodeResponseMessageSchema, signResponse(response, sk), (signed) =>
      verifyResponse(signed, one.vkPem, requestHash),
    ),
  ];
});

const reasons = [
  "MALFORMED",
  "BAD_SIGNATURE",
  "WRONG_CONTEXT",
  "UNAUTHORIZED",
  "REPLAY",
  "CONFLICT",
  "POLICY_DENIED",
  "BAD_CIPHERTEXT",
];

test("every signed message is verified as it is", () => {
  for (const { bytes, verify } of cases) verify(bytes);
});

/** In each field its tag, its length or number, and the beginning, middle and end of what it holds; at length every byte. */
function placesIn({ bytes, fields }: SignedCase): Iterable<number> {
  if (long) return bytes.keys();
  const places = fields.flatMap(({ from, to }) => [from, from + 1, from + 3, Math.floor((from + to) / 2), to - 1]);
  return new Set(places.map((place) => Math.min(place - bytes.byteOffset, bytes.length - 1)));
}

test("one changed bit in any field of a signed message is refused with a reason", () => {
  for (const signed of cases)
    for (const at of placesIn(signed)) {
      const altered = Buffer.from(signed.bytes);
      altered[at] = (altered[at] ?? 0) ^ (1 << (at % 8));
      assert.throws(
        () => signed.verify(altered),
        (error) => error instanceof EnclaveError && reasons.includes(error.code),
        `${signed.name}: byte ${at}`,
      );
    }
});
