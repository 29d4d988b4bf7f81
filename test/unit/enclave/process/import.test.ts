import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { recordTypes } from "../../../../src/enclave/ercc/registry-state.ts";
import { encodeArgument } from "../../../../src/enclave/messages/argument.ts";
import { SignedExportMessageSchema } from "../../../../src/enclave/messages/generated/fpc/key_dist_pb.ts";
import { decodeStrict, encode } from "../../../../src/enclave/messages/strict.ts";
import { scaled, seed } from "../../../run-settings.ts";
import { rsaPair } from "../ercc/test-keys.ts";
import { flipBit, numbers } from "./noise.ts";
import { TestHost } from "./test-host.ts";
import { World } from "./world.ts";

describe("the import of chaincode keys", () => {
  let world: World;
  let sender: TestHost;
  let receiver: TestHost;
  let other: TestHost;
  let message: Buffer;

  before(async () => {
    world = await World.start();
    sender = await TestHost.registered(world, "Org1MSP");
    receiver = await TestHost.registered(world, "Org2MSP");
    other = await TestHost.registered(world, "Org3MSP");
    await sender.registerKeys(await sender.call("generateCCKeys"));
  });
  after(() => world[Symbol.dispose]());

  const refused = async (bytes: Buffer, code: string, host = receiver) => {
    await assert.rejects(host.call("importCCKeys", bytes), { code });
    assert.deepEqual(await host.held(), []);
  };

  test("is refused before the export is on the ledger", async () => {
    await sender.announce(receiver);
    await refused(await sender.call("exportCCKeys", receiver.credentials), "NOT_FOUND");
    message = await sender.export(receiver);
  });

  test("is refused by another enclave than the export is for", async () => {
    await refused(message, "WRONG_CONTEXT", other);
  });

  test("is refused of an export that is not the one on the ledger", async () => {
    await refused(await sender.call("exportCCKeys", receiver.credentials), "REPLAY");
  });

  test("is refused with another signature", async () => {
    const signed = decodeStrict(SignedExportMessageSchema, message);
    const again = decodeStrict(SignedExportMessageSchema, await sender.call("exportCCKeys", receiver.credentials));
    signed.signature = again.signature;
    await refused(encode(SignedExportMessageSchema, signed), "BAD_SIGNATURE");
  });

  test("is refused of what is no export", async () => {
    for (const bytes of [
      Buffer.alloc(0),
      Buffer.from("noise"),
      message.subarray(0, -1),
      Buffer.concat([message, message]),
    ])
      await refused(bytes, "MALFORMED");
    await assert.rejects(receiver.all("importCCKeys"), { code: "MALFORMED" });
  });

  test("is refused with one bit changed, even if the ledger has the same", async () => {
    for (const bit of numbers(seed, scaled(600), message.length * 8)) {
      const altered = flipBit(message, bit);
      world.lie = (question) =>
        question.kind === "record" && question.name.type === recordTypes.exported
          ? [Buffer.from(altered.toString("base64"))]
          : undefined;
      await assert.rejects(
        receiver.call("importCCKeys", altered),
        (error: { code?: string }) => /^(?:MALFORMED|BAD_SIGNATURE|WRONG_CONTEXT)$/.test(error.code ?? ""),
        `bit ${bit}`,
      );
    }
    world.lie = undefined;
    assert.deepEqual(await receiver.held(), []);
  });

  test("is refused where the ledger has another chaincode key", async () => {
    world.lie = (question) =>
      question.kind === "record" && question.name.type === recordTypes.chaincodeEk ? [rsaPair(2).publicPem] : undefined;
    await refused(message, "EK_MISMATCH");
    world.lie = undefined;
  });

  test("is refused where the ledger has another state key, however right the private key is", async () => {
    await world.lieAboutStateKey(1n);
    await refused(message, "EK_MISMATCH");
    world.lie = undefined;
  });

  test("is refused where the ledger knows of no keys any more", async () => {
    world.lie = (question) =>
      question.kind === "record" && question.name.type === recordTypes.keyState ? [] : undefined;
    await refused(message, "REPLAY");
    world.lie = undefined;
  });

  test("is taken back where the host cannot store the blob", async () => {
    receiver.storeFails = true;
    await refused(message, "STORE_FAILED");
    receiver.storeFails = false;
  });

  test("gives the keys, and a registration that the registry takes", async () => {
    await receiver.registerKeys(await receiver.call("importCCKeys", message));
    assert.deepEqual(await receiver.held(), [1]);
    await receiver.open();
    const [mine, theirs] = [await receiver.opened(), await sender.opened()];
    assert.equal(mine.generations[0]?.ekHash, theirs.generations[0]?.ekHash);
    assert.equal(mine.generations[0]?.registered, true);
  });

  test("is refused a second time", async () => {
    await assert.rejects(receiver.call("importCCKeys", message), { code: "KEYS_EXIST" });
    assert.deepEqual(await receiver.held(), [1]);
  });

  test("of one enclave's keys lets it export them in turn", async () => {
    const onwards = await receiver.export(other);
    await other.registerKeys(await other.call("importCCKeys", onwards));
    assert.deepEqual(await other.held(), [1]);
  });

  test("takes nothing that was put on another channel's ledger", async () => {
    using elsewhere = await World.start();
    const stranger = await TestHost.registered(elsewhere, "Org1MSP");
    await stranger.registerKeys(await stranger.call("generateCCKeys"));
    const local = await TestHost.registered(elsewhere, "Org2MSP");
    const foreign = await stranger.export(local);
    const fresh = await TestHost.registered(world, "Org2MSP");
    const text = encodeArgument(SignedExportMessageSchema, decodeStrict(SignedExportMessageSchema, foreign));
    world.lie = (question) =>
      question.kind === "record" && question.name.type === recordTypes.exported ? [Buffer.from(text)] : undefined;
    await refused(foreign, "WRONG_CONTEXT", fresh);
    world.lie = undefined;
  });
});
