import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { decodeArgument } from "../../../../src/enclave/messages/argument.ts";
import { ChaincodeKeyStateSchema } from "../../../../src/enclave/messages/generated/fpc/ercc_pb.ts";
import { Consortium, chaincodeId, generations, type TestEnclave, version } from "./consortium.ts";

const { first, second } = generations;

/** With an enclave that holds generation 1, and one that could be given it. */
async function start(policy: Parameters<typeof Consortium.start>[0] = {}) {
  const consortium = await Consortium.start(policy);
  const sender = await consortium.newEnclave("Org1MSP");
  const receiver = await consortium.newEnclave("Org2MSP", { rsa: 1 });
  await consortium.registerKeys(sender, first);
  const call = (from: TestEnclave, to: TestEnclave, number = "1") => [chaincodeId, from.id, to.id, number] as const;
  const announce = (from: TestEnclave, to: TestEnclave, number = "1") =>
    consortium.call(from.mspId, "announceExport", ...call(from, to, number));
  const refused = (
    code: Parameters<Consortium["refuses"]>[0],
    text: RegExp,
    who: Parameters<Consortium["refuses"]>[2],
    ...args: Parameters<typeof call>
  ) => consortium.refuses(code, text, who, "announceExport", ...call(...args));
  const rotateAbove = async () =>
    decodeArgument(ChaincodeKeyStateSchema, await consortium.call("Org1MSP", "queryKeyState", chaincodeId)).rotateAbove;
  const revoke = (enclave: TestEnclave) =>
    consortium.call(enclave.mspId, "revokeEnclave", chaincodeId, enclave.id, "lost");
  return { consortium, sender, receiver, announce, refused, rotateAbove, revoke };
}

describe("announceExport", () => {
  it("makes its receiver one who may hold the keys: who revokes it stops the generation, whatever was exported", async () => {
    const { sender, receiver, announce, rotateAbove, revoke } = await start();
    await announce(sender, receiver);
    await revoke(receiver);
    assert.equal(await rotateAbove(), 1n);
  });

  it("leaves a revocation of one that was never announced without a rotation", async () => {
    const { consortium, sender, receiver, announce, rotateAbove, revoke } = await start();
    const other = await consortium.newEnclave("Org2MSP", { rsa: 1 });
    await announce(sender, receiver);
    await revoke(other);
    assert.equal(await rotateAbove(), 0n);
  });

  it("can be made again, and by another sender too", async () => {
    const { consortium, sender, receiver, announce } = await start();
    const other = await consortium.newEnclave("Org3MSP");
    await consortium.share(sender, other, first);
    await announce(sender, receiver);
    await announce(sender, receiver);
    await announce(other, receiver);
  });

  it("is of the proposed generation as well, which a revocation ends", async () => {
    const { consortium, sender, receiver, announce, refused, revoke, rotateAbove } = await start();
    await consortium.propose(sender, second, first);
    await refused("NOT_PROVISIONED", /generation 2/, "Org1MSP", sender, receiver, "2");
    await consortium.registerKeys(sender, second);
    await announce(sender, receiver, "2");
    await revoke(receiver);
    assert.equal(await rotateAbove(), 1n);
    await refused("POLICY_DENIED", /revoked/, "Org1MSP", sender, receiver, "2");
    const third = await consortium.newEnclave("Org3MSP");
    await refused("EK_MISMATCH", /neither the active one nor proposed/, "Org1MSP", sender, third, "2");
    await refused("POLICY_DENIED", /rotate the keys/, "Org1MSP", sender, third, "1");
  });

  it("refuses who is no admin of the sender's organisation: UNAUTHORIZED", async () => {
    const { sender, receiver, refused } = await start();
    await refused("UNAUTHORIZED", /no admin/, { mspId: "Org1MSP", isAdmin: false }, sender, receiver);
    for (const who of ["Org2MSP", "Org3MSP"])
      await refused("UNAUTHORIZED", /an admin of Org1MSP/, who, sender, receiver);
  });

  it("refuses enclaves that are not registered: NOT_REGISTERED", async () => {
    const { consortium, sender, receiver, refused } = await start();
    const stranger = consortium.enclave("Org1MSP");
    await refused("NOT_REGISTERED", /./, "Org1MSP", stranger, receiver);
    await refused("NOT_REGISTERED", /./, "Org1MSP", sender, stranger);
  });

  it("refuses an enclave's export to itself: WRONG_CONTEXT", async () => {
    const { sender, refused } = await start();
    await refused("WRONG_CONTEXT", /itself/, "Org1MSP", sender, sender);
  });

  it("refuses a number, or an id, that is none: MALFORMED", async () => {
    const { consortium, sender, receiver, refused } = await start();
    for (const number of ["", "0", "-1", "1.0", "x"])
      await refused("MALFORMED", /the generation/, "Org1MSP", sender, receiver, number);
    const args = [chaincodeId, sender.id.toLowerCase(), receiver.id, "1"];
    await consortium.refuses("MALFORMED", /./, "Org1MSP", "announceExport", ...args);
  });

  it("refuses a sender that does not hold the generation: NOT_PROVISIONED, EK_MISMATCH", async () => {
    const { sender, receiver, refused } = await start();
    await refused("NOT_PROVISIONED", /./, "Org2MSP", receiver, sender);
    await refused("EK_MISMATCH", /generation 2/, "Org1MSP", sender, receiver, "2");
  });

  it("refuses a receiver that may not have the keys: POLICY_DENIED", async () => {
    const { consortium, sender, receiver, announce, refused, revoke } = await start({
      exportRules: [{ fromMsp: "Org1MSP", toMsp: "Org3MSP" }],
    });
    await refused("POLICY_DENIED", /no export from Org1MSP/, "Org1MSP", sender, receiver);
    const third = await consortium.newEnclave("Org3MSP");
    consortium.define({ version, sequence: 2n });
    await refused("POLICY_DENIED", /sequence is 2/, "Org1MSP", sender, third);
    consortium.define({});
    await announce(sender, third);
    await revoke(third);
    await refused("POLICY_DENIED", /is revoked/, "Org1MSP", sender, third);
  });
});
