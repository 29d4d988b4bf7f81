import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Membership } from "../../../../src/enclave/ledger/membership.ts";
import { makeProposal } from "../../../../src/enclave/ledger/proposal.ts";
import { SignedProposalSchema } from "../../../../src/enclave/messages/generated/fabric/peer_pb.ts";
import {
  ChaincodeRequestMessageSchema,
  ChaincodeResponseMessageSchema,
  SignedChaincodeResponseMessageSchema,
} from "../../../../src/enclave/messages/generated/fpc/fpc_pb.ts";
import { encode } from "../../../../src/enclave/messages/strict.ts";
import { type Release, readRelease, writeRelease } from "../../../../src/enclave/process/release.ts";
import { appliedKey, commitHashOf, openHeldAnswer } from "../../../../src/enclave/protocol/held-answer.ts";
import { concealRequest, revealResponse } from "../../../../src/enclave/protocol/request-encryption.ts";
import { type TestIdentity, TestOrganisation } from "../../../fabric/organisation.ts";
import { TestHost } from "./test-host.ts";
import { chaincodeId, channelId, World } from "./world.ts";

/** A request of a member, encrypted to the chaincode and signed. */
async function request(world: World, by: TestIdentity, words: readonly string[]) {
  const ek = Buffer.from(await world.call("Org1MSP", "queryChaincodeEncryptionKey", chaincodeId), "base64");
  const args = words.map((word) => Buffer.from(word));
  const { message, responseKey } = concealRequest(ek, args, { creator: by.serialized });
  const { proposal, txId } = makeProposal({
    channelId,
    chaincode: chaincodeId,
    transaction: "__invoke",
    args: [encode(ChaincodeRequestMessageSchema, message).toString("base64")],
    creator: by.serialized,
  });
  const signed = create(SignedProposalSchema, { proposalBytes: proposal, signature: by.signMessage(proposal) });
  return { proposal, txId, responseKey, signed: Buffer.from(toBinary(SignedProposalSchema, signed)) };
}

describe("an enclave of a private chaincode, behind a host that wants to know more than the ledger has", () => {
  let world: World;
  let host: TestHost;
  let seller: TestIdentity;

  before(async () => {
    world = await World.start();
    host = await TestHost.registered(world, "Org1MSP");
    await host.registerKeys(await host.call("generateCCKeys"));
    const organisation = await TestOrganisation.create("Org1MSP");
    world.membership = new Membership([{ mspId: "Org1MSP", roots: [organisation.root] }]);
    seller = await organisation.issue("client", "seller");
  });
  after(async () => {
    await host.end();
    world[Symbol.dispose]();
  });

  async function invoke(words: readonly string[], at = host) {
    const asked = await request(world, seller, words);
    const bytes = await at.call("invoke", Buffer.from("ticket"), asked.signed);
    const { chaincodeResponseMessage } = fromBinary(SignedChaincodeResponseMessageSchema, bytes);
    const message = fromBinary(ChaincodeResponseMessageSchema, chaincodeResponseMessage);
    assert.ok(message.fpcRwSet);
    const commitHash = commitHashOf(asked.proposal, message.fpcRwSet);
    const release: Release = { txId: asked.txId, commitHash, generation: message.heldGeneration, block: 0n };
    const writes = message.fpcRwSet.rwSet?.writes ?? [];
    return { ...asked, message, release, writes };
  }
  type Invoked = Awaited<ReturnType<typeof invoke>>;

  function commit({ txId, release, writes }: Invoked, state: Map<string, Uint8Array> = world.chaincodeState) {
    for (const { key, value } of writes) state.set(key, value);
    state.set(appliedKey(txId), release.commitHash);
  }

  const release = (of: Release, at = host) => at.call("release", ...writeRelease(of).map((part) => Buffer.from(part)));

  function open({ message, responseKey, release: { commitHash } }: Invoked, key?: Buffer): string {
    const bytes =
      key === undefined ? message.encryptedResponse : openHeldAnswer(key, commitHash, message.encryptedResponse);
    const { status, message: text, payload } = revealResponse(responseKey, bytes);
    return status === 200 ? Buffer.from(payload).toString() : text;
  }

  it("learns nothing of an open auction's bids from a copy of the enclave over a state that it made up", async () => {
    for (const words of [
      ["create", "lot"],
      ["submit", "lot", "777"],
    ])
      commit(await invoke(words));
    const copy = new TestHost(world, "Org1MSP");
    for (const [name, bytes] of host.files) copy.files.set(name, Buffer.from(bytes));
    await copy.open();
    const shown = new Map(world.chaincodeState);
    copy.shown = shown;
    const closing = await invoke(["close", "lot"], copy);
    commit(closing, shown);
    await assert.rejects(invoke(["eval", "lot"], copy), { code: "REPLAY" });
    await assert.rejects(release(closing.release, copy), { code: "NOT_FOUND" });
    await copy.end();
    assert.equal(open(await invoke(["eval", "lot"])), "AUCTION_STILL_OPEN");
  });

  it("gets an answer opened once it is applied, by any enclave with the keys, and as often as it is asked for", async () => {
    const asked = await invoke(["create", "second"]);
    await assert.rejects(release(asked.release), { code: "NOT_FOUND" });
    assert.throws(() => open(asked), { code: "BAD_CIPHERTEXT" });
    commit(asked);
    for (let time = 0; time < 2; time += 1) assert.equal(open(asked, await release(asked.release)), "OK");
    await host.open();
    assert.equal(open(asked, await release(asked.release)), "OK", "not after the enclave's restart");
  });

  it("gets no answer opened whose like was applied: of another state, proposal or generation", async () => {
    const asked = await invoke(["create", "third"]);
    const other = await invoke(["create", "third"]);
    commit(asked);
    const flipped = Buffer.from(asked.release.commitHash);
    flipped.writeUInt8(flipped.readUInt8(0) ^ 1);
    for (const commitHash of [flipped, other.release.commitHash])
      await assert.rejects(release({ ...asked.release, commitHash }), { code: "WRONG_CONTEXT" });
    await assert.rejects(release(other.release), { code: "NOT_FOUND" });
    await assert.rejects(release({ ...asked.release, generation: 2n }), { code: "NOT_PROVISIONED" });
    assert.equal(open(asked, await release(asked.release)), "OK");
  });

  it("gets no answer for who is no member, or is none any more", async () => {
    const { membership } = world;
    world.membership = new Membership([{ mspId: "Org1MSP", roots: [(await TestOrganisation.create("Org1MSP")).root] }]);
    await assert.rejects(invoke(["eval", "lot"]), { code: "UNAUTHORIZED" });
    world.membership = membership;
    assert.equal(open(await invoke(["eval", "lot"])), "AUCTION_STILL_OPEN");
  });
});

describe("an enclave that may not endorse", () => {
  it("answers no calls, be they queries: of a former version, or revoked", async () => {
    using world = await World.start();
    const host = await TestHost.registered(world, "Org1MSP");
    await host.registerKeys(await host.call("generateCCKeys"));
    const organisation = await TestOrganisation.create("Org1MSP");
    world.membership = new Membership([{ mspId: "Org1MSP", roots: [organisation.root] }]);
    const caller = await organisation.issue("client", "caller");
    const query = async () =>
      host.call("invoke", Buffer.from("ticket"), (await request(world, caller, ["eval", "a"])).signed);
    assert.ok(await query());
    world.define({ sequence: 2n });
    await assert.rejects(query(), { code: "POLICY_DENIED", message: /may not endorse/ });
    world.define();
    assert.ok(await query());
    await world.call("Org1MSP", "revokeEnclave", chaincodeId, host.id, "a test");
    await assert.rejects(query(), { code: "POLICY_DENIED" });
    await host.end();
  });
});

describe("the call that releases an answer", () => {
  const asked: Release = { txId: "ab".repeat(32), commitHash: Buffer.alloc(32, 1), generation: 2n, block: 7n };
  const parts = () => writeRelease(asked).map((part) => Buffer.from(part));

  it("is read as it was written", () => {
    assert.deepEqual(readRelease(parts()), asked);
  });

  for (const [what, index, part] of [
    ["an id in upper case", 0, "AB".repeat(32)],
    ["an id that is another record's key", 0, `${"ab".repeat(31)}\u0000a`],
    ["a short hash", 1, "short"],
    ["no generation", 2, "0"],
    ["a generation that is too great", 2, "4294967296"],
    ["a block that is no number", 3, "-1"],
    ["a block too great", 3, "9".repeat(20)],
  ] as const)
    it(`is refused with ${what}`, () => {
      assert.throws(() => readRelease(parts().with(index, Buffer.from(part))), { code: "MALFORMED" });
    });

  it("is refused with parts missing, or more of them", () => {
    for (const some of [[], parts().slice(1), parts().slice(0, 3), [...parts(), Buffer.from("x")]])
      assert.throws(() => readRelease(some), { code: "MALFORMED" });
  });
});
