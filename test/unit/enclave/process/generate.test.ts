import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { CredentialsSchema } from "../../../../src/enclave/messages/generated/fpc/fpc_pb.ts";
import { SignedCCKeyRegistrationMessageSchema } from "../../../../src/enclave/messages/generated/fpc/key_dist_pb.ts";
import { decodeStrict } from "../../../../src/enclave/messages/strict.ts";
import { readCredentials } from "../../../../src/enclave/protocol/attested-data.ts";
import { verifyRegistration } from "../../../../src/enclave/protocol/registration.ts";
import { TestHost } from "./test-host.ts";
import { World } from "./world.ts";

describe("the generation of chaincode keys", () => {
  let world: World;
  let host: TestHost;
  let message: Buffer;

  const registrationIn = (bytes: Buffer) => {
    const { vkPem } = readCredentials(decodeStrict(CredentialsSchema, host.file("credentials")), "not yet");
    return verifyRegistration(decodeStrict(SignedCCKeyRegistrationMessageSchema, bytes), vkPem);
  };

  before(async () => {
    world = await World.start();
    host = await TestHost.registered(world, "Org1MSP");
  });
  after(() => world[Symbol.dispose]());

  test("is taken back where the host cannot store the blob", async () => {
    host.storeFails = true;
    await assert.rejects(host.call("generateCCKeys"), { code: "STORE_FAILED" });
    host.storeFails = false;
    assert.deepEqual(await host.held(), []);
    await assert.rejects(host.call("reEmitRegistration"), { code: "NOT_PROVISIONED" });
  });

  test("stores the sealed blob before its message is there, under a number that no blob had before", async () => {
    const before = host.blobs.length;
    message = await host.call("generateCCKeys");
    assert.equal(host.blobs.length, before + 1);
    const { blobNumber, generations } = await host.opened();
    // 1 is the creation's, 2 was given to the blob that could not be stored.
    assert.equal(blobNumber, 3);
    assert.deepEqual(
      generations.map(({ number, registered }) => [number, registered]),
      [[1, false]],
    );
    assert.equal(registrationIn(message).generation, 1n);
  });

  test("is refused where keys exist", async () => {
    await assert.rejects(host.call("generateCCKeys"), { code: "KEYS_EXIST" });
    await assert.rejects(host.call("recover"), { code: "KEYS_EXIST" });
    assert.deepEqual(await host.held(), [1]);
  });

  test("gives its message again as often as it is asked", async () => {
    for (const number of ["", "1"])
      assert.deepEqual(
        registrationIn(await host.call("reEmitRegistration", Buffer.from(number))),
        registrationIn(message),
      );
  });

  test("gives no message of generations that are not held, or no numbers", async () => {
    await assert.rejects(host.call("reEmitRegistration", Buffer.from("2")), { code: "NOT_PROVISIONED" });
    for (const number of ["0", "-1", "1.0", "x", "99999999999"])
      await assert.rejects(host.call("reEmitRegistration", Buffer.from(number)), { code: "MALFORMED" }, number);
  });

  test("is seen by the enclave once the ledger has registered it", async () => {
    await host.all("compare");
    assert.deepEqual(
      (await host.opened()).generations.map(({ registered }) => registered),
      [false],
    );
    await host.registerKeys(message);
    await host.all("compare");
    assert.deepEqual(
      (await host.opened()).generations.map(({ registered }) => registered),
      [true],
    );
  });

  test("survives the enclave's end", async () => {
    const before = await host.opened();
    await host.open();
    assert.deepEqual(await host.opened(), before);
  });
});
