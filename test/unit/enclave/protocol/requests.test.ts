import assert from "node:assert/strict";
import { constants, createPrivateKey, privateDecrypt, publicEncrypt } from "node:crypto";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { ResponseSchema } from "../../../../src/enclave/messages/generated/fabric/peer_pb.ts";
import {
  ChaincodeRequestMessageSchema,
  type ChaincodeResponseMessage,
  ChaincodeResponseMessageSchema,
  CleartextChaincodeRequestSchema,
  KeyTransportMessageSchema,
} from "../../../../src/enclave/messages/generated/fpc/fpc_pb.ts";
import { encode } from "../../../../src/enclave/messages/strict.ts";
import { readResponse, signResponse, verifyResponse } from "../../../../src/enclave/protocol/chaincode-response.ts";
import { encryptMessage } from "../../../../src/enclave/protocol/message-cipher.ts";
import {
  concealRequest,
  concealResponse,
  requestHashOf,
  revealRequest,
  revealResponse,
} from "../../../../src/enclave/protocol/request-encryption.ts";
import upstream from "../../../vectors/fpc/upstream.json" with { type: "json" };
import { enclave, encryptionKey, reason, signingKey } from "./fixtures.ts";

const chaincodeEk = Buffer.from(upstream.chaincode_ek_pem);
const dk = createPrivateKey(upstream.chaincode_dk_pem);
const args = [Buffer.from("bid"), Buffer.from("42")];

/** A request whose two ciphertexts are made of these cleartexts, by upstream's steps spelt out here. */
function requestOf(
  transport: Uint8Array,
  request: Uint8Array,
  key: Uint8Array = Buffer.alloc(16, 1),
  oaepHash = "sha1",
) {
  const padding = constants.RSA_PKCS1_OAEP_PADDING;
  return encode(
    ChaincodeRequestMessageSchema,
    create(ChaincodeRequestMessageSchema, {
      encryptedRequest: encryptMessage(key, request),
      encryptedKeyTransportMessage: publicEncrypt({ key: chaincodeEk, padding, oaepHash }, transport),
    }),
  );
}
const transportOf = (requestEncryptionKey: Uint8Array, responseEncryptionKey: Uint8Array) =>
  encode(KeyTransportMessageSchema, create(KeyTransportMessageSchema, { requestEncryptionKey, responseEncryptionKey }));
const [requestKey, responseKey] = [Buffer.alloc(16, 1), Buffer.alloc(16, 2)];
const cleartext = encode(CleartextChaincodeRequestSchema, create(CleartextChaincodeRequestSchema, { input: { args } }));

test("what a client conceals, the enclave reveals, and nobody else", () => {
  const { message } = concealRequest(chaincodeEk, args);
  const bytes = encode(ChaincodeRequestMessageSchema, message);
  using revealed = revealRequest(bytes, dk);
  assert.deepEqual(
    revealed.input.args.map((arg) => Buffer.from(arg).toString()),
    ["bid", "42"],
  );
  assert.deepEqual(revealed.requestHash, requestHashOf(bytes));
  assert.equal(bytes.includes("bid"), false);
  assert.throws(() => revealRequest(bytes, encryptionKey("chaincode2").key), reason("BAD_CIPHERTEXT"));
});

test("the answer goes back under the client's own key", () => {
  const { message, responseKey: clientKey } = concealRequest(chaincodeEk, args);
  using revealed = revealRequest(encode(ChaincodeRequestMessageSchema, message), dk);
  const response = create(ResponseSchema, { status: 200, payload: Buffer.from("accepted") });
  const encrypted = concealResponse(revealed.responseKey, response);
  assert.equal(encrypted.includes("accepted"), false);
  const opened = revealResponse(clientKey, encrypted);
  assert.deepEqual([opened.status, Buffer.from(opened.payload).toString()], [200, "accepted"]);
  using other = SecretBuffer.random(16);
  assert.throws(() => revealResponse(other, encrypted), reason("BAD_CIPHERTEXT"));
  for (const bytes of [encrypted.subarray(0, 28), encrypted.subarray(1), Buffer.alloc(0)])
    assert.throws(() => revealResponse(clientKey, bytes), reason("BAD_CIPHERTEXT"));
});

test("two requests of the same arguments have nothing in common", () => {
  const [a, b] = [concealRequest(chaincodeEk, args).message, concealRequest(chaincodeEk, args).message];
  assert.notDeepEqual(a.encryptedRequest, b.encryptedRequest);
  assert.notDeepEqual(a.encryptedKeyTransportMessage, b.encryptedKeyTransportMessage);
});

test("upstream's own way opens a request that was concealed here", () => {
  const { message } = concealRequest(chaincodeEk, args);
  const padding = constants.RSA_PKCS1_OAEP_PADDING;
  const transport = privateDecrypt({ key: dk, padding, oaepHash: "sha1" }, message.encryptedKeyTransportMessage);
  // Two fields of 16 bytes each: 0a 10 …, 12 10 ….
  assert.equal(transport.length, 36);
  assert.deepEqual([transport[0], transport[1], transport[18], transport[19]], [0x0a, 0x10, 0x12, 0x10]);
});

test("a request of another form is malformed, or does not open", () => {
  const transport = transportOf(requestKey, responseKey);
  revealRequest(requestOf(transport, cleartext), dk)[Symbol.dispose]();
  const empty = encode(CleartextChaincodeRequestSchema, create(CleartextChaincodeRequestSchema, { input: {} }));
  const cases: readonly [what: string, bytes: Uint8Array, code: string, about: RegExp][] = [
    ["nothing", new Uint8Array(), "MALFORMED", /ChaincodeRequestMessage\.encrypted_request is missing/],
    [
      "OAEP with SHA-256",
      requestOf(transport, cleartext, requestKey, "sha256"),
      "BAD_CIPHERTEXT",
      /keys of the request/,
    ],
    [
      "a short request key",
      requestOf(transportOf(Buffer.alloc(15, 1), responseKey), cleartext),
      "MALFORMED",
      /request_encryption_key/,
    ],
    [
      "a long response key",
      requestOf(transportOf(requestKey, Buffer.alloc(32, 1)), cleartext),
      "MALFORMED",
      /response_encryption_key/,
    ],
    [
      "no response key",
      requestOf(transportOf(requestKey, new Uint8Array()), cleartext),
      "MALFORMED",
      /response_encryption_key/,
    ],
    ["another request key", requestOf(transport, cleartext, Buffer.alloc(16, 9)), "BAD_CIPHERTEXT", /the request/],
    ["an empty text", requestOf(transport, new Uint8Array()), "BAD_CIPHERTEXT", /too short/],
    ["no protobuf", requestOf(transport, Buffer.from("no protobuf")), "MALFORMED", /CleartextChaincodeRequest/],
    ["no input", requestOf(transport, empty), "MALFORMED", /input/],
    ["rubbish for keys", requestOf(Buffer.from("rubbish"), cleartext), "MALFORMED", /KeyTransportMessage/],
  ];
  for (const [what, bytes, code, about] of cases)
    assert.throws(() => revealRequest(bytes, dk), reason(code, about), what);
});

test("a request is for an EK of the right form alone", () => {
  assert.throws(() => concealRequest(Buffer.from("no key"), args), reason("MALFORMED", /chaincode_ek/));
  assert.throws(() => concealRequest(signingKey("enclave1").pem, args), reason("MALFORMED", /chaincode_ek/));
});

const one = enclave("enclave1");
const requestHash = Buffer.alloc(32, 5);
const response = (changes: Partial<ChaincodeResponseMessage> = {}) =>
  Object.assign(
    create(ChaincodeResponseMessageSchema, {
      encryptedResponse: Buffer.alloc(40, 1),
      fpcRwSet: { rwSet: { writes: [{ key: "a", value: Buffer.of(1) }] } },
      proposal: { proposalBytes: Buffer.of(1), signature: Buffer.of(2) },
      chaincodeRequestMessageHash: requestHash,
      enclaveId: one.enclaveId.text,
    }),
    changes,
  );
const signed = (changes: Partial<ChaincodeResponseMessage> = {}) =>
  signResponse(response(changes), signingKey("enclave1").key);

test("a signed response is verified for the request that it answers", () => {
  assert.equal(verifyResponse(signed(), one.vkPem, requestHash).enclaveId, one.enclaveId.text);
  assert.throws(() => verifyResponse(signed(), one.vkPem, Buffer.alloc(32, 6)), reason("REPLAY"));
  assert.throws(() => verifyResponse(signed(), enclave("enclave2").vkPem, requestHash), reason("WRONG_CONTEXT"));
  const forged = signResponse(response(), signingKey("enclave2").key);
  assert.throws(() => verifyResponse(forged, one.vkPem, requestHash), reason("BAD_SIGNATURE"));
});

test("one changed bit anywhere in a response breaks its signature", () => {
  const whole = signed();
  const bytes = Buffer.from(whole.chaincodeResponseMessage);
  for (let at = 0; at < bytes.length; at += 1) {
    const altered = Buffer.from(bytes);
    altered[at] = (altered[at] ?? 0) ^ (1 << (at % 8));
    const verify = () => verifyResponse({ ...whole, chaincodeResponseMessage: altered }, one.vkPem, requestHash);
    assert.throws(verify, (error: Error & { code?: string }) =>
      ["MALFORMED", "BAD_SIGNATURE", "WRONG_CONTEXT"].includes(error.code ?? ""),
    );
  }
});

test("a response without what it needs is malformed", () => {
  const cases: readonly [Partial<ChaincodeResponseMessage>, RegExp][] = [
    [{ encryptedResponse: new Uint8Array() }, /encrypted_response/],
    [
      {
        proposal: {
          ...response().proposal,
          proposalBytes: new Uint8Array(),
          signature: new Uint8Array(),
          $typeName: "protos.SignedProposal",
        },
      },
      /proposal/,
    ],
    [{ chaincodeRequestMessageHash: Buffer.of(1) }, /chaincode_request_message_hash/],
    [{ enclaveId: one.enclaveId.text.toLowerCase() }, /enclave's id/],
    [{ enclaveId: "" }, /enclave_id/],
  ];
  for (const [changes, about] of cases) assert.throws(() => readResponse(signed(changes)), reason("MALFORMED", about));
  assert.throws(() => readResponse({ ...signed(), signature: new Uint8Array() }), reason("MALFORMED", /signature/));
});
