import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readdirSync } from "node:fs";
import { describe, it } from "node:test";
import { ChainClientError } from "../../../../src/chain/sdk/errors.ts";
import { makeTestCard, sdfCardMissing } from "../../../sdf-card/build.ts";
import { succeed } from "../../node/key-manager-process.ts";
import { snapshot } from "../../running-server.ts";
import { SecretSearch } from "../../secrets/planted-secrets.ts";
import { until } from "../node/local-chain.ts";
import { LaunchedChain, type LaunchedChainNode } from "./launched-chain.ts";

const pin = "pin-canary-90817";
const canary = { key: "canary-key-of-a-set-5521", value: "canary-value-of-a-set-7733" };
const text = (value: string) => Buffer.from(value);

/** What a start must leave as it was: everything but the log, the lock and a heartbeat's time. */
function stateOf({ folder }: LaunchedChainNode): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(snapshot(folder)).filter(([name]) => !/^log(?:\/|$)|(?:^|\/)lock$/i.test(name)),
  );
}

describe("an SM chain under launches, its keys in a cipher card, its store encrypted", {
  skip: sdfCardMissing(),
  timeout: 500_000,
}, () => {
  it("keeps transactions, keys and the PIN off the disk, and starts only as the key manager agrees", async (test) => {
    using card = makeTestCard(pin);
    await using local = await LaunchedChain.build({ nodes: 4, card, pin });
    for (const node of local.nodes) node.launch();
    for (const index of [0, 1, 2, 3]) await local.connected(index, 3);
    using client = await local.client(0);

    await test.test("its nodes agree, and no file of theirs shows what they agreed on", async () => {
      await client.set(text(canary.key), text(canary.value));
      await Promise.all(
        Array.from({ length: 40 }, (_, index) =>
          client.set(text(`${canary.key}-${index}`), text(`${canary.value}-${index}`)),
        ),
      );
      for (const index of [1, 2, 3]) {
        using reader = await local.client(index);
        await until(`node${index} has the value`, async () =>
          (await reader.get(text(canary.key)))?.equals(text(canary.value)),
        );
      }
      findNothing(local, "while they run");
    });

    await test.test("one is killed with its program: it comes back by a launch, with what it had", async () => {
      const killed = local.node(3);
      const height = await client.blockNumber();
      process.kill(killed.programPid, "SIGKILL");
      assert.equal(await killed.end(), 137);
      findNothing(local, "after a kill");
      killed.launch();
      await until("node3 has caught up", async () => ((await local.height(3)) ?? 0) >= height);
      using reader = await local.client(3);
      assert.equal((await reader.get(text(canary.key)))?.toString(), canary.value);
    });

    await test.test(
      "with the key manager away a stopped one does not start, and does when it is back: exit code 4",
      async () => {
        const away = local.node(2);
        assert.equal(await away.end("SIGTERM"), 0);
        const before = stateOf(away);
        await local.keyManager.stop();
        const { code, said } = await away.refusedStart();
        assert.equal(code, 4, said);
        assert.match(said, /ECONNREFUSED/);
        assert.deepEqual(stateOf(away), before);
        await local.keyManager.start();
        away.launch();
        await until("node2 has caught up", async () => {
          using reader = await local.client(2, 5000);
          return (await reader.get(text(canary.key)).catch(() => undefined))?.equals(text(canary.value));
        });
        await client.set(text("with"), text("the key manager"));
      },
    );

    await test.test("one that is revoked does not start, with its files as they were: exit code 3", async () => {
      const revoked = local.node(1);
      assert.equal(await revoked.end("SIGTERM"), 0);
      const before = stateOf(revoked);
      await succeed("node", "revoke", revoked.principal, "--data", local.keyManager.data);
      const { code, said } = await revoked.refusedStart();
      assert.equal(code, 3, said);
      assert.match(said, /refused|revoked/);
      assert.deepEqual(stateOf(revoked), before);
      await client.set(text("without"), text("node1"));
    });

    await test.test("stopped, they leave nothing readable either", async () => {
      for (const node of local.nodes) assert.equal(await node.end("SIGTERM"), 0);
      findNothing(local, "when stopped");
      for (const node of local.nodes) {
        assert.ok(!readdirSync(`${node.folder}/conf`).includes("hsm_password"));
        assert.doesNotMatch(node.words, /equivocation/);
      }
      await assert.rejects(
        client.get(text(canary.key)),
        (error: unknown) => error instanceof ChainClientError && error.code === "UNREACHABLE",
      );
    });
  });
});

/** Searches every regular file and every word of the nodes for what was planted, and that the search finds such things. */
function findNothing(local: LaunchedChain, when: string): void {
  const planted = [
    { name: "the PIN", bytes: text(pin) },
    { name: "a transaction's key", bytes: text(canary.key) },
    { name: "a transaction's value", bytes: text(canary.value) },
    { name: "a private key", bytes: text("PRIVATE KEY-----") },
  ];
  const search = new SecretSearch(planted);
  for (const node of local.nodes) {
    search.folder(node.folder);
    search.text("what it said", node.words);
  }
  assert.ok(search.bytesRead > 10_000);
  // Its identity at the key manager is a plain file on purpose.
  const found = search.sightings.filter(({ place }) => place !== "identity/key.pem");
  assert.deepEqual(found, [], when);
  const control = new SecretSearch(planted);
  control.bytes("control", Buffer.concat([randomBytes(64), text(canary.value), randomBytes(64)]));
  assert.equal(control.sightings.length, 1);
}
