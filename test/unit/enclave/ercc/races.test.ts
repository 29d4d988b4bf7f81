import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeArgument } from "../../../../src/enclave/messages/argument.ts";
import { SignedExportMessageSchema } from "../../../../src/enclave/messages/generated/fpc/key_dist_pb.ts";
import { Consortium, chaincodeId, generations } from "./consortium.ts";

const { first, otherFirst, second, otherSecond } = generations;

type Call = readonly [who: string, transaction: string, ...args: string[]];

/** Endorses both from the same state, then commits them in this order. */
async function race(consortium: Consortium, one: Call, two: Call): Promise<readonly [boolean, boolean]> {
  const { state: a } = await consortium.endorse(...one);
  const { state: b } = await consortium.endorse(...two);
  return [consortium.ledger.commit(a), consortium.ledger.commit(b)];
}

async function start() {
  const consortium = await Consortium.start();
  const [a, b, c] = [
    await consortium.newEnclave("Org1MSP"),
    await consortium.newEnclave("Org2MSP", { rsa: 1 }),
    await consortium.newEnclave("Org3MSP"),
  ];
  return { consortium, a, b, c };
}

describe("Of two transactions that are endorsed from one state", () => {
  it("the second first registration is in conflict: one chaincode key is ever set", async () => {
    const { consortium, a, b } = await start();
    const results = await race(
      consortium,
      ["Org1MSP", "registerCCKeys", chaincodeId, consortium.registration(a, first)],
      ["Org2MSP", "registerCCKeys", chaincodeId, consortium.registration(b, otherFirst)],
    );
    assert.deepEqual(results, [true, false]);
    const ek = await consortium.call("Org3MSP", "queryChaincodeEncryptionKey", chaincodeId);
    assert.deepEqual(Buffer.from(ek, "base64"), first.ekPem);
    const provisioned = await consortium.call("Org3MSP", "queryListProvisionedEnclaves", chaincodeId);
    assert.deepEqual(JSON.parse(provisioned), [a.id]);
  });

  it("the second proposal is in conflict", async () => {
    const { consortium, a, b } = await start();
    await consortium.registerKeys(a, first);
    await consortium.share(a, b, first);
    const results = await race(
      consortium,
      ["Org1MSP", "proposeGeneration", chaincodeId, consortium.proposal(a, second, first)],
      ["Org2MSP", "proposeGeneration", chaincodeId, consortium.proposal(b, otherSecond, first)],
    );
    assert.deepEqual(results, [true, false]);
  });

  it("the second export into one slot is in conflict", async () => {
    const { consortium, a, b, c } = await start();
    await consortium.registerKeys(a, first);
    await consortium.share(a, b, first);
    const text = (sender: typeof a) => encodeArgument(SignedExportMessageSchema, consortium.export(sender, c, first));
    const results = await race(
      consortium,
      ["Org1MSP", "putKeyExport", chaincodeId, text(a)],
      ["Org2MSP", "putKeyExport", chaincodeId, text(b)],
    );
    assert.deepEqual(results, [true, false]);
  });

  for (const isExportFirst of [true, false])
    it(`a revocation does not pass by an export to the enclave that comes ${isExportFirst ? "before" : "after"} it`, async () => {
      const { consortium, a, b } = await start();
      await consortium.registerKeys(a, first);
      const text = encodeArgument(SignedExportMessageSchema, consortium.export(a, b, first));
      const exports: Call = ["Org1MSP", "putKeyExport", chaincodeId, text];
      const revokes: Call = ["Org2MSP", "revokeEnclave", chaincodeId, b.id, "lost"];
      const results = await race(
        consortium,
        ...(isExportFirst ? ([exports, revokes] as const) : ([revokes, exports] as const)),
      );
      assert.deepEqual(results, [true, false]);
    });

  for (const isAnnouncedFirst of [true, false])
    it(`a revocation does not pass by an announcement that comes ${isAnnouncedFirst ? "before" : "after"} it`, async () => {
      const { consortium, a, b } = await start();
      await consortium.registerKeys(a, first);
      const announces: Call = ["Org1MSP", "announceExport", chaincodeId, a.id, b.id, "1"];
      const revokes: Call = ["Org2MSP", "revokeEnclave", chaincodeId, b.id, "lost"];
      const results = await race(
        consortium,
        ...(isAnnouncedFirst ? ([announces, revokes] as const) : ([revokes, announces] as const)),
      );
      assert.deepEqual(results, [true, false]);
    });

  it("an export of the generation that a revocation has stopped is in conflict", async () => {
    const { consortium, a, b, c } = await start();
    await consortium.registerKeys(a, first);
    await consortium.share(a, b, first);
    const text = encodeArgument(SignedExportMessageSchema, consortium.export(a, c, first));
    const results = await race(
      consortium,
      ["Org2MSP", "revokeEnclave", chaincodeId, b.id, "lost"],
      ["Org1MSP", "putKeyExport", chaincodeId, text],
    );
    assert.deepEqual(results, [true, false]);
  });

  it("an activation is in conflict with the revocation of one whose confirmation it counts", async () => {
    const { consortium, a, b } = await start();
    await consortium.registerKeys(a, first);
    await consortium.share(a, b, first);
    await consortium.propose(a, second, first);
    await consortium.registerKeys(a, second);
    await consortium.share(a, b, second);
    const results = await race(
      consortium,
      ["Org2MSP", "revokeEnclave", chaincodeId, b.id, "lost"],
      ["Org1MSP", "activateGeneration", chaincodeId, "2"],
    );
    assert.deepEqual(results, [true, false]);
  });

  it("an activation is in conflict with a registration that changes the majority", async () => {
    const { consortium, a, b } = await start();
    await consortium.registerKeys(a, first);
    await consortium.putExport(a, b, first);
    await consortium.propose(a, second, first);
    await consortium.registerKeys(a, second);
    const results = await race(
      consortium,
      ["Org2MSP", "registerCCKeys", chaincodeId, consortium.registration(b, first)],
      ["Org1MSP", "activateGeneration", chaincodeId, "2"],
    );
    assert.deepEqual(results, [true, false]);
  });

  it("registrations, exports and imports of different enclaves are not in conflict", async () => {
    const { consortium, a, b, c } = await start();
    await consortium.registerKeys(a, first);
    const text = (receiver: typeof a) =>
      encodeArgument(SignedExportMessageSchema, consortium.export(a, receiver, first));
    const exported = await race(
      consortium,
      ["Org1MSP", "putKeyExport", chaincodeId, text(b)],
      ["Org1MSP", "putKeyExport", chaincodeId, text(c)],
    );
    const registered = await race(
      consortium,
      ["Org2MSP", "registerCCKeys", chaincodeId, consortium.registration(b, first)],
      ["Org3MSP", "registerCCKeys", chaincodeId, consortium.registration(c, first)],
    );
    await consortium.propose(a, second, first);
    await consortium.registerKeys(a, second);
    await consortium.putExport(a, b, second);
    await consortium.putExport(a, c, second);
    const confirmed = await race(
      consortium,
      ["Org2MSP", "registerCCKeys", chaincodeId, consortium.registration(b, second)],
      ["Org3MSP", "registerCCKeys", chaincodeId, consortium.registration(c, second)],
    );
    assert.deepEqual(
      [exported, registered, confirmed],
      [
        [true, true],
        [true, true],
        [true, true],
      ],
    );
  });
});
