import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { DescMessage } from "@bufbuild/protobuf";
import { readRecord, recordNames } from "../../../../src/enclave/ercc/records.ts";
import type { RecordName } from "../../../../src/enclave/ercc/registry-state.ts";
import { EnclaveError } from "../../../../src/enclave/errors.ts";
import { ChaincodeKeyStateSchema } from "../../../../src/enclave/messages/generated/fpc/ercc_pb.ts";
import {
  GenerationRecordSchema,
  SignedCCKeyRegistrationMessageSchema,
} from "../../../../src/enclave/messages/generated/fpc/key_dist_pb.ts";
import { readRegistration } from "../../../../src/enclave/protocol/registration.ts";
import { Consortium, chaincodeId, generations, version } from "./consortium.ts";
import { flippedFields } from "./flipped-fields.ts";
import { signingPair, testGeneration } from "./test-keys.ts";

const { first, otherFirst, second, otherSecond, third } = generations;

/** Three enclaves of three organisations that hold generation 1. */
async function start() {
  const consortium = await Consortium.start();
  const [a, b, c] = [
    await consortium.newEnclave("Org1MSP"),
    await consortium.newEnclave("Org2MSP", { rsa: 1 }),
    await consortium.newEnclave("Org3MSP"),
  ];
  await consortium.registerKeys(a, first);
  await consortium.share(a, b, first);
  await consortium.share(a, c, first);
  const read = <Desc extends DescMessage>(name: RecordName, schema: Desc) =>
    readRecord(consortium.ledger.begin({ mspId: "Org1MSP", isAdmin: false }, 0), name, schema);
  const generation = (number: bigint) => read(recordNames.generation(chaincodeId, number), GenerationRecordSchema);
  const keyState = () => read(recordNames.keyState(chaincodeId), ChaincodeKeyStateSchema);
  const provisionedWith = async (id: string) => {
    const signed = await read(recordNames.provisioned(chaincodeId, id), SignedCCKeyRegistrationMessageSchema);
    return signed && readRegistration(signed).generation;
  };
  return { consortium, a, b, c, generation, keyState, provisionedWith };
}

describe("A rotation of chaincode keys", () => {
  it("goes by proposal, exports, confirmations of a majority, and activation", async () => {
    const { consortium, a, b, c, generation, keyState, provisionedWith } = await start();
    const ek = () => consortium.call("Org3MSP", "queryChaincodeEncryptionKey", chaincodeId);
    await consortium.propose(a, second, first);
    assert.equal((await generation(2n))?.state, "proposed");
    assert.equal((await keyState())?.proposed, 2n);
    await consortium.registerKeys(a, second);
    await consortium.refuses("POLICY_DENIED", /1 of 3/, "Org1MSP", "activateGeneration", chaincodeId, "2");
    await consortium.share(a, b, second);
    assert.deepEqual(
      JSON.parse(await consortium.call("Org3MSP", "queryListConfirmations", chaincodeId, "2")),
      [a.id, b.id].sort(),
    );
    assert.deepEqual(Buffer.from(await ek(), "base64"), first.ekPem);
    assert.equal(await provisionedWith(b.id), 1n);

    await consortium.call("Org3MSP", "activateGeneration", chaincodeId, "2");
    assert.deepEqual(Buffer.from(await ek(), "base64"), second.ekPem);
    assert.deepEqual([(await generation(1n))?.state, (await generation(2n))?.state], ["superseded", "active"]);
    const confirmedBy = (await generation(2n))?.confirmedBy.map((id) => Buffer.from(id).toString("hex").toUpperCase());
    assert.deepEqual(confirmedBy, [a.id, b.id].sort());
    const state = await keyState();
    assert.deepEqual([state?.active, state?.proposed], [2n, 0n]);
    assert.deepEqual([await provisionedWith(a.id), await provisionedWith(b.id)], [2n, 2n]);
    assert.equal(await provisionedWith(c.id), 1n);
  });

  it("lets one who has not confirmed import the generation once it is active", async () => {
    const { consortium, a, b, c, provisionedWith } = await start();
    await consortium.propose(a, second, first);
    await consortium.registerKeys(a, second);
    await consortium.share(a, b, second);
    await consortium.call("Org1MSP", "activateGeneration", chaincodeId, "2");
    const text = consortium.registration(c, second);
    await consortium.refuses("ALREADY_SET", /was not exported/, "Org3MSP", "registerCCKeys", chaincodeId, text);
    await consortium.share(b, c, second);
    assert.equal(await provisionedWith(c.id), 2n);
  });

  it("gives the proposed generation to a new enclave, which does not count in the majority", async () => {
    const { consortium, a, provisionedWith } = await start();
    const [d, e] = [await consortium.newEnclave("Org1MSP"), await consortium.newEnclave("Org1MSP")];
    await consortium.propose(a, second, first);
    await consortium.registerKeys(a, second);
    await consortium.share(a, d, second);
    await consortium.share(a, e, second);
    await consortium.refuses("POLICY_DENIED", /1 of 3/, "Org1MSP", "activateGeneration", chaincodeId, "2");
    assert.equal(await provisionedWith(d.id), undefined);
  });

  it("does not wait for enclaves of a version before the definition's", async () => {
    const { consortium, a, b } = await start();
    const next = { version: "EF".repeat(32), sequence: 2n };
    await consortium.setPolicy({ allowedVersions: [version, next.version], successor: next });
    const heir = await consortium.newEnclave("Org1MSP", { ccParams: next });
    await consortium.share(a, heir, first);
    consortium.define(next);
    await consortium.propose(heir, second, first);
    await consortium.registerKeys(heir, second);
    await consortium.call("Org1MSP", "activateGeneration", chaincodeId, "2");
    const text = consortium.proposal(b, third, second);
    await consortium.refuses("POLICY_DENIED", /may not endorse/, "Org2MSP", "proposeGeneration", chaincodeId, text);
  });
});

describe("proposeGeneration", async () => {
  const { consortium, a, b } = await start();
  const refused = (code: Parameters<Consortium["refuses"]>[0], text: RegExp, who: string, argument: string) =>
    consortium.refuses(code, text, who, "proposeGeneration", chaincodeId, argument);
  const good = () => consortium.proposal(a, second, first);

  it("refuses one who is no admin, or another organisation's: UNAUTHORIZED", async () => {
    const client = { mspId: "Org1MSP", isAdmin: false };
    await consortium.refuses("UNAUTHORIZED", /no admin/, client, "proposeGeneration", chaincodeId, good());
    await refused("UNAUTHORIZED", /an admin of Org1MSP/, "Org2MSP", good());
  });

  it("refuses what is no proposal: MALFORMED", () =>
    refused("MALFORMED", /./, "Org1MSP", consortium.registration(a, second)));

  it("refuses an enclave that is not registered: NOT_REGISTERED", () =>
    refused("NOT_REGISTERED", /./, "Org1MSP", consortium.proposal(consortium.enclave("Org1MSP"), second, first)));

  it("refuses a signature by another key: BAD_SIGNATURE", () =>
    refused("BAD_SIGNATURE", /./, "Org1MSP", consortium.proposal(a, second, first, signingPair().key)));

  it("refuses an enclave that may not endorse: POLICY_DENIED", async () => {
    consortium.define({ organisations: ["Org2MSP"] });
    await refused("POLICY_DENIED", /no peer of Org1MSP/, "Org1MSP", good());
    consortium.define({});
  });

  it("refuses a proposal for other parameters: WRONG_CONTEXT", () => {
    const wrong = { ...a, read: { ...a.read, ccParamsHash: Buffer.alloc(32, 7) } };
    return refused("WRONG_CONTEXT", /another channel/, "Org1MSP", consortium.proposal(wrong, second, first));
  });

  it("refuses an enclave that does not hold the active generation: NOT_PROVISIONED", async () => {
    const empty = await consortium.newEnclave("Org1MSP");
    await refused("NOT_PROVISIONED", /does not hold/, "Org1MSP", consortium.proposal(empty, second, first));
  });

  it("refuses a number that does not follow the active one: CONFLICT", () =>
    refused("CONFLICT", /does not follow 1/, "Org1MSP", consortium.proposal(a, third, second)));

  it("refuses one that follows another key, or has the key in force: EK_MISMATCH", async () => {
    await refused("EK_MISMATCH", /follows another/, "Org1MSP", consortium.proposal(a, second, otherFirst));
    const same = testGeneration(2n, 2);
    await refused("EK_MISMATCH", /in force/, "Org1MSP", consortium.proposal(a, same, first));
  });

  it("refuses a chaincode that has no keys: NOT_FOUND", async () => {
    const consortium = await Consortium.start();
    const enclave = await consortium.newEnclave("Org1MSP");
    const text = consortium.proposal(enclave, second, first);
    await consortium.refuses("NOT_FOUND", /no keys yet/, "Org1MSP", "proposeGeneration", chaincodeId, text);
  });

  it("refuses one bit changed in whichever field: nothing is written", async () => {
    const before = consortium.ledger.snapshot();
    for (const { field, argument } of flippedFields("proposal", good()))
      await assert.rejects(consortium.call("Org1MSP", "proposeGeneration", chaincodeId, argument), EnclaveError, field);
    assert.equal(consortium.ledger.snapshot(), before);
  });

  it("refuses a second proposal beside the first: CONFLICT", async () => {
    await consortium.call("Org1MSP", "proposeGeneration", chaincodeId, good());
    const text = consortium.proposal(b, otherSecond, first);
    await refused("CONFLICT", /generation 2 is proposed/, "Org2MSP", text);
  });
});

describe("A confirmation of the proposed generation", async () => {
  const { consortium, a, b } = await start();
  await consortium.propose(a, second, first);
  const refused = (code: Parameters<Consortium["refuses"]>[0], text: RegExp, who: string, argument: string) =>
    consortium.refuses(code, text, who, "registerCCKeys", chaincodeId, argument);

  it("is refused of another key than the proposed: EK_MISMATCH", () =>
    refused(
      "EK_MISMATCH",
      /another chaincode key for generation 2/,
      "Org2MSP",
      consortium.registration(b, otherSecond),
    ));

  it("is refused where it was not exported: NOT_PROVISIONED", () =>
    refused("NOT_PROVISIONED", /not exported/, "Org2MSP", consortium.registration(b, second)));

  it("is refused as another first registration: ALREADY_SET", () =>
    refused("ALREADY_SET", /has a key/, "Org2MSP", consortium.registration(b, otherFirst)));

  it("is the proposer's own without an export, once", async () => {
    await consortium.registerKeys(a, second);
    await refused("ALREADY_SET", /already/, "Org1MSP", consortium.registration(a, second));
  });

  it("is no leave to export before it: NOT_PROVISIONED", async () => {
    await consortium.putExport(a, b, second);
    const c = await consortium.newEnclave("Org2MSP");
    await assert.rejects(consortium.putExport(b, c, second), { code: "NOT_PROVISIONED" });
    await consortium.registerKeys(b, second);
    await consortium.putExport(b, c, second);
  });
});

describe("activateGeneration", async () => {
  const { consortium, a } = await start();
  const refused = (code: Parameters<Consortium["refuses"]>[0], text: RegExp, number: string, who = "Org1MSP") =>
    consortium.refuses(code, text, who, "activateGeneration", chaincodeId, number);

  it("refuses what is no number: MALFORMED", async () => {
    for (const number of ["", "0", "02", "-2", "2.0", "99999999999", "two"])
      await refused("MALFORMED", /number/, number);
  });

  it("refuses a generation that is not proposed: NOT_FOUND", async () => {
    for (const number of ["1", "2", "3"]) await refused("NOT_FOUND", /not proposed/, number);
    await consortium.propose(a, second, first);
    for (const number of ["1", "3"]) await refused("NOT_FOUND", /not proposed/, number);
  });

  it("refuses one who is no admin, or of no organisation of the policy: UNAUTHORIZED", async () => {
    const client = { mspId: "Org1MSP", isAdmin: false };
    await consortium.refuses("UNAUTHORIZED", /no admin/, client, "activateGeneration", chaincodeId, "2");
    await refused("UNAUTHORIZED", /Org4MSP is not among/, "2", "Org4MSP");
  });

  it("refuses half of the enclaves: POLICY_DENIED", async () => {
    await refused("POLICY_DENIED", /0 of 3/, "2");
    const d = await consortium.newEnclave("Org2MSP");
    await consortium.share(a, d, first);
    await consortium.registerKeys(a, second);
    await consortium.share(a, d, second);
    await refused("POLICY_DENIED", /2 of 4/, "2");
  });

  it("refuses most of the enclaves where they are of one organisation among three: POLICY_DENIED", async () => {
    const { consortium, a, b } = await start();
    const more = [await consortium.newEnclave("Org1MSP"), await consortium.newEnclave("Org1MSP")];
    for (const one of more) await consortium.share(a, one, first);
    await consortium.propose(a, second, first);
    await consortium.registerKeys(a, second);
    for (const one of more) await consortium.share(a, one, second);
    const activate = ["activateGeneration", chaincodeId, "2"] as const;
    await consortium.refuses("POLICY_DENIED", /1 of 3 organisations/, "Org1MSP", ...activate);
    await consortium.share(a, b, second);
    await consortium.call("Org1MSP", ...activate);
  });
});

describe("abandonGeneration", () => {
  const abandon = ["abandonGeneration", chaincodeId, "2"] as const;

  it("takes an admin of the proposer's organisation", async () => {
    const { consortium, a, generation } = await start();
    await consortium.propose(a, second, first);
    await consortium.refuses("UNAUTHORIZED", /no admin/, { mspId: "Org1MSP", isAdmin: false }, ...abandon);
    await consortium.call("Org1MSP", ...abandon);
    assert.equal((await generation(2n))?.state, "abandoned");
  });

  it("does not take one other organisation, at whatever time it dates its call", async () => {
    const { consortium, a, generation, keyState } = await start();
    await consortium.propose(a, second, first);
    await consortium.registerKeys(a, second);
    consortium.pass(1_000_000);
    await consortium.refuses("UNAUTHORIZED", /policy's organisations/, "Org4MSP", ...abandon);
    await consortium.call("Org2MSP", ...abandon);
    await consortium.refuses("ALREADY_SET", /Org2MSP has called/, "Org2MSP", ...abandon);
    assert.equal((await generation(2n))?.state, "proposed");
    assert.equal((await keyState())?.proposed, 2n);
  });

  it("counts the calls for one proposal only, and of organisations that the policy has", async () => {
    const { consortium, a, b, generation } = await start();
    await consortium.propose(a, second, first);
    await consortium.call("Org2MSP", ...abandon);
    await consortium.call("Org1MSP", ...abandon);
    // What was said of the proposal before does not count.
    await consortium.propose(a, otherSecond, first);
    await consortium.call("Org3MSP", ...abandon);
    assert.equal((await generation(2n))?.state, "proposed");
    const { organisations } = consortium.policy;
    await consortium.setPolicy({ organisations: organisations.filter(({ mspId }) => mspId !== "Org3MSP") });
    await consortium.call("Org2MSP", ...abandon);
    assert.deepEqual((await generation(2n))?.abandonVotes, ["Org2MSP"]);
    assert.ok(b);
  });

  it("takes as many organisations as the policy's threshold", async () => {
    const { consortium, a, generation, keyState } = await start();
    await consortium.propose(a, second, first);
    await consortium.registerKeys(a, second);
    await consortium.call("Org3MSP", ...abandon);
    await consortium.call("Org2MSP", ...abandon);
    assert.equal((await generation(2n))?.state, "abandoned");
    assert.equal((await keyState())?.proposed, 0n);
    assert.deepEqual(JSON.parse(await consortium.call("Org1MSP", "queryListConfirmations", chaincodeId, "2")), []);
    await consortium.refuses("NOT_FOUND", /not proposed/, "Org1MSP", ...abandon);
  });

  it("leaves the number to a new proposal, for which what was said of the abandoned one does not count", async () => {
    const { consortium, a, b } = await start();
    await consortium.propose(a, second, first);
    await consortium.registerKeys(a, second);
    await consortium.putExport(a, b, second);
    await consortium.call("Org1MSP", "abandonGeneration", chaincodeId, "2");
    await consortium.propose(b, otherSecond, first);
    const registerCCKeys = ["registerCCKeys", chaincodeId] as const;
    const old = consortium.registration(b, second);
    await consortium.refuses("EK_MISMATCH", /another chaincode key/, "Org2MSP", ...registerCCKeys, old);
    const unexported = consortium.registration(a, otherSecond);
    await consortium.refuses("NOT_PROVISIONED", /not exported/, "Org1MSP", ...registerCCKeys, unexported);
    await consortium.registerKeys(b, otherSecond);
    await consortium.share(b, a, otherSecond);
    await consortium.call("Org2MSP", "activateGeneration", chaincodeId, "2");
  });

  it("lets none of the abandoned keys be proposed again: who was put out may hold them (REPLAY)", async () => {
    const { consortium, a, b } = await start();
    await consortium.propose(a, second, first);
    await consortium.call("Org1MSP", "abandonGeneration", chaincodeId, "2");
    const again = ["proposeGeneration", chaincodeId, consortium.proposal(a, second, first)] as const;
    await consortium.refuses("REPLAY", /was proposed before, and abandoned/, "Org1MSP", ...again);
    const others = ["proposeGeneration", chaincodeId, consortium.proposal(b, second, first)] as const;
    await consortium.refuses("REPLAY", /was proposed before, and abandoned/, "Org2MSP", ...others);
    await consortium.propose(b, otherSecond, first);
    await consortium.call("Org2MSP", "abandonGeneration", chaincodeId, "2");
    await consortium.refuses("REPLAY", /was proposed before, and abandoned/, "Org1MSP", ...again);
  });
});
