import assert from "node:assert/strict";
import { cpSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { reservePorts } from "../../../reserved-ports.ts";
import { KeyManagerProcess, succeed } from "../../node/key-manager-process.ts";
import { countedChain, guardOf, nameOf } from "./counted-chain.ts";
import { type LocalChain, LocalNode, until } from "./local-chain.ts";

const text = (value: string) => Buffer.from(value);

/** Starts a node that must not start, and must leave its guard as it is. */
async function refused(node: LocalNode, exit: number, message: RegExp): Promise<void> {
  const guard = existsSync(join(node.folder, "data/guard")) ? guardOf(node) : undefined;
  node.said = "";
  node.start();
  assert.equal(await node.end(), exit, node.said);
  assert.match(node.said, message);
  if (guard === undefined) assert.equal(existsSync(join(node.folder, "data/guard")), false);
  else assert.ok(guardOf(node).equals(guard));
}

describe("four nodes whose guards have counters at a key manager", { timeout: 400_000 }, () => {
  it("do not start with an older copy of their data, a new one, or without the key manager", async (test) => {
    await using keyManager = await KeyManagerProcess.started();
    await using local = await countedChain(keyManager);
    using client = await local.client(0);
    await client.set(text("a"), text("1"));
    const node = local.node(3);
    const data = join(node.folder, "data");
    await until("node3 has the block", async () => (await local.height(3)) === 1);
    await node.end("SIGTERM");
    assert.equal(existsSync(join(node.folder, "conf/first-start")), false);
    cpSync(data, `${data}.old`, { recursive: true });
    node.start();
    await until("node3 has voted again", async () => {
      await client.set(text("a"), text("2"));
      return guardOf(node).length > readFileSync(`${data}.old/guard`).length;
    });
    await node.end("SIGTERM");

    await test.test("the whole folder as it was a block ago", async () => {
      renameSync(data, `${data}.new`);
      renameSync(`${data}.old`, data);
      await refused(node, 5, /counter stands at \d+ and the double-sign guard has \d+ entries/);
      await refused(node, 5, /Nothing was signed/);
      rmSync(data, { recursive: true });
    });

    await test.test("no folder at all, whether or not the node is said to be new", async () => {
      await refused(node, 5, /guard is missing[\s\S]*counter stands at/);
      writeFileSync(join(node.folder, "conf/first-start"), "");
      await refused(node, 5, /guard is missing[\s\S]*counter stands at/);
      assert.equal(existsSync(join(data, "store")), false);
      rmSync(data, { recursive: true, force: true });
    });

    await test.test("the newest folder starts, and the others went on meanwhile", async () => {
      await client.set(text("a"), text("3"));
      renameSync(`${data}.new`, data);
      node.start();
      const height = await client.blockNumber();
      await until("node3 has caught up", async () => ((await local.height(3)) ?? 0) >= height);
      assert.equal(existsSync(join(node.folder, "conf/first-start")), false);
    });

    await test.test("a config.ini that names no counter any more", async () => {
      await node.end("SIGTERM");
      local.configure(3, /guard_counter=node.toml/, "");
      await refused(node, 5, /guard has a counter at the key manager, and strongroom.guard_counter does not name it/);
      local.configure(3, /heartbeat_seconds=1/, "heartbeat_seconds=1\n    guard_counter=node.toml");
    });

    await test.test("a store that was moved away is filled from the others; the guard stays", async () => {
      rmSync(join(data, "store"), { recursive: true });
      const before = guardOf(node).length;
      node.start();
      await until("node3 has all blocks again", async () => (await local.height(3)) === (await local.height(0)));
      await until("node3 votes", async () => {
        await client.set(text("a"), text("3"));
        return guardOf(node).length > before;
      });
    });

    await test.test(
      "no key manager: no start, and no block; when it is back all goes on without a restart",
      async () => {
        await keyManager.stop();
        const before = await client.blockNumber();
        const waiting = client.set(text("a"), text("4"));
        waiting.catch(() => {});
        await until("a node says that its votes wait", () => local.node(0).log.includes("[GUARD]votes wait"));
        await node.end("SIGTERM");
        await refused(node, 4, /guard's counter at the key manager/);
        await pause(4000);
        for (const index of [0, 1, 2]) assert.equal(await local.height(index), before);
        await keyManager.start();
        await until("a block is made", async () => (await client.blockNumber()) > before);
        const [key] = await Promise.all([client.get(text("a")), waiting.catch(() => {})]);
        assert.equal(String(key), "4");
        for (const index of [0, 1, 2]) {
          const { log } = local.node(index);
          assert.equal(log.split("[NODE]started").length, 2);
          assert.ok(log.split("[GUARD]votes wait").length <= 3, log);
        }
      },
    );

    await test.test("a node that is enrolled again while it runs goes on voting with its new identity", async () => {
      const running = local.node(2);
      const token = await keyManager.token(nameOf(2));
      await succeed("node", "enroll", running.folder, "--token-file", token);
      const before = guardOf(running).length;
      await until("node2 votes", async () => {
        await client.set(text("a"), text("4"));
        return guardOf(running).length > before;
      });
      await client.set(text("a"), text("4"));
      assert.ok(!running.log.includes("[NODE]stopping"));
    });

    await test.test("a revoked node stops voting at its next vote, and ends; the others go on", async () => {
      const logged = node.log.length;
      node.start();
      await until("node3 is connected", () => node.log.slice(logged).includes("connected count=3"));
      node.said = "";
      await succeed("node", "revoke", nameOf(3), "--data", keyManager.data);
      await client.set(text("a"), text("5"));
      assert.equal(await node.end(), 3);
      assert.match(node.said, /key manager refused access[\s\S]*may not vote any more/);
      await refused(node, 3, /refused/);
      await client.set(text("a"), text("6"));
    });
    for (const each of local.nodes) assert.ok(!each.log.includes("equivocation"));
  });

  it("end one of two copies that run at once, and go on", async () => {
    await using keyManager = await KeyManagerProcess.started();
    await using local = await countedChain(keyManager);
    using client = await local.client(0);
    await client.set(text("a"), text("1"));
    const node = local.node(2);
    await until("node2 has the block", async () => (await local.height(2)) === 1);
    await node.end("SIGTERM");
    const folder = join(node.folder, "../copy");
    cpSync(node.folder, folder, { recursive: true });
    const config = join(folder, "config.ini");
    const [p2p = 0, rpc = 0] = await reservePorts(2);
    const moved = readFileSync(config, "utf8")
      .replace(/(\[p2p\][\s\S]*?listen_port=)\d+/, `$1${p2p}`)
      .replace(/(\[rpc\][\s\S]*?listen_port=)\d+/, `$1${rpc}`);
    writeFileSync(config, moved, { mode: 0o600 });
    const copy = new LocalNode(folder, rpc);
    const logged = node.log.length;
    node.start();
    copy.start();
    try {
      await until("both have started", () =>
        [node, copy].every(({ log }) => log.slice(logged).includes("[NODE]started")),
      );
      let ended: number | string | undefined;
      for (const each of [node, copy])
        void each.end().then((code) => {
          ended ??= code;
        });
      // Each hears of a transaction: whatever it then votes, the counter lets one of the two do it.
      for (let number = 0; ended === undefined && number < 30; number++) {
        using own = await local.client(2);
        void own.set(text("of one"), text(String(number))).catch(() => {});
        await client.set(text("of all"), text(String(number)));
        await askCopy(local, copy, number);
      }
      assert.equal(ended, 5, `${node.said}\n${copy.said}`);
      assert.match(node.said + copy.said, /older copy|another copy/);
      await client.set(text("a"), text("2"));
      for (const each of [...local.nodes, copy]) assert.ok(!each.log.includes("equivocation"));
    } finally {
      await copy.end("SIGKILL");
    }
  });
});

/** Gives the copy work of its own; whether it gets a block for it is not asked. */
async function askCopy(local: LocalChain, copy: LocalNode, number: number): Promise<void> {
  using own = await local.clientOf(copy, 2000);
  await own.set(text("of the copy"), text(String(number))).catch(() => {});
}
