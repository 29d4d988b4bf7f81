import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Consortium, chaincodeId } from "./consortium.ts";

function refused(consortium: Consortium, code: Parameters<Consortium["refuses"]>[0], text: RegExp, argument: string) {
  return consortium.refuses(code, text, "Org1MSP", "setPolicy", chaincodeId, argument);
}

describe("setPolicy", () => {
  it("keeps the policy in force, and every one before it under its number", async () => {
    const consortium = new Consortium();
    assert.equal(await consortium.call("Org1MSP", "queryPolicy", chaincodeId), "");
    const first = consortium.signed(consortium.nextPolicy({}));
    await consortium.call("Org1MSP", "setPolicy", chaincodeId, first);
    const second = consortium.signed(consortium.nextPolicy({ threshold: 3 }), ["Org1MSP", "Org3MSP"]);
    await consortium.call("Org3MSP", "setPolicy", chaincodeId, second);
    assert.equal(await consortium.call("Org2MSP", "queryPolicy", chaincodeId), second);
    assert.equal(await consortium.call("Org2MSP", "queryPolicy", chaincodeId, "1"), first);
    assert.equal(await consortium.call("Org2MSP", "queryPolicy", chaincodeId, "2"), second);
    assert.equal(await consortium.call("Org2MSP", "queryPolicy", chaincodeId, "3"), "");
  });

  it("takes the first policy by the signatures of all that it names: BAD_SIGNATURE", async () => {
    const consortium = new Consortium();
    const policy = consortium.nextPolicy({});
    await refused(
      consortium,
      "BAD_SIGNATURE",
      /2 organisations, and needs 3/,
      consortium.signed(policy, ["Org1MSP", "Org3MSP"]),
    );
    await refused(consortium, "BAD_SIGNATURE", /twice/, consortium.signed(policy, ["Org1MSP", "Org3MSP", "Org3MSP"]));
  });

  it("takes the next one by the threshold of the one in force: BAD_SIGNATURE", async () => {
    const consortium = await Consortium.start();
    const policy = consortium.nextPolicy({ threshold: 1 });
    await refused(consortium, "BAD_SIGNATURE", /needs 2/, consortium.signed(policy, ["Org1MSP"]));
    await consortium.call("Org1MSP", "setPolicy", chaincodeId, consortium.signed(policy, ["Org1MSP", "Org2MSP"]));
  });

  it("refuses signatures by other keys than the policy in force names: BAD_SIGNATURE", async () => {
    const consortium = await Consortium.start();
    const stranger = new Consortium();
    await refused(consortium, "BAD_SIGNATURE", /does not verify/, stranger.signed(consortium.nextPolicy({})));
  });

  it("refuses a first policy that leaves out an organisation of the endorsement policy: POLICY_DENIED", async () => {
    const consortium = new Consortium();
    const policy = consortium.nextPolicy({ organisations: consortium.policy.organisations.slice(0, 2) });
    const text = consortium.signed(policy, ["Org1MSP", "Org2MSP"]);
    await refused(consortium, "POLICY_DENIED", /does not name Org3MSP/, text);
    consortium.define({ organisations: ["Org1MSP", "Org2MSP"] });
    await consortium.call("Org1MSP", "setPolicy", chaincodeId, text);
  });

  it("refuses a first policy for a chaincode that the channel has not: NOT_FOUND", async () => {
    const consortium = new Consortium();
    const text = consortium.signed(consortium.nextPolicy({ chaincodeId: "notary" }));
    await consortium.refuses("NOT_FOUND", /no chaincode notary/, "Org1MSP", "setPolicy", "notary", text);
  });

  it("refuses a first one for another channel or chaincode: WRONG_CONTEXT", async () => {
    const consortium = new Consortium();
    for (const change of [{ channelId: "ch2" }, { chaincodeId: "notary" }])
      await refused(consortium, "WRONG_CONTEXT", /another channel/, consortium.signed(consortium.nextPolicy(change)));
  });

  it("refuses one for another channel or chaincode: WRONG_CONTEXT", async () => {
    const consortium = await Consortium.start();
    await refused(consortium, "WRONG_CONTEXT", /./, consortium.signed(consortium.nextPolicy({ channelId: "ch2" })));
    await refused(
      consortium,
      "WRONG_CONTEXT",
      /./,
      consortium.signed(consortium.nextPolicy({ chaincodeId: "notary" })),
    );
  });

  it("refuses one that follows another, or leaves a number out: REPLAY, CONFLICT, WRONG_CONTEXT", async () => {
    const consortium = await Consortium.start();
    const former = consortium.nextPolicy({});
    await consortium.setPolicy({});
    await refused(consortium, "REPLAY", /not newer/, consortium.signed(former));
    await refused(consortium, "CONFLICT", /does not follow/, consortium.signed(consortium.nextPolicy({ number: 4n })));
    const branch = consortium.nextPolicy({ previousPolicyHash: Buffer.alloc(32, 1) });
    await refused(consortium, "WRONG_CONTEXT", /follows another/, consortium.signed(branch));
    const unfounded = new Consortium();
    const second = unfounded.nextPolicy({ number: 2n, previousPolicyHash: Buffer.alloc(32, 1) });
    await refused(unfounded, "CONFLICT", /does not follow/, unfounded.signed(second));
  });

  it("refuses one who is no admin, or of no organisation that it names: UNAUTHORIZED", async () => {
    const consortium = await Consortium.start();
    const text = consortium.signed(consortium.nextPolicy({}));
    const client = { mspId: "Org1MSP", isAdmin: false };
    await consortium.refuses("UNAUTHORIZED", /no admin/, client, "setPolicy", chaincodeId, text);
    await consortium.refuses("UNAUTHORIZED", /Org4MSP/, "Org4MSP", "setPolicy", chaincodeId, text);
  });

  it("refuses what is no policy: MALFORMED", async () => {
    const consortium = await Consortium.start();
    await refused(consortium, "MALFORMED", /./, "");
    await refused(consortium, "MALFORMED", /signatures/, consortium.signed(consortium.nextPolicy({}), []));
    await refused(consortium, "MALFORMED", /threshold/, consortium.signed(consortium.nextPolicy({ threshold: 0 })));
    await refused(consortium, "MALFORMED", /threshold/, consortium.signed(consortium.nextPolicy({ threshold: 4 })));
  });
});
