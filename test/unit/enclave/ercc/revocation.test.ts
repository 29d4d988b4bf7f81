import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, fromBinary } from "@bufbuild/protobuf";
import { encodeArgument } from "../../../../src/enclave/messages/argument.ts";
import { ChaincodeKeyStateSchema } from "../../../../src/enclave/messages/generated/fpc/ercc_pb.ts";
import {
  GenerationRecordSchema,
  RevocationRecordSchema,
  SignedExportMessageSchema,
} from "../../../../src/enclave/messages/generated/fpc/key_dist_pb.ts";
import {
  RevocationStatementSchema,
  SignedRevocationStatementSchema,
} from "../../../../src/enclave/messages/generated/fpc/policy_pb.ts";
import { encode } from "../../../../src/enclave/messages/strict.ts";
import { signRevocation } from "../../../../src/enclave/protocol/revocation.ts";
import { Consortium, chaincodeId, generations, organisationNames, type TestEnclave } from "./consortium.ts";

const { first, second, otherSecond } = generations;

async function start() {
  const consortium = await Consortium.start();
  const [a, b, c] = [
    await consortium.newEnclave("Org1MSP"),
    await consortium.newEnclave("Org2MSP", { rsa: 1 }),
    await consortium.newEnclave("Org3MSP"),
  ];
  await consortium.registerKeys(a, first);
  await consortium.share(a, b, first);
  return { consortium, a, b, c };
}

const revoke = (consortium: Consortium, enclave: TestEnclave) =>
  consortium.call(enclave.mspId, "revokeEnclave", chaincodeId, enclave.id, "key lost");

async function keyState(consortium: Consortium) {
  const text = await consortium.call("Org1MSP", "queryKeyState", chaincodeId);
  const { active, proposed, rotateAbove } = fromBinary(ChaincodeKeyStateSchema, Buffer.from(text, "base64"));
  return [active, proposed, rotateAbove];
}

/** A statement of organisations about an enclave, as base64 text. */
function statement(
  consortium: Consortium,
  enclave: TestEnclave,
  signers: readonly string[],
  change: { channelId?: string; chaincodeId?: string; policyNumber?: bigint } = {},
): string {
  const bytes = encode(
    RevocationStatementSchema,
    create(RevocationStatementSchema, {
      channelId: "ch1",
      chaincodeId,
      enclaveId: enclave.read.enclaveId.bytes,
      reason: "broken into",
      policyNumber: 1n,
      ...change,
    }),
  );
  const signatures = signers.map((mspId) => signRevocation(bytes, mspId, consortium.policyKey(mspId).key));
  return encodeArgument(
    SignedRevocationStatementSchema,
    create(SignedRevocationStatementSchema, { statement: bytes, signatures }),
  );
}

describe("revokeEnclave", () => {
  it("marks the enclave, and puts an end to the generation that it holds", async () => {
    const { consortium, b } = await start();
    await revoke(consortium, b);
    const [text = ""] = JSON.parse(await consortium.call("Org1MSP", "queryListRevokedEnclaves", chaincodeId));
    const record = fromBinary(RevocationRecordSchema, Buffer.from(text, "base64"));
    assert.equal(Buffer.from(record.enclaveId).toString("hex").toUpperCase(), b.id);
    assert.deepEqual([record.reason, record.lastGeneration, record.revokedByMsp], ["key lost", 1n, "Org2MSP"]);
    assert.deepEqual(await keyState(consortium), [1n, 0n, 1n]);
    assert.equal(await consortium.call("Org1MSP", "canEndorse", chaincodeId, b.id), "false");
    const provisioned = JSON.parse(await consortium.call("Org1MSP", "queryListProvisionedEnclaves", chaincodeId));
    assert(!provisioned.includes(b.id));
    const endpoints = await consortium.call("Org1MSP", "queryChaincodeEndPoints", chaincodeId);
    assert(!endpoints.includes("org2msp"));
  });

  it("stops every export of that generation until a newer one is active: POLICY_DENIED", async () => {
    const { consortium, a, b, c } = await start();
    await revoke(consortium, b);
    const text = encodeArgument(SignedExportMessageSchema, consortium.export(a, c, first));
    await consortium.refuses("POLICY_DENIED", /rotate the keys/, "Org1MSP", "putKeyExport", chaincodeId, text);
    await consortium.propose(a, second, first);
    await consortium.registerKeys(a, second);
    await consortium.share(a, c, second);
    await consortium.call("Org1MSP", "activateGeneration", chaincodeId, "2");
    assert.deepEqual(await keyState(consortium), [2n, 0n, 1n]);
  });

  it("keeps newer generations from the revoked enclave, as receiver, as sender and as proposer", async () => {
    const { consortium, a, b, c } = await start();
    await revoke(consortium, b);
    await consortium.propose(a, second, first);
    await consortium.registerKeys(a, second);
    await assert.rejects(consortium.putExport(a, b, second), { code: "POLICY_DENIED" });
    await assert.rejects(consortium.putExport(b, c, second), { code: "POLICY_DENIED" });
    await assert.rejects(consortium.registerKeys(b, second), { code: "POLICY_DENIED" });
    await consortium.call("Org1MSP", "abandonGeneration", chaincodeId, "2");
    await assert.rejects(consortium.propose(b, otherSecond, first), { code: "POLICY_DENIED" });
  });

  it("does not count the revoked enclave, nor what it has confirmed, in a majority", async () => {
    const { consortium, a, b, c } = await start();
    await consortium.share(a, c, first);
    await consortium.refuses("NOT_FOUND", /./, "Org1MSP", "activateGeneration", chaincodeId, "2");
    await revoke(consortium, b);
    await consortium.propose(a, second, first);
    await consortium.registerKeys(a, second);
    await consortium.refuses("POLICY_DENIED", /1 of 2/, "Org1MSP", "activateGeneration", chaincodeId, "2");
    await consortium.share(a, c, second);
    await consortium.call("Org1MSP", "activateGeneration", chaincodeId, "2");
  });

  it("ends a proposal, which the revoked enclave may hold already", async () => {
    const { consortium, a, b } = await start();
    await consortium.propose(a, second, first);
    await consortium.registerKeys(a, second);
    await consortium.putExport(a, b, second);
    await revoke(consortium, b);
    assert.deepEqual(await keyState(consortium), [1n, 0n, 1n]);
    const record = await consortium.call("Org1MSP", "queryGeneration", chaincodeId, "2");
    assert.equal(fromBinary(GenerationRecordSchema, Buffer.from(record, "base64")).state, "abandoned");
    assert.equal(await consortium.call("Org1MSP", "queryListConfirmations", chaincodeId, "2"), "[]");
    await consortium.refuses("NOT_FOUND", /not proposed/, "Org1MSP", "activateGeneration", chaincodeId, "2");
    const text = consortium.registration(a, second);
    await consortium.refuses("EK_MISMATCH", /neither/, "Org1MSP", "registerCCKeys", chaincodeId, text);
    await consortium.propose(a, otherSecond, first);
  });

  it("takes an enclave for one that may hold the keys as soon as they were exported to it", async () => {
    const { consortium, a, c } = await start();
    await consortium.putExport(a, c, first);
    await revoke(consortium, c);
    assert.deepEqual(await keyState(consortium), [1n, 0n, 1n]);
  });

  it("forces no rotation, and ends no proposal, for an enclave that cannot hold keys", async () => {
    const { consortium, a, c } = await start();
    await consortium.propose(a, second, first);
    await revoke(consortium, c);
    assert.deepEqual(await keyState(consortium), [1n, 2n, 0n]);
  });

  it("works before there are any keys", async () => {
    const consortium = await Consortium.start();
    const enclave = await consortium.newEnclave("Org1MSP");
    await revoke(consortium, enclave);
    assert.equal(await consortium.call("Org1MSP", "queryKeyState", chaincodeId), "");
    await assert.rejects(consortium.registerKeys(enclave, first), { code: "POLICY_DENIED" });
  });

  it("is refused of a second time (ALREADY_SET), by others (UNAUTHORIZED), and of nobody (NOT_REGISTERED)", async () => {
    const { consortium, a, b } = await start();
    const args = ["revokeEnclave", chaincodeId, b.id, "key lost"] as const;
    await consortium.refuses("UNAUTHORIZED", /no admin/, { mspId: "Org2MSP", isAdmin: false }, ...args);
    await consortium.refuses("UNAUTHORIZED", /an admin of Org2MSP/, "Org1MSP", ...args);
    await consortium.refuses("NOT_REGISTERED", /./, "Org2MSP", "revokeEnclave", "notary", b.id, "key lost");
    await consortium.refuses("NOT_REGISTERED", /./, "Org1MSP", "revokeEnclave", chaincodeId, "0".repeat(64), "x");
    await revoke(consortium, b);
    await consortium.refuses("ALREADY_SET", /revoked already/, "Org2MSP", ...args);
    for (const [id, reason] of [
      [a.id.toLowerCase(), "x"],
      ["", "x"],
      [a.id, ""],
      [a.id, "two\nlines"],
      [a.id, "x".repeat(257)],
    ] as const)
      await consortium.refuses("MALFORMED", /./, "Org1MSP", "revokeEnclave", chaincodeId, id, reason);
  });
});

describe("revokeByStatement", () => {
  it("revokes another organisation's enclave by the policy's threshold, whoever brings it", async () => {
    const { consortium, b } = await start();
    const text = statement(consortium, b, ["Org1MSP", "Org3MSP"]);
    await consortium.call("Org3MSP", "revokeByStatement", chaincodeId, text);
    assert.deepEqual(await keyState(consortium), [1n, 0n, 1n]);
    await consortium.refuses("ALREADY_SET", /./, "Org3MSP", "revokeByStatement", chaincodeId, text);
  });

  it("refuses one signature less than the threshold, one organisation twice, and false ones: BAD_SIGNATURE", async () => {
    const { consortium, b } = await start();
    const refused = (text: string) =>
      consortium.refuses("BAD_SIGNATURE", /./, "Org3MSP", "revokeByStatement", chaincodeId, text);
    await refused(statement(consortium, b, ["Org1MSP"]));
    await refused(statement(consortium, b, ["Org1MSP", "Org1MSP"]));
    const stranger = new Consortium();
    await refused(statement(stranger, b, organisationNames));
  });

  it("refuses a statement for another channel or chaincode (WRONG_CONTEXT) or under another policy (REPLAY)", async () => {
    const { consortium, b } = await start();
    const refused = (code: "WRONG_CONTEXT" | "REPLAY", change: Parameters<typeof statement>[3]) => {
      const text = statement(consortium, b, organisationNames, change);
      return consortium.refuses(code, /./, "Org3MSP", "revokeByStatement", chaincodeId, text);
    };
    await refused("WRONG_CONTEXT", { channelId: "ch2" });
    await refused("WRONG_CONTEXT", { chaincodeId: "notary" });
    await refused("REPLAY", { policyNumber: 2n });
    const old = statement(consortium, b, organisationNames);
    await consortium.setPolicy({});
    await consortium.refuses("REPLAY", /./, "Org3MSP", "revokeByStatement", chaincodeId, old);
  });

  it("refuses one who is no admin (UNAUTHORIZED), a chaincode without a policy (POLICY_DENIED), a stranger (NOT_REGISTERED)", async () => {
    const { consortium, b } = await start();
    const text = statement(consortium, b, organisationNames);
    const client = { mspId: "Org3MSP", isAdmin: false };
    await consortium.refuses("UNAUTHORIZED", /no admin/, client, "revokeByStatement", chaincodeId, text);
    await consortium.refuses("POLICY_DENIED", /no policy/, "Org3MSP", "revokeByStatement", "notary", text);
    const stranger = statement(consortium, consortium.enclave("Org1MSP"), organisationNames);
    await consortium.refuses("NOT_REGISTERED", /./, "Org3MSP", "revokeByStatement", chaincodeId, stranger);
    await consortium.refuses("MALFORMED", /./, "Org3MSP", "revokeByStatement", chaincodeId, "AAAA");
  });
});
