import assert from "node:assert/strict";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import {
  type RunningProgram,
  runProgram,
  secretFile,
  startKeyManager,
  temporaryFolder,
} from "../../../fisco-stand-in/processes.ts";
import { snapshot } from "../../running-server.ts";
import { SecretSearch } from "../../secrets/planted-secrets.ts";
import { LocalChain, type LocalNode, until } from "../node/local-chain.ts";

const dataKey = "a node's data key of 2711";
const superKey = "super-key-of-this-agency";
const canary = { key: "canary-key-of-a-set-9917", value: "canary-value-of-a-set-1188" };
const text = (value: string) => Buffer.from(value);

/** The command line of the SM key manager that FISCO BCOS's documents start. */
function keyManagerLine(folder: string, key: string): string[] {
  return ["-g", key, "--data", join(folder, "km")];
}

/** The cipher_data_key that a key manager makes of a data key. */
async function cipherOf({ port }: RunningProgram, folder: string, key: string): Promise<string> {
  const file = secretFile(folder, `data-key-${port}`, key);
  const args = ["127.0.0.1", String(port), "--data-key-file", file, "--v3"];
  const { code, stdout, stderr } = await runProgram("gen_data_secure_key.sh", args);
  assert.equal(code, 0, stderr);
  const [, cipher = ""] = /^cipher_data_key=([0-9a-f]+)$/m.exec(stdout) ?? [];
  return cipher;
}

function secure(local: LocalChain, index: number, port: number, cipher: string): void {
  local.configure(
    index,
    /\[storage_security\][\s\S]*?(?=\n\n\[)/,
    `[storage_security]\n    enable=true\n    key_center_url=127.0.0.1:${port}\n    cipher_data_key=${cipher}`,
  );
}

/** The store and the guard, which no refused start may change. */
function dataOf(node: LocalNode): Readonly<Record<string, string>> {
  const files = Object.entries(snapshot(join(node.folder, "data")));
  // classic-level tells of each opening in files of its own.
  return Object.fromEntries(files.filter(([name]) => !/(?:^|\/)(?:lock|LOCK|LOG|LOG\.old)$/.test(name)));
}

describe("[storage_security] of a reference node that is started without a launch", { timeout: 300_000 }, () => {
  it("encrypts its store by the FISCO door's data key, and starts with no other", async (test) => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, "own"));
    mkdirSync(join(folder, "other"));
    const own = await startKeyManager(keyManagerLine(join(folder, "own"), superKey));
    let keyManager = own;
    try {
      await using local = await LocalChain.build("-s");
      const cipher = await cipherOf(own, folder, dataKey);
      for (const index of [0, 1, 2]) secure(local, index, own.port, cipher);
      for (const index of [0, 1, 2]) local.node(index).start();
      for (const index of [0, 1, 2]) await local.connected(index, 2);
      using client = await local.client(0);
      await client.set(text(canary.key), text(canary.value));
      const node = local.node(2);
      await until("node2 has the block", async () => (await local.height(2)) === 1);
      assert.ok(!node.log.includes("without encryption"));
      assert.equal(await node.end("SIGTERM"), 0);

      const refusedStart = async () => {
        const before = dataOf(node);
        node.said = "";
        node.start();
        const code = await node.end();
        assert.deepEqual(dataOf(node), before, node.said);
        return { code, said: node.said };
      };
      const startsAgain = async () => {
        const since = node.log.length;
        node.start();
        await until(`node2 runs: ${node.said}`, () => node.log.slice(since).includes("[NODE]started"));
        using reader = await local.client(2);
        await until("node2 has the value", async () =>
          (await reader.get(text(canary.key)))?.equals(text(canary.value)),
        );
        assert.equal(await node.end("SIGTERM"), 0);
      };

      await test.test("with the right key it starts again, killed or stopped, and none of it can be read", async () => {
        await startsAgain();
        node.start();
        await local.connected(2, 2);
        assert.equal(await node.end("SIGKILL"), "SIGKILL");
        await startsAgain();
        const search = new SecretSearch([
          { name: "a transaction's key", bytes: text(canary.key) },
          { name: "a transaction's value", bytes: text(canary.value) },
          { name: "the data key", bytes: text(dataKey) },
          { name: "the super key", bytes: text(superKey) },
        ]);
        search.folder(node.folder);
        search.text("what it said", node.log + node.said);
        assert.ok(search.bytesRead > 10_000);
        assert.deepEqual(search.sightings, []);
      });

      await test.test("with the key manager away it does not start: exit code 4", async () => {
        await keyManager.stop();
        const { code, said } = await refusedStart();
        assert.equal(code, 4, said);
        assert.match(said, new RegExp(`127\\.0\\.0\\.1:${own.port}: no key manager answers`));
      });

      await test.test("a key manager with another super key opens nothing: exit code 3, or 5", async () => {
        const line = keyManagerLine(join(folder, "other"), "another-super-key");
        const other = await startKeyManager(line, { port: own.port });
        try {
          const { code, said } = await refusedStart();
          // SM4-CBC without a check: what it opens to may look like a data key, and is then not the store's.
          assert.ok(code === 3 || code === 5, said);

          secure(local, 2, own.port, await cipherOf(other, folder, dataKey.replace("2711", "2712")));
          const wrong = await refusedStart();
          assert.equal(wrong.code, 5, wrong.said);
          assert.match(wrong.said, /was made under another data key/);
        } finally {
          await other.stop();
        }
        keyManager = await startKeyManager(keyManagerLine(join(folder, "own"), superKey), { port: own.port });
      });

      await test.test("a cipher_data_key that the key manager does not open is refused: exit code 3", async () => {
        for (const wrong of [cipher.slice(0, -2), `${cipher}00`, "00".repeat(7)]) {
          secure(local, 2, own.port, wrong);
          const { code, said } = await refusedStart();
          assert.equal(code, 3, `${wrong}: ${said}`);
          assert.match(said, new RegExp(`error: 127\\.0\\.0\\.1:${own.port}: `));
        }
      });

      await test.test("without the setting an encrypted store is not taken for an empty one: exit code 5", async () => {
        local.configure(2, /enable=true\n(?=\s*key_center_url)/, "enable=false\n");
        const { code, said } = await refusedStart();
        assert.equal(code, 5, said);
        assert.match(said, /is encrypted: enable storage_security/);
      });

      await test.test("with a cipher that is none, or no key manager: exit code 2", async () => {
        secure(local, 2, own.port, "zz".repeat(16));
        const none = await refusedStart();
        assert.equal(none.code, 2, none.said);
        assert.match(none.said, /cipher_data_key takes hexadecimal bytes/);
        const config = join(node.folder, "config.ini");
        local.configure(2, /\[storage_security\][\s\S]*?(?=\n\n\[)/, "[storage_security]\n    enable=true");
        assert.ok(!readFileSync(config, "utf8").includes("key_center_url="));
        const { code, said } = await refusedStart();
        assert.equal(code, 2, said);
      });

      await test.test("and with all as it was it goes on", async () => {
        secure(local, 2, own.port, cipher);
        await startsAgain();
      });
    } finally {
      await keyManager.stop();
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it("does not take a plain store for an encrypted one, nor leaves anything behind when it never could start", async () => {
    await using local = await LocalChain.build("-s");
    for (const index of [0, 1, 2]) local.node(index).start();
    for (const index of [0, 1, 2]) await local.connected(index, 2);
    const node = local.node(2);
    assert.equal(await node.end("SIGTERM"), 0);
    const folder = temporaryFolder();
    const keyManager = await startKeyManager(keyManagerLine(folder, superKey));
    try {
      const cipher = await cipherOf(keyManager, folder, dataKey);
      secure(local, 2, keyManager.port, cipher);
      node.said = "";
      node.start();
      assert.equal(await node.end(), 5, node.said);
      assert.match(node.said, /was made without encryption/);
      secure(local, 3, keyManager.port, cipher);
    } finally {
      await keyManager.stop();
      rmSync(folder, { recursive: true, force: true });
    }
    const never = local.node(3);
    const before = snapshot(join(never.folder, "conf"));
    never.start();
    assert.equal(await never.end(), 4, never.said);
    assert.deepEqual(snapshot(join(never.folder, "conf")), before);
    assert.deepEqual(dataOf(never), {});
  });
});
