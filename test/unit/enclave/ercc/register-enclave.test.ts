import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { readRecord, recordNames } from "../../../../src/enclave/ercc/records.ts";
import { EnclaveError } from "../../../../src/enclave/errors.ts";
import { encodeArgument } from "../../../../src/enclave/messages/argument.ts";
import { EvidenceFloorSchema } from "../../../../src/enclave/messages/generated/fpc/evidence_pb.ts";
import { CredentialsSchema } from "../../../../src/enclave/messages/generated/fpc/fpc_pb.ts";
import { argumentOf, Consortium, chaincodeId, type EnclaveSettings, startMs, version } from "./consortium.ts";
import { fakeEvidence } from "./fake-judge.ts";
import { rsaPair, signingPair } from "./test-keys.ts";

const consortium = await Consortium.start();
const other = "CD".repeat(32);

/** That an enclave of Org1MSP, made so, is refused. */
async function refused(code: Parameters<Consortium["refuses"]>[0], text: RegExp, settings: EnclaveSettings) {
  const enclave = consortium.enclave("Org1MSP", settings);
  await consortium.refuses(code, text, "Org1MSP", "registerEnclave", argumentOf(enclave));
}

describe("registerEnclave", () => {
  it("keeps the credentials as the base64 text that came, and answers with the enclave's id", async () => {
    const enclave = consortium.enclave("Org1MSP");
    assert.equal(await consortium.call("Org1MSP", "registerEnclave", argumentOf(enclave)), enclave.id);
    assert.equal(
      await consortium.call("Org2MSP", "queryEnclaveCredentials", chaincodeId, enclave.id),
      argumentOf(enclave),
    );
  });

  it("takes several enclaves, of one organisation and of others", async () => {
    const enclaves = [
      await consortium.newEnclave("Org1MSP"),
      await consortium.newEnclave("Org1MSP"),
      await consortium.newEnclave("Org2MSP"),
    ];
    const listed = JSON.parse(await consortium.call("Org3MSP", "queryListEnclaveCredentials", chaincodeId));
    for (const enclave of enclaves) assert(listed.includes(argumentOf(enclave)));
  });

  it("has the evidence judged for the statement, the measurement, the policy and the proposal's time", async () => {
    const enclave = await consortium.newEnclave("Org2MSP");
    const asked = consortium.judge.asked.at(-1);
    assert.deepEqual(asked?.statement, enclave.read.statement);
    assert.equal(asked?.measurement, version);
    assert.equal(asked?.policy.number, 1n);
    assert.equal(asked?.atMs, startMs);
    assert.deepEqual(asked?.evidence, enclave.credentials.evidence);
    assert.deepEqual(asked?.attestation, enclave.credentials.attestation);
  });

  it("refuses one who is no admin: UNAUTHORIZED", async () => {
    const text = argumentOf(consortium.enclave("Org1MSP"));
    const client = { mspId: "Org1MSP", isAdmin: false };
    await consortium.refuses("UNAUTHORIZED", /no admin/, client, "registerEnclave", text);
  });

  it("refuses an admin of another organisation than the enclave's: UNAUTHORIZED", async () => {
    const text = argumentOf(consortium.enclave("Org1MSP"));
    await consortium.refuses("UNAUTHORIZED", /an admin of Org1MSP/, "Org2MSP", "registerEnclave", text);
  });

  for (const [what, text, pattern] of [
    ["empty text", "", /is empty/],
    ["text that is not base64", "credentials!", /canonical base64/],
    ["bytes that are no message", Buffer.from("credentials").toString("base64"), /Credentials/],
    [
      "a message with nothing in it but the attestation",
      credentialsText({ attestation: Buffer.of(1) }),
      /serialized_at/,
    ],
  ] as const)
    it(`refuses ${what}: MALFORMED`, () =>
      consortium.refuses("MALFORMED", pattern, "Org1MSP", "registerEnclave", text));

  it("refuses credentials without evidence: MALFORMED", async () => {
    const { serializedAttestedData } = consortium.enclave("Org1MSP").credentials;
    const text = credentialsText({ serializedAttestedData });
    await consortium.refuses("MALFORMED", /evidence/, "Org1MSP", "registerEnclave", text);
  });

  it("refuses attested data of another type: MALFORMED", async () => {
    const { serializedAttestedData, evidence } = consortium.enclave("Org1MSP").credentials;
    const value = serializedAttestedData?.value ?? Buffer.alloc(0);
    const text = credentialsText({
      serializedAttestedData: { typeUrl: "type.googleapis.com/fpc.Credentials", value },
      evidence,
    });
    await consortium.refuses("MALFORMED", /fpc\.AttestedData/, "Org1MSP", "registerEnclave", text);
  });

  it("takes attested data by the type URL of upstream's C++ code as well", async () => {
    const { serializedAttestedData, evidence } = consortium.enclave("Org1MSP").credentials;
    const value = serializedAttestedData?.value ?? Buffer.alloc(0);
    const packed = { typeUrl: "github.com/fpc/fpc.AttestedData", value };
    await consortium.call("Org1MSP", "registerEnclave", credentialsText({ serializedAttestedData: packed, evidence }));
  });

  it("refuses attested data that carries a chaincode key: MALFORMED", () =>
    refused("MALFORMED", /chaincode_ek/, { attested: { chaincodeEk: rsaPair(2).publicPem } }));

  it("refuses attested data without an encryption key: MALFORMED", () =>
    refused("MALFORMED", /enclave_ek/, { attested: { enclaveEk: new Uint8Array() } }));

  it("refuses attested data without a host: MALFORMED", () =>
    refused("MALFORMED", /peer_msp_id/, { attested: { hostParams: { peerEndpoint: "a.example:7051" } } }));

  it("refuses an enclave for another channel: WRONG_CONTEXT", () =>
    refused("WRONG_CONTEXT", /channel ch2, not ch1/, { ccParams: { channelId: "ch2" } }));

  it("refuses an enclave for another channel of the same name: WRONG_CONTEXT", () =>
    refused("WRONG_CONTEXT", /of the name ch1/, { attested: { channelHash: Buffer.alloc(32, 1) } }));

  it("refuses an enclave of a chaincode that the channel has not: NOT_FOUND", () =>
    refused("NOT_FOUND", /no chaincode other/, { ccParams: { chaincodeId: "other" } }));

  it("refuses an enclave of a chaincode without a policy document: POLICY_DENIED", async () => {
    consortium.define({ chaincodeId: "lonely" });
    await refused("POLICY_DENIED", /lonely has no policy document/, { ccParams: { chaincodeId: "lonely" } });
  });

  it("refuses a measurement that is not the definition's version: POLICY_DENIED", () =>
    refused("POLICY_DENIED", /measurement/, { ccParams: { version: other } }));

  it("refuses a sequence that is not the definition's: POLICY_DENIED", () =>
    refused("POLICY_DENIED", /sequence is 1, the enclave's 2/, { ccParams: { sequence: 2n } }));

  it("refuses a defined measurement that the policy does not allow: POLICY_DENIED", async () => {
    const strict = await Consortium.start({ allowedVersions: [other] });
    const text = argumentOf(strict.enclave("Org1MSP"));
    await strict.refuses(
      "POLICY_DENIED",
      /does not allow the enclave's measurement/,
      "Org1MSP",
      "registerEnclave",
      text,
    );
  });

  it("refuses an enclave that believes in another ledger than the policy describes: POLICY_DENIED", () =>
    refused("POLICY_DENIED", /another ledger/, { attested: { trustedLedgerHash: Buffer.alloc(32, 1) } }));

  it("refuses an enclave that expects another ledger enclave than the policy: POLICY_DENIED", () =>
    refused("POLICY_DENIED", /another ledger/, { attested: { tlccMrenclave: other } }));

  it("refuses every enclave where the policy says nothing of the ledger: POLICY_DENIED", async () => {
    const consortium = await Consortium.start({ trustedLedger: undefined });
    const text = argumentOf(consortium.enclave("Org1MSP"));
    await consortium.refuses("POLICY_DENIED", /says nothing of the ledger/, "Org1MSP", "registerEnclave", text);
  });

  it("takes the ledger enclave's measurement that the policy names", async () => {
    const trustedLedger = {
      erccName: "ercc",
      tlccMrenclave: other,
      tlccAttestationType: "simulated",
      tlccAttestationRoot: Buffer.from("root"),
    };
    const consortium = await Consortium.start({ trustedLedger });
    await consortium.newEnclave("Org1MSP", { attested: { tlccMrenclave: other } });
  });

  it("refuses evidence of something else than it says: BAD_EVIDENCE", async () => {
    const { serializedAttestedData } = consortium.enclave("Org1MSP").credentials;
    const text = credentialsText({
      serializedAttestedData,
      evidence: fakeEvidence(Buffer.from("another"), { madeAtMs: startMs }),
    });
    await consortium.refuses("BAD_EVIDENCE", /another statement/, "Org1MSP", "registerEnclave", text);
  });

  it("refuses evidence that is older than the policy's age: BAD_EVIDENCE", () =>
    refused("BAD_EVIDENCE", /too old/, { madeAtMs: startMs - 86_400_001 }));

  it("refuses an organisation that the policy has not: POLICY_DENIED", async () => {
    const text = argumentOf(consortium.enclave("Org4MSP"));
    await consortium.refuses("POLICY_DENIED", /Org4MSP is not among/, "Org4MSP", "registerEnclave", text);
  });

  it("checks in the document's order: what is said first counts", async () => {
    const wrong = {
      channelHash: Buffer.alloc(32, 1),
      trustedLedgerHash: Buffer.alloc(32, 2),
      onCreation: false,
      chaincodeEk: rsaPair(2).publicPem,
    };
    const ccParams = { channelId: "ch2", chaincodeId: "other", version: other, sequence: 9n };
    const madeAtMs = 0;
    // Each step is everything wrong but what the steps before it named.
    const steps: [Parameters<typeof refused>[0], RegExp, EnclaveSettings][] = [
      ["MALFORMED", /chaincode_ek/, { attested: wrong, ccParams, madeAtMs }],
      ["WRONG_CONTEXT", /channel ch2/, { attested: { ...wrong, chaincodeEk: Buffer.alloc(0) }, ccParams, madeAtMs }],
    ];
    const attested = { ...wrong, chaincodeEk: Buffer.alloc(0) };
    const here = { ...ccParams, channelId: "ch1" };
    steps.push(["WRONG_CONTEXT", /of the name/, { attested, ccParams: here, madeAtMs }]);
    const onChannel = { ...attested, channelHash: consortium.ledger.channelHash };
    steps.push(["NOT_FOUND", /no chaincode other/, { attested: onChannel, ccParams: here, madeAtMs }]);
    const defined = { version: other, sequence: 9n };
    steps.push(["POLICY_DENIED", /measurement/, { attested: onChannel, ccParams: defined, madeAtMs }]);
    steps.push(["POLICY_DENIED", /sequence/, { attested: onChannel, ccParams: { sequence: 9n }, madeAtMs }]);
    steps.push(["POLICY_DENIED", /another ledger/, { attested: onChannel, madeAtMs }]);
    steps.push(["BAD_EVIDENCE", /too old/, { attested: { onCreation: false }, madeAtMs }]);
    steps.push(["NOT_REGISTERED", /never registered/, { attested: { onCreation: false } }]);
    for (const [code, text, settings] of steps) await refused(code, text, settings);
  });
});

describe("An enclave that attests again", () => {
  const keys = signingPair();
  const first = consortium.enclave("Org3MSP", {}, keys);

  it("is refused where it was never registered: NOT_REGISTERED", async () => {
    const again = consortium.enclave("Org3MSP", { attested: { onCreation: false } }, keys);
    await consortium.refuses("NOT_REGISTERED", /never registered/, "Org3MSP", "registerEnclave", argumentOf(again));
  });

  it("is refused where it says that it was created once more: ALREADY_SET", async () => {
    await consortium.register(first);
    await consortium.refuses("ALREADY_SET", /is registered/, "Org3MSP", "registerEnclave", argumentOf(first));
  });

  it("brings newer evidence, and may have moved", async () => {
    const settings = {
      attested: { onCreation: false, hostParams: { peerMspId: "Org3MSP", peerEndpoint: "moved.example:7051" } },
      madeAtMs: startMs + 1,
    };
    const again = await consortium.register(consortium.enclave("Org3MSP", settings, keys));
    assert.equal(await consortium.call("Org3MSP", "queryEnclaveCredentials", chaincodeId, first.id), argumentOf(again));
  });

  it("may go on to a later sequence of the chaincode's definition, and not back: WRONG_CONTEXT", async () => {
    const consortium = await Consortium.start();
    const keys = signingPair();
    await consortium.register(consortium.enclave("Org3MSP", {}, keys));
    consortium.define({ sequence: 2n });
    const attested = { onCreation: false };
    await consortium.register(consortium.enclave("Org3MSP", { attested, ccParams: { sequence: 2n } }, keys));
    consortium.define({});
    const back = argumentOf(consortium.enclave("Org3MSP", { attested }, keys));
    await consortium.refuses("WRONG_CONTEXT", /other parameters/, "Org3MSP", "registerEnclave", back);
  });

  it("is refused with another encryption key: WRONG_CONTEXT", async () => {
    const again = consortium.enclave("Org3MSP", { attested: { onCreation: false }, rsa: 1 }, keys);
    await consortium.refuses(
      "WRONG_CONTEXT",
      /other parameters or keys/,
      "Org3MSP",
      "registerEnclave",
      argumentOf(again),
    );
  });

  it("is refused on another organisation's host: WRONG_CONTEXT", async () => {
    const again = consortium.enclave("Org1MSP", { attested: { onCreation: false } }, keys);
    await consortium.refuses(
      "WRONG_CONTEXT",
      /other parameters or keys/,
      "Org1MSP",
      "registerEnclave",
      argumentOf(again),
    );
  });

  it("is refused once it is revoked: POLICY_DENIED", async () => {
    await consortium.call("Org3MSP", "revokeEnclave", chaincodeId, first.id, "stolen");
    const again = consortium.enclave("Org3MSP", { attested: { onCreation: false } }, keys);
    await consortium.refuses("POLICY_DENIED", /is revoked/, "Org3MSP", "registerEnclave", argumentOf(again));
  });
});

describe("The floor of evidence", () => {
  it("rises with what is registered, and never falls", async () => {
    const consortium = await Consortium.start();
    const floor = async () => {
      const state = consortium.ledger.begin({ mspId: "Org1MSP", isAdmin: true }, startMs);
      return (await readRecord(state, recordNames.floor(), EvidenceFloorSchema))?.entries[0]?.tcbEvaluationNumber;
    };
    await consortium.newEnclave("Org1MSP", { tcbEvaluationNumber: 17 });
    assert.equal(await floor(), 17);
    await consortium.newEnclave("Org2MSP", { tcbEvaluationNumber: 18 });
    assert.equal(await floor(), 18);
    const older = argumentOf(consortium.enclave("Org1MSP", { tcbEvaluationNumber: 17 }));
    await consortium.refuses("BAD_EVIDENCE", /below the floor/, "Org1MSP", "registerEnclave", older);
    assert.equal(await floor(), 18);
  });

  it("is not written where it stays as it is, so that registrations are not in conflict over it", async () => {
    const consortium = await Consortium.start();
    await consortium.newEnclave("Org1MSP", { tcbEvaluationNumber: 17 });
    const text = argumentOf(consortium.enclave("Org2MSP", { tcbEvaluationNumber: 17 }));
    const { state } = await consortium.endorse("Org2MSP", "registerEnclave", text);
    assert.deepEqual(
      [...state.writes.values()].map(({ name }) => name.type),
      ["namespaces/credentials"],
    );
  });
});

describe("One bit changed in credentials", () => {
  const { serializedAttestedData, evidence } = consortium.enclave("Org1MSP").credentials;
  const typeUrl = serializedAttestedData?.typeUrl ?? "";
  const value = Buffer.from(serializedAttestedData?.value ?? []);

  it("is never taken, wherever it is in what is attested", async () => {
    const before = consortium.ledger.snapshot();
    for (let at = 0; at < value.length; at += 7) {
      const flipped = Buffer.from(value);
      flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8));
      const text = credentialsText({ serializedAttestedData: { typeUrl, value: flipped }, evidence });
      await assert.rejects(consortium.call("Org1MSP", "registerEnclave", text), EnclaveError, `byte ${at}`);
    }
    assert.equal(consortium.ledger.snapshot(), before);
    await consortium.call("Org1MSP", "registerEnclave", credentialsText({ serializedAttestedData, evidence }));
  });
});

function credentialsText(fields: MessageInitShape<typeof CredentialsSchema>): string {
  return encodeArgument(CredentialsSchema, create(CredentialsSchema, fields));
}
