import assert from "node:assert/strict";
import {
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { generateKeyPair } from "../../../../src/crypto/curve.ts";
import { writePrivateKey } from "../../../../src/crypto/pem.ts";
import { LocalChain, LocalNode, until } from "./local-chain.ts";

const text = (value: string) => Buffer.from(value);
const all = [0, 1, 2, 3] as const;

describe("four nodes of an SM chain with soft keys", { timeout: 300_000 }, () => {
  it("connect, agree, and go on through kills and restarts as long as three are there", async (test) => {
    await using local = await LocalChain.build("-s");
    for (const node of local.nodes) node.start();
    for (const index of all) await local.connected(index, 3);
    const line =
      /^info\|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}\|\[P2PService\]\[Service\]\[METRIC\]heartBeat,connected count=3$/m;
    for (const node of local.nodes) assert.match(node.log, line);

    using client = await local.client(0);
    await test.test("a transaction's receipt is proved by a quorum, and all nodes have its effect", async () => {
      const { height, header } = await client.set(text("bank"), text("open"));
      assert.equal(height, 1);
      assert.equal(header.height, 1);
      assert.equal((await client.provedGet(text("bank")))?.toString(), "open");
      for (const index of all) {
        using reader = await local.client(index);
        await until(`node${index} has the value`, async () => (await reader.get(text("bank")))?.equals(text("open")));
        assert.equal(await reader.get(text("nothing")), undefined);
      }
    });

    await test.test("one is killed: the others go on, and it catches up after its restart", async () => {
      assert.equal(await local.node(3).end("SIGKILL"), "SIGKILL");
      await local.connected(0, 2);
      await client.set(text("without"), text("node3"));
      local.node(3).start();
      const height = await client.blockNumber();
      await until("node3 has caught up", async () => ((await local.height(3)) ?? 0) >= height);
      using late = await local.client(3);
      assert.equal((await late.get(text("without")))?.toString(), "node3");
      await local.connected(3, 3);
      await late.set(text("again"), text("with node3"));
    });

    await test.test("two are stopped: no block comes; one is back: the same transaction gets its block", async () => {
      assert.equal(await local.node(2).end("SIGTERM"), 0);
      assert.equal(await local.node(3).end("SIGTERM"), 0);
      await local.connected(0, 1);
      const before = await client.blockNumber();
      const waiting = client.set(text("held"), text("back"));
      waiting.catch(() => {});
      // Two views' time: with two of four there can be no block, however long one waits.
      await pause(9000);
      assert.equal(await local.height(0), before);
      assert.equal(await local.height(1), before);
      local.node(2).start();
      const { height } = await waiting;
      assert.equal(height, before + 1);
    });

    await test.test("what it leaves on disk is for its owner only", () => {
      for (const node of local.nodes)
        for (const name of ["data", "log"]) {
          assert.equal(statSync(join(node.folder, name)).mode & 0o077, 0);
          for (const file of readdirSync(join(node.folder, "log")))
            assert.equal(statSync(join(node.folder, "log", file)).mode & 0o077, 0);
        }
    });

    await test.test("no log holds the private key", () => {
      for (const node of local.nodes) {
        const pem = readFileSync(join(node.folder, "conf/node.pem"), "latin1").split("\n");
        const everything = node.log + node.said;
        for (const part of pem.slice(1, -2)) assert.ok(!everything.includes(part));
      }
    });
  });

  it("refuse to start on what could make them sign twice or read wrongly", async (test) => {
    await using local = await LocalChain.build("-s");
    for (const index of [0, 1, 2]) local.node(index).start();
    for (const index of [0, 1, 2]) await local.connected(index, 2);
    using client = await local.client(0);
    await client.set(text("a"), text("b"));
    const node = local.node(2);
    await until("node2 has the block", async () => (await local.height(2)) === 1);

    await test.test("a second process on the same folder", async () => {
      const twin = new LocalNode(node.folder, node.rpcPort);
      twin.start();
      assert.equal(await twin.end(), 1);
      assert.match(twin.said, /another process runs on this data folder/);
    });

    await node.end("SIGTERM");
    const guard = join(node.folder, "data/guard");

    await test.test("a missing guard's file", async () => {
      renameSync(guard, `${guard}.away`);
      node.start();
      assert.equal(await node.end(), 5);
      assert.match(node.said, /guard is missing/);
      assert.ok(!existsSync(guard));
      renameSync(`${guard}.away`, guard);
    });

    await test.test("a guard's file of another node, or of another store of this one", async () => {
      const data = join(node.folder, "data");
      const started = node.log.length;
      renameSync(data, `${data}.away`);
      node.said = "";
      node.start();
      assert.equal(await node.end(), 5);
      assert.match(node.said, /guard is missing[\s\S]*first-start/);
      // What nobody should do: saying of a node that has run that it has not.
      writeFileSync(join(node.folder, "conf/first-start"), "");
      node.start();
      await until("node2 runs anew", () => node.log.slice(started).includes("[NODE]started"));
      await node.end("SIGTERM");
      copyFileSync(guard, join(node.folder, "newer-guard"));
      rmSync(data, { recursive: true });
      renameSync(`${data}.away`, data);
      renameSync(guard, `${guard}.away`);
      for (const [other, message] of [
        [join(local.node(1).folder, "data/guard"), /another node key/],
        [join(node.folder, "newer-guard"), /not the one that this store was written beside/],
      ] as const) {
        copyFileSync(other, guard);
        node.said = "";
        node.start();
        assert.equal(await node.end(), 5);
        assert.match(node.said, message);
      }
      rmSync(guard);
      renameSync(`${guard}.away`, guard);
    });

    await test.test("another node's key", async () => {
      local.configure(2, /private_key_path=.*/, "private_key_path=../node1/conf/node.pem");
      node.said = "";
      node.start();
      assert.equal(await node.end(), 5);
      assert.match(node.said, /another node key/);
    });

    await test.test("a key that is none of the chain's, or none at all", async () => {
      const stranger = join(node.folder, "conf/stranger.pem");
      using scalar = generateKeyPair("sm2").scalar;
      using pem = writePrivateKey("sm2", scalar, "pkcs8");
      pem.expose((bytes) => writeFileSync(stranger, bytes, { mode: 0o600 }));
      for (const [path, exit, message] of [
        ["conf/stranger.pem", 5, /none of the 4 in config.genesis/],
        ["conf/none.pem", 2, /cannot be read/],
      ] as const) {
        local.configure(2, /private_key_path=.*/, `private_key_path=${path}`);
        node.said = "";
        node.start();
        assert.equal(await node.end(), exit);
        assert.match(node.said, message);
      }
    });

    await test.test("storage security without a key manager that answers", async () => {
      local.configure(2, /private_key_path=.*/, "private_key_path=conf/node.pem");
      local.configure(
        2,
        /enable=false\n(?=.*\n.*key_center_url)/,
        "enable=true\n    key_center_url=127.0.0.1:1\n    cipher_data_key=abcd\n",
      );
      node.said = "";
      node.start();
      assert.equal(await node.end(), 4);
      assert.match(node.said, /127\.0\.0\.1:1/);
    });
  });
});
