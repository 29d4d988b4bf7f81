import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { describe, it } from "node:test";
import fc from "fast-check";
import { registryContract } from "../../../../src/enclave/ercc/contract.ts";
import { FabricState, type FabricStub } from "../../../../src/enclave/ercc/fabric-state.ts";
import { compositeKey, recordTypes } from "../../../../src/enclave/ercc/registry-state.ts";
import { EnclaveError } from "../../../../src/enclave/errors.ts";
import { TestOrganisation } from "../../../fabric/organisation.ts";
import { scaled, seed } from "../../../run-settings.ts";

/** Fabric's own stub, of which only what needs no peer is used. */
const ChaincodeStub = createRequire(import.meta.url)("fabric-shim/lib/stub.js");
const fabric: Pick<FabricStub, "createCompositeKey" | "splitCompositeKey"> = Object.create(ChaincodeStub.prototype);
const client = await (await TestOrganisation.create("Org1MSP")).issue("client");

type Invoke = FabricStub["invokeChaincode"];

/** A stub that says it is the test's, with one answer of `_lifecycle`. */
function stubWith(invokeChaincode: Invoke, idBytes: Uint8Array = Buffer.from(client.certificate)): FabricStub {
  return {
    ...fabric,
    createCompositeKey: fabric.createCompositeKey,
    splitCompositeKey: fabric.splitCompositeKey,
    getTxID: () => "a test's transaction",
    getChannelID: () => "channel1",
    getDateTimestamp: () => new Date(5),
    getCreator: () => ({ mspid: "Org1MSP", idBytes }),
    getState: async () => Buffer.alloc(0),
    putState: async () => undefined,
    deleteState: async () => undefined,
    getStateByPartialCompositeKey: async function* () {},
    invokeChaincode,
  };
}

describe("the key of a record", () => {
  it("is the one that Fabric makes of type and attributes, and reads back to them", () => {
    const attribute = fc.string({ minLength: 1, unit: "binary" }).filter((text) => !text.includes("\u0000"));
    const type = fc.constantFrom(...Object.values(recordTypes));
    fc.assert(
      fc.property(type, fc.array(attribute, { minLength: 1, maxLength: 3 }), (type, attributes) => {
        const key = compositeKey({ type, attributes });
        assert.equal(key, fabric.createCompositeKey(type, attributes));
        assert.deepEqual(fabric.splitCompositeKey(key), { objectType: type, attributes });
      }),
      { seed, numRuns: scaled(2_000) },
    );
  });
});

describe("a chaincode's definition", () => {
  const ask = (invoke: Invoke) => new FabricState(stubWith(invoke)).definition("auction");
  const empty = new Uint8Array();

  it("is asked of _lifecycle on the own channel, in Fabric's message", async () => {
    const calls: unknown[] = [];
    await ask(async (...call) => {
      calls.push(call);
      return { status: 404, payload: empty };
    });
    const message = Uint8Array.of(0x0a, 7, ...Buffer.from("auction"));
    assert.deepEqual(calls, [["_lifecycle", ["QueryChaincodeDefinition", message], "channel1"]]);
  });

  it("is none where the answer says so, by its status, its message or the error of the call", async () => {
    const words = "namespace auction is not defined";
    assert.equal(await ask(async () => ({ status: 404, payload: empty })), undefined);
    assert.equal(await ask(async () => ({ status: 500, message: words, payload: empty })), undefined);
    assert.equal(await ask(() => Promise.reject(new Error(words))), undefined);
  });

  it("is not taken for none where the question failed otherwise", async () => {
    await assert.rejects(
      ask(async () => ({ status: 500, message: "no access", payload: empty })),
      /status 500/,
    );
    await assert.rejects(
      ask(() => Promise.reject(new Error("no access"))),
      /no access/,
    );
  });
});

describe("a creator", () => {
  it("without an X.509 certificate is UNAUTHORIZED", () => {
    for (const bytes of [new Uint8Array(), Buffer.from("no certificate")]) {
      const open = () => new FabricState(stubWith(() => Promise.reject(new Error("not asked")), bytes));
      assert.throws(open, (error) => error instanceof EnclaveError && error.code === "UNAUTHORIZED");
    }
  });
});

describe("a registry's contract", () => {
  it("takes no transaction of the name of a method that contracts have", () => {
    for (const name of ["setChannelHash", "createContext", "beforeTransaction", "getName", "constructor", "toString"])
      assert.throws(() => registryContract("ercc", [name], async () => ""), TypeError);
  });
});
