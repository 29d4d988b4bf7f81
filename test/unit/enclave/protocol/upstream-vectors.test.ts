import assert from "node:assert/strict";
import { createHash, createPrivateKey, createPublicKey, privateDecrypt, verify } from "node:crypto";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { unpackAny } from "../../../../src/enclave/messages/any.ts";
import { decodeArgument, encodeArgument } from "../../../../src/enclave/messages/argument.ts";
import {
  AttestedDataSchema,
  CCParametersSchema,
  ChaincodeRequestMessageSchema,
  CredentialsSchema,
  KeyTransportMessageSchema,
} from "../../../../src/enclave/messages/generated/fpc/fpc_pb.ts";
import {
  CCKeyRegistrationMessageSchema,
  ExportMessageSchema,
  SignedCCKeyRegistrationMessageSchema,
} from "../../../../src/enclave/messages/generated/fpc/key_dist_pb.ts";
import { decodeStrict, encode } from "../../../../src/enclave/messages/strict.ts";
import { readCredentials } from "../../../../src/enclave/protocol/attested-data.ts";
import { ccParamsHash, checkCcParams } from "../../../../src/enclave/protocol/cc-params.ts";
import { enclaveIdOf, parseEnclaveId, readEnclaveId } from "../../../../src/enclave/protocol/enclave-id.ts";
import { readExport } from "../../../../src/enclave/protocol/export.ts";
import {
  encryptionKeyOf,
  readDecryptionKey,
  readEncryptionKey,
  readSigningKey,
  readVerificationKey,
  verificationKeyOf,
} from "../../../../src/enclave/protocol/key-formats.ts";
import { decryptMessage } from "../../../../src/enclave/protocol/message-cipher.ts";
import { readRegistration } from "../../../../src/enclave/protocol/registration.ts";
import { revealRequest } from "../../../../src/enclave/protocol/request-encryption.ts";
import upstream from "../../../vectors/fpc/upstream.json" with { type: "json" };
import { reason } from "./fixtures.ts";

const secret = (pem: string) => SecretBuffer.take(Buffer.from(pem));
const base64 = (text: string) => Buffer.from(text, "base64");
const [vkPem, ekPem] = [Buffer.from(upstream.enclave_vk_pem), Buffer.from(upstream.chaincode_ek_pem)];

test("upstream's parameters have upstream's bytes and hash", () => {
  const { chaincode_id: chaincodeId, version, sequence, channel_id: channelId } = upstream.cc_params;
  const parameters = create(CCParametersSchema, { chaincodeId, version, sequence: BigInt(sequence), channelId });
  assert.equal(encode(CCParametersSchema, parameters).toString("hex"), upstream.cc_params_hex);
  assert.equal(ccParamsHash(parameters).toString("hex"), upstream.cc_params_sha256);
  assert.deepEqual(
    checkCcParams(decodeStrict(CCParametersSchema, Buffer.from(upstream.cc_params_hex, "hex"))),
    parameters,
  );
});

test("upstream's enclave has the id that upstream gives it", () => {
  const id = enclaveIdOf(vkPem);
  assert.equal(id.text, upstream.enclave_id);
  assert.deepEqual(parseEnclaveId(upstream.enclave_id), id);
  assert.deepEqual(readEnclaveId(id.bytes, "it"), id);
  assert.notEqual(enclaveIdOf(vkPem.subarray(0, -1)).text, upstream.enclave_id);
});

test("an id of another form is refused", () => {
  for (const text of [
    "",
    upstream.enclave_id.toLowerCase(),
    `${upstream.enclave_id}00`,
    upstream.enclave_id.slice(2),
    `${upstream.enclave_id}\n`,
  ])
    assert.throws(() => parseEnclaveId(text), reason("MALFORMED"));
  for (const bytes of [Buffer.alloc(31), Buffer.alloc(33), Buffer.from(upstream.enclave_id)])
    assert.throws(() => readEnclaveId(bytes, "Message.id"), reason("MALFORMED", /^Message\.id/));
});

test("upstream's keys are read, and written byte for byte as upstream writes them", () => {
  assert.ok(readVerificationKey(vkPem, "vk"));
  assert.ok(readEncryptionKey(ekPem, "ek"));
  assert.deepEqual(verificationKeyOf(readSigningKey(secret(upstream.enclave_sk_pem))), vkPem);
  assert.deepEqual(encryptionKeyOf(readDecryptionKey(secret(upstream.chaincode_dk_pem))), ekPem);
  assert.equal(upstream.chaincode_dk_pem.length, upstream.chaincode_dk_pem_len);
});

test("a public key of the other kind, or not as upstream writes it, is refused however often the right one was read", () => {
  for (let round = 0; round < 2; round += 1) {
    assert.equal(readVerificationKey(vkPem, "vk").asymmetricKeyType, "ec");
    assert.equal(readEncryptionKey(ekPem, "ek").asymmetricKeyType, "rsa");
    assert.throws(() => readVerificationKey(ekPem, "Message.vk"), reason("MALFORMED", /^Message\.vk/));
    assert.throws(() => readEncryptionKey(vkPem, "Message.ek"), reason("MALFORMED", /^Message\.ek/));
    for (const [pem, read] of [
      [vkPem, readVerificationKey],
      [ekPem, readEncryptionKey],
    ] as const)
      for (const other of [
        Buffer.alloc(0),
        pem.subarray(0, -1),
        Buffer.concat([pem, Buffer.from("\n")]),
        Buffer.from(pem.toString().replaceAll("\n", "\r\n")),
        Buffer.concat([pem, Buffer.alloc(4096)]),
      ])
        assert.throws(() => read(other, "Message.key"), reason("MALFORMED", /^Message\.key/));
  }
});

test("a private key of the other kind is refused", () => {
  assert.throws(() => readSigningKey(secret(upstream.chaincode_dk_pem)), reason("MALFORMED"));
  assert.throws(() => readDecryptionKey(secret(upstream.enclave_sk_pem)), reason("MALFORMED"));
  assert.throws(() => readDecryptionKey(secret("")), reason("MALFORMED"));
});

test("upstream's ciphertexts and signature open and verify", () => {
  const text = base64(upstream.message_b64);
  const key = base64(upstream.sym_key_b64);
  assert.deepEqual(decryptMessage(key, base64(upstream.aes_gcm_ct_b64), "it"), text);
  const dk = createPrivateKey(upstream.chaincode_dk_pem);
  assert.deepEqual(privateDecrypt({ key: dk, oaepHash: "sha1" }, base64(upstream.rsa_oaep_ct_b64)), text);
  assert.ok(verify("sha256", text, createPublicKey(upstream.enclave_vk_pem), base64(upstream.ecdsa_sig_b64)));
});

test("both ciphertexts of a request that upstream's client concealed open", () => {
  const dk = createPrivateKey(upstream.chaincode_dk_pem);
  const bytes = base64(upstream.chaincode_request_b64);
  const message = decodeStrict(ChaincodeRequestMessageSchema, bytes);
  const transport = privateDecrypt({ key: dk, oaepHash: "sha1" }, message.encryptedKeyTransportMessage);
  assert.equal(transport.toString("hex"), upstream.key_transport_hex);
  const { requestEncryptionKey } = decodeStrict(KeyTransportMessageSchema, transport);
  const text = decryptMessage(requestEncryptionKey, message.encryptedRequest, "it");
  // The vector holds a line of text where a client has its arguments.
  assert.deepEqual(text, base64(upstream.message_b64));
  assert.throws(() => revealRequest(bytes, dk), reason("MALFORMED", /^CleartextChaincodeRequest/));
});

test("upstream's credentials are read, and refused for the chaincode key that they carry", () => {
  const credentials = decodeArgument(CredentialsSchema, upstream.credentials_b64);
  assert.equal(encodeArgument(CredentialsSchema, credentials), upstream.credentials_b64);
  assert.equal(credentials.serializedAttestedData?.typeUrl, upstream.attested_data_type_url);
  const attested = unpackAny(AttestedDataSchema, credentials.serializedAttestedData, "it");
  assert.deepEqual(Buffer.from(attested.chaincodeEk), ekPem);
  assert.deepEqual(Buffer.from(attested.enclaveVk), vkPem);
  assert.throws(() => readCredentials(credentials), reason("MALFORMED", /AttestedData\.channel_hash/));
});

test("upstream's registration and export are read by upstream's field numbers, and lack what is added", () => {
  const signed = decodeArgument(SignedCCKeyRegistrationMessageSchema, upstream.signed_cckey_reg_b64);
  assert.equal(signed.serializedCckeyRegMsg?.typeUrl, upstream.cckey_reg_type_url);
  const message = unpackAny(CCKeyRegistrationMessageSchema, signed.serializedCckeyRegMsg, "it");
  assert.equal(Buffer.from(message.ccParamsHash).toString("hex"), upstream.cc_params_sha256);
  assert.equal(Buffer.from(message.enclaveId).toString("hex").toUpperCase(), upstream.enclave_id);
  assert.throws(() => readRegistration(signed), reason("MALFORMED", /CCKeyRegistrationMessage\.generation/));
  const exported = decodeStrict(ExportMessageSchema, Buffer.from(upstream.export_hex, "hex"));
  assert.deepEqual(Buffer.from(exported.cckeysEnc), Buffer.of(1, 2, 3));
  assert.deepEqual(Buffer.from(exported.senderEnclaveVk), vkPem);
  const { signature } = signed;
  const value = Buffer.from(upstream.export_hex, "hex");
  const typeUrl = "github.com/fpc/key_distribution.ExportMessage";
  const any = { $typeName: "google.protobuf.Any", typeUrl, value } as const;
  assert.throws(
    () => readExport({ $typeName: "key_distribution.SignedExportMessage", serializedExportMsgBytes: any, signature }),
    reason("MALFORMED", /ExportMessage\.generation/),
  );
  assert.equal(createHash("sha256").update(vkPem).digest("hex").toUpperCase(), upstream.enclave_id);
});
