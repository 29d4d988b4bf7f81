import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { DescMessage } from "@bufbuild/protobuf";
import { readRecord, recordNames } from "../../../../src/enclave/ercc/records.ts";
import type { RecordName } from "../../../../src/enclave/ercc/registry-state.ts";
import { EnclaveError } from "../../../../src/enclave/errors.ts";
import { ChaincodeKeyStateSchema } from "../../../../src/enclave/messages/generated/fpc/ercc_pb.ts";
import { GenerationRecordSchema } from "../../../../src/enclave/messages/generated/fpc/key_dist_pb.ts";
import { argumentOf, Consortium, chaincodeId, type GenerationClaim, generations } from "./consortium.ts";
import { flippedFields } from "./flipped-fields.ts";
import { signingPair } from "./test-keys.ts";

const { first, otherFirst, second } = generations;

function read<Desc extends DescMessage>(consortium: Consortium, name: RecordName, schema: Desc) {
  return readRecord(consortium.ledger.begin({ mspId: "Org1MSP", isAdmin: false }, 0), name, schema);
}

describe("The first registration of chaincode keys", () => {
  it("sets the chaincode's key and makes generation 1 the active one", async () => {
    const consortium = await Consortium.start();
    const enclave = await consortium.newEnclave("Org1MSP");
    assert.equal(await consortium.call("Org1MSP", "queryChaincodeEncryptionKey", chaincodeId), "");
    await consortium.registerKeys(enclave, first);
    const ek = await consortium.call("Org2MSP", "queryChaincodeEncryptionKey", chaincodeId);
    assert.deepEqual(Buffer.from(ek, "base64"), first.ekPem);
    const provisioned = await consortium.call("Org2MSP", "queryListProvisionedEnclaves", chaincodeId);
    assert.deepEqual(JSON.parse(provisioned), [enclave.id]);
    const state = await read(consortium, recordNames.keyState(chaincodeId), ChaincodeKeyStateSchema);
    assert.deepEqual([state?.active, state?.proposed, state?.rotateAbove], [1n, 0n, 0n]);
    const record = await read(consortium, recordNames.generation(chaincodeId, 1n), GenerationRecordSchema);
    assert.equal(record?.state, "active");
    assert.deepEqual(Buffer.from(record?.chaincodeEk ?? []), first.ekPem);
    assert.equal(record?.proposal, undefined);
  });

  it("is refused for another generation than 1: WRONG_CONTEXT", async () => {
    const consortium = await Consortium.start();
    const enclave = await consortium.newEnclave("Org1MSP");
    const text = consortium.registration(enclave, second);
    await consortium.refuses("WRONG_CONTEXT", /generation 1/, "Org1MSP", "registerCCKeys", chaincodeId, text);
  });
});

const consortium = await Consortium.start();
const enclave1 = await consortium.newEnclave("Org1MSP");
const enclave2 = await consortium.newEnclave("Org2MSP", { rsa: 1 });

/** What registerCCKeys is given here has no grant on the ledger: a registration that is right gets as far as ALREADY_SET. */
function refused(code: Parameters<Consortium["refuses"]>[0], text: RegExp, who: string, argument: string) {
  return consortium.refuses(code, text, who, "registerCCKeys", chaincodeId, argument);
}

describe("The state key's commitment", () => {
  it("is demanded of every registration and proposal: MALFORMED", async () => {
    const consortium = await Consortium.start();
    const [one, two] = [await consortium.newEnclave("Org1MSP"), await consortium.newEnclave("Org2MSP", { rsa: 1 })];
    const without = (generation: GenerationClaim) => ({ ...generation, stateKeyCommitment: new Uint8Array() });
    const refused = (enclave: typeof one) =>
      consortium.refuses(
        "MALFORMED",
        /state_key_commitment/,
        enclave.mspId,
        "registerCCKeys",
        chaincodeId,
        consortium.registration(enclave, without(first)),
      );
    await refused(one);
    await consortium.registerKeys(one, first);
    await consortium.putExport(one, two, first);
    await refused(two);
    const bare = Object.assign(Object.create(second), { stateKeyCommitment: new Uint8Array() });
    const proposal = consortium.proposal(one, bare, first);
    const propose = ["proposeGeneration", chaincodeId, proposal] as const;
    await consortium.refuses("MALFORMED", /state_key_commitment/, "Org1MSP", ...propose);
  });

  it("is that of the first registration, or of the proposal, whoever registers: EK_MISMATCH", async () => {
    const consortium = await Consortium.start();
    const [one, two] = [await consortium.newEnclave("Org1MSP"), await consortium.newEnclave("Org2MSP", { rsa: 1 })];
    await consortium.registerKeys(one, first);
    const record = async (number: bigint) =>
      (await read(consortium, recordNames.generation(chaincodeId, number), GenerationRecordSchema))?.stateKeyCommitment;
    assert.deepEqual(Buffer.from((await record(1n)) ?? []), first.stateKeyCommitment);
    await consortium.propose(one, second, first);
    assert.deepEqual(Buffer.from((await record(2n)) ?? []), second.stateKeyCommitment);
    for (const [enclave, generation] of [
      [two, first],
      [one, second],
    ] as const) {
      if (enclave === two) await consortium.putExport(one, two, first);
      const wrong = { ...generation, stateKeyCommitment: Buffer.alloc(32, 9) };
      const text = consortium.registration(enclave, wrong);
      const call = ["registerCCKeys", chaincodeId, text] as const;
      await consortium.refuses("EK_MISMATCH", /another state key/, enclave.mspId, ...call);
      await consortium.registerKeys(enclave, generation);
    }
  });
});

describe("registerCCKeys", () => {
  const good = () => consortium.registration(enclave2, first);

  it("refuses one who is no admin (10a): UNAUTHORIZED", async () => {
    const client = { mspId: "Org2MSP", isAdmin: false };
    await consortium.refuses("UNAUTHORIZED", /no admin/, client, "registerCCKeys", chaincodeId, good());
  });

  it("refuses an admin of another organisation than the enclave's (10b): UNAUTHORIZED", () =>
    refused("UNAUTHORIZED", /an admin of Org2MSP/, "Org1MSP", good()));

  it("refuses what is no registration (10c): MALFORMED", async () => {
    await refused("MALFORMED", /is empty/, "Org2MSP", "");
    await refused("MALFORMED", /canonical base64/, "Org2MSP", `${good()}\n`);
    await refused("MALFORMED", /./, "Org2MSP", argumentOf(enclave2));
    await consortium.refuses("MALFORMED", /chaincode's id/, "Org2MSP", "registerCCKeys", "no name", good());
  });

  it("refuses a registration without one of its fields (10c): MALFORMED, naming it", async () => {
    await refused("MALFORMED", /generation/, "Org2MSP", consortium.registration(enclave2, { ...first, number: 0n }));
    const none = { ...first, ekPem: new Uint8Array() };
    await refused("MALFORMED", /chaincode_ek/, "Org2MSP", consortium.registration(enclave2, none));
    for (const change of [{ ccParamsHash: Buffer.alloc(0) }, { enclaveId: Buffer.alloc(31) }])
      await refused(
        "MALFORMED",
        /cc_params_hash|enclave_id/,
        "Org2MSP",
        consortium.registration(enclave2, first, change),
      );
  });

  it("refuses an enclave that is not registered (10e): NOT_REGISTERED", () =>
    refused(
      "NOT_REGISTERED",
      /no credentials/,
      "Org1MSP",
      consortium.registration(consortium.enclave("Org1MSP"), first),
    ));

  it("refuses an enclave that is registered for another chaincode (10e, 10h): NOT_REGISTERED", async () => {
    consortium.define({ chaincodeId: "notary" });
    const text = consortium.registration(enclave2, first);
    await consortium.refuses("NOT_REGISTERED", /for notary/, "Org2MSP", "registerCCKeys", "notary", text);
  });

  it("refuses a signature by another key (10f): BAD_SIGNATURE", () =>
    refused("BAD_SIGNATURE", /./, "Org2MSP", consortium.registration(enclave2, first, {}, signingPair().key)));

  it("refuses an enclave that may not endorse (10g): POLICY_DENIED", async () => {
    consortium.define({ organisations: ["Org1MSP", "Org3MSP"] });
    await refused("POLICY_DENIED", /no peer of Org2MSP counts/, "Org2MSP", good());
    consortium.define({ sequence: 2n });
    await refused("POLICY_DENIED", /sequence/, "Org2MSP", good());
    consortium.define({});
  });

  it("refuses a message for other parameters than the credentials' (10h): WRONG_CONTEXT", () => {
    const change = { ccParamsHash: Buffer.alloc(32, 7) };
    return refused("WRONG_CONTEXT", /another channel/, "Org2MSP", consortium.registration(enclave2, first, change));
  });

  it("checks in the document's order: what is said first counts", async () => {
    const wrongHash = { ccParamsHash: Buffer.alloc(32, 7) };
    const stranger = consortium.enclave("Org3MSP");
    const badKey = signingPair().key;
    // Everything is wrong, and from line to line one thing less.
    consortium.define({ organisations: ["Org1MSP", "Org3MSP"] });
    const client = { mspId: "Org3MSP", isAdmin: false };
    await consortium.refuses("UNAUTHORIZED", /no admin/, client, "registerCCKeys", chaincodeId, "!");
    await refused("MALFORMED", /./, "Org3MSP", "!");
    await refused("NOT_REGISTERED", /./, "Org1MSP", consortium.registration(stranger, second, wrongHash, badKey));
    await refused("UNAUTHORIZED", /./, "Org3MSP", consortium.registration(enclave2, second, wrongHash, badKey));
    await refused("BAD_SIGNATURE", /./, "Org2MSP", consortium.registration(enclave2, second, wrongHash, badKey));
    await refused("POLICY_DENIED", /./, "Org2MSP", consortium.registration(enclave2, second, wrongHash));
    consortium.define({});
    await refused("WRONG_CONTEXT", /another channel/, "Org2MSP", consortium.registration(enclave2, second, wrongHash));
    await refused("WRONG_CONTEXT", /generation 1/, "Org2MSP", consortium.registration(enclave2, second));
  });
});

describe("registerCCKeys, once the chaincode's key is set (10i)", () => {
  it("refuses another first key: ALREADY_SET", async () => {
    await consortium.registerKeys(enclave1, first);
    await refused("ALREADY_SET", /has a key/, "Org2MSP", consortium.registration(enclave2, otherFirst));
  });

  it("refuses the same key from an enclave to which it was not exported: ALREADY_SET", () =>
    refused("ALREADY_SET", /was not exported/, "Org2MSP", consortium.registration(enclave2, first)));

  it("refuses what the first enclave has registered already: ALREADY_SET", () =>
    refused("ALREADY_SET", /registered generation 1 already/, "Org1MSP", consortium.registration(enclave1, first)));

  it("refuses a generation that is neither active nor proposed: EK_MISMATCH", () =>
    refused(
      "EK_MISMATCH",
      /neither the active one, 1, nor proposed/,
      "Org2MSP",
      consortium.registration(enclave2, second),
    ));

  it("takes the active key as that of its own number only: EK_MISMATCH", () => {
    const text = consortium.registration(enclave2, { ...first, number: 2n });
    return refused("EK_MISMATCH", /generation 2/, "Org2MSP", text);
  });

  it("takes it from an enclave to which it was exported, once", async () => {
    const enclave3 = await consortium.newEnclave("Org3MSP");
    await consortium.putExport(enclave1, enclave3, first);
    await refused("ALREADY_SET", /was not exported/, "Org2MSP", consortium.registration(enclave2, first));
    await refused("ALREADY_SET", /has a key/, "Org3MSP", consortium.registration(enclave3, otherFirst));
    await consortium.registerKeys(enclave3, first);
    const provisioned = await consortium.call("Org2MSP", "queryListProvisionedEnclaves", chaincodeId);
    assert.deepEqual(JSON.parse(provisioned), [enclave1.id, enclave3.id].sort());
    await refused("ALREADY_SET", /already/, "Org3MSP", consortium.registration(enclave3, first));
  });

  it("does not touch the key when it takes another enclave's registration", async () => {
    const enclave4 = await consortium.newEnclave("Org3MSP");
    await consortium.putExport(enclave1, enclave4, first);
    const text = consortium.registration(enclave4, first);
    const { state } = await consortium.endorse("Org3MSP", "registerCCKeys", chaincodeId, text);
    assert.deepEqual(
      [...state.writes.values()].map(({ name }) => name),
      [recordNames.provisioned(chaincodeId, enclave4.id)],
    );
  });
});

describe("One bit changed in a registration", () => {
  it("is refused in whichever field it is", async () => {
    const consortium = await Consortium.start();
    const enclave = await consortium.newEnclave("Org1MSP");
    const text = consortium.registration(enclave, first);
    const before = consortium.ledger.snapshot();
    const names: string[] = [];
    for (const { field, argument } of flippedFields("registration", text)) {
      names.push(field);
      await assert.rejects(consortium.call("Org1MSP", "registerCCKeys", chaincodeId, argument), EnclaveError, field);
    }
    assert.deepEqual(names, [
      "cc_params_hash",
      "chaincode_ek",
      "enclave_id",
      "generation",
      "state_key_commitment",
      "signature",
      "type_url",
    ]);
    assert.equal(consortium.ledger.snapshot(), before);
    await consortium.call("Org1MSP", "registerCCKeys", chaincodeId, text);
  });
});
