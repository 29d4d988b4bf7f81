import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isQuery, Registry, transactionNames } from "../../../../src/enclave/ercc/registry.ts";
import { compositeKey, recordTypes } from "../../../../src/enclave/ercc/registry-state.ts";
import { argumentOf, Consortium, chaincodeId, generations } from "./consortium.ts";
import { FakeJudge } from "./fake-judge.ts";
import { MemoryLedger } from "./memory-ledger.ts";

const { first, second } = generations;

async function start() {
  const consortium = await Consortium.start();
  const a = await consortium.newEnclave("Org1MSP");
  const b = await consortium.newEnclave("Org2MSP", { rsa: 1 });
  await consortium.registerKeys(a, first);
  return { consortium, a, b };
}

describe("The registry's transactions", () => {
  it("have upstream's names where upstream has them", () => {
    for (const name of [
      "registerEnclave",
      "registerCCKeys",
      "putKeyExport",
      "getKeyExport",
      "queryListEnclaveCredentials",
      "queryEnclaveCredentials",
      "queryListProvisionedEnclaves",
      "queryChaincodeEncryptionKey",
      "queryChaincodeEndPoints",
    ])
      assert(transactionNames.includes(name), name);
  });

  it("are queries where they change nothing", () => {
    for (const name of ["getKeyExport", "queryState", "canEndorse", "queryPolicy", "queryListRevokedEnclaves"])
      assert.equal(isQuery(name), true, name);
    for (const name of ["registerCCKeys", "revokeByStatement", "toString", "", "constructor"])
      assert.equal(isQuery(name), false, name);
  });

  it("are refused under names that there are not: MALFORMED", async () => {
    const { consortium } = await start();
    for (const name of ["", "RegisterEnclave", "toString", "__proto__", "constructor", "checkArguments"])
      await consortium.refuses("MALFORMED", /no transaction/, "Org1MSP", name);
  });

  it("are refused with an argument too few or too many: MALFORMED", async () => {
    const { consortium } = await start();
    const state = consortium.ledger.begin({ mspId: "Org1MSP", isAdmin: true }, 0);
    const registry = new Registry(state, consortium.judge);
    for (const name of transactionNames) {
      await assert.rejects(registry.call(name, []), { code: "MALFORMED" }, name);
      const many = ["auction", "1", "1", "1", "1"];
      await assert.rejects(registry.call(name, many), { code: "MALFORMED" }, name);
    }
  });

  it("are refused at a time that is none: MALFORMED", async () => {
    const { consortium } = await start();
    for (const timestampMs of [Number.NaN, -1, 0.5, Number.POSITIVE_INFINITY, 2 ** 60]) {
      const state = consortium.ledger.begin({ mspId: "Org1MSP", isAdmin: true }, timestampMs);
      const asked = new Registry(state, consortium.judge).call("queryPolicy", [chaincodeId]);
      await assert.rejects(asked, { code: "MALFORMED" }, `${timestampMs}`);
    }
  });

  it("are refused for a chaincode, an enclave or a number that is none: MALFORMED", async () => {
    const { consortium, a } = await start();
    const refused = (...call: [string, ...string[]]) => consortium.refuses("MALFORMED", /./, "Org1MSP", ...call);
    for (const chaincode of ["", "a b", "a\u0000b", "\u0000", "../x", "x".repeat(129)]) {
      await refused("queryListEnclaveCredentials", chaincode);
      await refused("queryChaincodeEncryptionKey", chaincode);
      await refused("canEndorse", chaincode, a.id);
      await refused("getKeyExport", chaincode, a.id);
    }
    for (const id of ["", a.id.toLowerCase(), a.id.slice(1), `${a.id}0`, `${a.id.slice(2)}\u0000\u0000`]) {
      await refused("queryEnclaveCredentials", chaincodeId, id);
      await refused("canEndorse", chaincodeId, id);
      await refused("queryListReleasedShares", chaincodeId, id);
    }
    for (const number of ["", "0", "01", "1e3", "4294967296", "-1"]) {
      await refused("queryGeneration", chaincodeId, number);
      await refused("queryPolicy", chaincodeId, number);
      await refused("queryRecovery", chaincodeId, number);
      await refused("queryRecovery", chaincodeId, "1", number);
    }
  });
});

describe("Queries", () => {
  it("give nothing of a chaincode that has nothing", async () => {
    const consortium = new Consortium();
    const ask = (...call: [string, ...string[]]) => consortium.call({ mspId: "Org9MSP", isAdmin: false }, ...call);
    for (const name of ["queryListEnclaveCredentials", "queryListProvisionedEnclaves", "queryListRevokedEnclaves"])
      assert.equal(await ask(name, chaincodeId), "[]", name);
    for (const name of ["queryChaincodeEncryptionKey", "queryChaincodeEndPoints", "queryKeyState", "queryPolicy"])
      assert.equal(await ask(name, chaincodeId), "", name);
    assert.equal(await ask("queryEnclaveCredentials", chaincodeId, "0".repeat(64)), "");
    assert.equal(await ask("queryGeneration", chaincodeId, "1"), "");
    assert.equal(await ask("queryListConfirmations", chaincodeId, "1"), "[]");
  });

  it("tell the endpoints of the enclaves that are not revoked", async () => {
    const { consortium, b } = await start();
    const endpoints = () => consortium.call("Org3MSP", "queryChaincodeEndPoints", chaincodeId);
    assert.deepEqual((await endpoints()).split(",").sort(), ["org1msp.example:7051", "org2msp.example:7051"]);
    await consortium.call("Org2MSP", "revokeEnclave", chaincodeId, b.id, "lost");
    assert.equal(await endpoints(), "org1msp.example:7051");
  });

  it("do not mix one chaincode's records with another's whose name begins alike", async () => {
    const { consortium } = await start();
    assert.equal(await consortium.call("Org1MSP", "queryListEnclaveCredentials", "auctio"), "[]");
    assert.equal(await consortium.call("Org1MSP", "queryListEnclaveCredentials", "auction1"), "[]");
  });
});

describe("queryState", () => {
  it("gives a record's bytes in base64, by its type and attributes", async () => {
    const { consortium, a } = await start();
    const ask = (...name: string[]) => consortium.call("Org1MSP", "queryState", ...name);
    assert.deepEqual(Buffer.from(await ask(recordTypes.chaincodeEk, chaincodeId), "base64"), first.ekPem);
    const credentials = await ask(recordTypes.credentials, chaincodeId, a.id);
    assert.equal(Buffer.from(credentials, "base64").toString(), argumentOf(a));
    assert.equal(await ask(recordTypes.credentials, chaincodeId, "0".repeat(64)), "");
    assert.equal(await ask(recordTypes.floor), "");
  });

  it("refuses types that there are not, and attributes that would name another record: MALFORMED", async () => {
    const { consortium } = await start();
    const refused = (...name: string[]) => consortium.refuses("MALFORMED", /./, "Org1MSP", "queryState", ...name);
    await refused("");
    await refused("namespaces/other");
    await refused("credentials");
    for (const attribute of ["", "a\u0000b", "\u{10FFFF}", "ä", "a b", "x".repeat(257)])
      await refused(recordTypes.credentials, attribute);
    await refused(recordTypes.credentials, "a", "b", "c", "d", "e");
  });

  it("names records as Fabric's composite keys", () => {
    assert.equal(
      compositeKey({ type: recordTypes.policy, attributes: ["auction", "1"] }),
      "\0namespaces/policy\0auction\x001\0",
    );
  });
});

describe("The same transactions over another peer's state", () => {
  it("write the same, byte for byte", async () => {
    const { consortium, a, b } = await start();
    await consortium.share(a, b, first);
    await consortium.propose(a, second, first);
    await consortium.registerKeys(a, second);
    await consortium.share(a, b, second);
    await consortium.call("Org2MSP", "activateGeneration", chaincodeId, "2");
    await consortium.newEnclave("Org3MSP", { tcbEvaluationNumber: 3 });
    consortium.pass(1);
    await consortium.call("Org2MSP", "revokeEnclave", chaincodeId, b.id, "lost");

    const { channelId, channelHash, definitions } = consortium.ledger;
    const other = new MemoryLedger(channelId, channelHash);
    for (const [name, definition] of definitions) other.definitions.set(name, definition);
    for (const { creator, atMs, transaction, args } of consortium.called) {
      const state = other.begin(creator, atMs);
      await new Registry(state, new FakeJudge()).call(transaction, args);
      assert(other.commit(state));
    }
    assert.equal(other.snapshot(), consortium.ledger.snapshot());
  });
});
