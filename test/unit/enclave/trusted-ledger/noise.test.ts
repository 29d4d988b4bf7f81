import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { EnclaveError } from "../../../../src/enclave/errors.ts";
import type { EvidenceJudge } from "../../../../src/enclave/evidence/judge.ts";
import { Membership } from "../../../../src/enclave/ledger/membership.ts";
import { makeProposal, readProposal } from "../../../../src/enclave/ledger/proposal.ts";
import { ChannelFollower } from "../../../../src/enclave/ledger-enclave/follower.ts";
import { RequesterSession } from "../../../../src/enclave/trusted-ledger/session/requester.ts";
import { readSignedAnswer } from "../../../../src/enclave/trusted-ledger/signed-answer.ts";
import { scaled, seed } from "../../../run-settings.ts";
import { TestChannel } from "../ledger-enclave/test-channel.ts";
import { channelId, erccName, newOrganisation, newPeer } from "./answering-peers.ts";
import { Host, requesterSettings } from "./carried-session.ts";

/** Noise, or a message with some of its bytes changed, cut out or put in. */
function noiseLike(message: Uint8Array): fc.Arbitrary<Buffer> {
  const change = fc.record({ at: fc.nat(message.length), drop: fc.nat(3), put: fc.uint8Array({ maxLength: 3 }) });
  const changed = fc
    .array(change, { minLength: 1, maxLength: 3 })
    .map((changes) =>
      changes.reduce(
        (bytes, { at, drop, put }) => Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + drop)]),
        Buffer.from(message),
      ),
    );
  return fc.oneof({ weight: 4, arbitrary: changed }, fc.uint8Array({ maxLength: 300 }).map(Buffer.from));
}

/** `read` ends, or throws an error of the protocol; never another one. */
async function onlyEnclaveErrors(read: () => unknown): Promise<boolean> {
  try {
    await read();
    return true;
  } catch (error) {
    assert.ok(error instanceof EnclaveError, String(error));
    return false;
  }
}

const noJudge: EvidenceJudge = { judge: () => Promise.reject(new TypeError("a fake judge that nobody asks")) };
const settings = { seed, numRuns: scaled(4000) };

suite("whatever bytes come", () => {
  test("a peer's answer is read or refused, and altered ones give nothing new", async () => {
    const organisation = await newOrganisation("Org1MSP");
    const peer = await newPeer(organisation, new Map());
    const creator = peer.serialized;
    const { proposal } = makeProposal({
      channelId,
      chaincode: erccName,
      transaction: "queryState",
      args: ["a"],
      creator,
    });
    const { hash: proposalHash } = readProposal(proposal);
    const answer = peer.answer(proposal);
    const expected = { proposalHash, chaincode: erccName, nowMs: Date.now() };
    const membership = new Membership([organisation]);
    const right = readSignedAnswer(answer, membership, expected);
    await fc.assert(
      fc.asyncProperty(noiseLike(answer), async (bytes) => {
        // What is outside the signature may change; what is read may not.
        await onlyEnclaveErrors(() => assert.deepEqual(readSignedAnswer(bytes, membership, expected), right));
      }),
      settings,
    );
  });

  test("a ledger enclave answers with a message", async () => {
    const host = new Host();
    const session = await RequesterSession.open(host.carry, requesterSettings());
    await session.request(Buffer.from("a request"));
    for (const message of host.sent)
      await fc.assert(
        fc.asyncProperty(noiseLike(message), async (bytes) => {
          assert.ok((await host.responder.handle(bytes)).length > 0);
        }),
        { seed, numRuns: scaled(1000) },
      );
  });

  test("a chaincode's enclave goes on or refuses", async () => {
    const host = new Host();
    await RequesterSession.open(host.carry, requesterSettings());
    const [offer, completed] = host.received;
    assert.ok(offer && completed);
    for (const [number, message] of [offer, completed].entries())
      await fc.assert(
        fc.asyncProperty(noiseLike(message), async (bytes) => {
          const fresh = new Host();
          fresh.response = (answer, count) => (count === number + 1 ? bytes : answer);
          assert.equal(await opens(fresh), false);
        }),
        { seed, numRuns: scaled(600) },
      );
  });

  test("a follower takes a block or stays where it is", async () => {
    const channel = await TestChannel.create();
    const block = channel.block(1n, channel.genesisBlock, [await channel.transaction(channel.defineErcc())]);
    await fc.assert(
      fc.asyncProperty(noiseLike(block), async (bytes) => {
        const follower = new ChannelFollower(channel.genesisBlock, { erccName: channel.erccName, judge: noJudge });
        if (!(await onlyEnclaveErrors(() => follower.append(bytes)))) assert.equal(follower.blockNumber, 0n);
      }),
      { seed, numRuns: scaled(1000) },
    );
  });
});

/** Whether a session comes about; a host may also say that there is none. */
async function opens(host: Host): Promise<boolean> {
  try {
    await RequesterSession.open(host.carry, requesterSettings());
    return true;
  } catch (error) {
    assert.ok(error instanceof EnclaveError || (error as Error).name === "SessionLost", String(error));
    return false;
  }
}
