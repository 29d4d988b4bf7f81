import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { CredentialsSchema } from "../../../../src/enclave/messages/generated/fpc/fpc_pb.ts";
import { decodeStrict } from "../../../../src/enclave/messages/strict.ts";
import { readSealedBlob } from "../../../../src/enclave/process/sealed-state.ts";
import { readCredentials } from "../../../../src/enclave/protocol/attested-data.ts";
import { TestHost } from "./test-host.ts";
import { World } from "./world.ts";

function read(credentials: Buffer) {
  return readCredentials(decodeStrict(CredentialsSchema, credentials), "not yet");
}

const second = Buffer.from("2");

/** Each test goes on where the one before ended: first refusals at sequence 1, then the way to 2. */
describe("an enclave that attests for a later sequence", () => {
  let world: World;
  let holder: TestHost;
  let receiver: TestHost;
  let left: TestHost;
  let firstBlob: Buffer;
  const other = "CD".repeat(32);

  before(async () => {
    world = await World.start();
    holder = await TestHost.registered(world, "Org1MSP");
    await holder.registerKeys(await holder.call("generateCCKeys"));
    receiver = await TestHost.registered(world, "Org2MSP");
    left = await TestHost.registered(world, "Org3MSP");
    firstBlob = holder.file("blob");
  });
  after(() => world[Symbol.dispose]());

  /** Nothing is sealed but what was seen of the ledger, and the host keeps what it had. */
  const refused = async (host: TestHost, code: string, message: RegExp, sequence = second) => {
    const kept = () => {
      const { blobNumber: _, ...header } = readSealedBlob(host.file("blob")).header;
      return [header, host.file("credentials")];
    };
    const before = kept();
    await assert.rejects(host.call("attest", sequence), { code, message });
    assert.deepEqual(kept(), before);
  };

  test("is refused where the policy names no successor, another measurement's or another sequence", async () => {
    await refused(holder, "POLICY_DENIED", /names no successor of sequence 2/);
    await world.setPolicy({ allowedVersions: [world.measurement, other], successor: { version: other, sequence: 2n } });
    await refused(holder, "POLICY_DENIED", /names no successor of sequence 2/);
    await world.setPolicy({ successor: { version: world.measurement, sequence: 3n } });
    await refused(holder, "POLICY_DENIED", /names no successor of sequence 2/);
  });

  test("is refused where the definition alone has the sequence: the organisations' policy is what counts", async () => {
    world.define({ sequence: 2n });
    await refused(holder, "POLICY_DENIED", /names no successor/);
    world.define();
  });

  test("is refused before the enclave is registered, for then it never could be", async () => {
    await world.setPolicy({ successor: { version: world.measurement, sequence: 2n } });
    const unknown = new TestHost(world, "Org1MSP");
    await unknown.create();
    await refused(unknown, "NOT_REGISTERED", /is not registered/);
  });

  test("is refused a sequence that is no number", async () => {
    for (const text of ["0", "-1", "02", "2.0", "two", "99999999999"])
      await refused(holder, "MALFORMED", /not a number from 1/, Buffer.from(text));
  });

  test("stays what it was where its host cannot store it", async () => {
    holder.storeFails = true;
    await assert.rejects(holder.call("attest", second), { code: "STORE_FAILED" });
    holder.storeFails = false;
    assert.equal(read(await holder.call("attest")).ccParams.sequence, 1n);
  });

  test("is the same enclave with the same keys, and seals the sequence before it attests it", async () => {
    const before = await holder.opened();
    const formerKeys = read(holder.file("credentials"));
    const credentials = read(await holder.call("attest", second));
    assert.deepEqual([credentials.ccParams.sequence, credentials.attested.onCreation], [2n, false]);
    assert.deepEqual([credentials.vkPem, credentials.ekPem], [formerKeys.vkPem, formerKeys.ekPem]);
    const opened = await holder.opened();
    assert.deepEqual([opened.id, opened.generations], [before.id, before.generations]);
    assert.equal(readSealedBlob(holder.file("blob")).header.sequence, 2n);
    assert.equal(read(holder.file("credentials")).ccParams.sequence, 2n);
  });

  test("gives the credentials again where they were lost on their way, and seals nothing more", async () => {
    const blobs = holder.blobs.length;
    assert.equal(read(await holder.call("attest", second)).ccParams.sequence, 2n);
    assert.equal(holder.blobs.length, blobs);
  });

  test("opens again as what it is now", async () => {
    await holder.open();
    assert.deepEqual(await holder.held(), [1]);
    assert.equal(read(await holder.call("attest")).ccParams.sequence, 2n);
  });

  test("does not go back", async () => {
    await refused(holder, "REPLAY", /goes back to none/, Buffer.from("1"));
  });

  test("exports nothing as of the later sequence before the ledger has it so", async () => {
    await assert.rejects(holder.export(receiver), { code: "POLICY_DENIED" });
  });

  test("is registered, and exports to others that have attested for it, from before the definition changes", async () => {
    await world.register(holder.file("credentials"));
    await receiver.call("attest", second);
    receiver.credentials = await world.register(receiver.file("credentials"));
    const message = await holder.export(receiver);
    await receiver.registerKeys(await receiver.call("importCCKeys", message));
    world.define({ sequence: 2n });
    assert.deepEqual(await receiver.held(), [1]);
  });

  test("does not export to one that stayed behind, once the definition has changed", async () => {
    await assert.rejects(holder.export(left), { code: "POLICY_DENIED" });
    await left.call("attest", second);
    left.credentials = await world.register(left.file("credentials"));
    await left.registerKeys(await left.call("importCCKeys", await holder.export(left)));
  });

  test("from an older blob comes back to the sequence that the ledger has it with, without a policy that names it", async () => {
    await world.setPolicy({});
    await holder.open(firstBlob);
    assert.equal(read(await holder.call("attest")).ccParams.sequence, 1n);
    await refused(holder, "POLICY_DENIED", /names no successor/, Buffer.from("3"));
    assert.equal(read(await holder.call("attest", second)).ccParams.sequence, 2n);
  });
});
