import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import type { EmbeddedConnection } from "../../../../../src/enclave/ledger/embedded/connection.ts";
import type { EmbeddedLedger } from "../../../../../src/enclave/ledger/embedded/embedded-ledger.ts";
import { makeEnvelope, readResponse } from "../../../../../src/enclave/ledger/endorsement.ts";
import type { LedgerIdentity } from "../../../../../src/enclave/ledger/ledger.ts";
import { serializeIdentity } from "../../../../../src/enclave/ledger/membership.ts";
import { makeProposal, txIdOf } from "../../../../../src/enclave/ledger/proposal.ts";
import { policyOf } from "../../../../../src/enclave/ledger/signature-policy.ts";
import { SignedProposalSchema } from "../../../../../src/enclave/messages/generated/fabric/peer_pb.ts";
import { mspIds, TrialFolder, trialName, valueAt } from "./trial-ledger.ts";

describe("a proposal to an embedded ledger's peer", () => {
  let folder: TrialFolder;
  let ledger: EmbeddedLedger;
  let client: LedgerIdentity;
  let connection: EmbeddedConnection;
  before(async () => {
    folder = new TrialFolder();
    ledger = await folder.create();
    client = ledger.identity("Org1MSP", "client");
    connection = await ledger.connect(client);
  });
  after(async () => {
    await ledger[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  const propose = (creator: LedgerIdentity, change: object = {}) =>
    makeProposal({
      channelId: "trial",
      chaincode: trialName,
      transaction: "put",
      args: ["a", "1"],
      creator: serializeIdentity(creator),
      ...change,
    });
  const signedBy = async (identity: LedgerIdentity, proposal: Uint8Array) =>
    toBinary(
      SignedProposalSchema,
      create(SignedProposalSchema, { proposalBytes: proposal, signature: await identity.sign(proposal) }),
    );
  const ask = async (identity: LedgerIdentity, proposal: Uint8Array) =>
    ledger.peer("Org1MSP").processProposal(await signedBy(identity, proposal));

  it("is refused where another has signed it, or nobody of the channel", async () => {
    const { proposal } = propose(client);
    await assert.rejects(ask(ledger.identity("Org1MSP", "admin"), proposal), { code: "UNAUTHORIZED" });
    using other = new TrialFolder();
    await using theirs = await other.create();
    const stranger = theirs.identity("Org1MSP", "client");
    await assert.rejects(ask(stranger, propose(stranger).proposal), { code: "UNAUTHORIZED" });
  });

  it("is refused where its creator's certificate has expired or is not valid yet", async () => {
    const day = 24 * 60 * 60 * 1000;
    for (const [from, to] of [
      [-2, -1],
      [1, 2],
    ] as const) {
      const dates = { notBefore: new Date(Date.now() + from * day), notAfter: new Date(Date.now() + to * day) };
      const identity = await ledger.issueIdentity("Org1MSP", { commonName: "someone", units: ["client"], ...dates });
      await assert.rejects(ask(identity, propose(identity).proposal), { code: "UNAUTHORIZED" });
      const late = await ledger.connect(identity);
      await assert.rejects(late.submit(trialName, "put", ["a", "1"]), { code: "UNAUTHORIZED" });
    }
  });

  it("is refused where it is for another channel, or for a chaincode that is not defined", async () => {
    const elsewhere = propose(client, { channelId: "other" }).proposal;
    await assert.rejects(ask(client, elsewhere), { code: "WRONG_CONTEXT" });
    await assert.rejects(ask(client, propose(client, { chaincode: "absent" }).proposal), { code: "NOT_FOUND" });
  });

  it("is refused where any byte of it is altered", async () => {
    const signed = Buffer.from(await signedBy(client, propose(client).proposal));
    for (let at = 0; at < signed.length; at += 13) {
      const altered = Buffer.from(signed);
      altered[at] = (altered[at] ?? 0) ^ 1;
      await assert.rejects(ledger.peer("Org1MSP").processProposal(altered), `byte ${at}`);
    }
  });

  /** An envelope that so many organisations endorse, not ordered yet. */
  async function endorsed(organisations: readonly string[], args: readonly string[]) {
    const { proposal, txId } = propose(client, { args });
    const answers = (await connection.endorse(proposal, organisations)).map(readResponse);
    const payload = answers[0]?.responsePayload ?? assert.fail();
    const endorsements = answers.map(({ endorsement }) => endorsement ?? assert.fail());
    return { envelope: await makeEnvelope(proposal, payload, endorsements, client.sign), txId, proposal };
  }

  it("is not valid with one endorsement less than the policy wants", async () => {
    const { envelope, txId } = await endorsed(["Org1MSP"], ["few", "1"]);
    await assert.rejects(connection.order(envelope, txId), { code: "POLICY_DENIED" });
    assert.equal(await valueAt(ledger, "Org1MSP", "few"), "nothing");
  });

  it("is committed once, however often its envelope comes, and is not endorsed again", async () => {
    const { envelope, txId, proposal } = await endorsed(["Org1MSP", "Org2MSP"], ["once", "1"]);
    const [first, second] = await Promise.allSettled([
      connection.order(envelope, txId),
      connection.order(envelope, txId),
    ]);
    assert.equal(first.status, "fulfilled");
    assert.equal(second.status === "rejected" && second.reason.code, "REPLAY");
    await assert.rejects(connection.order(envelope, txId), { code: "REPLAY" });
    await assert.rejects(ask(client, proposal), { code: "REPLAY" });
  });

  it("is not ordered where the envelope is not its creator's, is for another channel, or is none", async () => {
    const { envelope, txId } = await endorsed(["Org1MSP", "Org2MSP"], ["forged", "1"]);
    const forged = Buffer.from(envelope);
    forged[envelope.length - 1] = (envelope[envelope.length - 1] ?? 0) ^ 1;
    await assert.rejects(connection.order(forged, txId), { code: "UNAUTHORIZED" });
    await assert.rejects(connection.order(Buffer.from("noise"), txId), { code: "MALFORMED" });
    await assert.rejects(connection.order(Buffer.alloc(0), txId), { code: "MALFORMED" });
    await assert.rejects(connection.order(Buffer.alloc((4 << 20) + 1), txId), { code: "MALFORMED" });
    const elsewhere = propose(client, { channelId: "other" });
    const other = await makeEnvelope(elsewhere.proposal, Buffer.alloc(0), [], client.sign);
    await assert.rejects(connection.order(other, elsewhere.txId), { code: "WRONG_CONTEXT" });
  });

  it("has the same transaction id as its nonce and creator make", async () => {
    const nonce = Buffer.alloc(24, 9);
    assert.equal(propose(client, { nonce }).txId, txIdOf(nonce, serializeIdentity(client)));
  });
});

describe("a chaincode's definition on an embedded ledger", () => {
  let folder: TrialFolder;
  let ledger: EmbeddedLedger;
  before(async () => {
    folder = new TrialFolder();
    ledger = await folder.create();
  });
  after(async () => {
    await ledger[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });
  const policy = policyOf(2, mspIds);

  it("is left as it is where it is just so already", async () => {
    const height = ledger.peer("Org1MSP").store.height;
    await ledger.define(trialName, { version: "1.0", sequence: 1n, policy });
    assert.equal(ledger.peer("Org1MSP").store.height, height);
  });

  it("has the next sequence, or is refused", async () => {
    for (const sequence of [0n, 1n, 3n])
      await assert.rejects(ledger.define(trialName, { version: "2.0", sequence, policy }), { code: "CONFLICT" });
  });

  it("wants the approval of more than half of the organisations", async () => {
    const definition = { version: "1", sequence: 1n, policy };
    await assert.rejects(ledger.define("other", definition, ["Org1MSP"]), { code: "POLICY_DENIED" });
    await assert.rejects(ledger.define("other", definition, []), { code: "POLICY_DENIED" });
    await ledger.define("other", definition, ["Org1MSP", "Org3MSP"]);
  });

  it("is not approved together by organisations that approve different ones", async () => {
    const definition = { version: "1", sequence: 1n, policy };
    await assert.rejects(ledger.define("apart", definition, ["Org1MSP"]), { code: "POLICY_DENIED" });
    await assert.rejects(ledger.define("apart", { ...definition, version: "2" }, ["Org2MSP"]), {
      code: "POLICY_DENIED",
    });
  });

  it("is refused with a name, version or policy that cannot be", async () => {
    const definition = { version: "1", sequence: 1n, policy };
    for (const name of ["", "a b", "a/b", "-a", "_lifecycle2", "a\u0000"])
      await assert.rejects(ledger.define(name, definition), { code: "MALFORMED" });
    for (const version of ["", "a b", "x".repeat(129)])
      await assert.rejects(ledger.define("named", { ...definition, version }), { code: "MALFORMED" });
    for (const wrong of [Buffer.alloc(0), Buffer.from("noise")])
      await assert.rejects(ledger.define("named", { ...definition, policy: wrong }), { code: "MALFORMED" });
  });

  it("is an admin's to approve and to commit", async () => {
    await using client = await ledger.connect(ledger.identity("Org1MSP", "client"));
    for (const transaction of ["ApproveChaincodeDefinitionForMyOrg", "CommitChaincodeDefinition"])
      await assert.rejects(client.submit("_lifecycle", transaction, [""]), { code: "UNAUTHORIZED" });
    await assert.rejects(client.submit("_lifecycle", "Nonsense", [""]), { code: "MALFORMED" });
    await assert.rejects(client.submit("_lifecycle", "QueryChaincodeDefinition", ["", ""]), { code: "MALFORMED" });
  });

  it("that changes makes what was endorsed under the former one invalid", async () => {
    const client = ledger.identity("Org1MSP", "client");
    await using connection = await ledger.connect(client);
    const creator = serializeIdentity(client);
    const input = { channelId: "trial", chaincode: trialName, transaction: "put", args: ["old", "1"], creator };
    const { proposal, txId } = makeProposal(input);
    const answers = (await connection.endorse(proposal, ["Org1MSP", "Org2MSP"])).map(readResponse);
    const endorsements = answers.map(({ endorsement }) => endorsement ?? assert.fail());
    const payload = answers[0]?.responsePayload ?? assert.fail();
    await ledger.define(trialName, { version: "1.0", sequence: 2n, policy: policyOf(1, mspIds) });
    const envelope = await makeEnvelope(proposal, payload, endorsements, client.sign);
    await assert.rejects(connection.order(envelope, txId), { code: "CONFLICT" });
    await connection.submit(trialName, "put", ["new", "1"]);
  });
});
