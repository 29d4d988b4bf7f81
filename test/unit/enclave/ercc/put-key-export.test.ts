import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create } from "@bufbuild/protobuf";
import { EnclaveError } from "../../../../src/enclave/errors.ts";
import { encodeArgument } from "../../../../src/enclave/messages/argument.ts";
import {
  type SignedExportMessage,
  SignedExportMessageSchema,
} from "../../../../src/enclave/messages/generated/fpc/key_dist_pb.ts";
import { Consortium, chaincodeId, generations, version } from "./consortium.ts";
import { flippedFields } from "./flipped-fields.ts";
import { signingPair } from "./test-keys.ts";

const { first, otherFirst, second } = generations;

const textOf = (signed: SignedExportMessage) => encodeArgument(SignedExportMessageSchema, signed);

/** With an enclave that holds generation 1, and one that could be given it. */
async function start(policy: Parameters<typeof Consortium.start>[0] = {}) {
  const consortium = await Consortium.start(policy);
  const sender = await consortium.newEnclave("Org1MSP");
  const receiver = await consortium.newEnclave("Org2MSP", { rsa: 1 });
  await consortium.registerKeys(sender, first);
  const refused = (code: Parameters<Consortium["refuses"]>[0], text: RegExp, who: string, argument: string) =>
    consortium.refuses(code, text, who, "putKeyExport", chaincodeId, argument);
  return { consortium, sender, receiver, refused };
}

const { consortium, sender, receiver, refused } = await start();

describe("putKeyExport", () => {
  const good = () => textOf(consortium.export(sender, receiver, first));

  it("refuses one who is no admin: UNAUTHORIZED", async () => {
    const client = { mspId: "Org1MSP", isAdmin: false };
    await consortium.refuses("UNAUTHORIZED", /no admin/, client, "putKeyExport", chaincodeId, good());
  });

  it("refuses an admin of another organisation than the sender's, the receiver's too: UNAUTHORIZED", async () => {
    for (const who of ["Org2MSP", "Org3MSP"]) await refused("UNAUTHORIZED", /an admin of Org1MSP/, who, good());
  });

  it("refuses what is no export: MALFORMED", async () => {
    await refused("MALFORMED", /is empty/, "Org1MSP", "");
    await refused("MALFORMED", /./, "Org1MSP", consortium.registration(sender, first));
    const { serializedExportMsgBytes } = consortium.export(sender, receiver, first);
    const unsigned = create(SignedExportMessageSchema, { serializedExportMsgBytes });
    await refused("MALFORMED", /signature/, "Org1MSP", textOf(unsigned));
  });

  it("refuses a sender or a receiver that is not registered (19a): NOT_REGISTERED", async () => {
    const stranger = consortium.enclave("Org1MSP");
    await refused("NOT_REGISTERED", /./, "Org1MSP", textOf(consortium.export(stranger, receiver, first)));
    await refused("NOT_REGISTERED", /./, "Org1MSP", textOf(consortium.export(sender, stranger, first)));
  });

  it("refuses enclaves of another chaincode (19a, 19b): NOT_REGISTERED", () =>
    consortium.refuses("NOT_REGISTERED", /for notary/, "Org1MSP", "putKeyExport", "notary", good()));

  it("refuses an export for other parameters than the credentials' (19b): WRONG_CONTEXT", async () => {
    for (const side of [0, 1]) {
      const { vkPem } = sender.read;
      const wrong = (enclave: typeof sender, isWrong: boolean) =>
        isWrong ? { ...enclave.read, ccParamsHash: Buffer.alloc(32, 7) } : enclave.read;
      const from = { ...sender, read: { ...wrong(sender, side === 0), vkPem } };
      const to = { ...receiver, read: wrong(receiver, side === 1) };
      await refused("WRONG_CONTEXT", /another channel/, "Org1MSP", textOf(consortium.export(from, to, first)));
    }
  });

  it("refuses an export of an enclave to itself: WRONG_CONTEXT", () =>
    refused("WRONG_CONTEXT", /itself/, "Org1MSP", textOf(consortium.export(sender, sender, first))));

  it("refuses a receiver that may not endorse (19c): POLICY_DENIED", async () => {
    consortium.define({ organisations: ["Org1MSP"] });
    await refused("POLICY_DENIED", /no peer of Org2MSP/, "Org1MSP", good());
    consortium.define({});
  });

  it("refuses a signature by another key (19d): BAD_SIGNATURE", () =>
    refused("BAD_SIGNATURE", /./, "Org1MSP", textOf(consortium.export(sender, receiver, first, signingPair().key))));

  it("refuses a sender that has registered no keys (19e): NOT_PROVISIONED", async () => {
    const empty = await consortium.newEnclave("Org1MSP");
    await refused("NOT_PROVISIONED", /./, "Org1MSP", textOf(consortium.export(empty, receiver, first)));
  });

  it("refuses another key than the sender registered (19e): NOT_PROVISIONED", async () => {
    for (const generation of [otherFirst, second])
      await refused("NOT_PROVISIONED", /./, "Org1MSP", textOf(consortium.export(sender, receiver, generation)));
  });

  it("refuses a key that the sender registered, and that is not the active one any more (19f): EK_MISMATCH", async () => {
    const { consortium, sender, receiver, refused } = await start();
    const third = await consortium.newEnclave("Org1MSP");
    const fourth = await consortium.newEnclave("Org1MSP");
    await consortium.share(sender, third, first);
    await consortium.share(sender, fourth, first);
    await consortium.propose(sender, second, first);
    await consortium.registerKeys(sender, second);
    await consortium.share(sender, third, second);
    await consortium.call("Org1MSP", "activateGeneration", chaincodeId, "2");
    await refused("EK_MISMATCH", /neither/, "Org1MSP", textOf(consortium.export(fourth, receiver, first)));
  });

  it("checks in the document's order: what is said first counts", async () => {
    const stranger = consortium.enclave("Org3MSP");
    const wrongHash = { ...sender, read: { ...sender.read, ccParamsHash: Buffer.alloc(32, 7) } };
    const badKey = signingPair().key;
    const line = (from: typeof sender, to: typeof sender, sk = badKey) =>
      textOf(consortium.export(from, to, otherFirst, sk));
    consortium.define({ organisations: ["Org1MSP"] });
    await refused("NOT_REGISTERED", /./, "Org2MSP", line(wrongHash, stranger));
    await refused("UNAUTHORIZED", /./, "Org2MSP", line(wrongHash, receiver));
    await refused("WRONG_CONTEXT", /./, "Org1MSP", line(wrongHash, receiver));
    await refused("POLICY_DENIED", /./, "Org1MSP", line(sender, receiver));
    consortium.define({});
    await refused("BAD_SIGNATURE", /./, "Org1MSP", line(sender, receiver));
    await refused("NOT_PROVISIONED", /./, "Org1MSP", line(sender, receiver, sender.sk));
  });

  it("puts the export where its receiver looks for it (20)", async () => {
    await consortium.refuses("NOT_FOUND", /exported/, "Org2MSP", "getKeyExport", chaincodeId, receiver.id);
    const text = good();
    await consortium.call("Org1MSP", "putKeyExport", chaincodeId, text);
    assert.equal(await consortium.call("Org2MSP", "getKeyExport", chaincodeId, receiver.id), text);
  });
});

describe("The slot of an export", () => {
  it("is free again when its receiver has attested for a later sequence: it imports nothing that is for the former", async () => {
    const { consortium, sender, receiver } = await start();
    await consortium.putExport(sender, receiver, first);
    await consortium.setPolicy({ successor: { version, sequence: 2n } });
    const text = textOf(consortium.export(sender, receiver, first));
    await consortium.refuses("CONFLICT", /waits for enclave/, "Org1MSP", "putKeyExport", chaincodeId, text);
    const keys = { key: receiver.sk, publicPem: receiver.read.vkPem };
    const again = consortium.enclave(
      receiver.mspId,
      { rsa: 1, ccParams: { sequence: 2n }, attested: { onCreation: false } },
      keys,
    );
    await consortium.register(again);
    await consortium.share(sender, again, first);
  });

  it("is not taken from an export that waits: CONFLICT", async () => {
    const { consortium, sender, receiver, refused } = await start();
    await consortium.putExport(sender, receiver, first);
    await refused("CONFLICT", /waits for enclave/, "Org1MSP", textOf(consortium.export(sender, receiver, first)));
    consortium.pass(1);
    await refused("CONFLICT", /waits for enclave/, "Org1MSP", textOf(consortium.export(sender, receiver, first)));
  });

  it("does not take the same export twice, spent or not: REPLAY", async () => {
    const { consortium, sender, receiver, refused } = await start();
    const text = await consortium.putExport(sender, receiver, first);
    await refused("REPLAY", /already/, "Org1MSP", text);
    await consortium.registerKeys(receiver, first);
    await refused("REPLAY", /already/, "Org1MSP", text);
  });

  it("is free once its export is imported", async () => {
    const { consortium, sender, receiver } = await start();
    await consortium.share(sender, receiver, first);
    await consortium.putExport(sender, receiver, first);
  });

  it("is free once its export has expired", async () => {
    const { consortium, sender, receiver } = await start();
    await consortium.putExport(sender, receiver, first);
    consortium.pass(1.001);
    await consortium.putExport(sender, receiver, first);
  });

  it("is free once another generation is the active one", async () => {
    const { consortium, sender, receiver } = await start();
    await consortium.putExport(sender, receiver, first);
    await consortium.propose(sender, second, first);
    await consortium.registerKeys(sender, second);
    await consortium.call("Org1MSP", "activateGeneration", chaincodeId, "2");
    await consortium.putExport(sender, receiver, second);
    await consortium.registerKeys(receiver, second);
  });

  it("is free once the sender of its export is revoked", async () => {
    const { consortium, sender, receiver } = await start();
    const other = await consortium.newEnclave("Org1MSP");
    await consortium.share(sender, other, first);
    await consortium.propose(sender, second, first);
    await consortium.registerKeys(sender, second);
    await consortium.share(sender, other, second);
    await consortium.call("Org1MSP", "activateGeneration", chaincodeId, "2");
    await consortium.putExport(other, receiver, second);
    await consortium.call("Org1MSP", "revokeEnclave", chaincodeId, other.id, "lost");
    await consortium.propose(sender, generations.third, second);
    await consortium.registerKeys(sender, generations.third);
    await consortium.putExport(sender, receiver, generations.third);
  });
});

describe("The policy document about exports", () => {
  it("says who may export to whom: POLICY_DENIED", async () => {
    const { consortium, sender, receiver, refused } = await start({
      exportRules: [
        { fromMsp: "Org2MSP", toMsp: "Org1MSP" },
        { fromMsp: "Org1MSP", toMsp: "Org3MSP" },
      ],
    });
    await refused(
      "POLICY_DENIED",
      /no export from Org1MSP to Org2MSP/,
      "Org1MSP",
      textOf(consortium.export(sender, receiver, first)),
    );
    await consortium.share(sender, await consortium.newEnclave("Org3MSP"), first);
  });

  it("lets the former version hand the keys to the successor that it names, and to no other", async () => {
    const { consortium, sender, refused } = await start();
    const next = "EF".repeat(32);
    const ccParams = { version: next, sequence: 2n };
    await consortium.setPolicy({ allowedVersions: [version, next], successor: ccParams });
    const successor = await consortium.newEnclave("Org2MSP", { rsa: 1, ccParams });
    const toSuccessor = () => textOf(consortium.export(sender, successor, first));
    await consortium.setPolicy({ allowedVersions: [version, next] });
    consortium.define(ccParams);
    await refused("POLICY_DENIED", /not the policy's successor/, "Org1MSP", toSuccessor());
    await consortium.setPolicy({ allowedVersions: [version, next], successor: ccParams });
    // The definition is the successor's already: the sender endorses nothing any more, but still hands over.
    assert.equal(await consortium.call("Org1MSP", "canEndorse", chaincodeId, sender.id), "false");
    await consortium.call("Org1MSP", "putKeyExport", chaincodeId, toSuccessor());
    await consortium.registerKeys(successor, first);
    const back = textOf(consortium.export(successor, sender, first));
    await refused("POLICY_DENIED", /./, "Org2MSP", back);
  });

  it("lets keys go on to the next sequence of the same version, as a new endorsement policy makes it (12)", async () => {
    const { consortium, sender } = await start();
    const ccParams = { version, sequence: 2n };
    await consortium.setPolicy({ successor: ccParams });
    consortium.define({ sequence: 2n, organisations: ["Org1MSP", "Org2MSP"] });
    const next = await consortium.newEnclave("Org2MSP", { rsa: 1, ccParams });
    await consortium.share(sender, next, first);
    const own = await consortium.newEnclave("Org1MSP", { ccParams });
    await consortium.share(next, own, first);
  });

  it("lets no revoked enclave export: POLICY_DENIED", async () => {
    const { consortium, sender, receiver, refused } = await start();
    await consortium.call("Org1MSP", "revokeEnclave", chaincodeId, sender.id, "lost");
    await refused("POLICY_DENIED", /is revoked/, "Org1MSP", textOf(consortium.export(sender, receiver, first)));
  });
});

describe("One bit changed in an export", () => {
  it("is refused in whichever field it is", async () => {
    const { consortium, sender, receiver } = await start();
    const text = textOf(consortium.export(sender, receiver, first));
    const before = consortium.ledger.snapshot();
    const names: string[] = [];
    for (const { field, argument } of flippedFields("export", text)) {
      names.push(field);
      await assert.rejects(consortium.call("Org1MSP", "putKeyExport", chaincodeId, argument), EnclaveError, field);
    }
    assert.deepEqual(names, [
      "cc_params_hash",
      "chaincode_ek",
      "cckeys_enc",
      "receiver_enclave_vk",
      "sender_enclave_vk",
      "generation",
      "export_nonce",
      "receiver_cc_params_hash",
      "signature",
      "type_url",
    ]);
    assert.equal(consortium.ledger.snapshot(), before);
    await consortium.call("Org1MSP", "putKeyExport", chaincodeId, text);
  });
});
