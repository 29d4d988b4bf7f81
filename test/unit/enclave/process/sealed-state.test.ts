import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { decodeArgument } from "../../../../src/enclave/messages/argument.ts";
import { CredentialsSchema } from "../../../../src/enclave/messages/generated/fpc/fpc_pb.ts";
import { SealedBlobSchema, type SealedHeader } from "../../../../src/enclave/messages/generated/fpc/sealed_pb.ts";
import { decodeStrict, encode } from "../../../../src/enclave/messages/strict.ts";
import { readCredentials } from "../../../../src/enclave/protocol/attested-data.ts";
import { scaled, seed } from "../../../run-settings.ts";
import { flipBit, numbers } from "./noise.ts";
import { TestHost } from "./test-host.ts";
import { chaincodeId, World } from "./world.ts";

describe("the sealed blob of an enclave", () => {
  let world: World;
  let host: TestHost;
  let other: TestHost;
  let created: Buffer;
  let newest: Buffer;

  before(async () => {
    world = await World.start();
    host = await TestHost.registered(world, "Org1MSP");
    other = await TestHost.registered(world, "Org1MSP");
    created = host.file("blob");
    await host.registerKeys(await host.call("generateCCKeys"));
    newest = host.file("blob");
  });
  after(() => world[Symbol.dispose]());

  const provisionedOf = async (mspId: string) => {
    const list = JSON.parse(await world.call("Org1MSP", "queryListEnclaveCredentials", chaincodeId)) as string[];
    const enclaves = list.map((text) => readCredentials(decodeArgument(CredentialsSchema, text)));
    return enclaves.filter((one) => one.mspId === mspId).map(({ enclaveId }) => enclaveId.text);
  };
  const refused = (blob: Buffer, code = "UNSEAL_FAILED", id = host.id) => assert.rejects(host.open(blob, id), { code });

  test("says in clear whose it is and which keys it holds", async () => {
    const { header } = decodeStrict(SealedBlobSchema, newest);
    assert(header);
    const [generation] = (await host.opened()).generations;
    assert.equal(Buffer.from(header.enclaveId).toString("hex").toUpperCase(), host.id);
    assert.equal(Buffer.from(header.chaincodeEkHash).toString("hex").toUpperCase(), generation?.ekHash);
    assert.deepEqual(
      [header.tee, header.measurement, header.sequence, header.generation, header.blobNumber],
      ["process", world.measurement, 1n, 1n, 2n],
    );
  });

  test("opens on the same platform for the same code, and is sealed anew with what the ledger says", async () => {
    await host.open(newest);
    assert.deepEqual(await host.held(), [1]);
    assert.equal((await host.opened()).blobNumber, 3);
  });

  test("holds all that the enclave attests, however often it is opened and sealed", async () => {
    const { attested, enclaveId } = readCredentials(
      decodeStrict(CredentialsSchema, host.file("credentials")),
      "not yet",
    );
    for (let round = 0; round < 2; round += 1) {
      const again = readCredentials(decodeStrict(CredentialsSchema, await host.call("attest")), "not yet");
      assert.deepEqual({ ...again.attested, onCreation: true }, attested);
      assert.equal(again.enclaveId.text, enclaveId.text);
      await host.open();
    }
  });

  test("of another enclave is refused", async () => {
    await refused(other.file("blob"));
    await refused(newest, "UNSEAL_FAILED", other.id);
  });

  test("of another platform is refused, of the same organisation or not", async () => {
    await world.addPlatform("second");
    for (const platform of ["second", "Org2MSP"]) {
      host.platform = platform;
      await refused(newest);
    }
    host.platform = "Org1MSP";
  });

  test("of another version of the code is refused", async () => {
    host.role = "another version";
    await refused(newest);
    host.role = "chaincode";
  });

  test("is refused with one bit changed anywhere", async () => {
    for (const bit of numbers(seed, scaled(800), newest.length * 8))
      await assert.rejects(host.open(flipBit(newest, bit)), { code: "UNSEAL_FAILED" }, `bit ${bit}`);
  });

  for (const [field, change] of [
    ["tee", (header: SealedHeader) => (header.tee = "tpm")],
    ["measurement", (header: SealedHeader) => (header.measurement = "AB".repeat(32))],
    ["format", (header: SealedHeader) => (header.format = 2)],
    ["channel_id", (header: SealedHeader) => (header.channelId = "ch2")],
    ["chaincode_id", (header: SealedHeader) => (header.chaincodeId = "other")],
    ["sequence", (header: SealedHeader) => (header.sequence = 2n)],
    ["enclave_id", (header: SealedHeader) => (header.enclaveId = Buffer.alloc(32, 1))],
    ["generation", (header: SealedHeader) => (header.generation = 2n)],
    ["chaincode_ek_hash", (header: SealedHeader) => (header.chaincodeEkHash = createHash("sha256").digest())],
    ["blob_number", (header: SealedHeader) => (header.blobNumber = 9n)],
  ] as const)
    test(`is refused with another ${field} in its header`, async () => {
      const blob = decodeStrict(SealedBlobSchema, newest);
      assert(blob.header);
      change(blob.header);
      await refused(encode(SealedBlobSchema, blob));
    });

  test("is refused cut, doubled, empty or as noise", async () => {
    for (const blob of [newest.subarray(0, -1), Buffer.concat([newest, newest]), Buffer.alloc(0), Buffer.from("noise")])
      await refused(blob);
  });

  test("is refused with the header of one and the ciphertext of another", async () => {
    const [one, two] = [decodeStrict(SealedBlobSchema, newest), decodeStrict(SealedBlobSchema, created)];
    one.ciphertext = two.ciphertext;
    await refused(encode(SealedBlobSchema, one));
  });

  test("that is older than keys which the ledger lists is refused", async () => {
    await refused(created);
  });

  test("is refused by a ledger that is older than what was seen on it", async () => {
    const before = world.copyOfLedger();
    await host.open(newest);
    const third = await TestHost.provisioned(world, "Org3MSP", host);
    await third.open();
    world.stale = before;
    await assert.rejects(third.open(), { code: "REPLAY" });
    world.stale = undefined;
    await third.open();
  });

  test("holds what was seen of the ledger, sealed before what it led to is told", async () => {
    await host.open(newest);
    const records = [
      { key: "ercc\u0000\u0000namespaces/revoked\u0000auction\u0000", block: 9n, transaction: 1n },
      { key: "_lifecycle\u0000namespaces/fields/auction", block: 3n, transaction: 0n },
    ];
    host.seen = { block: 12n, records };
    const stored = host.blobs.length;
    host.storeFails = true;
    await assert.rejects(host.all("compare"), { code: "STORE_FAILED" });
    host.storeFails = false;
    await host.all("compare");
    await host.all("compare");
    assert.equal(host.blobs.length, stored + 1, "once, as nothing new was seen then");
    await host.open();
    assert.deepEqual(host.sealedSeen, { block: 12n, records });
    assert.equal(host.blobs.length, stored + 1);
    await host.open(newest);
    assert.deepEqual(host.sealedSeen, { block: 0n, records: [] });
    host.seen = { block: 0n, records: [] };
  });

  test("is refused by a ledger whose keys are not stopped yet, where it has seen them stopped", async () => {
    const whole = world.ledger;
    world.ledger = world.copyOfLedger();
    const before = world.copyOfLedger();
    const [third = ""] = await provisionedOf("Org3MSP");
    await host.open(newest);
    await world.call("Org3MSP", "revokeEnclave", chaincodeId, third, "lost");
    await assert.rejects(host.call("issueRecovery"), { code: "POLICY_DENIED" });
    world.stale = before;
    await assert.rejects(host.open(), { code: "REPLAY" });
    world.stale = undefined;
    await host.open();
    world.ledger = whole;
  });

  test("lets no policy be believed that is older than one it has seen", async () => {
    await host.open(newest);
    const before = world.copyOfLedger();
    await world.setPolicy({});
    await host.call("issueRecovery");
    world.stale = before;
    await host.open();
    await assert.rejects(host.call("issueRecovery"), { code: "REPLAY", message: /policy 1, and had 2/ });
    world.stale = undefined;
    await host.call("issueRecovery");
  });

  test("is refused with the parameters of another trusted ledger", async () => {
    await host.end();
    const { trustedLedger } = world.creation("Org1MSP");
    const altered = flipBit(Buffer.from(trustedLedger), 20);
    await assert.rejects(host.all("open", newest, Buffer.from(host.id), altered), { code: "WRONG_CONTEXT" });
    await assert.rejects(host.all("open", newest, Buffer.from(host.id)), { code: "MALFORMED" });
  });

  test("waits for the ledger: without its answer nothing is opened", async () => {
    world.lie = () => {
      throw Object.assign(new Error("no peer answers"), { code: "LEDGER_UNAVAILABLE" });
    };
    await assert.rejects(host.open(newest), { code: "LEDGER_UNAVAILABLE" });
    world.lie = undefined;
    await assert.rejects(host.call("reEmitRegistration"), { code: "NOT_FOUND" });
    await host.open(newest);
  });
});
