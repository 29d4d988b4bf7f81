import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { readGenesis } from "../../../../src/chain/build/genesis-reader.ts";
import { chainOf } from "../../../../src/chain/node/chain-of.ts";
import { SoftSigner } from "../../../../src/chain/node/soft-signer.ts";
import { ChainClient } from "../../../../src/chain/sdk/chain-client.ts";
import { generateKeyPair } from "../../../../src/crypto/curve.ts";
import { writePrivateKey } from "../../../../src/crypto/pem.ts";
import { ChainFolder } from "../../../unit/chain/build/chain-folder.ts";
import { KeyManagerProcess, succeed } from "../../node/key-manager-process.ts";
import { UpstreamKms } from "../../upstream-kms.ts";
import { freePorts, run } from "../build/chain-scripts.ts";

function holders(folder: string, secret: Buffer): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => {
    const path = join(folder, name);
    return lstatSync(path, { throwIfNoEntry: false })?.isFile() === true && readFileSync(path).includes(secret);
  });
}

/** Command lines and environments of all processes that this user may read, as one text. */
function processes(): Promise<string> {
  return new Promise((resolve) => execFile("ps", ["axeww"], { maxBuffer: 64 << 20 }, (_, stdout) => resolve(stdout)));
}

describe("a node with its key in a KMS, started by a launch", { timeout: 240_000 }, () => {
  it("has the KMS's secret sealed on the disk, and signs with the one that the launch opens", async () => {
    await using keyManager = await KeyManagerProcess.started();
    await using kms = await UpstreamKms.start();
    using folder = new ChainFolder();
    const { keyId } = await kms.admin.keys.create({ spec: "SM2", usage: "sign" });
    mkdirSync(folder.at("tokens"));
    renameSync(await keyManager.token("chain0-node0"), folder.at("tokens/chain0-node0"));
    const { p2p, rpc } = await freePorts();
    await succeed(
      ...["chain", "build", "-l", "127.0.0.1:1", "-p", `${p2p},${rpc}`, "-s", "-o", folder.at("nodes")],
      ...["--kms-keys", keyId, "--kms-url", kms.endpoint, "--kms-region", "local"],
      ...["--kms-access-key-id", kms.apiKey, "--kms-secret-file", kms.secretFile],
      ...["--server", keyManager.url, "--key", "alias/nodes", "--token-dir", folder.at("tokens")],
    );
    const host = folder.at("nodes/127.0.0.1");
    const secretFile = join(host, "node0/conf/kms_secret");
    assert.equal(existsSync(secretFile), false);
    assert.deepEqual(holders(folder.path, kms.secretBytes), []);
    try {
      const started = await run("bash", [join(host, "start_all.sh")], "/", { LAUNCH_OPTIONS: "--allow-unsafe" });
      assert.equal(started.code, 0, started.stdout);
      const chain = chainOf(readGenesis(join(host, "node0/config.genesis")));
      using scalar = generateKeyPair("sm2").scalar;
      using pem = writePrivateKey("sm2", scalar, "pkcs8");
      const account = await SoftSigner.ofPem(pem, "sm2");
      const endpoint = { host: "127.0.0.1", port: rpc, timeoutMs: 60_000 };
      using client = new ChainClient({ chain, endpoint, account });
      assert.equal((await client.set(Buffer.from("a"), Buffer.from("b"))).height, 1);
      assert.deepEqual(holders(folder.path, kms.secretBytes), []);
      const seen = await processes();
      assert.match(seen, /fisco-bcos -c config\.ini/);
      assert.ok(!seen.includes(kms.secretBytes.toString()));
    } finally {
      const stopped = await run("bash", [join(host, "stop_all.sh")], "/");
      assert.equal(stopped.code, 0, stopped.stdout);
    }
    // The launch takes the link away once the node has ended, which stop_all.sh does not wait for.
    for (let waits = 0; waits < 600 && existsSync(secretFile); waits++) await pause(50);
    assert.equal(existsSync(secretFile), false);
    await keyManager.stop();
    const refused = await run("bash", [join(host, "node0/start.sh")], "/", { LAUNCH_OPTIONS: "--allow-unsafe" });
    assert.notEqual(refused.code, 0);
  });
});
