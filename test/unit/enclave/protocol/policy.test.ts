import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { CCParameters } from "../../../../src/enclave/messages/generated/fpc/fpc_pb.ts";
import {
  type Policy,
  PolicySchema,
  PolicySignatureSchema,
  TrustedLedgerParametersSchema,
} from "../../../../src/enclave/messages/generated/fpc/policy_pb.ts";
import { encode } from "../../../../src/enclave/messages/strict.ts";
import {
  allowsExport,
  allowsVersion,
  isExportExpired,
  mayInherit,
  membersHash,
  policyHash,
  readPolicy,
  signPolicy,
  verifySignedPolicy,
} from "../../../../src/enclave/protocol/policy.ts";
import {
  attestedData,
  encryptionKey,
  mspIds,
  nextPolicy,
  policy,
  reason,
  signedPolicy,
  signingKey,
  successorVersion,
  version,
} from "./fixtures.ts";

test("the first policy is signed by all that it names, and the next by the threshold of the one before", () => {
  assert.equal(verifySignedPolicy(signedPolicy(policy()), undefined).number, 1n);
  assert.equal(verifySignedPolicy(signedPolicy(nextPolicy(), ["org3", "org1"]), policy()).number, 2n);
});

test("the first policy without one of its organisations, and the next with fewer than the threshold, are refused", () => {
  const first = signedPolicy(policy(), ["org1", "org2"]);
  assert.throws(() => verifySignedPolicy(first, undefined), reason("BAD_SIGNATURE", /2 organisations, and needs 3/));
  for (const signers of [[], ["org2"]] as const)
    assert.throws(
      () => verifySignedPolicy(signedPolicy(nextPolicy(), signers), policy()),
      reason("BAD_SIGNATURE", /and needs 2/),
    );
});

test("an organisation that signs twice counts as a mistake, not as two", () => {
  const signed = signedPolicy(nextPolicy(), ["org1", "org1"]);
  assert.throws(() => verifySignedPolicy(signed, policy()), reason("BAD_SIGNATURE", /Org1MSP signed twice/));
});

test("one false signature among enough right ones is refused, and named", () => {
  const signed = signedPolicy(nextPolicy());
  const signature = signPolicy(encode(PolicySchema, policy()), signingKey("org2").key);
  signed.signatures[1] = create(PolicySignatureSchema, { mspId: mspIds.org2, signature });
  assert.throws(() => verifySignedPolicy(signed, policy()), reason("BAD_SIGNATURE", /signature of Org2MSP/));
  signed.signatures[1] = create(PolicySignatureSchema, { mspId: mspIds.org2 });
  assert.throws(() => verifySignedPolicy(signed, policy()), reason("BAD_SIGNATURE", /signature of Org2MSP/));
});

test("who is not in the policy before can't sign the next one, though that names it", () => {
  const before = policy({ organisations: policy().organisations.slice(0, 2) });
  const next = policy({ number: 2n, previousPolicyHash: policyHash(before) });
  assert.equal(verifySignedPolicy(signedPolicy(next, ["org1", "org2"]), before).organisations.length, 3);
  assert.throws(
    () => verifySignedPolicy(signedPolicy(next, ["org1", "org2", "org3"]), before),
    reason("BAD_SIGNATURE", /none of the policy's/),
  );
});

test("a policy follows the one in force and no other", () => {
  const verify = (changes: Partial<Policy>) => () => verifySignedPolicy(signedPolicy(nextPolicy(changes)), policy());
  assert.throws(verify({ number: 3n }), reason("CONFLICT", /policy 3 does not follow 1/));
  assert.throws(() => verifySignedPolicy(signedPolicy(policy()), policy()), reason("REPLAY"));
  assert.throws(() => verifySignedPolicy(signedPolicy(nextPolicy()), nextPolicy()), reason("REPLAY"));
  assert.throws(
    () => verifySignedPolicy(signedPolicy(nextPolicy()), undefined),
    reason("CONFLICT", /does not follow none/),
  );
  assert.throws(verify({ channelId: "ch2" }), reason("WRONG_CONTEXT"));
  assert.throws(verify({ chaincodeId: "other" }), reason("WRONG_CONTEXT"));
  assert.throws(verify({ previousPolicyHash: Buffer.alloc(32) }), reason("WRONG_CONTEXT", /follows another/));
});

const malformed: readonly [what: string, changes: Partial<Policy>, about: RegExp][] = [
  ["no channel", { channelId: "" }, /Policy\.channel_id/],
  ["no chaincode", { chaincodeId: "" }, /Policy\.chaincode_id/],
  ["number 0", { number: 0n }, /Policy\.number/],
  ["a hash of a policy before the first", { previousPolicyHash: Buffer.alloc(32) }, /Policy\.previous_policy_hash/],
  ["no hash of the policy before", { number: 2n }, /Policy\.previous_policy_hash/],
  ["no organisations", { organisations: [] }, /Policy\.organisations/],
  [
    "the same organisation twice",
    { organisations: [...policy().organisations, ...policy().organisations.slice(0, 1)] },
    /Policy\.organisations/,
  ],
  [
    "two organisations with one policy key",
    { organisations: policy().organisations.map((one) => ({ ...one, policyKey: signingKey("org1").pem })) },
    /Policy\.organisations/,
  ],
  [
    "two organisations with one recovery key",
    { organisations: policy().organisations.map((one) => ({ ...one, recoveryKey: encryptionKey("org1").pem })) },
    /Policy\.organisations/,
  ],
  [
    "an organisation without a name",
    { organisations: policy().organisations.map((one) => ({ ...one, mspId: "" })) },
    /Organisation\.msp_id/,
  ],
  [
    "a policy key of RSA",
    { organisations: policy().organisations.map((one) => ({ ...one, policyKey: encryptionKey("org1").pem })) },
    /Organisation\.policy_key/,
  ],
  [
    "no recovery key where there are shares",
    { organisations: policy().organisations.map((one) => ({ ...one, recoveryKey: new Uint8Array() })) },
    /Organisation\.recovery_key/,
  ],
  ["threshold 0", { threshold: 0 }, /Policy\.threshold/],
  ["a threshold above the number of organisations", { threshold: 4 }, /Policy\.threshold/],
  ["no version", { allowedVersions: [] }, /Policy\.allowed_versions/],
  ["a version that is none", { allowedVersions: ["1.0"] }, /Policy\.allowed_versions/],
  ["a version twice", { allowedVersions: [version, version] }, /Policy\.allowed_versions/],
  ["no attestation type", { allowedAttestationTypes: [] }, /Policy\.allowed_attestation_types/],
  ["an unknown attestation type", { allowedAttestationTypes: ["epid-linkable"] }, /Policy\.allowed_attestation_types/],
  ["an unknown TCB status", { allowedTcbStatuses: ["Revoked"] }, /Policy\.allowed_tcb_statuses/],
  ["no age of evidence", { evidenceAgeSeconds: 0n }, /Policy\.evidence_age_seconds/],
  ["a negative age of evidence", { evidenceAgeSeconds: -1n }, /Policy\.evidence_age_seconds/],
  ["an age of evidence beyond exact numbers", { evidenceAgeSeconds: 1n << 62n }, /Policy\.evidence_age_seconds/],
  ["no lifetime of exports", { exportLifetimeSeconds: 0n }, /Policy\.export_lifetime_seconds/],
  ["recovery by one share", { recoveryThreshold: 1 }, /Policy\.recovery_threshold/],
  ["recovery by more shares than organisations", { recoveryThreshold: 4 }, /Policy\.recovery_threshold/],
];
for (const [what, changes, about] of malformed)
  test(`a policy of ${what} is malformed`, () => {
    assert.throws(() => readPolicy(encode(PolicySchema, policy(changes))), reason("MALFORMED", about));
  });

const rule = (fromMsp: string, toMsp: string) => ({ $typeName: "strongroom.fpc.ExportRule", fromMsp, toMsp }) as const;
const successor = (of: string, sequence: bigint) =>
  ({ $typeName: "strongroom.fpc.Successor", version: of, sequence }) as const;
const root = (attestationType: string, bytes: Uint8Array) =>
  ({ $typeName: "strongroom.fpc.AttestationRoot", attestationType, root: bytes }) as const;

test("rules, successors and roots that can't be are malformed", () => {
  const read = (changes: Partial<Policy>) => () => readPolicy(encode(PolicySchema, policy(changes)));
  assert.throws(read({ exportRules: [rule("Org1MSP", "Org9MSP")] }), reason("MALFORMED", /Policy\.export_rules/));
  const same = rule("Org1MSP", "Org2MSP");
  assert.throws(read({ exportRules: [same, same] }), reason("MALFORMED", /Policy\.export_rules/));
  assert.throws(read({ successor: successor("1.0", 2n) }), reason("MALFORMED", /Successor\.version/));
  assert.throws(read({ successor: successor(successorVersion, 0n) }), reason("MALFORMED", /Successor\.sequence/));
  const pem = Buffer.from("a root");
  assert.throws(read({ attestationRoots: [root("sgx", pem)] }), reason("MALFORMED", /Policy\.attestation_roots/));
  assert.equal(read({ attestationRoots: [root("tpm", pem), root("tpm", Buffer.from("another"))] })().number, 1n);
  assert.throws(
    read({ attestationRoots: [root("tpm", pem), root("tpm", pem)] }),
    reason("MALFORMED", /Policy\.attestation_roots/),
  );
  assert.throws(
    read({ attestationRoots: [root("tpm", new Uint8Array())] }),
    reason("MALFORMED", /AttestationRoot\.root/),
  );
});

test("a policy allows versions by their names, the successor's among them", () => {
  const one = policy({ successor: successor(successorVersion, 2n) });
  const asked = [version, successorVersion, "C3".repeat(32), "", "toString"];
  assert.deepEqual(
    asked.map((of) => allowsVersion(one, of)),
    [true, true, false, false, false],
  );
});

const quorum = (mspId: string, ...roots: string[]) =>
  ({
    $typeName: "strongroom.fpc.QuorumOrganisation",
    mspId,
    rootCertificates: roots.map((one) => Buffer.from(one)),
  }) as const;

test("what enclaves are to believe of the ledger has to be possible", () => {
  const read = (changes: MessageInitShape<typeof TrustedLedgerParametersSchema>) => {
    const trustedLedger = create(TrustedLedgerParametersSchema, { erccName: "ercc", ...changes });
    return readPolicy(encode(PolicySchema, policy({ trustedLedger })));
  };
  const organisations = [quorum("Org1MSP", "a"), quorum("Org2MSP", "b")];
  assert.equal(read({ organisations, quorum: 2 }).trustedLedger?.quorum, 2);
  const tlcc = { tlccMrenclave: version, tlccAttestationType: "simulated" };
  assert.equal(read(tlcc).trustedLedger?.tlccMrenclave, version);
  const cases: readonly [changes: MessageInitShape<typeof TrustedLedgerParametersSchema>, about: RegExp][] = [
    [{ organisations, quorum: 2, erccName: "" }, /TrustedLedgerParameters\.ercc_name/],
    [{ organisations, quorum: 2, firstPolicyHash: Buffer.alloc(32) }, /first_policy_hash/],
    [{}, /neither organisations nor a ledger enclave/],
    [{ organisations, quorum: 2, ...tlcc }, /or both/],
    [{ organisations, quorum: 0 }, /quorum/],
    [{ organisations, quorum: 3 }, /quorum/],
    [{ organisations: [...organisations, quorum("Org1MSP", "c")], quorum: 3 }, /twice/],
    [{ organisations: [quorum("", "a")], quorum: 1 }, /msp_id/],
    [{ ...tlcc, tlccMrenclave: "ab" }, /tlcc_mrenclave/],
    [{ ...tlcc, tlccAttestationType: "epid-linkable" }, /trusted_ledger/],
  ];
  for (const [changes, about] of cases) assert.throws(() => read(changes), reason("MALFORMED", about));
});

test("an export expires after its lifetime", () => {
  assert.deepEqual(
    [600_000, 600_001].map((afterMs) => isExportExpired(policy(), 5, 5 + afterMs)),
    [false, true],
  );
});

test("without rules every organisation of the policy exports to every one; with rules, as they say", () => {
  const free = policy();
  assert.deepEqual(
    [
      allowsExport(free, "Org1MSP", "Org3MSP"),
      allowsExport(free, "Org1MSP", "Org9MSP"),
      allowsExport(free, "Org9MSP", "Org1MSP"),
    ],
    [true, false, false],
  );
  const ruled = policy({ exportRules: [rule("Org1MSP", "Org2MSP")] });
  assert.deepEqual(
    [
      allowsExport(ruled, "Org1MSP", "Org2MSP"),
      allowsExport(ruled, "Org2MSP", "Org1MSP"),
      allowsExport(ruled, "Org1MSP", "Org1MSP"),
    ],
    [true, false, false],
  );
});

test("keys go to the same version, or from an allowed one to the policy's successor, and never back", () => {
  const old = attestedData("enclave1").ccParams;
  assert.ok(old);
  const next: CCParameters = { ...old, version: successorVersion, sequence: 2n };
  const upgrading = policy({ successor: successor(successorVersion, 2n) });
  assert.equal(mayInherit(policy(), old, old), true);
  assert.equal(mayInherit(policy(), old, next), false);
  assert.equal(mayInherit(upgrading, old, next), true);
  assert.equal(mayInherit(upgrading, next, old), false);
  assert.equal(mayInherit(upgrading, old, { ...next, sequence: 3n }), false);
  assert.equal(mayInherit(upgrading, old, { ...next, version: "C3".repeat(32) }), false);
  assert.equal(mayInherit(upgrading, { ...old, version: "C3".repeat(32) }, next), false);
  assert.equal(mayInherit(upgrading, { ...old, channelId: "ch2" }, next), false);
  assert.equal(mayInherit(upgrading, old, { ...next, chaincodeId: "other" }), false);
});

test("the members' hash changes with any name or key, and not with their order", () => {
  const { organisations } = policy();
  const hash = membersHash(policy());
  assert.deepEqual(membersHash(policy({ organisations: organisations.toReversed() })), hash);
  assert.notDeepEqual(membersHash(policy({ organisations: organisations.slice(1) })), hash);
  const [first, ...others] = organisations;
  assert.ok(first);
  for (const changes of [
    { mspId: "Org9MSP" },
    { policyKey: signingKey("enclave1").pem },
    { recoveryKey: encryptionKey("enclave1").pem },
  ])
    assert.notDeepEqual(membersHash(policy({ organisations: [{ ...first, ...changes }, ...others] })), hash);
});
