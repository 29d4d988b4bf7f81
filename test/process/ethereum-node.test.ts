import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { makeGenesis } from "../../script/demo-parts/genesis.ts";
import { isLoopback, listenersOf } from "../../script/demo-parts/listeners.ts";
import { NodeEnded, NodeProcess, type NodeStart } from "../../script/demo-parts/node-process.ts";
import { searchFiles } from "../../script/demo-parts/planted-bytes.ts";
import { addressOf, signCanaryTransaction } from "../../script/demo-parts/transaction.ts";
import { reservePorts } from "../reserved-ports.ts";

const waitMs = 180_000;

function hexOf(key: Buffer): Buffer {
  return Buffer.from(key.toString("hex"));
}

/** Every file's path and content, as one comparable value. */
function contentOf(folder: string): Map<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return new Map(
    files
      .map((file) => join(file.parentPath, file.name))
      .sort()
      .map((path) => [path, readFileSync(path, "base64")]),
  );
}

describe("a chain of two Ethereum nodes, the first with encrypted databases, the second with plain ones", () => {
  const folder = mkdtempSync(join(tmpdir(), "strongroom-ethereum-"));
  const accountKeys = [randomBytes(32), randomBytes(32)] as const;
  const levelKey = randomBytes(32);
  const canary = `canary-${randomBytes(16).toString("hex")}`;
  const genesisPath = join(folder, "genesis.json");
  let encrypted: NodeStart;
  let plain: NodeStart;
  let first: NodeProcess | undefined;
  let second: NodeProcess | undefined;

  function running(node: NodeProcess | undefined): NodeProcess {
    if (node === undefined) throw new Error("the node is not up");
    return node;
  }

  before(async () => {
    const [signer, sender] = accountKeys.map(addressOf) as [string, string];
    writeFileSync(genesisPath, JSON.stringify(makeGenesis({ signers: [signer], funded: [sender], periodSeconds: 1 })));
    const [port1 = 0, rpc1 = 0, port2 = 0, rpc2 = 0] = await reservePorts(4);
    encrypted = {
      ...{ dataFolder: join(folder, "first"), genesisPath, port: port1, rpcPort: rpc1, miner: signer, levelKey },
      ...{ nodeKeyHex: hexOf(randomBytes(32)), accountKeyHex: hexOf(accountKeys[0]) },
    };
    first = await NodeProcess.start(encrypted);
    plain = {
      ...{ dataFolder: join(folder, "second"), genesisPath, port: port2, rpcPort: rpc2, bootnode: first.ready.enode },
      ...{ nodeKeyHex: hexOf(randomBytes(32)), accountKeyHex: hexOf(accountKeys[1]) },
    };
    second = await NodeProcess.start(plain);
  });

  after(async () => {
    await second?.stop();
    await first?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it("begins at height 0 and says whether its databases are encrypted", () => {
    assert.deepEqual(
      [running(first).ready.height, running(first).ready.encrypted, running(second).ready.encrypted],
      [0, true, false],
    );
  });

  it("produces blocks that the second node follows", async () => {
    const height = await running(first).rpc.waitForHeight(3, waitMs);
    await running(second).rpc.waitForHeight(height, waitMs);
    const [ours, theirs] = [await running(first).rpc.getBlock(height), await running(second).rpc.getBlock(height)];
    assert.equal(ours?.height, height);
    assert.deepEqual(theirs, ours);
  });

  it("answers nothing for a block and a transaction that are not there", async () => {
    assert.equal(await running(first).rpc.getBlock(1_000_000), undefined);
    assert.equal(await running(first).rpc.getTransaction(`0x${"ab".repeat(32)}`), undefined);
  });

  it("mines a transaction that was given to the second node, and both see its data", async () => {
    const { rpc } = running(second);
    const nonce = await rpc.transactionCount(addressOf(accountKeys[1]));
    const to = addressOf(accountKeys[0]);
    const signed = signCanaryTransaction({ chainId: await rpc.chainId(), nonce, to, canary }, accountKeys[1]);
    assert.equal(await rpc.sendRawTransaction(signed.bytes), signed.hash);
    for (const node of [running(first), running(second)]) {
      const mined = await node.rpc.waitForTransaction(signed.hash, waitMs);
      assert.equal(Buffer.from(mined.data.slice(2), "hex").toString(), canary);
    }
    assert.equal(await rpc.balance(to), await running(first).rpc.balance(to));
  });

  it("refuses a transaction of an account without funds", async () => {
    const { rpc } = running(first);
    const chainId = await rpc.chainId();
    const to = addressOf(accountKeys[0]);
    const signed = signCanaryTransaction({ chainId, nonce: 0, to, canary: "a canary without funds" }, randomBytes(32));
    await assert.rejects(rpc.sendRawTransaction(signed.bytes), { name: "RpcRefusal" });
  });

  it("listens on loopback only, for RPC, peers and discovery", () => {
    for (const [node, start] of [
      [running(first), encrypted],
      [running(second), plain],
    ] as const) {
      const listeners = listenersOf(node.pid);
      assert.deepEqual(
        listeners.filter((listener) => !isLoopback(listener)),
        [],
      );
      const ports = listeners.map(({ protocol, port }) => `${protocol} ${port}`).sort();
      assert.deepEqual(ports, [`tcp ${start.port}`, `tcp ${start.rpcPort}`, `udp ${start.port}`].sort());
    }
  });

  it("keeps every key out of the process's arguments and environment", () => {
    const { pid } = running(first);
    const visible = Buffer.concat([readFileSync(`/proc/${pid}/cmdline`), readFileSync(`/proc/${pid}/environ`)]);
    for (const key of [encrypted.nodeKeyHex, encrypted.accountKeyHex, accountKeys[0], levelKey, hexOf(levelKey)])
      assert.equal(visible.includes(key), false);
  });

  it("leaves the canary readable in the plain databases and nowhere in the encrypted ones", () => {
    const planted = [
      { name: "canary", bytes: Buffer.from(canary) },
      { name: "first account key", bytes: accountKeys[0] },
      { name: "first node key", bytes: Buffer.from(encrypted.nodeKeyHex.toString(), "hex") },
      { name: "level key", bytes: levelKey },
    ];
    const seen = searchFiles([plain.dataFolder], planted).found.map(({ name, form }) => `${name} ${form}`);
    assert.deepEqual([...new Set(seen)], ["canary raw"]);
    const { files, found } = searchFiles([encrypted.dataFolder], planted);
    assert.ok(files > 9, `${files} files searched`);
    assert.deepEqual(found, []);
  });

  it("stops at SIGTERM with exit code 0, and starts again at the same height with the same enode", async () => {
    const before = running(first);
    const height = await before.rpc.blockNumber();
    const head = await before.rpc.getBlock(height);
    assert.equal(await before.stop(), 0);
    first = await NodeProcess.start(encrypted);
    assert.equal(first.ready.enode, before.ready.enode);
    assert.ok(first.ready.height >= height && first.ready.height <= height + 10, `came back at ${first.ready.height}`);
    assert.deepEqual(await first.rpc.getBlock(height), head);
    await first.rpc.waitForHeight(first.ready.height + 2, waitMs);
  });

  it("is found again by the second node, which follows on", async () => {
    const height = (await running(first).rpc.blockNumber()) + 2;
    for (const node of [first, second]) await running(node).rpc.waitForHeight(height, waitMs);
    assert.deepEqual(await running(second).rpc.getBlock(height), await running(first).rpc.getBlock(height));
  });

  it("loses no block to SIGKILL", async () => {
    const height = await running(first).rpc.blockNumber();
    await running(first).kill();
    first = await NodeProcess.start(encrypted);
    assert.ok(first.ready.height >= height, `was at ${height}, came back at ${first.ready.height}`);
    await first.rpc.waitForHeight(height + 2, waitMs);
  });

  it("lets a node that was away catch up", async () => {
    assert.equal(await running(second).stop(), 0);
    const height = (await running(first).rpc.blockNumber()) + 4;
    await running(first).rpc.waitForHeight(height, waitMs);
    second = await NodeProcess.start(plain);
    assert.ok(second.ready.height < height);
    await second.rpc.waitForHeight(height, waitMs);
    assert.deepEqual(await second.rpc.getBlock(height), await running(first).rpc.getBlock(height));
  });

  describe("when it is stopped and started wrongly", () => {
    let copies = 0;
    /** Starts a node on a copy of `start`'s stopped data, expects it to end, and says how; the copy must not change. */
    async function refusal(start: NodeStart, changes: Partial<NodeStart>): Promise<NodeEnded> {
      copies += 1;
      const dataFolder = join(folder, `copy-${copies}`);
      cpSync(start.dataFolder, dataFolder, { recursive: true });
      const untouched = contentOf(dataFolder);
      const { levelKey: key, ...rest } = start;
      const attempt = { ...rest, ...(key === undefined || "levelKey" in changes ? {} : { levelKey: key }), ...changes };
      const ended = await NodeProcess.start({ ...attempt, dataFolder }).then(
        async (node) => {
          await node.stop();
          return assert.fail("the node came up");
        },
        (error: unknown) => error,
      );
      assert.ok(ended instanceof NodeEnded);
      assert.deepEqual(contentOf(dataFolder), untouched);
      return ended;
    }

    before(async () => {
      await second?.stop();
      await first?.stop();
    });

    it("refuses another level key with exit code 5 and every file as it was", async () => {
      assert.equal((await refusal(encrypted, { levelKey: randomBytes(32) })).exitCode, 5);
    });

    it("refuses a level key of another length before it opens anything", async () => {
      assert.equal((await refusal(encrypted, { levelKey: randomBytes(31) })).exitCode, 1);
    });

    it("refuses a node key that is not 64 hexadecimal digits, without repeating it", async () => {
      const nodeKeyHex = Buffer.from(`${"zq".repeat(31)}ab`);
      const ended = await refusal(encrypted, { nodeKeyHex });
      assert.equal(ended.exitCode, 1);
      assert.equal(ended.message.includes("zqzq"), false);
    });

    it("refuses to seal blocks under an address that is not the account key's, as wrong usage", async () => {
      assert.equal((await refusal(encrypted, { miner: addressOf(accountKeys[1]) })).exitCode, 2);
    });

    it("refuses encrypted databases when no level key is given, rather than begin a second chain in them", async () => {
      const { levelKey: _, ...keyless } = encrypted;
      const dataFolder = join(folder, "keyless");
      cpSync(encrypted.dataFolder, dataFolder, { recursive: true });
      const untouched = contentOf(dataFolder);
      await assert.rejects(NodeProcess.start({ ...keyless, dataFolder }), { name: "NodeEnded", exitCode: 5 });
      assert.deepEqual(contentOf(dataFolder), untouched);
    });

    it("refuses plain databases when a level key is given", async () => {
      const dataFolder = join(folder, "plain");
      cpSync(plain.dataFolder, dataFolder, { recursive: true });
      await assert.rejects(NodeProcess.start({ ...plain, levelKey, dataFolder }), { name: "NodeEnded", exitCode: 5 });
    });

    it("refuses a port that is taken, with one line that names it", async () => {
      const taken = createServer().listen(encrypted.port, "127.0.0.1");
      await once(taken, "listening");
      try {
        await assert.rejects(NodeProcess.start(encrypted), { exitCode: 1, message: new RegExp(`:${encrypted.port}`) });
      } finally {
        taken.close();
      }
    });
  });
});
