import assert from "node:assert/strict";
import { createPublicKey } from "node:crypto";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { packAny } from "../../../../src/enclave/messages/any.ts";
import {
  type ExportMessage,
  ExportMessageSchema,
  type SignedExportMessage,
} from "../../../../src/enclave/messages/generated/fpc/key_dist_pb.ts";
import { makeExport, openExport, readExport, verifyExport } from "../../../../src/enclave/protocol/export.ts";
import { encryptTo, type HybridContext } from "../../../../src/enclave/protocol/hybrid-encryption.ts";
import { signMessage } from "../../../../src/enclave/protocol/signing.ts";
import { attestedData, enclave, encryptionKey, generation, reason, signingKey, successorVersion } from "./fixtures.ts";

const [one, two] = [enclave("enclave1"), enclave("enclave2")];
const sender = { sk: signingKey("enclave1").key, vkPem: one.vkPem, ccParamsHash: one.ccParamsHash };
const receiver = { dk: encryptionKey("enclave2").key, ccParamsHash: two.ccParamsHash, vkPem: two.vkPem };
const first = generation(1);
const nonce = Buffer.alloc(16, 9);
const exported = () => makeExport({ sender, receiver: two, generation: first, nonce });

/** An export of other fields, signed anew by the sender. */
function changed(changes: Partial<ExportMessage>): SignedExportMessage {
  const message = create(ExportMessageSchema, { ...readExport(exported()), ...changes });
  const packed = packAny(ExportMessageSchema, message);
  return {
    ...exported(),
    serializedExportMsgBytes: packed,
    signature: signMessage("keyExport", packed.value, sender.sk),
  };
}

test("the receiver gets the generation that the sender has", () => {
  using opened = openExport(exported(), receiver);
  assert.equal(opened.number, 1n);
  assert.ok(first.stateKey.expose((key) => opened.stateKey.equals(key)));
  assert.ok(first.dkPem.expose((key) => opened.dkPem.equals(key)));
  assert.deepEqual(opened.ekPem, first.ekPem);
});

test("an export says of whom and for whom it is, and is another one each time", () => {
  const message = verifyExport(makeExport({ sender, receiver: two, generation: first }));
  assert.deepEqual(Buffer.from(message.senderEnclaveVk), one.vkPem);
  assert.deepEqual(Buffer.from(message.receiverEnclaveVk), two.vkPem);
  const other = verifyExport(makeExport({ sender, receiver: two, generation: first }));
  assert.notDeepEqual(message.exportNonce, other.exportNonce);
  assert.notDeepEqual(message.cckeysEnc, other.cckeysEnc);
});

test("neither the keys nor the state key stand in an export", () => {
  const bytes = Buffer.from(exported().serializedExportMsgBytes?.value ?? []);
  first.stateKey.expose((key) => assert.equal(bytes.includes(key), false));
  first.dkPem.expose((key) => assert.equal(bytes.includes(key.subarray(100, 164)), false));
});

test("another enclave's key does not open it", () => {
  const other = { ...receiver, dk: encryptionKey("enclave1").key };
  assert.throws(() => openExport(exported(), other), reason("BAD_CIPHERTEXT"));
});

test("an enclave refuses an export for another, and one for other parameters than its own", () => {
  assert.throws(
    () => openExport(exported(), { ...receiver, vkPem: one.vkPem }),
    reason("WRONG_CONTEXT", /for another enclave/),
  );
  const ccParamsHash = Buffer.alloc(32, 3);
  assert.throws(
    () => openExport(exported(), { ...receiver, ccParamsHash }),
    reason("WRONG_CONTEXT", /for other parameters/),
  );
});

test("an export from an enclave of other parameters is refused, unless they are the predecessor's", () => {
  const parameters = attestedData("enclave2").ccParams;
  assert.ok(parameters);
  const successor = enclave("enclave2", { ccParams: { ...parameters, version: successorVersion, sequence: 2n } });
  const signed = makeExport({ sender, receiver: successor, generation: first });
  const upgraded = { ...receiver, ccParamsHash: successor.ccParamsHash };
  assert.throws(
    () => openExport(signed, upgraded),
    reason("WRONG_CONTEXT", /comes from an enclave of other parameters/),
  );
  assert.throws(
    () => openExport(signed, { ...upgraded, predecessorCcParamsHash: Buffer.alloc(32) }),
    reason("WRONG_CONTEXT", /comes from/),
  );
  using opened = openExport(signed, { ...upgraded, predecessorCcParamsHash: one.ccParamsHash });
  assert.equal(opened.number, 1n);
});

test("a forged sender is refused before anything is decrypted", () => {
  const signed = { ...exported(), signature: signMessage("keyExport", Buffer.of(1), sender.sk) };
  const dk = encryptionKey("enclave1").key;
  assert.throws(() => openExport(signed, { ...receiver, dk }), reason("BAD_SIGNATURE"));
  const packed = exported().serializedExportMsgBytes?.value ?? new Uint8Array();
  const other = { ...exported(), signature: signMessage("keyExport", packed, signingKey("enclave2").key) };
  assert.throws(() => verifyExport(other), reason("BAD_SIGNATURE"));
  const registration = { ...exported(), signature: signMessage("keyRegistration", packed, sender.sk) };
  assert.throws(() => verifyExport(registration), reason("BAD_SIGNATURE"));
});

test("a ciphertext is bound to every field beside it, however well the message is signed", () => {
  const changes: Partial<ExportMessage>[] = [
    { chaincodeEk: encryptionKey("chaincode2").pem },
    { generation: 2n },
    { exportNonce: Buffer.alloc(16, 10) },
  ];
  for (const change of changes) assert.throws(() => openExport(changed(change), receiver), reason("BAD_CIPHERTEXT"));
  const asPredecessor = { ...receiver, predecessorCcParamsHash: Buffer.alloc(32, 1) };
  assert.throws(
    () => openExport(changed({ ccParamsHash: Buffer.alloc(32, 1) }), asPredecessor),
    reason("BAD_CIPHERTEXT"),
  );
});

test("a private key that is not that of the key on the label is refused", () => {
  const message = readExport(exported());
  using other = generation(2);
  const context: HybridContext = {
    purpose: "export",
    ccParamsHash: one.ccParamsHash,
    receiverCcParamsHash: two.ccParamsHash,
    chaincodeEk: other.ekPem,
    sender: one.enclaveId.bytes,
    receiver: two.enclaveId.bytes,
    generation: 1n,
    nonce,
  };
  const seal = (bound: HybridContext, text: SecretBuffer) => encryptTo(encryptionKey("enclave2").key, bound, text);
  const wrongEk = changed({ ...message, chaincodeEk: other.ekPem, cckeysEnc: seal(context, first.encode()) });
  assert.throws(() => openExport(wrongEk, receiver), reason("EK_MISMATCH"));
  const bound = { ...context, chaincodeEk: first.ekPem, generation: 2n };
  const wrongNumber = changed({ generation: 2n, cckeysEnc: seal(bound, first.encode()) });
  assert.throws(() => openExport(wrongNumber, receiver), reason("WRONG_CONTEXT", /another generation than it says/));
  const rubbish = SecretBuffer.take(Buffer.from("no generation"));
  const noKeys = changed({ cckeysEnc: seal({ ...context, chaincodeEk: first.ekPem }, rubbish) });
  assert.throws(() => openExport(noKeys, receiver), reason("BAD_CIPHERTEXT", /no generation/));
});

const malformed: readonly [changes: Partial<ExportMessage>, field: string][] = [
  [{ ccParamsHash: new Uint8Array() }, "cc_params_hash"],
  [{ ccParamsHash: Buffer.alloc(33) }, "cc_params_hash"],
  [{ chaincodeEk: new Uint8Array() }, "chaincode_ek"],
  [{ chaincodeEk: Buffer.from("x") }, "chaincode_ek"],
  [{ cckeysEnc: new Uint8Array() }, "cckeys_enc"],
  [{ receiverEnclaveVk: new Uint8Array() }, "receiver_enclave_vk"],
  [{ receiverEnclaveVk: two.ekPem }, "receiver_enclave_vk"],
  [{ senderEnclaveVk: new Uint8Array() }, "sender_enclave_vk"],
  [{ senderEnclaveVk: Buffer.from("x") }, "sender_enclave_vk"],
  [{ generation: 0n }, "generation"],
  [{ exportNonce: new Uint8Array() }, "export_nonce"],
  [{ exportNonce: Buffer.alloc(15) }, "export_nonce"],
  [{ receiverCcParamsHash: new Uint8Array() }, "receiver_cc_params_hash"],
  [{ receiverCcParamsHash: Buffer.alloc(1) }, "receiver_cc_params_hash"],
];
for (const [index, [changes, field]] of malformed.entries())
  test(`an export whose ${field} is missing or of another form is malformed (${index})`, () => {
    assert.throws(() => readExport(changed(changes)), reason("MALFORMED", new RegExp(`^ExportMessage\\.${field} `)));
  });

test("a ciphertext that is cut anywhere, or of another version, does not open", () => {
  const { cckeysEnc } = readExport(exported());
  for (const length of [1, 384, 385, 397, 413, 414, cckeysEnc.length - 1])
    assert.throws(
      () => openExport(changed({ cckeysEnc: cckeysEnc.slice(0, length) }), receiver),
      reason("BAD_CIPHERTEXT"),
    );
  const other = cckeysEnc.slice();
  other[0] = 2;
  assert.throws(() => openExport(changed({ cckeysEnc: other }), receiver), reason("BAD_CIPHERTEXT"));
});

test("what looks like an RSA key and is none is no receiver", () => {
  const der = createPublicKey(two.ekPem.toString()).export({ type: "pkcs1", format: "der" });
  // SEQUENCE, INTEGER of 385 bytes, INTEGER 65537: the modulus's last byte stands before the exponent's five.
  const even = Buffer.from(der);
  even[even.length - 6] = (even[even.length - 6] ?? 0) & 0xfe;
  const key = createPublicKey({ key: even, type: "pkcs1", format: "der" });
  const ekPem = Buffer.from(key.export({ type: "pkcs1", format: "pem" }));
  const broken = { ...two, ekPem };
  assert.throws(() => makeExport({ sender, receiver: broken, generation: first }), reason("MALFORMED"));
});
