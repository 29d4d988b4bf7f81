import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { encodeArgument } from "../../../../src/enclave/messages/argument.ts";
import { CredentialsSchema } from "../../../../src/enclave/messages/generated/fpc/fpc_pb.ts";
import {
  SignedRecoveryMessageSchema,
  SignedReleasedShareMessageSchema,
} from "../../../../src/enclave/messages/generated/fpc/key_dist_pb.ts";
import { decodeStrict } from "../../../../src/enclave/messages/strict.ts";
import { readCredentials } from "../../../../src/enclave/protocol/attested-data.ts";
import { openShare } from "../../../../src/enclave/protocol/recovery.ts";
import { readRecovery } from "../../../../src/enclave/protocol/recovery-form.ts";
import { releaseShare } from "../../../../src/enclave/protocol/released-share.ts";
import { rsaPair } from "../ercc/test-keys.ts";
import { TestHost } from "./test-host.ts";
import { chaincodeId, organisations, World } from "./world.ts";

describe("the recovery of chaincode keys when every enclave is lost", () => {
  let world: World;
  let lost: TestHost;
  let fresh: TestHost;
  let recovery: Buffer;
  let lostKeys: (string | undefined)[];

  before(async () => {
    world = await World.start();
    lost = await TestHost.registered(world, "Org1MSP");
    await lost.registerKeys(await lost.call("generateCCKeys"));
    lostKeys = (await lost.opened()).generations.map(({ ekHash }) => ekHash);
    fresh = await TestHost.registered(world, "Org2MSP");
  });
  after(() => world[Symbol.dispose]());

  const release = async (index: number) => {
    const mspId = organisations[index] ?? "";
    const signed = decodeStrict(SignedRecoveryMessageSchema, recovery);
    using share = openShare(readRecovery(signed), mspId, rsaPair(index).privateKey);
    const receiver = readCredentials(decodeStrict(CredentialsSchema, fresh.credentials));
    const released = releaseShare({ recovery: signed, mspId, share, receiver }, world.policyKey(mspId).key);
    const text = encodeArgument(SignedReleasedShareMessageSchema, released);
    await world.call(mspId, "releaseShare", chaincodeId, text);
  };

  test("is refused while the ledger has no shares", async () => {
    await assert.rejects(fresh.call("recover"), { code: "NOT_FOUND" });
    await assert.rejects(fresh.call("issueRecovery"), { code: "NOT_PROVISIONED" });
  });

  test("is refused while nobody, and while too few, released theirs", async () => {
    recovery = await lost.call("issueRecovery");
    const text = encodeArgument(SignedRecoveryMessageSchema, decodeStrict(SignedRecoveryMessageSchema, recovery));
    await world.call("Org1MSP", "putRecovery", chaincodeId, text);
    await lost.end();
    await assert.rejects(fresh.call("recover"), { code: "POLICY_DENIED" });
    await release(0);
    await assert.rejects(fresh.call("recover"), { code: "POLICY_DENIED" });
    assert.deepEqual(await fresh.held(), []);
  });

  test("is taken back where the ledger has another state key, or the host cannot store the blob", async () => {
    await release(2);
    await world.lieAboutStateKey(1n);
    await assert.rejects(fresh.call("recover"), { code: "EK_MISMATCH" });
    world.lie = undefined;
    fresh.storeFails = true;
    await assert.rejects(fresh.call("recover"), { code: "STORE_FAILED" });
    fresh.storeFails = false;
    assert.deepEqual(await fresh.held(), []);
  });

  test("gives a new enclave the same keys, which the registry takes", async () => {
    await fresh.registerKeys(await fresh.call("recover"));
    assert.deepEqual(
      (await fresh.opened()).generations.map(({ ekHash }) => ekHash),
      lostKeys,
    );
    await assert.rejects(fresh.call("recover"), { code: "KEYS_EXIST" });
  });

  test("gives no other enclave anything", async () => {
    const other = await TestHost.registered(world, "Org3MSP");
    await assert.rejects(other.call("recover"), { code: "POLICY_DENIED" });
  });
});
