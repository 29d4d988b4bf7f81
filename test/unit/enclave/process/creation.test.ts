import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { CredentialsSchema, HostParametersSchema } from "../../../../src/enclave/messages/generated/fpc/fpc_pb.ts";
import { decodeStrict, encode } from "../../../../src/enclave/messages/strict.ts";
import { readCredentials } from "../../../../src/enclave/protocol/attested-data.ts";
import type { EnclaveCreation } from "../../../../src/enclave/stub/stub.ts";
import { TestHost } from "./test-host.ts";
import { World } from "./world.ts";

function partsOf({ ccParams, hostParams, channelHash, trustedLedger }: EnclaveCreation): Buffer[] {
  return [ccParams, hostParams, channelHash, trustedLedger].map((part) => Buffer.from(part));
}

function read(credentials: Buffer) {
  return readCredentials(decodeStrict(CredentialsSchema, credentials), "not yet");
}

describe("the creation of an enclave", () => {
  let world: World;
  let created: TestHost;

  before(async () => {
    world = await World.start();
    created = new TestHost(world, "Org1MSP");
    await created.create();
  });
  after(() => world[Symbol.dispose]());

  test("attests keys, channel, ledger and that it is the creation", () => {
    const { attested, mspId } = read(created.file("credentials"));
    const { trustedLedger } = world.creation("Org1MSP");
    assert.equal(attested.onCreation, true);
    assert.equal(mspId, "Org1MSP");
    assert.deepEqual(Buffer.from(attested.channelHash), world.ledger.channelHash);
    assert.deepEqual(Buffer.from(attested.trustedLedgerHash), createHash("sha256").update(trustedLedger).digest());
    assert.equal(attested.chaincodeEk.length, 0);
  });

  test("is what the registry takes", async () => {
    created.credentials = await world.register(created.file("credentials"));
  });

  test("cannot be attested again as such", async () => {
    const again = read(await created.call("attest"));
    assert.equal(again.attested.onCreation, false);
    assert.equal(again.enclaveId.text, created.id);
  });

  test("is refused a second time in one process", async () => {
    await assert.rejects(created.create(), { code: "KEYS_EXIST" });
    const { trustedLedger } = world.creation("Org1MSP");
    const parts = [created.file("blob"), Buffer.from(created.id), Buffer.from(trustedLedger)];
    await assert.rejects(created.all("open", ...parts), { code: "KEYS_EXIST" });
  });

  test("stores the credentials before the blob, so that no stored enclave lacks them", async () => {
    const host = new TestHost(world, "Org2MSP");
    const order: string[] = [];
    host.files.set = function set(this: Map<string, Buffer>, name: string, bytes: Buffer) {
      order.push(name);
      return Map.prototype.set.call(this, name, bytes);
    } as typeof host.files.set;
    await host.create();
    assert.deepEqual(order, ["credentials", "blob"]);
  });

  test("leaves no enclave behind where the host cannot store it, and can be tried again", async () => {
    const host = new TestHost(world, "Org2MSP");
    host.storeFails = true;
    await assert.rejects(host.create(), { code: "STORE_FAILED" });
    await assert.rejects(host.call("generateCCKeys"), { code: "NOT_FOUND" });
    host.storeFails = false;
    await host.create();
  });

  for (const [what, code, change] of [
    ["for the measurement of another version", "WRONG_CONTEXT", { version: "AB".repeat(32) }],
    ["for a sequence of 0", "MALFORMED", { sequence: 0n }],
    ["for a chaincode without a name", "MALFORMED", { chaincodeId: "" }],
    ["for a channel whose name is none", "MALFORMED", { channelId: "Not A Channel" }],
  ] as const)
    test(`is refused ${what}`, async () => {
      const host = new TestHost(world, "Org1MSP");
      await assert.rejects(host.all("create", ...partsOf(world.creation("Org1MSP", change))), { code });
      assert.equal(host.files.size, 0);
    });

  for (const [what, index, bytes] of [
    ["parameters with an unknown field", 0, Buffer.of(0x7a, 0)],
    [
      "a host without an organisation",
      1,
      encode(HostParametersSchema, create(HostParametersSchema, { peerEndpoint: "a:1" })),
    ],
    [
      "a host without a port",
      1,
      encode(HostParametersSchema, create(HostParametersSchema, { peerMspId: "A", peerEndpoint: "a" })),
    ],
    ["a channel's hash of 31 bytes", 2, Buffer.alloc(31, 1)],
    ["no trusted ledger", 3, Buffer.alloc(0)],
    ["a trusted ledger that is no message", 3, Buffer.from("noise")],
  ] as const)
    test(`is refused with ${what}`, async () => {
      const host = new TestHost(world, "Org1MSP");
      const parts = partsOf(world.creation("Org1MSP"));
      parts[index] = bytes;
      await assert.rejects(host.all("create", ...parts), { code: "MALFORMED" });
      assert.equal(host.files.size, 0);
    });

  test("is refused with too few parts", async () => {
    const host = new TestHost(world, "Org1MSP");
    await assert.rejects(host.all("create"), { code: "MALFORMED" });
  });

  test("comes before every other call", async () => {
    const host = new TestHost(world, "Org1MSP");
    for (const name of ["generateCCKeys", "attest", "exportCCKeys", "recover", "invoke"])
      await assert.rejects(host.all(name), { code: "NOT_FOUND" }, name);
    await assert.rejects(host.all("revealKeys"), { code: "MALFORMED" });
    await assert.rejects(host.all("constructor"), { code: "MALFORMED" });
  });

  test("is not the start, which happens once", async () => {
    await assert.rejects(created.all("start", Buffer.from("{}")), { code: "MALFORMED" });
  });
});
