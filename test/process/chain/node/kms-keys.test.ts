import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { ChainAuthority } from "../../../../src/chain/build/chain-authority.ts";
import { TemporaryFolder } from "../../running-server.ts";
import { UpstreamKms } from "../../upstream-kms.ts";
import { LocalChain, type LocalNode, until } from "./local-chain.ts";

const text = (value: string) => Buffer.from(value);
const all = [0, 1, 2, 3] as const;

async function signingKeys(kms: UpstreamKms, spec: "SM2" | "ECC_SECG_P256K1"): Promise<string[]> {
  const keys: string[] = [];
  for (const _ of all) keys.push((await kms.admin.keys.create({ spec, usage: "sign" })).keyId);
  return keys;
}

function chainOf(kms: UpstreamKms, keys: readonly string[], ...more: readonly string[]): Promise<LocalChain> {
  const access = ["--kms-url", kms.endpoint, "--kms-region", "local", "--kms-access-key-id", kms.apiKey];
  return LocalChain.build("--kms-keys", keys.join(), ...access, "--kms-secret-file", kms.secretFile, ...more);
}

function strangersCertificate(): string {
  using authority = new ChainAuthority("p256", Date.now());
  return authority.certificatePem;
}

function filesOf(node: LocalNode): string[] {
  return readdirSync(node.folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => existsSync(file));
}

describe("four nodes whose keys are in a KMS, another Strongroom", { timeout: 400_000 }, () => {
  it("agree on an SM chain; a key that is disabled there signs nothing more until it is enabled", async (test) => {
    await using kms = await UpstreamKms.start();
    const keys = await signingKeys(kms, "SM2");
    await using local = await chainOf(kms, keys, "-s");
    for (const node of local.nodes) node.start();
    for (const index of all) await local.connected(index, 3);
    using client = await local.client(0);

    await test.test("blocks are made, and the KMS has every signature on its record", async () => {
      const { height } = await client.set(text("signed by"), text("the KMS"));
      assert.equal((await client.provedGet(text("signed by")))?.toString(), "the KMS");
      const signed = (await kms.record()).filter((line) => line === "kms:Sign done").length;
      // Each block has the votes of three nodes at least: a proposal, prepares and commits.
      assert.ok(signed >= height * 6, `${signed} signatures`);
    });

    await test.test("without its key one node votes no more, and the others go on", async () => {
      await kms.admin.keys.disable(keys[3] ?? "");
      await until("node3 says so", async () => {
        await client.set(text("without"), text("node3"));
        return /\[SIGN\]access refused: .* is disabled at the KMS/.test(local.node(3).log);
      });
      const before = await client.blockNumber();
      await client.set(text("again without"), text("node3"));
      assert.ok((await client.blockNumber()) > before);
    });

    await test.test("enabled again, it votes again: with another node stopped the chain needs it", async () => {
      await kms.admin.keys.enable(keys[3] ?? "");
      assert.equal(await local.node(2).end("SIGTERM"), 0);
      await client.set(text("with"), text("node3"));
      local.node(2).start();
      await local.connected(2, 3);
    });

    await test.test("without the KMS no block comes, and with it the same transaction gets its block", async () => {
      await kms.stop();
      const before = await client.blockNumber();
      const waiting = client.set(text("held"), text("back"));
      waiting.catch(() => {});
      await until("a node says so", () =>
        local.node(0).log.includes(`[SIGN]the KMS at ${kms.endpoint} is unreachable`),
      );
      await pause(3000);
      assert.ok((await client.blockNumber()) <= before + 1);
      await kms.restart();
      await waiting;
    });

    await test.test(
      "a KMS that falls silent may have signed: those votes are given up, and later views go on",
      async () => {
        process.kill(kms.pid, "SIGSTOP");
        const waiting = client.set(text("silent"), text("for a while"));
        waiting.catch(() => {});
        try {
          await until("a node gives a vote up", () =>
            local.nodes.some(({ log }) => log.includes(`the KMS at ${kms.endpoint} did not answer within 3 s`)),
          );
        } finally {
          process.kill(kms.pid, "SIGCONT");
        }
        await waiting;
      },
    );

    await test.test("no node voted twice, none is halted, and the secret is in its own file alone", () => {
      const secret = kms.secretBytes;
      for (const node of local.nodes) {
        const said = node.log + node.said;
        assert.doesNotMatch(said, /equivocation|halted/);
        assert.ok(!said.includes(secret.toString()));
        for (const file of filesOf(node).filter((path) => !path.endsWith("conf/kms_secret")))
          assert.ok(!readFileSync(file).includes(secret), file);
        assert.doesNotMatch(readFileSync(join(node.folder, "conf/node.pem"), "latin1"), /PRIVATE/);
      }
    });

    await test.test(
      "a node with another node's key, a key of another curve, or a revoked access key does not start",
      async () => {
        const node = local.node(3);
        await node.end("SIGTERM");
        const [other = ""] = await signingKeys(kms, "ECC_SECG_P256K1");
        const { keyId: stranger } = await kms.admin.keys.create({ spec: "SM2", usage: "sign" });
        for (const [key, exit, message] of [
          [keys[2] ?? "", 5, /another node's key/],
          [stranger, 5, /none of the 4 in config.genesis.*kms_key/],
          [other, 2, /not a key of spec SM2/],
          ["alias/nothing", 3, /no master key alias\/nothing/],
        ] as const) {
          local.configure(3, /kms_key=.*/, `kms_key=${key}`);
          node.said = "";
          node.start();
          assert.equal(await node.end(), exit, node.said);
          assert.match(node.said, message);
        }
        await kms.admin.accessKeys.setState(kms.apiKey, "disabled");
        node.said = "";
        node.start();
        assert.equal(await node.end(), 3);
        assert.match(node.said, /does not accept access key/);
      },
    );
  });

  it("agree on a standard chain, over TLS, whichever s the KMS gives", async () => {
    await using kms = await UpstreamKms.start();
    using folder = new TemporaryFolder();
    const trust = ["--kms-url", kms.endpoint.replace("http:", "https:"), "--kms-ca-file"];
    const keys = await signingKeys(kms, "ECC_SECG_P256K1");
    const stranger = folder.file("stranger.pem", strangersCertificate());
    await assert.rejects(
      chainOf(kms, keys, ...trust, stranger).then((built) => built[Symbol.asyncDispose]()),
      /is not trusted/,
    );
    await using local = await chainOf(kms, keys, ...trust, folder.file("ca.pem", await kms.caPem()));
    for (const node of local.nodes) node.start();
    for (const index of all) await local.connected(index, 3);
    using client = await local.client(1);
    for (let round = 0; round < 4; round++) {
      await client.set(text(`round ${round}`), text("signed"));
      assert.equal((await client.provedGet(text(`round ${round}`)))?.toString(), "signed");
    }
    // A busy machine may let a call of the KMS wait beyond its deadline.
    for (const node of local.nodes)
      assert.doesNotMatch(node.log, /\[SIGN\](?!the KMS at \S+ did not answer within)|equivocation|halted/);
  });
});

describe("build_chain.sh with a KMS", { timeout: 200_000 }, () => {
  it("refuses what does not go together, and keys that cannot be the nodes'", async () => {
    await using kms = await UpstreamKms.start();
    const keys = await signingKeys(kms, "SM2");
    const [first = "", second = "", third = ""] = keys;
    const key = (name: string) => [first, second, third, name];
    const { keyId: other } = await kms.admin.keys.create({ spec: "ECC_SECG_P256K1", usage: "sign" });
    for (const [named, more, message] of [
      [keys, ["-H", "-n", "/nowhere"], /exclude each other/],
      [keys, ["-n", "/nowhere"], /exclude each other/],
      [keys, ["-e", process.execPath], /cannot sign with a key in a KMS/],
      [keys.slice(1), [], /names 3 keys for 4 nodes/],
      [key(first), [], /are the same key/],
      [key(other), [], /not a key of spec SM2/],
      [key("alias/nothing"), [], /no master key/],
      [key("no key!"), [], /each of --kms-keys is not a key id/],
      [keys, ["--kms-region", "A B"], /--kms-region is not/],
      [keys, ["--kms-url", "http://kms.example"], /--kms-url is not https/],
      [keys, ["--kms-access-key-id", "AKIAAAAAAAAAAAAAAAAA"], /does not accept access key/],
    ] as const)
      await assert.rejects(
        chainOf(kms, named, "-s", ...more).then((built) => built[Symbol.asyncDispose]()),
        message,
      );
  });
});
