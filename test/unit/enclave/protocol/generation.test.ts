import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { packAny } from "../../../../src/enclave/messages/any.ts";
import {
  type GenerationProposalMessage,
  GenerationProposalMessageSchema,
  KeyGenerationSchema,
  type SignedGenerationProposalMessage,
} from "../../../../src/enclave/messages/generated/fpc/key_dist_pb.ts";
import { decodeStrict, encode } from "../../../../src/enclave/messages/strict.ts";
import {
  ChaincodeGeneration,
  newGeneration,
  unwrapPrevious,
  wrapPrevious,
} from "../../../../src/enclave/protocol/chaincode-keys.ts";
import {
  hasMajority,
  openPrevious,
  readProposal,
  signProposal,
  verifyProposal,
} from "../../../../src/enclave/protocol/generation.ts";
import { signMessage } from "../../../../src/enclave/protocol/signing.ts";
import { enclave, encryptionKey, generation, reason, signingKey } from "./fixtures.ts";

const one = enclave("enclave1");
const { ccParamsHash, vkPem } = one;
const { key: sk } = signingKey("enclave1");
const [first, second, third] = [generation(1), generation(2), generation(3)];
const parts = { ccParamsHash, generation: second, previous: first, proposerId: one.enclaveId.bytes };
const proposal = () => signProposal(parts, sk);

function changed(changes: Partial<GenerationProposalMessage>): SignedGenerationProposalMessage {
  const message = create(GenerationProposalMessageSchema, { ...readProposal(proposal()), ...changes });
  const packed = packAny(GenerationProposalMessageSchema, message);
  return { ...proposal(), serializedProposal: packed, signature: signMessage("generationProposal", packed.value, sk) };
}

test("a new generation has keys of its own, in upstream's formats", async () => {
  using made = await newGeneration(7n);
  assert.equal(made.number, 7n);
  assert.equal(made.stateKey.byteLength, 16);
  assert.match(made.ekPem.toString(), /^-----BEGIN RSA PUBLIC KEY-----\n/);
  made.dkPem.expose((pem) => assert.match(pem.toString(), /^-----BEGIN RSA PRIVATE KEY-----\n/));
});

test("a state key's commitment is of this key, this number and this EK", () => {
  const secrets = (key: Uint8Array, dk = first.dkPem) => [SecretBuffer.copyOf(key), dk.clone()] as const;
  using same = first.stateKey.expose((key) => new ChaincodeGeneration(1n, ...secrets(key)));
  assert.deepEqual(same.stateKeyCommitment, first.stateKeyCommitment);
  assert.equal(same.stateKeyCommitment.length, 32);
  using otherNumber = first.stateKey.expose((key) => new ChaincodeGeneration(2n, ...secrets(key)));
  using otherEk = first.stateKey.expose((key) => new ChaincodeGeneration(1n, ...secrets(key, second.dkPem)));
  using otherKey = second.stateKey.expose((key) => new ChaincodeGeneration(1n, ...secrets(key)));
  for (const { stateKeyCommitment } of [otherNumber, otherEk, otherKey])
    assert.notDeepEqual(stateKeyCommitment, first.stateKeyCommitment);
});

test("a generation's bytes are those of its protobuf message, and give it back", () => {
  using bytes = first.encode();
  bytes.expose((exposed) => {
    const message = decodeStrict(KeyGenerationSchema, exposed);
    assert.deepEqual(encode(KeyGenerationSchema, message), Buffer.from(exposed));
  });
  using back = ChaincodeGeneration.fromBytes(bytes);
  assert.deepEqual(back.ekPem, first.ekPem);
  bytes[Symbol.dispose]();
  back.stateKey.expose((key) => assert.notDeepEqual(Buffer.from(key), Buffer.alloc(16)));
});

test("a generation that is disposed of gives nothing any more", () => {
  const gone = generation(2);
  gone[Symbol.dispose]();
  assert.throws(() => gone.encode(), /wiped/);
});

test("a state key, private key or number of another form makes no generation, and the secrets are wiped", () => {
  const secret = (bytes: Uint8Array) => SecretBuffer.copyOf(bytes);
  const pem = Buffer.from(signingKey("enclave1").key.export({ type: "sec1", format: "pem" }));
  const dk = () => first.dkPem.clone();
  const wrong: readonly [bigint, SecretBuffer, SecretBuffer, RegExp][] = [
    [0n, secret(Buffer.alloc(16)), dk(), /KeyGeneration\.number/],
    [1n << 32n, secret(Buffer.alloc(16)), dk(), /KeyGeneration\.number/],
    [1n, secret(Buffer.alloc(15)), dk(), /state_encryption_key/],
    [1n, secret(Buffer.alloc(32)), dk(), /state_encryption_key/],
    [1n, secret(Buffer.alloc(16)), secret(pem), /private key/],
    [1n, secret(Buffer.alloc(16)), secret(first.ekPem), /private key/],
    [1n, secret(Buffer.alloc(16)), secret(Buffer.alloc(5000, 0x41)), /private key/],
  ];
  for (const [number, stateKey, dkPem, about] of wrong) {
    assert.throws(() => new ChaincodeGeneration(number, stateKey, dkPem), reason("MALFORMED", about));
    assert.ok(stateKey.disposed && dkPem.disposed);
  }
});

test("the newer generation opens the one before it", () => {
  using opened = openPrevious(second, verifyProposal(proposal(), vkPem));
  assert.equal(opened.number, 1n);
  assert.ok(first.stateKey.expose((key) => opened.stateKey.equals(key)));
  assert.deepEqual(opened.ekPem, first.ekPem);
});

test("history opens from the newest generation on, and from no older one", () => {
  const newest = signProposal({ ...parts, generation: third, previous: second }, sk);
  using middle = openPrevious(third, readProposal(newest));
  using oldest = openPrevious(middle, readProposal(proposal()));
  assert.equal(oldest.number, 1n);
  assert.throws(() => openPrevious(first, readProposal(proposal())), reason("WRONG_CONTEXT"));
  assert.throws(() => openPrevious(second, readProposal(newest)), reason("WRONG_CONTEXT"));
});

test("neither generation's keys stand in a proposal", () => {
  const bytes = Buffer.from(proposal().serializedProposal?.value ?? []);
  for (const held of [first, second]) held.stateKey.expose((key) => assert.equal(bytes.includes(key), false));
});

test("what is wrapped opens for no other chaincode, number or key, and not altered or cut", () => {
  const wrapped = wrapPrevious(second, first, ccParamsHash);
  const other = Buffer.alloc(32, 1);
  assert.throws(() => unwrapPrevious(second, wrapped, other), reason("BAD_CIPHERTEXT"));
  assert.throws(() => unwrapPrevious(third, wrapped, ccParamsHash), reason("BAD_CIPHERTEXT"));
  using sameKeyOtherNumber = new ChaincodeGeneration(3n, second.stateKey.clone(), second.dkPem.clone());
  assert.throws(() => unwrapPrevious(sameKeyOtherNumber, wrapped, ccParamsHash), reason("BAD_CIPHERTEXT"));
  for (const at of [0, 1, 13, 29, wrapped.length - 1]) {
    const altered = Buffer.from(wrapped);
    altered[at] = (altered[at] ?? 0) ^ 1;
    assert.throws(() => unwrapPrevious(second, altered, ccParamsHash), reason("BAD_CIPHERTEXT"), `byte ${at}`);
  }
  for (const length of [0, 1, 28, 29, wrapped.length - 1])
    assert.throws(() => unwrapPrevious(second, wrapped.subarray(0, length), ccParamsHash), reason("BAD_CIPHERTEXT"));
});

test("a generation wraps the one right before it and no other", () => {
  assert.throws(() => wrapPrevious(third, first, ccParamsHash), RangeError);
  assert.throws(() => wrapPrevious(second, second, ccParamsHash), RangeError);
});

test("a proposal of another key than the newer generation's, or for another one before it, is a mismatch", () => {
  const ek = readProposal(changed({ chaincodeEk: third.ekPem }));
  assert.throws(() => openPrevious(second, ek), reason("EK_MISMATCH"));
  const hash = readProposal(changed({ previousChaincodeEkHash: third.ekHash }));
  assert.throws(() => openPrevious(second, hash), reason("EK_MISMATCH", /wraps another key/));
});

test("a proposal is verified by its proposer's VK alone", () => {
  assert.equal(verifyProposal(proposal(), vkPem).number, 2n);
  assert.throws(() => verifyProposal(proposal(), signingKey("enclave2").pem), reason("WRONG_CONTEXT"));
  const forged = signProposal(parts, signingKey("enclave2").key);
  assert.throws(() => verifyProposal(forged, vkPem), reason("BAD_SIGNATURE"));
  const value = proposal().serializedProposal?.value ?? new Uint8Array();
  const other = { ...proposal(), signature: signMessage("keyRegistration", value, sk) };
  assert.throws(() => verifyProposal(other, vkPem), reason("BAD_SIGNATURE"));
});

const malformed: readonly [changes: Partial<GenerationProposalMessage>, field: string][] = [
  [{ ccParamsHash: Buffer.of(1) }, "cc_params_hash"],
  [{ number: 0n }, "number"],
  [{ number: 1n }, "number"],
  [{ number: 1n << 32n }, "number"],
  [{ chaincodeEk: Buffer.of(1) }, "chaincode_ek"],
  [{ chaincodeEk: new Uint8Array() }, "chaincode_ek"],
  [{ wrappedPrevious: new Uint8Array() }, "wrapped_previous"],
  [{ proposerEnclaveId: Buffer.alloc(33) }, "proposer_enclave_id"],
  [{ previousChaincodeEkHash: Buffer.alloc(20) }, "previous_chaincode_ek_hash"],
];
for (const [index, [changes, field]] of malformed.entries())
  test(`a proposal whose ${field} is of another form is malformed (${index})`, () => {
    assert.throws(
      () => readProposal(changed(changes)),
      reason("MALFORMED", new RegExp(`^GenerationProposalMessage\\.${field} `)),
    );
  });

test("a generation becomes active by more than half of the holders that are not revoked", () => {
  const none = new Set<string>();
  const cases: readonly [confirmed: string, provisioned: string, revoked: Set<string>, is: boolean][] = [
    ["", "", none, false],
    ["a", "", none, false],
    ["a", "a", none, true],
    ["a", "ab", none, false],
    ["ab", "abc", none, true],
    ["aa", "abc", none, false],
    ["ax", "abc", none, false],
    ["ab", "abcd", none, false],
    ["a", "ab", new Set("b"), true],
    ["ab", "abc", new Set("a"), false],
    ["a", "a", new Set("a"), false],
  ];
  for (const [confirmed, provisioned, revoked, is] of cases)
    assert.equal(
      hasMajority(confirmed, provisioned, revoked),
      is,
      `${confirmed} of ${provisioned} without ${[...revoked]}`,
    );
});

test("a private key of the wrong EK is found by the pair alone", () => {
  assert.notDeepEqual(encryptionKey("chaincode3").pem, second.ekPem);
  assert.deepEqual(encryptionKey("chaincode2").pem, second.ekPem);
});
