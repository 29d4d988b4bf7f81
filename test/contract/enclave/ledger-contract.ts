import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { EnclaveError, type EnclaveErrorCode } from "../../../src/enclave/errors.ts";
import { readBlock, requireFollows } from "../../../src/enclave/ledger/block.ts";
import { readResponse, readResponsePayload, verifyEndorsement } from "../../../src/enclave/ledger/endorsement.ts";
import type { Ledger, LedgerConnection, LedgerIdentity } from "../../../src/enclave/ledger/ledger.ts";
import { Membership, type Organisation, serializeIdentity } from "../../../src/enclave/ledger/membership.ts";
import { makeProposal, readProposal } from "../../../src/enclave/ledger/proposal.ts";
import {
  ChannelHeaderSchema,
  EnvelopeSchema,
  PayloadSchema,
} from "../../../src/enclave/messages/generated/fabric/common_pb.ts";
import { trialName, trialVersion } from "./trial-chaincode.ts";

/** A channel with the trial chaincode (trial-chaincode.ts) defined and running, and nothing written by it. */
export interface LedgerSubject extends AsyncDisposable {
  readonly ledger: Ledger;
  /** Of one organisation, by the roles of their certificates. */
  readonly client: LedgerIdentity;
  readonly admin: LedgerIdentity;
  /** Whose peers endorse, the client's own among them. */
  readonly organisations: readonly Organisation[];
}

/** What every {@link Ledger} keeps. */
export function ledgerContract(open: () => Promise<LedgerSubject>): void {
  let subject: LedgerSubject;
  let connection: LedgerConnection;
  before(async () => {
    subject = await open();
    connection = await subject.ledger.connect(subject.client);
  });
  after(async () => {
    await connection?.[Symbol.asyncDispose]();
    await subject?.[Symbol.asyncDispose]();
  });

  const refusedAs = (code: EnclaveErrorCode) => (error: unknown) =>
    error instanceof EnclaveError && error.code === code;
  const get = async (key: string) => (await connection.evaluate(trialName, "get", [key])).toString();
  const submit = (transaction: string, ...args: string[]) => connection.submit(trialName, transaction, args);

  it("has a written value read back, by whoever asks, once submit has returned", async () => {
    const { txId, blockNumber, result } = await submit("put", "plain", "value");
    assert.match(txId, /^[0-9a-f]{64}$/);
    assert.equal(typeof blockNumber, "bigint");
    assert.equal(result.toString(), "put plain");
    await using other = await subject.ledger.connect(subject.admin);
    assert.equal((await other.evaluate(trialName, "get", ["plain"])).toString(), "value");
  });

  it("orders nothing when a transaction is only evaluated", async () => {
    await connection.evaluate(trialName, "put", ["evaluated", "value"]);
    assert.equal(await get("evaluated"), "nothing");
  });

  it("gives a transaction the state before it, without what it has put itself", async () => {
    await submit("put", "own", "before");
    assert.equal((await submit("putAndGet", "own", "after")).result.toString(), "before");
    assert.equal(await get("own"), "after");
  });

  it("removes a record, and tells one that is gone from one that is there", async () => {
    await submit("put", "passing", "value");
    await submit("remove", "passing");
    assert.equal(await get("passing"), "nothing");
  });

  it("lists the records of a type in key order", async () => {
    for (const key of ["list-b", "list-a", "list-ä"]) await submit("put", key, "x");
    const text = (await connection.evaluate(trialName, "list", [])).toString();
    const listed = text.split(" ").filter((one) => one.startsWith("list-"));
    assert.deepEqual(listed, ["list-a=x", "list-b=x", "list-ä=x"]);
  });

  for (const code of ["UNAUTHORIZED", "ALREADY_SET", "EK_MISMATCH"] as const)
    it(`passes on that the chaincode refused as ${code}, and writes nothing`, async () => {
      await assert.rejects(connection.evaluate(trialName, "putThenAbort", ["refused", code]), refusedAs(code));
      await assert.rejects(submit("putThenAbort", "refused", code), refusedAs(code));
      assert.equal(await get("refused"), "nothing");
    });

  it("refuses a transaction that the chaincode does not have", async () => {
    await assert.rejects(submit("nonsense"), refusedAs("MALFORMED"));
  });

  it("refuses a chaincode that the channel does not have", async () => {
    await assert.rejects(connection.submit("absent", "get", ["a"]), EnclaveError);
    await assert.rejects(connection.evaluate("absent", "get", ["a"]), EnclaveError);
  });

  it("lets one of two transactions win that rest on the same record, and refuses the other as CONFLICT", async () => {
    await raced(async (round) => {
      const both = await Promise.allSettled([submit("add", `sum-${round}`, "1"), submit("add", `sum-${round}`, "2")]);
      const added = both.flatMap((one, index) => (one.status === "fulfilled" ? [index + 1] : []));
      assert.equal(await get(`sum-${round}`), String(added.reduce((sum, one) => sum + one, 0)));
      return both;
    });
  });

  it("refuses as CONFLICT a transaction whose list has changed meanwhile", async () => {
    await raced((round) =>
      Promise.allSettled([submit("put", `listed-${round}`, "x"), submit("putListed", `listing-${round}`)]),
    );
  });

  /** Has two transactions of which one must lose if they overlap; another round where they came one after the other. */
  async function raced(run: (round: number) => Promise<readonly PromiseSettledResult<unknown>[]>): Promise<void> {
    for (let round = 0; round < 25; round++) {
      const outcomes = await run(round);
      const lost = outcomes.flatMap((one) => (one.status === "rejected" ? [one.reason] : []));
      for (const reason of lost) assert.ok(refusedAs("CONFLICT")(reason), String(reason));
      assert.ok(lost.length < outcomes.length, "nobody won");
      if (lost.length > 0) return;
    }
    assert.fail("two transactions never overlapped");
  }

  it("tells chaincode who proposes, when, and on which channel", async () => {
    const started = Date.now();
    const { txId, result } = await submit("about");
    const about = JSON.parse(result.toString());
    assert.equal(about.txId, txId);
    assert.equal(about.channelId, subject.ledger.channelId);
    assert.deepEqual(about.creator, { mspId: subject.client.mspId, isAdmin: false });
    assert.ok(about.timestampMs >= started - 1000 && about.timestampMs <= Date.now() + 1000);
    await using admins = await subject.ledger.connect(subject.admin);
    const asked = JSON.parse((await admins.evaluate(trialName, "about", [])).toString());
    assert.deepEqual(asked.creator, { mspId: subject.admin.mspId, isAdmin: true });
  });

  it("tells chaincode what is defined on the channel, and what is not", async () => {
    const ask = async (name: string) => (await connection.evaluate(trialName, "definition", [name])).toString();
    assert.equal(await ask(trialName), `${trialVersion} at 1`);
    assert.equal(await ask("absent"), "none");
  });

  it("has a proposal made elsewhere endorsed by peers whose signatures its maker verifies, and orders nothing", async () => {
    const { channelId } = subject.ledger;
    const creator = serializeIdentity(subject.client);
    const args = ["endorsed", "value"];
    const { proposal } = makeProposal({ channelId, chaincode: trialName, transaction: "put", args, creator });
    const mspIds = subject.organisations.map(({ mspId }) => mspId);
    const answers = (await connection.endorse(proposal, mspIds)).map(readResponse);
    assert.equal(answers.length, mspIds.length);
    const membership = new Membership(subject.organisations);
    const endorsers = answers.map(({ responsePayload, endorsement }) => {
      assert.ok(endorsement);
      const { proposalHash, payload, chaincode } = readResponsePayload(responsePayload);
      assert.deepEqual(Buffer.from(proposalHash), readProposal(proposal).hash);
      assert.equal(Buffer.from(payload).toString(), "put endorsed");
      assert.equal(chaincode.name, trialName);
      const identity = verifyEndorsement(responsePayload, endorsement, membership, Date.now());
      assert.equal(identity?.role, "peer");
      return identity.mspId;
    });
    assert.deepEqual(endorsers.toSorted(), mspIds.toSorted());
    assert.equal(await get("endorsed"), "nothing");
  });

  it("does not have a proposal endorsed that names another creator than the connection's", async () => {
    const { channelId } = subject.ledger;
    const creator = serializeIdentity(subject.admin);
    const { proposal } = makeProposal({ channelId, chaincode: trialName, transaction: "about", args: [], creator });
    await assert.rejects(connection.endorse(proposal, [subject.client.mspId]), EnclaveError);
  });

  it("gives the blocks from any number on, each once and in order, and goes on with what is committed later", async () => {
    const stop = new AbortController();
    const { txId } = await submit("put", "in-a-block", "1");
    let later: string | undefined;
    let previous: ReturnType<typeof readBlock> | undefined;
    const seen = new Set<string>();
    for await (const bytes of connection.blocks(0n, stop.signal)) {
      const block = readBlock(bytes);
      if (previous !== undefined) requireFollows(block, previous);
      else assert.equal(block.number, 0n);
      previous = block;
      for (const envelope of block.envelopes) seen.add(txIdIn(envelope));
      if (seen.has(txId) && later === undefined) later = (await submit("put", "in-a-later-block", "2")).txId;
      if (later !== undefined && seen.has(later)) break;
    }
    assert.ok(previous && later !== undefined && seen.has(later));
    for await (const bytes of connection.blocks(previous.number, stop.signal)) {
      assert.equal(readBlock(bytes).number, previous.number);
      stop.abort();
    }
  });

  it("stops giving blocks when the caller aborts while none comes", async () => {
    const stop = new AbortController();
    const { blockNumber } = await submit("put", "last", "1");
    const blocks = connection.blocks(blockNumber + 1n, stop.signal)[Symbol.asyncIterator]();
    const next = blocks.next();
    stop.abort();
    assert.equal((await next).done, true);
  });
}

function txIdIn(envelope: Uint8Array): string {
  const { header } = fromBinary(PayloadSchema, fromBinary(EnvelopeSchema, envelope).payload);
  return fromBinary(ChannelHeaderSchema, header?.channelHeader ?? new Uint8Array()).txId;
}
