import assert from "node:assert/strict";
import { before, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { packAny } from "../../../../src/enclave/messages/any.ts";
import {
  type RecoveryMessage,
  RecoveryMessageSchema,
  type ReleasedShareMessage,
  ReleasedShareMessageSchema,
  type SignedRecoveryMessage,
  type SignedReleasedShareMessage,
} from "../../../../src/enclave/messages/generated/fpc/key_dist_pb.ts";
import { combineShares, isShareOf, issueRecovery, openShare } from "../../../../src/enclave/protocol/recovery.ts";
import { readRecovery, recoveryHash, verifyRecovery } from "../../../../src/enclave/protocol/recovery-form.ts";
import {
  readReleasedShare,
  recoverGeneration,
  releaseShare,
  verifyReleasedShare,
} from "../../../../src/enclave/protocol/released-share.ts";
import { signMessage } from "../../../../src/enclave/protocol/signing.ts";
import {
  enclave,
  encryptionKey,
  generation,
  mspIds,
  organisationNames,
  policy,
  reason,
  signingKey,
} from "./fixtures.ts";

type Name = (typeof organisationNames)[number];

const [issuer, successor] = [enclave("enclave1"), enclave("enclave2")];
const first = generation(1);
const { key: issuerKey } = signingKey("enclave1");
const recovering = {
  dk: encryptionKey("enclave2").key,
  vkPem: successor.vkPem,
  ccParamsHash: successor.ccParamsHash,
};
const parts = {
  ccParamsHash: issuer.ccParamsHash,
  generation: first,
  policy: policy(),
  issuer: { enclaveId: issuer.enclaveId.bytes, sk: issuerKey },
};
let recovery: SignedRecoveryMessage;
before(async () => {
  recovery = await issueRecovery(parts);
});

const shareOf = (name: Name) => openShare(readRecovery(recovery), mspIds[name], encryptionKey(name).key);

function release(name: Name, changes: { as?: Name; receiver?: typeof successor; of?: SignedRecoveryMessage } = {}) {
  using share = shareOf(name);
  const mspId = mspIds[changes.as ?? name];
  const receiver = changes.receiver ?? successor;
  return releaseShare({ recovery: changes.of ?? recovery, mspId, share, receiver }, signingKey(name).key);
}

function resigned(changes: Partial<RecoveryMessage>): SignedRecoveryMessage {
  const message = create(RecoveryMessageSchema, { ...readRecovery(recovery), ...changes });
  const packed = packAny(RecoveryMessageSchema, message);
  return { ...recovery, serializedRecovery: packed, signature: signMessage("recovery", packed.value, issuerKey) };
}

const recover = (released: readonly SignedReleasedShareMessage[], of = recovery, enclaveThat = recovering) =>
  recoverGeneration(of, released, policy(), enclaveThat);

test("any two of three organisations give a new enclave the keys", async () => {
  for (const pair of [
    ["org1", "org2"],
    ["org3", "org1"],
    ["org2", "org3"],
  ] as const) {
    using recovered = await recover(pair.map((name) => release(name)));
    assert.equal(recovered.number, 1n);
    assert.ok(first.stateKey.expose((key) => recovered.stateKey.equals(key)));
    assert.deepEqual(recovered.ekPem, first.ekPem);
  }
});

test("three shares give them as well", async () => {
  using recovered = await recover(organisationNames.map((name) => release(name)));
  assert.equal(recovered.number, 1n);
});

test("one share fewer than the threshold gives nothing", async () => {
  await assert.rejects(recover([release("org1")]), reason("POLICY_DENIED", /1 recovery shares .* 2 are needed/));
  await assert.rejects(recover([]), reason("POLICY_DENIED", /0 recovery shares/));
});

test("one share fewer gives nothing even where the message's threshold is lowered to it", async () => {
  const three = await issueRecovery({ ...parts, policy: policy({ recoveryThreshold: 3 }) });
  const message = readRecovery(three);
  const lowered = create(RecoveryMessageSchema, { ...message, threshold: 2 });
  const shares = new Map<string, SecretBuffer>();
  for (const name of ["org1", "org2"] as const)
    shares.set(mspIds[name], openShare(message, mspIds[name], encryptionKey(name).key));
  await assert.rejects(combineShares(message, shares), reason("POLICY_DENIED"));
  await assert.rejects(combineShares(lowered, shares), reason("BAD_CIPHERTEXT"));
  // Without what finds wrong shares: the wrapping key that two of three shares make is another one.
  const { combine } = await import("shamir-secret-sharing");
  const [a, b] = [...shares.values()].map((share) => share.expose((bytes) => new Uint8Array(bytes)));
  assert.ok(a && b);
  const wrong = SecretBuffer.take(await combine([a, b]));
  assert.equal(wrong.byteLength, 32);
});

test("one organisation's share twice counts as a mistake", async () => {
  await assert.rejects(recover([release("org1"), release("org1")]), reason("WRONG_CONTEXT", /Org1MSP is given twice/));
});

test("an organisation's share opens with its own recovery key alone", () => {
  const message = readRecovery(recovery);
  assert.throws(() => openShare(message, "Org1MSP", encryptionKey("org2").key), reason("BAD_CIPHERTEXT"));
  assert.throws(() => openShare(message, "Org9MSP", encryptionKey("org1").key), reason("NOT_FOUND"));
});

test("a share that another organisation was issued is not taken for one's own", () => {
  const message = readRecovery(recovery);
  using share = shareOf("org1");
  assert.equal(isShareOf(message, "Org1MSP", share), true);
  assert.equal(isShareOf(message, "Org2MSP", share), false);
  assert.equal(isShareOf(message, "Org9MSP", share), false);
  const [one, two, three] = message.shares;
  assert.ok(one && two && three);
  const swapped = { ...message, shares: [{ ...one, encryptedShare: two.encryptedShare }, two, three] };
  assert.throws(() => openShare(swapped, "Org1MSP", encryptionKey("org2").key), reason("BAD_CIPHERTEXT"));
  const marked = { ...message, shares: [{ ...one, shareHash: two.shareHash }, two, three] };
  assert.throws(() => openShare(marked, "Org1MSP", encryptionKey("org1").key), reason("BAD_CIPHERTEXT", /not the one/));
});

test("who releases a wrong share is named, and the keys are not given", async () => {
  using wrong = SecretBuffer.random(33);
  const lie = releaseShare({ recovery, mspId: "Org2MSP", share: wrong, receiver: successor }, signingKey("org2").key);
  await assert.rejects(recover([release("org1"), lie]), reason("BAD_CIPHERTEXT", /that Org2MSP released/));
  const borrowed = release("org1", { as: "org2" });
  await assert.rejects(recover([borrowed]), reason("BAD_SIGNATURE"));
});

test("an organisation that releases a wrong share, or one that is of no use, does not hold up the others", async () => {
  using wrong = SecretBuffer.random(33);
  const lie = releaseShare({ recovery, mspId: "Org2MSP", share: wrong, receiver: successor }, signingKey("org2").key);
  const useless = [lie, release("org2", { receiver: issuer }), { ...release("org2"), signature: new Uint8Array(9) }];
  for (const one of useless) {
    using recovered = await recover([one, release("org1"), release("org3")]);
    assert.deepEqual(recovered.ekPem, first.ekPem);
  }
});

test("a share that is released to another enclave, or for another chaincode, is refused", async () => {
  const toOther = release("org1", { receiver: issuer });
  await assert.rejects(recover([toOther, release("org2")]), reason("WRONG_CONTEXT", /another enclave or chaincode/));
  const elsewhere = { ...recovering, ccParamsHash: Buffer.alloc(32, 1) };
  await assert.rejects(recover([release("org1"), release("org2")], recovery, elsewhere), reason("WRONG_CONTEXT"));
  const stolen = { ...recovering, dk: encryptionKey("enclave1").key };
  await assert.rejects(recover([release("org1"), release("org2")], recovery, stolen), reason("BAD_CIPHERTEXT"));
});

test("a share of an earlier issue is refused", async () => {
  const again = await issueRecovery(parts);
  assert.notDeepEqual(recoveryHash(again), recoveryHash(recovery));
  await assert.rejects(recover([release("org1"), release("org2")], again), reason("REPLAY", /Org1MSP/));
});

test("a release by a stranger, or altered, is refused", () => {
  const signed = release("org1");
  const message = readReleasedShare(signed);
  const remade = (changes: Partial<ReleasedShareMessage>, key = signingKey("org1").key) => {
    const packed = packAny(ReleasedShareMessageSchema, create(ReleasedShareMessageSchema, { ...message, ...changes }));
    return { ...signed, serializedRelease: packed, signature: signMessage("releasedShare", packed.value, key) };
  };
  assert.throws(() => verifyReleasedShare(remade({ mspId: "Org9MSP" }), policy()), reason("UNAUTHORIZED"));
  assert.throws(() => verifyReleasedShare(remade({}, signingKey("enclave1").key), policy()), reason("BAD_SIGNATURE"));
  assert.throws(
    () => verifyReleasedShare({ ...remade({ generation: 2n }), signature: signed.signature }, policy()),
    reason("BAD_SIGNATURE"),
  );
  const malformed: readonly [Partial<ReleasedShareMessage>, RegExp][] = [
    [{ ccParamsHash: Buffer.of(1) }, /cc_params_hash/],
    [{ generation: 0n }, /generation/],
    [{ mspId: "" }, /msp_id/],
    [{ receiverEnclaveId: Buffer.of(1) }, /receiver_enclave_id/],
    [{ encryptedShare: new Uint8Array() }, /encrypted_share/],
    [{ encryptedShare: message.encryptedShare.subarray(1) }, /encrypted_share/],
    [{ encryptedShare: Buffer.alloc(447) }, /encrypted_share/],
    [{ recoveryHash: Buffer.alloc(31) }, /recovery_hash/],
  ];
  for (const [changes, about] of malformed)
    assert.throws(() => readReleasedShare(remade(changes)), reason("MALFORMED", about));
});

test("recovery shares are verified for the policy's organisations and number", () => {
  assert.equal(verifyRecovery(recovery, issuer.vkPem, policy()).threshold, 2);
  const other = policy({ recoveryThreshold: 3 });
  assert.throws(() => verifyRecovery(recovery, issuer.vkPem, other), reason("POLICY_DENIED"));
  const fewer = policy({ organisations: policy().organisations.slice(1) });
  assert.throws(() => verifyRecovery(recovery, issuer.vkPem, fewer), reason("POLICY_DENIED"));
  const { shares } = readRecovery(recovery);
  assert.throws(
    () =>
      verifyRecovery(
        resigned({ shares: shares.slice(1), sealedShares: Buffer.alloc(29 + 2 * 33, 1) }),
        issuer.vkPem,
        policy(),
      ),
    reason("POLICY_DENIED"),
  );
});

test("recovery shares are verified by their issuer's VK alone", () => {
  assert.throws(() => verifyRecovery(recovery, successor.vkPem, policy()), reason("WRONG_CONTEXT"));
  const signature = signMessage(
    "recovery",
    recovery.serializedRecovery?.value ?? new Uint8Array(),
    signingKey("enclave2").key,
  );
  assert.throws(() => verifyRecovery({ ...recovery, signature }, issuer.vkPem, policy()), reason("BAD_SIGNATURE"));
  const { signature: old } = recovery;
  assert.throws(
    () => verifyRecovery({ ...resigned({ generation: 2n }), signature: old }, issuer.vkPem, policy()),
    reason("BAD_SIGNATURE"),
  );
});

test("what is wrapped is bound to every field beside it", async () => {
  const changes: Partial<RecoveryMessage>[] = [
    { ccParamsHash: Buffer.alloc(32, 1) },
    { chaincodeEk: encryptionKey("chaincode2").pem },
    { generation: 2n },
    { membersHash: Buffer.alloc(32, 1) },
    { issuerEnclaveId: successor.enclaveId.bytes },
  ];
  for (const change of changes) {
    const message = readRecovery(resigned(change));
    assert.throws(() => openShare(message, "Org1MSP", encryptionKey("org1").key), reason("BAD_CIPHERTEXT"));
  }
  const wrapped = Buffer.from(readRecovery(recovery).wrappedGeneration);
  const shares = new Map(organisationNames.map((name) => [mspIds[name] as string, shareOf(name)]));
  for (const at of [0, 1, 13, 29, wrapped.length - 1]) {
    const altered = Buffer.from(wrapped);
    altered[at] = (altered[at] ?? 0) ^ 1;
    const message = { ...readRecovery(recovery), wrappedGeneration: altered };
    await assert.rejects(combineShares(message, shares), reason("BAD_CIPHERTEXT"), `byte ${at}`);
  }
});

test("a policy without recovery gives no shares", async () => {
  await assert.rejects(issueRecovery({ ...parts, policy: policy({ recoveryThreshold: 0 }) }), reason("POLICY_DENIED"));
});

test("shares of a former policy give nothing under one without recovery", async () => {
  const released = organisationNames.map((name) => release(name));
  await assert.rejects(
    recoverGeneration(recovery, released, policy({ recoveryThreshold: 0 }), recovering),
    reason("POLICY_DENIED", /no recovery/),
  );
});

test("shares that were issued without what verifies them are read as they were", () => {
  const former = readRecovery(resigned({ policyNumber: 0n, sealedShares: new Uint8Array() }));
  assert.equal(former.sealedShares.length, 0);
});

test("neither key stands in what goes to the ledger", () => {
  const bytes = Buffer.from(recovery.serializedRecovery?.value ?? []);
  first.stateKey.expose((key) => assert.equal(bytes.includes(key), false));
  using share = shareOf("org1");
  share.expose((secret) => assert.equal(bytes.includes(secret), false));
});

const malformed: readonly [what: string, changes: () => Partial<RecoveryMessage>, about: RegExp][] = [
  ["parameters", () => ({ ccParamsHash: Buffer.of(1) }), /RecoveryMessage\.cc_params_hash/],
  ["key", () => ({ chaincodeEk: Buffer.of(1) }), /RecoveryMessage\.chaincode_ek/],
  ["generation", () => ({ generation: 0n }), /RecoveryMessage\.generation/],
  ["threshold of 1", () => ({ threshold: 1 }), /RecoveryMessage\.threshold/],
  ["threshold of 4 of 3", () => ({ threshold: 4 }), /RecoveryMessage\.threshold/],
  ["members", () => ({ membersHash: Buffer.of(1) }), /RecoveryMessage\.members_hash/],
  ["wrapped generation", () => ({ wrappedGeneration: new Uint8Array() }), /RecoveryMessage\.wrapped_generation/],
  [
    "wrapped generation's length",
    () => ({ wrappedGeneration: Buffer.alloc(4153) }),
    /RecoveryMessage\.wrapped_generation/,
  ],
  ["sealed shares' length", () => ({ sealedShares: Buffer.alloc(29 + 33 * 2) }), /RecoveryMessage\.sealed_shares/],
  ["shares", () => ({ shares: [] }), /RecoveryMessage\.shares/],
  [
    "shares, two of one",
    () => ({ shares: readRecovery(recovery).shares.flatMap((one) => [one, one]) }),
    /RecoveryMessage\.shares/,
  ],
  [
    "share",
    () => ({ shares: readRecovery(recovery).shares.map((one) => ({ ...one, encryptedShare: new Uint8Array() })) }),
    /RecoveryShare\.encrypted_share/,
  ],
  [
    "share's hash",
    () => ({ shares: readRecovery(recovery).shares.map((one) => ({ ...one, shareHash: Buffer.of(1) })) }),
    /RecoveryShare\.share_hash/,
  ],
  ["issuer", () => ({ issuerEnclaveId: Buffer.of(1) }), /RecoveryMessage\.issuer_enclave_id/],
];
for (const [what, changes, about] of malformed)
  test(`recovery shares of another ${what} are malformed`, () => {
    assert.throws(() => readRecovery(resigned(changes())), reason("MALFORMED", about));
  });
