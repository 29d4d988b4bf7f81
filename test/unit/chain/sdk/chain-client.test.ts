import assert from "node:assert/strict";
import { type AddressInfo, createServer } from "node:net";
import { after, describe, it } from "node:test";
import type { FinalBlock, Receipt } from "../../../../src/chain/ledger/types.ts";
import { chainMethods } from "../../../../src/chain/rpc/chain-methods.ts";
import { type Json, RpcError, type RpcMethod } from "../../../../src/chain/rpc/json-rpc.ts";
import { RpcServer } from "../../../../src/chain/rpc/rpc-server.ts";
import { checkHeader } from "../../../../src/chain/sdk/block-proof.ts";
import { ChainClient } from "../../../../src/chain/sdk/chain-client.ts";
import type { ChainClientError } from "../../../../src/chain/sdk/errors.ts";
import { softSigner, TestChain } from "../node/stored-chain.ts";

const made = await TestChain.create();
const { chain } = made;
const set = { kind: "set", key: Buffer.from("k"), value: Buffer.from("v") } as const;
const blocks: FinalBlock[] = [];
const receipts: (readonly Receipt[])[] = [];
for (const number of [1, 2, 3]) {
  const next = await made.next([await made.transaction(set, number)]);
  blocks.push(next.final);
  receipts.push(next.receipts);
}
const account = await softSigner();

const methods = chainMethods({
  chain,
  nodeId: chain.sealers[0] ?? "",
  height: 3,
  connected: [],
  block: async (height) => blocks[height - 1],
  receipts: async (height) => receipts[height - 1],
  storedReceipt: async (hash) => receipts.flat().find(({ transactionHash }) => transactionHash.equals(hash)),
  get: () => undefined,
  transact: async () => ({ refused: "not here" }),
});

/** What the node answers to `getBlockByNumber`. */
async function headerOf(height: number): Promise<Json> {
  const call = methods.get("getBlockByNumber");
  assert(call);
  return call(["group0", "", height, true]);
}

const servers: RpcServer[] = [];
after(async () => {
  for (const server of servers) await server[Symbol.asyncDispose]();
});

/** A client of a node that answers some calls in its own way. */
async function clientOf(own: Readonly<Record<string, RpcMethod>> = {}): Promise<ChainClient> {
  const server = await RpcServer.start({ host: "127.0.0.1", port: 0 }, new Map([...methods, ...Object.entries(own)]));
  servers.push(server);
  return new ChainClient({ chain, endpoint: { host: "127.0.0.1", port: server.port }, account });
}

function edited(json: Json, changes: Readonly<Record<string, Json>>): Json {
  assert(typeof json === "object" && json !== null && !Array.isArray(json));
  return { ...json, ...changes };
}

describe("a client of a chain", () => {
  it("proves the last block's header, and the genesis block", async () => {
    using client = await clientOf();
    const { header, hash, signers } = await client.head();
    assert.deepEqual([header, hash, signers], [blocks[2]?.header, blocks[2]?.hash, [0, 1, 2]]);
    assert.deepEqual((await client.header(0)).hash, chain.genesisHash);
  });

  it("signs for 500 blocks above the last one that the node has proved", async () => {
    using client = await clientOf();
    assert.equal((await client.sign(set)).blockLimit, 503);
  });

  it("signs nothing for a node that claims a height that it can't prove", async () => {
    for (const [claim, header, code] of [
      [1_000_000, headerOf(3), "PROOF_REFUSED"],
      [1_000_000, edited(await headerOf(3), { number: 1_000_000 }), "PROOF_REFUSED"],
      [4, edited(await headerOf(3), { number: 4 }), "PROOF_REFUSED"],
      [1.5, headerOf(3), "ANSWER_INVALID"],
      ["3", headerOf(3), "ANSWER_INVALID"],
      [3, null, "ANSWER_INVALID"],
    ] as const) {
      using client = await clientOf({ getBlockNumber: () => claim, getBlockByNumber: async () => await header });
      await assert.rejects(client.sign(set), { code });
    }
    using client = await clientOf({ getBlockNumber: () => 9 });
    await assert.rejects(client.sign(set), { code: "REFUSED" });
  });

  it("tells a node's refusal in one short line that steers no terminal", async () => {
    using client = await clientOf({
      getBlockNumber: () => {
        throw new RpcError("refused", `no\nstrongroom: done \u001b[2J\u202e\u2028${"x".repeat(5000)}`);
      },
    });
    await assert.rejects(client.blockNumber(), (error: ChainClientError) => {
      assert.equal(error.code, "REFUSED");
      assert.match(error.message, /^no\?strongroom: done \?\[2J\?\?x+…$/);
      return error.message.length < 400;
    });
  });

  it("is not left waiting by a node that switches protocols, hangs up, or sends half an answer", async () => {
    for (const answer of [
      "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
      "",
      "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{",
    ]) {
      const server = createServer((socket) => socket.once("data", () => socket.end(answer)));
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      const { port } = server.address() as AddressInfo;
      using client = new ChainClient({ chain, endpoint: { host: "127.0.0.1", port } });
      await assert.rejects(client.blockNumber(), { code: "UNREACHABLE" });
      server.close();
    }
  });

  it("tells the node's peers, and takes no other answer for them", async () => {
    using client = await clientOf();
    assert.deepEqual(await client.peers(), { nodeId: chain.sealers[0], connected: [] });
    for (const answer of [null, [], {}, { p2pNodeID: "x", peers: [] }, { p2pNodeID: chain.sealers[0] ?? "" }]) {
      using lied = await clientOf({ getPeers: () => answer });
      await assert.rejects(lied.peers(), { code: "ANSWER_INVALID" });
    }
  });
});

describe("a block's header", () => {
  it("is believed with a quorum's signatures over all of it", async () => {
    const { header } = checkHeader(chain, 2, await headerOf(2));
    assert.deepEqual(header, blocks[1]?.header);
  });

  const flipped = `0x${"ab".repeat(32)}`;
  for (const [what, changes] of [
    ["another parent", { parentInfo: [{ blockHash: flipped }] }],
    ["another time", { timestamp: 1 }],
    ["another proposer", { sealer: 2 }],
    ["another number of transactions", { txsCount: 7 }],
    ["other transactions", { txsRoot: flipped }],
    ["other receipts", { receiptsRoot: flipped }],
    ["another state", { stateRoot: flipped }],
    ["another view", { view: 1 }],
    ["no signatures", { signatureList: [] }],
    ["another number", { number: 3 }],
  ] as const)
    it(`is refused with ${what}`, async () => {
      const given = edited(await headerOf(2), changes as never);
      assert.throws(() => checkHeader(chain, 2, given), { code: "PROOF_REFUSED" });
    });

  it("of another chain's genesis is refused", async () => {
    const other = await TestChain.create();
    const genesis = await headerOf(0);
    assert.throws(() => checkHeader(other.chain, 0, genesis), { code: "PROOF_REFUSED" });
  });

  it("is not read of anything else", () => {
    for (const bad of [null, 7, "x", [], {}, { number: 2 }])
      assert.throws(() => checkHeader(chain, 2, bad), { code: "ANSWER_INVALID" });
  });
});
