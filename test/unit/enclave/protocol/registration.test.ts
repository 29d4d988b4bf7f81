import assert from "node:assert/strict";
import { sign } from "node:crypto";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { packAny } from "../../../../src/enclave/messages/any.ts";
import {
  type CCKeyRegistrationMessage,
  CCKeyRegistrationMessageSchema,
} from "../../../../src/enclave/messages/generated/fpc/key_dist_pb.ts";
import {
  readRegistration,
  signRegistration,
  verifyRegistration,
} from "../../../../src/enclave/protocol/registration.ts";
import { signatureDomains, signMessage } from "../../../../src/enclave/protocol/signing.ts";
import { enclave, encryptionKey, reason, signingKey } from "./fixtures.ts";

const one = enclave("enclave1");
const { key: sk, pem: vkPem } = signingKey("enclave1");
const chaincodeEk = encryptionKey("chaincode2").pem;
const parts = {
  ccParamsHash: one.ccParamsHash,
  chaincodeEk,
  enclaveId: one.enclaveId.bytes,
  generation: 1n,
  stateKeyCommitment: Buffer.alloc(32, 5),
};
const registration = () => signRegistration(parts, sk);

test("a registration is verified by the VK of the enclave that it speaks of", () => {
  const message = verifyRegistration(registration(), vkPem);
  assert.equal(message.generation, 1n);
  assert.deepEqual(Buffer.from(message.chaincodeEk), chaincodeEk);
});

test("the VK of another enclave does not verify it", () => {
  assert.throws(() => verifyRegistration(registration(), signingKey("enclave2").pem), reason("WRONG_CONTEXT"));
});

test("another enclave's signature over it is refused", () => {
  const forged = signRegistration(parts, signingKey("enclave2").key);
  assert.throws(() => verifyRegistration(forged, vkPem), reason("BAD_SIGNATURE", /keyRegistration/));
});

test("a signature of another domain, or of none, is refused", () => {
  const value = registration().serializedCckeyRegMsg?.value ?? new Uint8Array();
  const signatures = [
    signMessage("keyExport", value, sk),
    sign("sha256", value, sk),
    sign("sha256", Buffer.concat([Buffer.from(signatureDomains.keyRegistration), value]), sk),
    sign("sha256", Buffer.concat([Buffer.from(`${signatureDomains.keyRegistration}\u0000`), value]), {
      key: sk,
      dsaEncoding: "ieee-p1363",
    }),
    Buffer.of(0),
  ];
  for (const signature of signatures)
    assert.throws(() => verifyRegistration({ ...registration(), signature }, vkPem), reason("BAD_SIGNATURE"));
});

test("a signature that is missing or too long is malformed", () => {
  for (const signature of [new Uint8Array(), new Uint8Array(73)])
    assert.throws(
      () => readRegistration({ ...registration(), signature }),
      reason("MALFORMED", /^SignedCCKeyRegistrationMessage\.signature/),
    );
});

test("what is signed covers the parameters, the keys, the enclave and the generation", () => {
  const signed = registration();
  const other: Partial<CCKeyRegistrationMessage>[] = [
    { ccParamsHash: Buffer.alloc(32, 1) },
    { chaincodeEk: encryptionKey("chaincode3").pem },
    { generation: 2n },
    { stateKeyCommitment: Buffer.alloc(32, 6) },
  ];
  for (const changes of other) {
    const message = create(CCKeyRegistrationMessageSchema, { ...parts, ...changes });
    const serializedCckeyRegMsg = packAny(CCKeyRegistrationMessageSchema, message);
    assert.throws(() => verifyRegistration({ ...signed, serializedCckeyRegMsg }, vkPem), reason("BAD_SIGNATURE"));
  }
});

const malformed: readonly [changes: Partial<CCKeyRegistrationMessage>, field: string][] = [
  [{ ccParamsHash: new Uint8Array() }, "cc_params_hash"],
  [{ ccParamsHash: Buffer.alloc(31, 1) }, "cc_params_hash"],
  [{ chaincodeEk: new Uint8Array() }, "chaincode_ek"],
  [{ chaincodeEk: Buffer.from("no key") }, "chaincode_ek"],
  [{ chaincodeEk: vkPem }, "chaincode_ek"],
  [{ enclaveId: new Uint8Array() }, "enclave_id"],
  [{ enclaveId: Buffer.from(one.enclaveId.text) }, "enclave_id"],
  [{ generation: 0n }, "generation"],
  [{ generation: 1n << 32n }, "generation"],
  [{ stateKeyCommitment: Buffer.alloc(31, 5) }, "state_key_commitment"],
];
for (const [changes, field] of malformed)
  test(`a registration whose ${field} is ${JSON.stringify(Object.values(changes).map(String)).slice(0, 24)} is malformed`, () => {
    const signed = signRegistration({ ...parts, ...changes }, sk);
    assert.throws(
      () => readRegistration(signed),
      reason("MALFORMED", new RegExp(`^CCKeyRegistrationMessage\\.${field}`)),
    );
  });

test("a registration without its message is malformed", () => {
  const { serializedCckeyRegMsg: _, ...without } = registration();
  assert.throws(() => readRegistration(without), reason("MALFORMED", /serialized_cckey_reg_msg is missing/));
});
