import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, fromBinary } from "@bufbuild/protobuf";
import { recordNames, writeRecord } from "../../../../src/enclave/ercc/records.ts";
import { EnclaveError } from "../../../../src/enclave/errors.ts";
import { packAny } from "../../../../src/enclave/messages/any.ts";
import {
  RecoveryMessageSchema,
  type SignedRecoveryMessage,
  SignedRecoveryMessageSchema,
  SignedReleasedShareMessageSchema,
} from "../../../../src/enclave/messages/generated/fpc/key_dist_pb.ts";
import { readRecovery } from "../../../../src/enclave/protocol/recovery-form.ts";
import { recoverGeneration } from "../../../../src/enclave/protocol/released-share.ts";
import { signMessage } from "../../../../src/enclave/protocol/signing.ts";
import { Consortium, chaincodeId, generations } from "./consortium.ts";
import { flippedFields } from "./flipped-fields.ts";
import { issue, recoveryText, release, provisioned as start } from "./recovery-shares.ts";
import { signingPair } from "./test-keys.ts";

const { first, otherFirst, second } = generations;

describe("The recovery of chaincode keys", () => {
  it("takes shares of as many organisations as the policy says, and then a registration", async () => {
    const { consortium, enclave } = await start();
    const recovery = await issue(consortium, enclave);
    await consortium.call("Org1MSP", "putRecovery", chaincodeId, recoveryText(recovery));
    assert.equal(await consortium.call("Org2MSP", "queryRecovery", chaincodeId, "1"), recoveryText(recovery));
    const fresh = await consortium.newEnclave("Org2MSP", { rsa: 1 });
    const registration = consortium.registration(fresh, first);
    const tooFew = () =>
      consortium.refuses("ALREADY_SET", /was not exported/, "Org2MSP", "registerCCKeys", chaincodeId, registration);
    await tooFew();
    await consortium.call("Org1MSP", "releaseShare", chaincodeId, release(consortium, recovery, "Org1MSP", fresh));
    await tooFew();
    await consortium.call("Org3MSP", "releaseShare", chaincodeId, release(consortium, recovery, "Org3MSP", fresh));

    const listed = JSON.parse(await consortium.call("Org1MSP", "queryListReleasedShares", chaincodeId, fresh.id));
    const released = (listed as string[]).map((text) =>
      fromBinary(SignedReleasedShareMessageSchema, Buffer.from(text, "base64")),
    );
    const { vkPem, ccParamsHash } = fresh.read;
    const receiver = { dk: fresh.dk, vkPem, ccParamsHash };
    using recovered = await recoverGeneration(recovery, released, consortium.policy, receiver);
    assert.deepEqual(recovered.ekPem, first.ekPem);
    await consortium.registerKeys(fresh, recovered);
  });

  it("is voided by nobody who issues again: not the same organisation, nor another, nor for a newer policy", async () => {
    const { consortium, enclave } = await start();
    const other = await consortium.newEnclave("Org2MSP", { rsa: 1 });
    await consortium.share(enclave, other, first);
    const recovery = await issue(consortium, enclave);
    await consortium.call("Org1MSP", "putRecovery", chaincodeId, recoveryText(recovery));
    const fresh = await consortium.newEnclave("Org3MSP", { rsa: 1 });
    await consortium.call("Org1MSP", "releaseShare", chaincodeId, release(consortium, recovery, "Org1MSP", fresh));

    const again = recoveryText(await issue(consortium, enclave));
    const standing = /Org1MSP has issued recovery shares of generation 1 for policy 1/;
    await consortium.refuses("ALREADY_SET", standing, "Org1MSP", "putRecovery", chaincodeId, again);
    const others = await issue(consortium, other);
    await consortium.call("Org2MSP", "putRecovery", chaincodeId, recoveryText(others));
    await consortium.setPolicy({});
    const later = await issue(consortium, enclave);
    await consortium.call("Org1MSP", "putRecovery", chaincodeId, recoveryText(later));
    for (const [number, signed] of [recovery, others, later].entries())
      assert.equal(
        await consortium.call("Org3MSP", "queryRecovery", chaincodeId, "1", `${number + 1}`),
        recoveryText(signed),
      );

    const registration = consortium.registration(fresh, first);
    const tooFew = () =>
      consortium.refuses("ALREADY_SET", /was not exported/, "Org3MSP", "registerCCKeys", chaincodeId, registration);
    // One share each of three issues is one share each.
    await consortium.call("Org2MSP", "releaseShare", chaincodeId, release(consortium, others, "Org2MSP", fresh));
    await tooFew();
    await consortium.call("Org3MSP", "releaseShare", chaincodeId, release(consortium, later, "Org3MSP", fresh));
    await tooFew();
    await consortium.call("Org2MSP", "releaseShare", chaincodeId, release(consortium, recovery, "Org2MSP", fresh));
    await consortium.registerKeys(fresh, first);
  });

  it("takes as many as the policy in force wants, also of shares of which fewer open the keys", async () => {
    const { consortium, enclave } = await start();
    const recovery = await issue(consortium, enclave);
    await consortium.call("Org1MSP", "putRecovery", chaincodeId, recoveryText(recovery));
    await consortium.setPolicy({ recoveryThreshold: 3 });
    const fresh = await consortium.newEnclave("Org2MSP", { rsa: 1 });
    for (const mspId of ["Org1MSP", "Org2MSP"])
      await consortium.call(mspId, "releaseShare", chaincodeId, release(consortium, recovery, mspId, fresh));
    const registration = consortium.registration(fresh, first);
    await consortium.refuses("ALREADY_SET", /./, "Org2MSP", "registerCCKeys", chaincodeId, registration);
    await consortium.call("Org3MSP", "releaseShare", chaincodeId, release(consortium, recovery, "Org3MSP", fresh));
    await consortium.registerKeys(fresh, first);
  });

  it("goes on with what a former release issued, which has no policy's number", async () => {
    const { consortium, enclave } = await start();
    const recovery = await issue(consortium, enclave);
    const former = { ...readRecovery(recovery), policyNumber: 0n, sealedShares: new Uint8Array() };
    const packed = packAny(RecoveryMessageSchema, create(RecoveryMessageSchema, former));
    const signature = signMessage("recovery", packed.value, enclave.sk);
    const signed = create(SignedRecoveryMessageSchema, { serializedRecovery: packed, signature });
    const state = consortium.ledger.begin({ mspId: "Org1MSP", isAdmin: true }, consortium.nowMs);
    await writeRecord(state, recordNames.recovery(chaincodeId, 1n), SignedRecoveryMessageSchema, signed);
    assert(consortium.ledger.commit(state));
    await consortium.call("Org1MSP", "putRecovery", chaincodeId, recoveryText(recovery));
    assert.equal(await consortium.call("Org2MSP", "queryRecovery", chaincodeId, "1", "2"), recoveryText(recovery));
    assert.equal(await consortium.call("Org2MSP", "queryRecovery", chaincodeId, "1", "3"), "");
  });

  it("lets the second of two issues at once come after the first: neither is lost", async () => {
    const { consortium, enclave } = await start();
    const other = await consortium.newEnclave("Org2MSP", { rsa: 1 });
    await consortium.share(enclave, other, first);
    const [a, b] = [await issue(consortium, enclave), await issue(consortium, other)].map(recoveryText);
    const [one, two] = await Promise.all([
      consortium.endorse("Org1MSP", "putRecovery", chaincodeId, a ?? ""),
      consortium.endorse("Org2MSP", "putRecovery", chaincodeId, b ?? ""),
    ]);
    assert.equal(consortium.ledger.commit(one.state), true);
    assert.equal(consortium.ledger.commit(two.state), false);
    await consortium.call("Org2MSP", "putRecovery", chaincodeId, b ?? "");
    assert.equal(await consortium.call("Org3MSP", "queryRecovery", chaincodeId, "1", "1"), a);
    assert.equal(await consortium.call("Org3MSP", "queryRecovery", chaincodeId, "1", "2"), b);
  });

  it("brings back keys that a revocation stopped, so that newer ones can follow them", async () => {
    const { consortium, enclave } = await start();
    const recovery = await issue(consortium, enclave);
    await consortium.call("Org1MSP", "putRecovery", chaincodeId, recoveryText(recovery));
    await consortium.call("Org1MSP", "revokeEnclave", chaincodeId, enclave.id, "host lost");
    const fresh = await consortium.newEnclave("Org2MSP", { rsa: 1 });
    for (const mspId of ["Org1MSP", "Org2MSP"])
      await consortium.call(mspId, "releaseShare", chaincodeId, release(consortium, recovery, mspId, fresh));
    await consortium.registerKeys(fresh, first);
    await consortium.propose(fresh, second, first);
    await consortium.registerKeys(fresh, second);
    await consortium.call("Org3MSP", "activateGeneration", chaincodeId, "2");
  });

  it("does not count an organisation that the policy has no more", async () => {
    const { consortium, enclave } = await start();
    const recovery = await issue(consortium, enclave);
    await consortium.call("Org1MSP", "putRecovery", chaincodeId, recoveryText(recovery));
    const fresh = await consortium.newEnclave("Org2MSP", { rsa: 1 });
    for (const mspId of ["Org1MSP", "Org3MSP"])
      await consortium.call(mspId, "releaseShare", chaincodeId, release(consortium, recovery, mspId, fresh));
    await consortium.setPolicy({ organisations: consortium.policy.organisations.slice(0, 2) });
    const registration = consortium.registration(fresh, first);
    await consortium.refuses("ALREADY_SET", /./, "Org2MSP", "registerCCKeys", chaincodeId, registration);
  });
});

describe("putRecovery", async () => {
  const { consortium, enclave } = await start();
  const refused = (
    code: Parameters<Consortium["refuses"]>[0],
    text: RegExp,
    who: string,
    signed: SignedRecoveryMessage,
  ) => consortium.refuses(code, text, who, "putRecovery", chaincodeId, recoveryText(signed));
  const good = await issue(consortium, enclave);

  it("refuses one who is no admin, or another organisation's: UNAUTHORIZED", async () => {
    const client = { mspId: "Org1MSP", isAdmin: false };
    await consortium.refuses("UNAUTHORIZED", /no admin/, client, "putRecovery", chaincodeId, recoveryText(good));
    await refused("UNAUTHORIZED", /an admin of Org1MSP/, "Org2MSP", good);
  });

  it("refuses what is no recovery: MALFORMED", () =>
    refused("MALFORMED", /./, "Org1MSP", create(SignedRecoveryMessageSchema)));

  it("refuses an issuer that is not registered: NOT_REGISTERED", async () =>
    refused("NOT_REGISTERED", /./, "Org1MSP", await issue(consortium, consortium.enclave("Org1MSP"))));

  it("refuses a signature by another key: BAD_SIGNATURE", async () =>
    refused("BAD_SIGNATURE", /./, "Org1MSP", await issue(consortium, enclave, first, signingPair().key)));

  it("refuses shares for other organisations, or another number, than the policy's: POLICY_DENIED", async () => {
    const former = consortium.policy;
    consortium.policy = { ...former, recoveryThreshold: 3 };
    await refused("POLICY_DENIED", /organisations and number/, "Org1MSP", await issue(consortium, enclave));
    consortium.policy = { ...former, organisations: former.organisations.slice(0, 2) };
    await refused("POLICY_DENIED", /organisations and number/, "Org1MSP", await issue(consortium, enclave));
    consortium.policy = former;
  });

  it("refuses shares for another policy than the one in force: POLICY_DENIED", async () => {
    const former = consortium.policy;
    for (const number of [2n, 7n]) {
      consortium.policy = { ...former, number };
      const early = await issue(consortium, enclave);
      consortium.policy = former;
      await refused("POLICY_DENIED", /for policy [27], and 1 is in force/, "Org1MSP", early);
    }
  });

  it("refuses an issuer that may not endorse: POLICY_DENIED", async () => {
    consortium.define({ organisations: ["Org2MSP"] });
    await refused("POLICY_DENIED", /no peer of Org1MSP/, "Org1MSP", good);
    consortium.define({});
  });

  it("refuses shares for other parameters, or of a generation that is not active: WRONG_CONTEXT", async () => {
    const wrong = { ...enclave, read: { ...enclave.read, ccParamsHash: Buffer.alloc(32, 7) } };
    await refused("WRONG_CONTEXT", /another channel/, "Org1MSP", await issue(consortium, wrong));
    await refused("WRONG_CONTEXT", /not the active/, "Org1MSP", await issue(consortium, enclave, second));
  });

  it("refuses shares of another key: EK_MISMATCH", async () =>
    refused("EK_MISMATCH", /another chaincode key/, "Org1MSP", await issue(consortium, enclave, otherFirst)));

  it("refuses an issuer that does not hold the keys: NOT_PROVISIONED", async () => {
    const empty = await consortium.newEnclave("Org1MSP");
    await refused("NOT_PROVISIONED", /does not hold/, "Org1MSP", await issue(consortium, empty));
  });

  it("refuses a chaincode that has no keys: NOT_FOUND", async () => {
    const consortium = await Consortium.start();
    const text = recoveryText(await issue(consortium, await consortium.newEnclave("Org1MSP")));
    await consortium.refuses("NOT_FOUND", /no keys yet/, "Org1MSP", "putRecovery", chaincodeId, text);
  });

  it("refuses one bit changed in whichever field: nothing is written", async () => {
    const before = consortium.ledger.snapshot();
    for (const { field, argument } of flippedFields("recovery", recoveryText(good)))
      await assert.rejects(consortium.call("Org1MSP", "putRecovery", chaincodeId, argument), EnclaveError, field);
    assert.equal(consortium.ledger.snapshot(), before);
  });
});

describe("releaseShare", async () => {
  const { consortium, enclave } = await start();
  const recovery = await issue(consortium, enclave);
  const fresh = await consortium.newEnclave("Org2MSP", { rsa: 1 });
  const refused = (code: Parameters<Consortium["refuses"]>[0], text: RegExp, who: string, argument: string) =>
    consortium.refuses(code, text, who, "releaseShare", chaincodeId, argument);
  const good = (receiver = fresh) => release(consortium, recovery, "Org1MSP", receiver);

  it("refuses a share where none were issued: NOT_FOUND", async () => {
    await refused("NOT_FOUND", /no recovery shares/, "Org1MSP", good());
    await consortium.call("Org1MSP", "putRecovery", chaincodeId, recoveryText(recovery));
  });

  it("refuses one who is no admin of the organisation whose share it is: UNAUTHORIZED", async () => {
    const client = { mspId: "Org1MSP", isAdmin: false };
    await consortium.refuses("UNAUTHORIZED", /no admin/, client, "releaseShare", chaincodeId, good());
    await refused("UNAUTHORIZED", /an admin of Org1MSP/, "Org2MSP", good());
  });

  it("refuses a share of an issue that the ledger has not: REPLAY", async () => {
    const never = await issue(consortium, enclave);
    await refused("REPLAY", /other recovery shares/, "Org1MSP", release(consortium, never, "Org1MSP", fresh));
  });

  it("refuses what is no released share: MALFORMED", () =>
    refused("MALFORMED", /./, "Org1MSP", recoveryText(recovery)));

  it("refuses a receiver that is not registered: NOT_REGISTERED", () =>
    refused("NOT_REGISTERED", /./, "Org1MSP", good(consortium.enclave("Org2MSP"))));

  it("refuses a signature by another key than the policy's: BAD_SIGNATURE", () =>
    refused("BAD_SIGNATURE", /./, "Org1MSP", release(consortium, recovery, "Org1MSP", fresh, signingPair().key)));

  it("refuses a receiver that may not endorse: POLICY_DENIED", async () => {
    consortium.define({ organisations: ["Org1MSP"] });
    await refused("POLICY_DENIED", /no peer of Org2MSP/, "Org1MSP", good());
    consortium.define({});
    const lost = await consortium.newEnclave("Org2MSP");
    await consortium.call("Org2MSP", "revokeEnclave", chaincodeId, lost.id, "lost");
    await refused("POLICY_DENIED", /is revoked/, "Org1MSP", good(lost));
  });

  it("refuses a share for other parameters: WRONG_CONTEXT", () => {
    const wrong = { ...fresh, read: { ...fresh.read, ccParamsHash: Buffer.alloc(32, 7) } };
    return refused("WRONG_CONTEXT", /another channel/, "Org1MSP", good(wrong));
  });

  it("refuses one bit changed in whichever field: nothing is written", async () => {
    const before = consortium.ledger.snapshot();
    for (const { field, argument } of flippedFields("release", good()))
      await assert.rejects(consortium.call("Org1MSP", "releaseShare", chaincodeId, argument), EnclaveError, field);
    assert.equal(consortium.ledger.snapshot(), before);
  });

  it("refuses a share of a generation that is not the active one any more: WRONG_CONTEXT", async () => {
    await consortium.propose(enclave, second, first);
    await consortium.registerKeys(enclave, second);
    await consortium.call("Org1MSP", "activateGeneration", chaincodeId, "2");
    await refused("WRONG_CONTEXT", /not the active 2/, "Org1MSP", good());
  });
});
