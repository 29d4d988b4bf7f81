import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { keccak_256 } from "@noble/hashes/sha3.js";
import { voteHash } from "../../../../src/chain/consensus/vote.ts";
import { Chain } from "../../../../src/chain/ledger/genesis.ts";
import { chainSuites } from "../../../../src/chain/ledger/suite.ts";
import { SoftSigner } from "../../../../src/chain/node/soft-signer.ts";
import { ChainClient } from "../../../../src/chain/sdk/chain-client.ts";
import { ChainClientError, type ChainClientErrorCode } from "../../../../src/chain/sdk/errors.ts";
import { RpcConnection } from "../../../../src/chain/sdk/rpc-connection.ts";
import { generateKeyPair } from "../../../../src/crypto/curve.ts";
import { writePrivateKey } from "../../../../src/crypto/pem.ts";
import { LocalChain, until } from "../node/local-chain.ts";
import { LyingNode } from "./lying-node.ts";

interface Block {
  readonly hash: string;
  readonly view: number;
  readonly signatureList: readonly { readonly sealerIndex: number; readonly signature: string }[];
  readonly transactions: readonly { readonly hash: string; readonly sender: string; readonly signature: string }[];
}

const text = (value: string) => Buffer.from(value);
const all = [0, 1, 2, 3] as const;

/** X ‖ Y of who signed, by another implementation than the chain's own. `r ‖ s ‖ v` over the hash itself. */
function signerOf(hash: string, signature: string): string {
  const bytes = Buffer.from(signature.slice(2), "hex");
  assert.equal(bytes.length, 65);
  const parsed = secp256k1.Signature.fromBytes(bytes.subarray(0, 64), "compact").addRecoveryBit(bytes.readUInt8(64));
  assert.ok(!parsed.hasHighS());
  return Buffer.from(
    parsed
      .recoverPublicKey(Buffer.from(hash.slice(2), "hex"))
      .toBytes(false)
      .subarray(1),
  ).toString("hex");
}

async function account(algorithm: "secp256k1" | "sm2"): Promise<SoftSigner> {
  using scalar = generateKeyPair(algorithm).scalar;
  using pem = writePrivateKey(algorithm, scalar, "pkcs8");
  return SoftSigner.ofPem(pem, algorithm);
}

function failsWith(code: ChainClientErrorCode) {
  return (error: unknown) => {
    assert.ok(error instanceof ChainClientError, String(error));
    assert.equal(error.code, code, error.message);
    return true;
  };
}

describe("four nodes of a standard chain (secp256k1 and Keccak-256) with soft keys", { timeout: 300_000 }, () => {
  it("agree, and their signatures are what any implementation of the standards takes", async (test) => {
    await using local = await LocalChain.build();
    assert.equal(local.chain.suite.name, "standard");
    for (const node of local.nodes) node.start();
    for (const index of all) await local.connected(index, 3);
    using client = await local.client(0);
    const endpoint = { host: "127.0.0.1", port: local.node(0).rpcPort, timeoutMs: 30_000 };

    await test.test("a transaction's receipt is proved, and all nodes have its effect", async () => {
      const { height, header, transactionHash } = await client.set(text("bank"), text("open"));
      assert.equal(header.height, height);
      assert.equal((await client.provedGet(text("bank")))?.toString(), "open");
      assert.equal(await client.provedGet(text("nothing")), undefined);
      for (const index of all) {
        using reader = await local.client(index);
        await until(`node${index} has the value`, async () => (await reader.get(text("bank")))?.equals(text("open")));
        const again = await reader.receipt(transactionHash);
        assert.equal(again.height, height);
      }
    });

    await test.test(
      "a block's commits are of a quorum of config.genesis's keys, and its sender is its signer",
      async () => {
        const signer = await account("secp256k1");
        using own = new ChainClient({ chain: local.chain, endpoint, account: signer });
        const { height, blockHash } = await own.set(text("whose"), text("mine"));
        using rpc = new RpcConnection(endpoint);
        const block = (await rpc.call("getBlockByNumber", ["group0", "", height, false, false])) as Block;
        assert.equal(block.hash, `0x${blockHash.toString("hex")}`);
        const { view } = block;
        const vote = voteHash(local.chain, { height, view, phase: "commit", digest: blockHash }).toString("hex");
        for (const { sealerIndex, signature } of block.signatureList)
          assert.equal(signerOf(`0x${vote}`, signature), local.chain.sealers[sealerIndex]);
        const signers = block.signatureList.map(({ sealerIndex }) => sealerIndex);
        assert.ok(new Set(signers).size >= 3);
        const transaction = block.transactions.find(
          ({ sender }) => sender === `0x${signer.publicKey.toString("hex", 1)}`,
        );
        assert.ok(transaction !== undefined);
        assert.equal(signerOf(transaction.hash, transaction.signature), signer.publicKey.toString("hex", 1));
        const address = Buffer.from(keccak_256(signer.publicKey.subarray(1))).subarray(-20);
        assert.deepEqual(chainSuites.standard.addressOf(signer.publicKey), address);
      },
    );

    await test.test("one is killed: the others go on, and it catches up after its restart", async () => {
      assert.equal(await local.node(3).end("SIGKILL"), "SIGKILL");
      await client.set(text("without"), text("node3"));
      local.node(3).start();
      using late = await local.client(3);
      await until("node3 has caught up", async () =>
        (await late.get(text("without")).catch(() => undefined))?.equals(text("node3")),
      );
      await local.connected(3, 3);
    });

    await test.test(
      "an account of the other kind does not sign here, nor does a client of another chain believe a receipt",
      async () => {
        using sm2 = await account("sm2");
        using wrong = new ChainClient({ chain: local.chain, endpoint, account: sm2 });
        await assert.rejects(wrong.set(text("a"), text("b")), /takes secp256k1 keys, not sm2/);
        const { transactionHash } = await client.set(text("proved"), text("here"));
        for (const suite of ["sm", "standard"] as const) {
          const sealers = all
            .map(() => generateKeyPair(chainSuites[suite].algorithm))
            .map(({ scalar, publicKey }) => {
              scalar[Symbol.dispose]();
              return publicKey.toString("hex", 1);
            });
          const other = new Chain({ suite, chainId: "chain0", groupId: "group0", timestampMs: 0, sealers });
          using stranger = new ChainClient({ chain: other, endpoint });
          await assert.rejects(stranger.receipt(transactionHash), failsWith("PROOF_REFUSED"), suite);
        }
      },
    );

    await test.test("a client believes no node that alters its answers", async () => {
      await using liar = await LyingNode.before(local.node(0).rpcPort);
      using signer = await account("secp256k1");
      using lied = new ChainClient({
        chain: local.chain,
        endpoint: { ...endpoint, port: liar.port },
        account: signer,
      });
      const { transactionHash, height } = await lied.set(text("truth"), text("told"));
      const read = await lied.transact({ kind: "get", key: text("truth") });
      const ask = () => lied.receipt(read.transactionHash);
      await ask();
      const other = `0x${transactionHash.toString("hex")}`;
      const lies: readonly (readonly [string, (answer: string) => string, ChainClientErrorCode])[] = [
        ["another output", (told) => told.replace(/"output":"0x746f6c64"/, '"output":"0x6c696564"'), "PROOF_REFUSED"],
        ["another status", (told) => told.replace('"status":0', '"status":16'), "PROOF_REFUSED"],
        [
          "another height",
          (told) => told.replace(/"blockNumber":\d+/, `"blockNumber":${height + 100}`),
          "PROOF_REFUSED",
        ],
        [
          "another transaction",
          (told) => told.replace(/"transactionHash":"0x\w+"/, `"transactionHash":"${other}"`),
          "PROOF_REFUSED",
        ],
        ["no signatures", (told) => told.replace(/"signatureList":\[.*?\]/, '"signatureList":[]'), "PROOF_REFUSED"],
        [
          "one sealer's signature under every name",
          (told) => told.replaceAll(/"signature":"0x\w+"/g, /"signature":"0x\w+"/.exec(told)?.[0] ?? ""),
          "PROOF_REFUSED",
        ],
        ["another view", (told) => told.replace(/"view":(\d+)/, '"view":77'), "PROOF_REFUSED"],
        ["half an answer", (told) => told.slice(0, told.length / 2), "ANSWER_INVALID"],
        ["more than is asked", (told) => told.replace('"status":0', '"status":0,"also":1'), "ANSWER_INVALID"],
        ["nothing", () => "", "ANSWER_INVALID"],
      ];
      for (const [what, alter, code] of lies) {
        let told = false;
        liar.lie((answer) => {
          const altered = alter(answer);
          told ||= altered !== answer;
          return altered;
        });
        await assert.rejects(ask(), failsWith(code), what);
        assert.ok(told, what);
      }
      liar.lie((answer) => answer);
      await ask();
    });

    await test.test("no log holds a private key", () => {
      for (const node of local.nodes) {
        const pem = readFileSync(join(node.folder, "conf/node.pem"), "latin1").split("\n");
        for (const part of pem.slice(1, -2)) assert.ok(!(node.log + node.said).includes(part));
      }
    });
  });
});
