import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create } from "@bufbuild/protobuf";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { recordNames, writeRecord } from "../../../../src/enclave/ercc/records.ts";
import { packAny } from "../../../../src/enclave/messages/any.ts";
import { decodeArgument, encodeArgument } from "../../../../src/enclave/messages/argument.ts";
import {
  type RecoveryMessage,
  RecoveryMessageSchema,
  type ReleasedShareMessage,
  ReleasedShareMessageSchema,
  type SignedRecoveryMessage,
  SignedRecoveryMessageSchema,
  type SignedReleasedShareMessage,
  SignedReleasedShareMessageSchema,
} from "../../../../src/enclave/messages/generated/fpc/key_dist_pb.ts";
import { readRecovery } from "../../../../src/enclave/protocol/recovery-form.ts";
import { readReleasedShare, releaseShare } from "../../../../src/enclave/protocol/released-share.ts";
import { signMessage } from "../../../../src/enclave/protocol/signing.ts";
import { Consortium, chaincodeId, generations, organisationNames, type TestEnclave } from "./consortium.ts";
import { issue, provisioned, recoveryText, release } from "./recovery-shares.ts";

const { first } = generations;
const oversized = Buffer.alloc(300_000, 7);
const releaseText = (signed: SignedReleasedShareMessage) => encodeArgument(SignedReleasedShareMessageSchema, signed);

/** As an enclave that is none may sign it. */
function reissued(
  issuer: TestEnclave,
  recovery: SignedRecoveryMessage,
  change: Partial<RecoveryMessage>,
): SignedRecoveryMessage {
  const message = create(RecoveryMessageSchema, { ...readRecovery(recovery), ...change });
  const packed = packAny(RecoveryMessageSchema, message);
  const signature = signMessage("recovery", packed.value, issuer.sk);
  return create(SignedRecoveryMessageSchema, { serializedRecovery: packed, signature });
}

/** As its organisation may sign it. */
function rereleased(
  consortium: Consortium,
  text: string,
  change: Partial<ReleasedShareMessage>,
): SignedReleasedShareMessage {
  const former = readReleasedShare(decodeArgument(SignedReleasedShareMessageSchema, text));
  const packed = packAny(ReleasedShareMessageSchema, create(ReleasedShareMessageSchema, { ...former, ...change }));
  const signature = signMessage("releasedShare", packed.value, consortium.policyKey(former.mspId).key);
  return create(SignedReleasedShareMessageSchema, { serializedRelease: packed, signature });
}

/** Beside every check: what a former release took. */
async function write(
  consortium: Consortium,
  run: (state: ReturnType<Consortium["ledger"]["begin"]>) => Promise<void>,
): Promise<void> {
  const state = consortium.ledger.begin({ mspId: "Org1MSP", isAdmin: true }, consortium.nowMs);
  await run(state);
  assert(consortium.ledger.commit(state));
}

const writeRelease = (
  consortium: Consortium,
  receiver: TestEnclave,
  mspId: string,
  signed: SignedReleasedShareMessage,
) =>
  write(consortium, (state) =>
    writeRecord(state, recordNames.released(chaincodeId, receiver.id, mspId), SignedReleasedShareMessageSchema, signed),
  );

/** An issue on the ledger, and an enclave of the second organisation that has no keys. */
async function issued() {
  const { consortium, enclave } = await provisioned();
  const recovery = await issue(consortium, enclave);
  await consortium.call("Org1MSP", "putRecovery", chaincodeId, recoveryText(recovery));
  const fresh = await consortium.newEnclave("Org2MSP", { rsa: 1 });
  const put = (mspId: string, receiver = fresh) =>
    consortium.call(mspId, "releaseShare", chaincodeId, release(consortium, recovery, mspId, receiver));
  const tooFew = () => {
    const registration = consortium.registration(fresh, first);
    return consortium.refuses(
      "ALREADY_SET",
      /was not exported/,
      "Org2MSP",
      "registerCCKeys",
      chaincodeId,
      registration,
    );
  };
  return { consortium, enclave, recovery, fresh, put, tooFew };
}

describe("putRecovery, of lengths that no enclave makes,", async () => {
  const { consortium, enclave } = await provisioned();
  const good = await issue(consortium, enclave);
  const { shares, sealedShares, wrappedGeneration } = readRecovery(good);
  const refused = (about: RegExp, change: Partial<RecoveryMessage>) =>
    consortium.refuses(
      "MALFORMED",
      about,
      "Org1MSP",
      "putRecovery",
      chaincodeId,
      recoveryText(reissued(enclave, good, change)),
    );
  const around = (bytes: Uint8Array) => [
    bytes.subarray(1),
    Buffer.concat([bytes, Buffer.of(0)]),
    Buffer.of(1),
    oversized,
  ];

  it("refuses an organisation's share, whoever's it is: MALFORMED", async () => {
    for (const at of shares.keys())
      for (const encryptedShare of around(shares[at]?.encryptedShare ?? new Uint8Array()))
        await refused(/RecoveryShare\.encrypted_share/, {
          shares: shares.map((one, index) => (index === at ? { ...one, encryptedShare } : one)),
        });
  });

  it("refuses what verifies them: MALFORMED", async () => {
    for (const bytes of around(sealedShares)) await refused(/RecoveryMessage\.sealed_shares/, { sealedShares: bytes });
  });

  it("refuses wrapped keys that are longer than any, or none: MALFORMED", async () => {
    const longest = Buffer.alloc(4152, 1);
    for (const bytes of [oversized, Buffer.concat([longest, Buffer.of(1)]), wrappedGeneration.subarray(0, 29)])
      await refused(/RecoveryMessage\.wrapped_generation/, { wrappedGeneration: bytes });
    // As long as a private key may be: what is in it no one sees here.
    const state = reissued(enclave, good, { wrappedGeneration: longest });
    await consortium.endorse("Org1MSP", "putRecovery", chaincodeId, recoveryText(state));
  });

  it("passes over what a former release took: others are issued, released and used beside it", async () => {
    const { consortium, enclave } = await provisioned();
    const recovery = await issue(consortium, enclave);
    const long = reissued(enclave, recovery, { wrappedGeneration: oversized });
    await write(consortium, (state) =>
      writeRecord(state, recordNames.recovery(chaincodeId, 1n), SignedRecoveryMessageSchema, long),
    );
    await consortium.call("Org1MSP", "putRecovery", chaincodeId, recoveryText(recovery));
    assert.equal(await consortium.call("Org2MSP", "queryRecovery", chaincodeId, "1", "2"), recoveryText(recovery));
    const fresh = await consortium.newEnclave("Org2MSP", { rsa: 1 });
    for (const mspId of ["Org1MSP", "Org3MSP"])
      await consortium.call(mspId, "releaseShare", chaincodeId, release(consortium, recovery, mspId, fresh));
    await consortium.registerKeys(fresh, first);
  });
});

describe("releaseShare", () => {
  it("refuses a share of another length than an encrypted share has: MALFORMED", async () => {
    const { consortium, recovery, fresh } = await issued();
    const good = release(consortium, recovery, "Org1MSP", fresh);
    for (const encryptedShare of [Buffer.alloc(445, 1), Buffer.alloc(447, 1), Buffer.of(1), oversized]) {
      const text = releaseText(rereleased(consortium, good, { encryptedShare }));
      const about = /ReleasedShareMessage\.encrypted_share/;
      await consortium.refuses("MALFORMED", about, "Org1MSP", "releaseShare", chaincodeId, text);
    }
    await consortium.call("Org1MSP", "releaseShare", chaincodeId, good);
  });

  it("takes an organisation's share of an issue once: ALREADY_SET, so that no one stops a registration", async () => {
    const { consortium, recovery, fresh, put } = await issued();
    for (const mspId of ["Org1MSP", "Org3MSP"]) await put(mspId);
    const registration = consortium.registration(fresh, first);
    const endorsed = await consortium.endorse("Org2MSP", "registerCCKeys", chaincodeId, registration);
    const again = release(consortium, recovery, "Org3MSP", fresh);
    const standing = /Org3MSP has released its share/;
    await consortium.refuses("ALREADY_SET", standing, "Org3MSP", "releaseShare", chaincodeId, again);
    assert.equal(consortium.ledger.commit(endorsed.state), true);
  });

  it("takes it again where the one that stands is of no use any more", async () => {
    const { consortium, recovery, fresh, put } = await issued();
    const good = release(consortium, recovery, "Org1MSP", fresh);
    const standing = [
      rereleased(consortium, good, { encryptedShare: oversized }),
      rereleased(consortium, good, { ccParamsHash: Buffer.alloc(32, 7) }),
      rereleased(consortium, good, { recoveryHash: Buffer.alloc(32, 7) }),
      { ...rereleased(consortium, good, {}), signature: Buffer.alloc(9, 1) },
    ];
    for (const signed of standing) {
      await writeRelease(consortium, fresh, "Org1MSP", signed);
      await put("Org1MSP");
    }
    // Under another policy key.
    const [one, ...others] = consortium.policy.organisations;
    assert(one);
    const { policyKey } = consortium.policy.organisations[1] ?? one;
    const swapped = others.map((other, index) => (index === 0 ? { ...other, policyKey: one.policyKey } : other));
    await consortium.setPolicy({ organisations: [{ ...one, policyKey }, ...swapped] });
    const text = release(consortium, recovery, "Org1MSP", fresh, consortium.policyKey("Org2MSP").key);
    await consortium.call("Org1MSP", "releaseShare", chaincodeId, text);
    await consortium.refuses("ALREADY_SET", /./, "Org1MSP", "releaseShare", chaincodeId, text);
  });

  it("does not stop at what a former release took of another organisation", async () => {
    const { consortium, recovery, fresh, put, tooFew } = await issued();
    const good = release(consortium, recovery, "Org2MSP", fresh);
    await writeRelease(consortium, fresh, "Org2MSP", rereleased(consortium, good, { encryptedShare: oversized }));
    await put("Org1MSP");
    await tooFew();
    await put("Org3MSP");
    await consortium.registerKeys(fresh, first);
  });

  it("refuses an organisation that the issue has no share for, and counts none: POLICY_DENIED", async () => {
    const consortium = await Consortium.start();
    await consortium.setPolicy({ organisations: consortium.policy.organisations.slice(0, 2) });
    const enclave = await consortium.newEnclave("Org1MSP");
    await consortium.registerKeys(enclave, first);
    const recovery = await issue(consortium, enclave);
    await consortium.call("Org1MSP", "putRecovery", chaincodeId, recoveryText(recovery));
    const policy = consortium.nextPolicy({});
    const signed = consortium.signed(policy, ["Org1MSP", "Org2MSP"]);
    await consortium.call("Org1MSP", "setPolicy", chaincodeId, signed);
    consortium.policy = policy;
    const fresh = await consortium.newEnclave("Org2MSP", { rsa: 1 });
    using share = SecretBuffer.random(33);
    const parts = { recovery, mspId: "Org3MSP", share, receiver: fresh.read };
    const lie = releaseShare(parts, consortium.policyKey("Org3MSP").key);
    const about = /no share of Org3MSP/;
    await consortium.refuses("POLICY_DENIED", about, "Org3MSP", "releaseShare", chaincodeId, releaseText(lie));
    await writeRelease(consortium, fresh, "Org3MSP", lie);
    await consortium.call("Org1MSP", "releaseShare", chaincodeId, release(consortium, recovery, "Org1MSP", fresh));
    const registration = consortium.registration(fresh, first);
    await consortium.refuses("ALREADY_SET", /./, "Org2MSP", "registerCCKeys", chaincodeId, registration);
    await consortium.call("Org2MSP", "releaseShare", chaincodeId, release(consortium, recovery, "Org2MSP", fresh));
    await consortium.registerKeys(fresh, first);
  });

  it("is refused, and what was released not counted, where the policy in force wants no recovery: POLICY_DENIED", async () => {
    const { consortium, recovery, fresh, put, tooFew } = await issued();
    for (const mspId of organisationNames.slice(0, 2)) await put(mspId);
    await consortium.setPolicy({ recoveryThreshold: 0 });
    const text = release(consortium, recovery, "Org3MSP", fresh);
    await consortium.refuses("POLICY_DENIED", /no recovery/, "Org3MSP", "releaseShare", chaincodeId, text);
    await tooFew();
    await consortium.setPolicy({});
    await consortium.registerKeys(fresh, first);
  });
});
