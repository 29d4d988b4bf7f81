import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { common, peer } from "@hyperledger/fabric-protos";
import type { EnclaveErrorCode } from "../../../../src/enclave/errors.ts";
import { FabricLedger } from "../../../../src/enclave/ledger/fabric/fabric-ledger.ts";
import type { LedgerConnection } from "../../../../src/enclave/ledger/ledger.ts";
import { makeProposal } from "../../../../src/enclave/ledger/proposal.ts";
import { headerHash } from "../../../fabric/channel.ts";
import { FabricNetwork, tinyChaincode } from "../../../fabric/fabric-network.ts";
import { sha256, type TestIdentity, TestOrganisation, verifySignature } from "../../../fabric/organisation.ts";
import { reservePort } from "../../../reserved-ports.ts";

const chaincode = "tiny";
const mspIds = ["Org1MSP", "Org2MSP", "Org3MSP"] as const;
let network: FabricNetwork;
let ledger: FabricLedger;
let identity: TestIdentity;
let one: LedgerConnection;
let two: LedgerConnection;

before(async () => {
  network = await FabricNetwork.start({ mspIds, chaincode, folder: tinyChaincode, endorsers: 2 });
  ledger = network.ledger();
  identity = await network.channel.organisation("Org1MSP").issue("admin");
  one = await ledger.connect(identity);
  two = await ledger.connect(await network.channel.organisation("Org2MSP").issue("admin"));
});
after(async () => {
  await ledger[Symbol.asyncDispose]();
  await network[Symbol.asyncDispose]();
});

const get = async (...name: string[]) => (await one.evaluate(chaincode, "get", name)).toString();
const refusal = (code: EnclaveErrorCode, message?: RegExp) => (error: Error & { code?: string }) => {
  assert.equal(error.code, code, error.message);
  if (message !== undefined) assert.match(error.message, message);
  return true;
};

describe("a transaction through Fabric's gateway", () => {
  it("is committed at every organisation's peer when it returns, and names its block", async () => {
    const { txId, blockNumber, result } = await one.submit(chaincode, "put", ["value", "committed"]);
    assert.match(txId, /^[0-9a-f]{64}$/);
    assert.equal(blockNumber, BigInt(network.channel.blocks.length - 1));
    assert.equal(result.toString(), "none");
    assert.equal((await two.evaluate(chaincode, "get", ["committed"])).toString(), "value");
  });

  it("is a CONFLICT when another one, endorsed over the same state, comes first: of two first ones one is valid", async () => {
    network.channel.nextBlockTakes(2);
    const outcomes = await Promise.allSettled(
      [one, two].map((each) => each.submit(chaincode, "putOnce", [each.mspId, "raced"])),
    );
    const won = outcomes.filter((each) => each.status === "fulfilled");
    const lost = outcomes.filter((each) => each.status === "rejected");
    assert.equal(won.length, 1);
    assert.throws(
      () => {
        throw lost[0]?.reason;
      },
      refusal("CONFLICT", /MVCC_READ_CONFLICT/),
    );
    assert.equal(await get("raced"), won[0]?.value.result.toString());
    await assert.rejects(one.submit(chaincode, "putOnce", ["late", "raced"]), refusal("ALREADY_SET"));
  });

  it("is a CONFLICT when a range that it read has another record since", async () => {
    network.channel.nextBlockTakes(2);
    const added = one.submit(chaincode, "put", ["1", "counted", "a"]);
    // The orderer holds the first until there is a second: it is endorsed over the state before.
    await network.channel.pending(1);
    const counted = two.submit(chaincode, "countInto", ["count", "counted"]);
    await added;
    await assert.rejects(counted, refusal("CONFLICT", /PHANTOM_READ_CONFLICT/));
    assert.equal(await get("count"), "none");
    assert.equal((await two.submit(chaincode, "countInto", ["count", "counted"])).result.toString(), "1");
  });

  it("is a CONFLICT when the chaincode's definition changed after it was endorsed", async () => {
    network.channel.nextBlockTakes(2);
    const pending = one.submit(chaincode, "put", ["value", "redefined"]);
    await network.channel.pending(1);
    network.channel.define(chaincode, "1.1", 2, 2);
    const other = two.submit(chaincode, "put", ["value", "after the redefinition"]);
    await assert.rejects(pending, refusal("CONFLICT"));
    await other;
  });

  it("is POLICY_DENIED when the peers find too few endorsements", async () => {
    const own = network.gateways[0];
    own?.loseOrganisation("Org2MSP");
    own?.loseOrganisation("Org3MSP");
    try {
      await assert.rejects(
        one.submit(chaincode, "put", ["value", "too few"]),
        refusal("POLICY_DENIED", /ENDORSEMENT_POLICY_FAILURE/),
      );
    } finally {
      own?.findOrganisations();
    }
    assert.equal(await get("too few"), "none");
  });

  it("is a CONFLICT when the peers answer differently, and is not ordered", async () => {
    const height = network.channel.blocks.length;
    await assert.rejects(one.submit(chaincode, "random", []), refusal("CONFLICT", /differ/));
    assert.equal(network.channel.blocks.length, height);
  });

  it("is refused with the chaincode's own reason when it aborts", async () => {
    await one.submit(chaincode, "putOnce", ["value", "kept"]);
    await assert.rejects(one.submit(chaincode, "putOnce", ["other", "kept"]), refusal("ALREADY_SET", /^it is there/));
  });

  it("does not go to a chaincode that the channel has not", async () => {
    await assert.rejects(one.evaluate("unknown", "get", []), refusal("LEDGER_UNAVAILABLE", /unknown/));
    await assert.rejects(one.submit("unknown", "put", ["a", "b"]), refusal("LEDGER_UNAVAILABLE"));
  });
});

describe("an identity that the channel does not know", () => {
  it("is UNAUTHORIZED: of an organisation of the same name with another authority", async () => {
    const impostor = await (await TestOrganisation.create("Org1MSP")).issue("admin");
    await using connection = await ledger.connect(impostor);
    await assert.rejects(connection.evaluate(chaincode, "get", ["a"]), refusal("UNAUTHORIZED", /access denied/));
    await assert.rejects(connection.submit(chaincode, "put", ["a", "b"]), refusal("UNAUTHORIZED", /access denied/));
  });

  it("is UNAUTHORIZED: with another's certificate and not its key", async () => {
    const other = await network.channel.organisation("Org1MSP").issue("client");
    await using connection = await ledger.connect({ ...identity, sign: other.sign });
    await assert.rejects(connection.evaluate(chaincode, "get", ["a"]), refusal("UNAUTHORIZED", /signature/));
  });

  it("is refused before anything is sent where no gateway is named for its organisation", async () => {
    const stranger = await (await TestOrganisation.create("Org9MSP")).issue("admin");
    await assert.rejects(ledger.connect(stranger), refusal("SETTINGS_INVALID", /Org9MSP/));
  });
});

describe("a proposal that somebody else made", () => {
  const propose = (transaction: string, ...args: string[]) =>
    makeProposal({ channelId: "channel1", chaincode, transaction, args, creator: identity.serialized });
  const read = (bytes: Uint8Array) => {
    const response = peer.ProposalResponse.deserializeBinary(bytes);
    const payload = peer.ProposalResponsePayload.deserializeBinary(response.getPayload_asU8());
    const action = peer.ChaincodeAction.deserializeBinary(payload.getExtension_asU8());
    return { response, payload, action, endorsement: response.getEndorsement() };
  };

  it("is endorsed by one peer of each organisation, whose signatures cover the answer, and is not ordered", async () => {
    await one.submit(chaincode, "put", ["asked for", "quorum"]);
    const height = network.channel.blocks.length;
    const answers = (await one.endorse(propose("get", "quorum").proposal, mspIds)).map(read);
    assert.equal(answers.length, 3);
    for (const { response, action, endorsement } of answers) {
      assert.equal(Buffer.from(action.getResponse()?.getPayload_asU8() ?? []).toString(), "asked for");
      assert.equal(action.getChaincodeId()?.getName(), chaincode);
      assert.equal(response.getResponse()?.getStatus(), 200);
      const endorser = endorsement?.getEndorser_asU8() ?? new Uint8Array();
      const signed = Buffer.concat([response.getPayload_asU8(), endorser]);
      assert.ok(verifySignature(endorser, signed, endorsement?.getSignature_asU8() ?? new Uint8Array()));
    }
    assert.equal(new Set(answers.map(({ endorsement }) => endorsement?.getEndorser_asB64())).size, 3);
    assert.equal(network.channel.blocks.length, height);
  });

  it("is the one that was made: the hash of its header and payload is in what peers sign", async () => {
    const { proposal } = propose("get", "quorum");
    const message = peer.Proposal.deserializeBinary(proposal);
    const header = common.Header.deserializeBinary(message.getHeader_asU8());
    const hash = sha256(header.getChannelHeader_asU8(), header.getSignatureHeader_asU8(), message.getPayload_asU8());
    for (const { payload } of (await one.endorse(proposal, ["Org1MSP", "Org2MSP"])).map(read))
      assert.deepEqual(Buffer.from(payload.getProposalHash_asU8()), hash);
  });

  it("is answered by the organisations that can be reached, without those that cannot", async () => {
    const own = network.gateways[0];
    own?.loseOrganisation("Org2MSP");
    try {
      const answers = await one.endorse(propose("get", "quorum").proposal, mspIds);
      assert.equal(answers.length, 2);
      await assert.rejects(one.endorse(propose("get", "quorum").proposal, ["Org2MSP"]), refusal("LEDGER_UNAVAILABLE"));
    } finally {
      own?.findOrganisations();
    }
  });

  it("is answered by each peer as it finds, where they differ", async () => {
    const answers = (await one.endorse(propose("random").proposal, mspIds)).map(read);
    assert.equal(new Set(answers.map(({ response }) => response.getPayload_asB64())).size, 3);
  });

  it("is refused with the chaincode's reason when all of them abort", async () => {
    const { proposal } = propose("putOnce", "again", "kept");
    await assert.rejects(one.endorse(proposal, mspIds), refusal("ALREADY_SET"));
  });

  it("is refused when it names another creator than the connection's, for whom nothing is signed", async () => {
    const creator = (await network.channel.organisation("Org1MSP").issue("client")).serialized;
    const { proposal } = makeProposal({ channelId: "channel1", chaincode, transaction: "get", args: ["a"], creator });
    await assert.rejects(one.endorse(proposal, mspIds), refusal("UNAUTHORIZED"));
  });

  it("is MALFORMED when it is no proposal", async () => {
    await assert.rejects(one.endorse(Buffer.from("no proposal"), mspIds), refusal("MALFORMED"));
    await assert.rejects(one.endorse(new Uint8Array(), mspIds), refusal("MALFORMED"));
  });
});

describe("blocks through Fabric's gateway", () => {
  const take = async (from: bigint, count: number) => {
    const blocks: Uint8Array[] = [];
    for await (const block of one.blocks(from)) {
      blocks.push(block);
      if (blocks.length === count) break;
    }
    return blocks;
  };

  it("come from the first on, in order, as the orderer made them", async () => {
    const height = network.channel.blocks.length;
    const blocks = await take(0n, height);
    assert.deepEqual(blocks.map(Buffer.from), network.channel.blocks.slice(0, height).map(Buffer.from));
    for (const [index, block] of blocks.entries()) {
      const header = common.Block.deserializeBinary(block).getHeader();
      const before = blocks[index - 1];
      if (before !== undefined) assert.deepEqual(Buffer.from(header?.getPreviousHash_asU8() ?? []), headerHash(before));
    }
  });

  it("come from the middle on, and the ones to come when they come", async () => {
    const height = network.channel.blocks.length;
    const taking = take(BigInt(height - 1), 2);
    await one.submit(chaincode, "put", ["value", "followed"]);
    const blocks = await taking;
    assert.deepEqual(blocks.map(Buffer.from), network.channel.blocks.slice(height - 1, height + 1).map(Buffer.from));
  });

  it("end when the caller says so, while none is there", async () => {
    const stop = new AbortController();
    const taken: Uint8Array[] = [];
    const height = BigInt(network.channel.blocks.length);
    const following = (async () => {
      for await (const block of one.blocks(height, stop.signal)) taken.push(block);
    })();
    setImmediate(() => stop.abort());
    await following;
    assert.deepEqual(taken, []);
    for await (const _ of one.blocks(0n, stop.signal)) assert.fail("it was stopped before it began");
  });

  it("are LEDGER_UNAVAILABLE when the peer goes away", async () => {
    await using lost = await FabricNetwork.start({ mspIds: ["Org1MSP"], chaincode, folder: tinyChaincode });
    await using lostLedger = lost.ledger();
    await using connection = await lostLedger.connect(await lost.channel.organisation("Org1MSP").issue("client"));
    const following = (async () => {
      for await (const block of connection.blocks(0n))
        if (block.length > 0) await lost.gateways[0]?.[Symbol.asyncDispose]();
    })();
    await assert.rejects(following, refusal("LEDGER_UNAVAILABLE"));
  });
});

describe("a channel of Fabric that cannot be reached", () => {
  it("is LEDGER_UNAVAILABLE, and does not wait longer than it is told", async () => {
    const gateways = { Org1MSP: { address: `127.0.0.1:${await reservePort()}` } };
    await using away = FabricLedger.open({ channelId: "channel1", gateways });
    await using connection = await away.connect(identity);
    await assert.rejects(connection.evaluate(chaincode, "get", ["a"]), refusal("LEDGER_UNAVAILABLE"));
    await assert.rejects(connection.submit(chaincode, "put", ["a", "b"]), refusal("LEDGER_UNAVAILABLE"));
  });

  it("says that a transaction's outcome is not known when the commit is not told in time", async () => {
    await using hasty = network.ledger({ timeoutsMs: { commit: 100 } });
    await using connection = await hasty.connect(identity);
    network.channel.nextBlockTakes(2);
    await assert.rejects(
      connection.submit(chaincode, "put", ["value", "late"]),
      refusal("LEDGER_UNAVAILABLE", /whether transaction [0-9a-f]{64} was committed is not known/),
    );
    await one.submit(chaincode, "put", ["value", "beside"]);
    assert.equal(await get("late"), "value");
  });

  it("is opened with settings of the right form only", () => {
    const open = (channelId: string, address: string, tlsRoots?: string) => () =>
      FabricLedger.open({ channelId, gateways: { Org1MSP: { address, tlsRoots } } });
    const invalid = refusal("SETTINGS_INVALID");
    for (const name of ["", "Channel", "1channel", "a/b", "a b", `a${"b".repeat(249)}`])
      assert.throws(open(name, "127.0.0.1:1"), invalid);
    for (const address of [
      "",
      "localhost",
      "localhost:",
      "localhost:0",
      "localhost:65536",
      "http://localhost:1",
      "a b:1",
    ])
      assert.throws(open("channel1", address), invalid);
    for (const address of ["peer.example.org:7051", "10.0.0.1:7051", "127.0.0.1.example.org:7051", "localhost.org:1"])
      assert.throws(open("channel1", address), refusal("SETTINGS_INVALID", /TLS/));
    for (const address of ["localhost:1", "127.0.0.1:7051", "[::1]:7051"]) open("channel1", address)();
    open("channel1", "peer.example.org:7051", network.channel.organisation("Org1MSP").root)();
  });

  it("is not used any more once it is closed", async () => {
    const closed = network.ledger();
    await closed[Symbol.asyncDispose]();
    await assert.rejects(closed.connect(identity), refusal("LEDGER_UNAVAILABLE"));
  });
});
