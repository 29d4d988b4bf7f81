import assert from "node:assert/strict";
import {
  constants,
  createDecipheriv,
  createHash,
  createPrivateKey,
  hkdfSync,
  privateDecrypt,
  verify,
} from "node:crypto";
import { test } from "node:test";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { decodeArgument } from "../../../../src/enclave/messages/argument.ts";
import { CredentialsSchema } from "../../../../src/enclave/messages/generated/fpc/fpc_pb.ts";
import {
  SignedCCKeyRegistrationMessageSchema,
  SignedExportMessageSchema,
  SignedGenerationProposalMessageSchema,
  SignedRecoveryMessageSchema,
  SignedReleasedShareMessageSchema,
} from "../../../../src/enclave/messages/generated/fpc/key_dist_pb.ts";
import {
  SignedPolicySchema,
  SignedRevocationStatementSchema,
} from "../../../../src/enclave/messages/generated/fpc/policy_pb.ts";
import { readCredentials } from "../../../../src/enclave/protocol/attested-data.ts";
import { openExport, readExport } from "../../../../src/enclave/protocol/export.ts";
import { openPrevious, verifyProposal } from "../../../../src/enclave/protocol/generation.ts";
import { verifySignedPolicy } from "../../../../src/enclave/protocol/policy.ts";
import { checkShares } from "../../../../src/enclave/protocol/recovery-check.ts";
import { verifyRecovery } from "../../../../src/enclave/protocol/recovery-form.ts";
import { verifyRegistration } from "../../../../src/enclave/protocol/registration.ts";
import { recoverGeneration } from "../../../../src/enclave/protocol/released-share.ts";
import { revealRequest, revealResponse } from "../../../../src/enclave/protocol/request-encryption.ts";
import { verifyRevocation } from "../../../../src/enclave/protocol/revocation.ts";
import { decryptState, encryptState } from "../../../../src/enclave/protocol/state-encryption.ts";
import vectors from "../../../vectors/fpc/strongroom.json" with { type: "json" };
import upstream from "../../../vectors/fpc/upstream.json" with { type: "json" };
import { enclave, encryptionKey, generation, policy } from "./fixtures.ts";

const [one, two] = [enclave("enclave1"), enclave("enclave2")];
const first = generation(1);
const receiver = { dk: encryptionKey("enclave2").key, ccParamsHash: two.ccParamsHash, vkPem: two.vkPem };

test("credentials, id and parameters' hash stay what they were", () => {
  const read = readCredentials(decodeArgument(CredentialsSchema, vectors.credentials));
  assert.equal(read.enclaveId.text, vectors.enclave_id);
  assert.equal(read.ccParamsHash.toString("hex"), vectors.cc_params_hash);
});

test("a registration of before is verified", () => {
  const signed = decodeArgument(SignedCCKeyRegistrationMessageSchema, vectors.registration);
  assert.equal(verifyRegistration(signed, one.vkPem).generation, 1n);
});

test("an export of before opens", () => {
  using opened = openExport(decodeArgument(SignedExportMessageSchema, vectors.export), receiver);
  assert.deepEqual(opened.ekPem, first.ekPem);
});

test("the steps of decision 0615 and 0603, written out, open and verify an export", () => {
  const signed = decodeArgument(SignedExportMessageSchema, vectors.export);
  const message = readExport(signed);
  const sealed = Buffer.from(message.cckeysEnc);
  const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest();
  const withLength = (bytes: Uint8Array) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    return Buffer.concat([length, bytes]);
  };
  const number = Buffer.from("0000000000000001", "hex");
  const bound = [
    Buffer.from("strongroom/fpc/v1/hybrid/export"),
    message.ccParamsHash,
    message.receiverCcParamsHash,
    message.chaincodeEk,
    sha256(message.senderEnclaveVk),
    sha256(message.receiverEnclaveVk),
    number,
    message.exportNonce,
  ];
  const padding = constants.RSA_PKCS1_OAEP_PADDING;
  const key = privateDecrypt({ key: receiver.dk, padding, oaepHash: "sha256" }, sealed.subarray(1, 385));
  const decipher = createDecipheriv("aes-256-gcm", key, sealed.subarray(385, 397))
    .setAAD(sha256(Buffer.concat(bound.map(withLength))))
    .setAuthTag(sealed.subarray(397, 413));
  const text = Buffer.concat([decipher.update(sealed.subarray(413)), decipher.final()]);
  // KeyGeneration: number 1, SEK of 16 bytes, DK.
  assert.equal(text.subarray(0, 4).toString("hex"), "08011210");
  assert.ok(text.subarray(20).includes(upstream.chaincode_dk_pem));
  const value = signed.serializedExportMsgBytes?.value ?? new Uint8Array();
  const signedBytes = Buffer.concat([Buffer.from("strongroom/fpc/v1/export\u0000"), value]);
  assert.ok(verify("sha256", signedBytes, one.vkPem, signed.signature));
});

test("what a proposal of before has wrapped opens, by the code and by its steps", () => {
  const signed = decodeArgument(SignedGenerationProposalMessageSchema, vectors.proposal);
  const message = verifyProposal(signed, one.vkPem);
  const newer = generation(2);
  using previous = openPrevious(newer, message);
  assert.equal(previous.number, 1n);
  const wrapped = Buffer.from(message.wrappedPrevious);
  const info = Buffer.concat([
    Buffer.from("strongroom/fpc/v1/wrap-previous\u0000"),
    message.ccParamsHash,
    Buffer.from("0000000000000002", "hex"),
  ]);
  const key = newer.stateKey.expose((bytes) => Buffer.from(hkdfSync("sha256", bytes, "", info, 32)));
  const decipher = createDecipheriv("aes-256-gcm", key, wrapped.subarray(1, 13))
    .setAAD(Buffer.concat([info, newer.ekHash]))
    .setAuthTag(wrapped.subarray(13, 29));
  const text = Buffer.concat([decipher.update(wrapped.subarray(29)), decipher.final()]);
  assert.equal(text.subarray(0, 4).toString("hex"), "08011210");
});

test("recovery shares of before give the keys", async () => {
  const recovery = decodeArgument(SignedRecoveryMessageSchema, vectors.recovery);
  verifyRecovery(recovery, one.vkPem, policy());
  const released = vectors.released.map((text) => decodeArgument(SignedReleasedShareMessageSchema, text));
  using recovered = await recoverGeneration(recovery, released, policy(), receiver);
  assert.deepEqual(recovered.ekPem, first.ekPem);
});

test("what verifies recovery shares of before opens", async () => {
  const recovery = decodeArgument(SignedRecoveryMessageSchema, vectors.recovery_with_sealed_shares);
  const message = verifyRecovery(recovery, one.vkPem, policy());
  assert.equal(message.policyNumber, 1n);
  await checkShares(first, message);
});

test("policies and a revocation of before are verified", () => {
  const before = verifySignedPolicy(decodeArgument(SignedPolicySchema, vectors.policy_1), undefined);
  assert.equal(verifySignedPolicy(decodeArgument(SignedPolicySchema, vectors.policy_2), before).number, 2n);
  const revocation = decodeArgument(SignedRevocationStatementSchema, vectors.revocation);
  assert.deepEqual(Buffer.from(verifyRevocation(revocation, before).enclaveId), two.enclaveId.bytes);
});

test("private state of before is read, and written the same in the same transaction", () => {
  const { chaincode_id: chaincodeId, key, value, tx_id: txId, derived_iv: derived, random_iv: random } = vectors.state;
  const name = { chaincodeId, key };
  for (const stored of [derived, random])
    assert.equal(decryptState(first, name, Buffer.from(stored, "hex")).toString(), value);
  assert.equal(encryptState(first, name, Buffer.from(value), txId).toString("hex"), derived);
});

test("a request and an answer of before open", () => {
  using request = revealRequest(Buffer.from(vectors.request, "base64"), createPrivateKey(upstream.chaincode_dk_pem));
  assert.deepEqual(
    request.input.args.map((arg) => Buffer.from(arg).toString()),
    ["bid", "42"],
  );
  const key = SecretBuffer.take(Buffer.from(vectors.response_key, "hex"));
  assert.ok(request.responseKey.expose((bytes) => key.equals(bytes)));
  assert.equal(
    Buffer.from(revealResponse(key, Buffer.from(vectors.response, "base64")).payload).toString(),
    "accepted",
  );
});
