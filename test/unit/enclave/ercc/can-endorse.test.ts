import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { canEndorse, requireEndorser, whyNotEndorse } from "../../../../src/enclave/ercc/can-endorse.ts";
import { argumentOf, Consortium, chaincodeId, version } from "./consortium.ts";
import { signingPair } from "./test-keys.ts";

const next = "EF".repeat(32);

/** What does not hold; undefined: it can endorse. The transaction and the function agree. */
async function reason(consortium: Consortium, id: string): Promise<string | undefined> {
  const state = consortium.ledger.begin({ mspId: "Org1MSP", isAdmin: false }, consortium.nowMs);
  const why = (await whyNotEndorse(state, consortium.judge, chaincodeId, id))?.message;
  assert.equal(await canEndorse(state, consortium.judge, chaincodeId, id), why === undefined);
  const client = { mspId: "Org3MSP", isAdmin: false };
  assert.equal(await consortium.call(client, "canEndorse", chaincodeId, id), `${why === undefined}`);
  assert.equal(state.writes.size, 0);
  return why;
}

describe("can_endorse", () => {
  it("is true of a registered enclave of the definition, in the endorsement policy, with fresh evidence", async () => {
    const consortium = await Consortium.start();
    assert.equal(await reason(consortium, (await consortium.newEnclave("Org2MSP")).id), undefined);
  });

  it("is false of an enclave that is not registered", async () => {
    const consortium = await Consortium.start();
    assert.match((await reason(consortium, consortium.enclave("Org1MSP").id)) ?? "", /not registered/);
  });

  it("is false once the chaincode's version or sequence is another, or there is no chaincode", async () => {
    const consortium = await Consortium.start();
    const { id } = await consortium.newEnclave("Org1MSP");
    consortium.define({ version: next });
    assert.match((await reason(consortium, id)) ?? "", /measurement/);
    consortium.define({ sequence: 2n });
    assert.match((await reason(consortium, id)) ?? "", /sequence/);
    consortium.ledger.definitions.clear();
    assert.match((await reason(consortium, id)) ?? "", /no chaincode/);
  });

  it("is true of the successor that the policy names, before and after the definition changes", async () => {
    const consortium = await Consortium.start({
      allowedVersions: [version, next],
      successor: { version: next, sequence: 2n },
    });
    const { id } = await consortium.newEnclave("Org1MSP", { ccParams: { version: next, sequence: 2n } });
    assert.equal(await reason(consortium, id), undefined);
    consortium.define({ version: next, sequence: 2n });
    assert.equal(await reason(consortium, id), undefined);
    consortium.define({ version: next, sequence: 3n });
    assert.equal(await reason(consortium, id), undefined);
    await consortium.setPolicy({ allowedVersions: [version, next] });
    assert.match((await reason(consortium, id)) ?? "", /sequence/);
  });

  it("is false of the successor's measurement with another sequence", async () => {
    const consortium = await Consortium.start({ successor: { version: next, sequence: 2n } });
    const text = argumentOf(consortium.enclave("Org1MSP", { ccParams: { version: next, sequence: 3n } }));
    await consortium.refuses("POLICY_DENIED", /./, "Org1MSP", "registerEnclave", text);
  });

  it("is false once the policy does not allow the measurement or has the organisation no more", async () => {
    const consortium = await Consortium.start();
    const { id } = await consortium.newEnclave("Org3MSP");
    await consortium.setPolicy({ allowedVersions: [next] });
    assert.match((await reason(consortium, id)) ?? "", /does not allow/);
    await consortium.setPolicy({ organisations: consortium.policy.organisations.slice(0, 2) });
    assert.match((await reason(consortium, id)) ?? "", /Org3MSP is not among/);
  });

  it("is false once no peer of the organisation counts in the endorsement policy", async () => {
    const consortium = await Consortium.start();
    const { id } = await consortium.newEnclave("Org3MSP");
    consortium.define({ organisations: ["Org1MSP", "Org2MSP"] });
    assert.match((await reason(consortium, id)) ?? "", /no peer of Org3MSP/);
    consortium.ledger.definitions.set(chaincodeId, { version, sequence: 1n, validationParameter: Buffer.of(1, 2, 3) });
    assert.match((await reason(consortium, id)) ?? "", /cannot be judged/);
  });

  it("is false of a revoked enclave", async () => {
    const consortium = await Consortium.start();
    const { id } = await consortium.newEnclave("Org3MSP");
    await consortium.call("Org3MSP", "revokeEnclave", chaincodeId, id, "lost");
    assert.match((await reason(consortium, id)) ?? "", /revoked/);
  });

  it("is false when its evidence has got too old, until it attests again", async () => {
    const consortium = await Consortium.start();
    const keys = signingPair();
    const { id } = await consortium.register(consortium.enclave("Org1MSP", {}, keys));
    consortium.pass(24);
    assert.equal(await reason(consortium, id), undefined);
    consortium.pass(0.001);
    assert.match((await reason(consortium, id)) ?? "", /too old/);
    await consortium.register(consortium.enclave("Org1MSP", { attested: { onCreation: false } }, keys));
    assert.equal(await reason(consortium, id), undefined);
  });

  it("is false when the ledger has seen newer statements about the platforms", async () => {
    const consortium = await Consortium.start();
    const { id } = await consortium.newEnclave("Org1MSP", { tcbEvaluationNumber: 17 });
    await consortium.newEnclave("Org2MSP", { tcbEvaluationNumber: 18 });
    assert.match((await reason(consortium, id)) ?? "", /below the floor/);
  });

  it("asks nobody about the evidence where something else speaks against the enclave", async () => {
    const consortium = await Consortium.start();
    const { id } = await consortium.newEnclave("Org1MSP");
    await consortium.call("Org1MSP", "revokeEnclave", chaincodeId, id, "lost");
    const asked = consortium.judge.asked.length;
    await reason(consortium, id);
    assert.equal(consortium.judge.asked.length, asked);
  });

  it("lets what is no refusal through: a peer that cannot answer does not answer false", async () => {
    const consortium = await Consortium.start();
    const { id } = await consortium.newEnclave("Org1MSP");
    const state = consortium.ledger.begin({ mspId: "Org1MSP", isAdmin: false }, consortium.nowMs);
    const broken = { judge: () => Promise.reject(new RangeError("out of memory")) };
    await assert.rejects(canEndorse(state, broken, chaincodeId, id), RangeError);
  });

  it("says what to do in the refusal of a transaction that asks for it", async () => {
    const consortium = await Consortium.start();
    const enclave = await consortium.newEnclave("Org1MSP");
    consortium.define({ sequence: 2n });
    const state = consortium.ledger.begin({ mspId: "Org1MSP", isAdmin: true }, consortium.nowMs);
    await assert.rejects(requireEndorser(state, consortium.judge, chaincodeId, enclave.id), {
      code: "POLICY_DENIED",
      message: /sequence is 2, the enclave's 1/,
      hint: /attest again/,
    });
  });
});
