import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmodSync, cpSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { ChainFolder } from "../../../unit/chain/build/chain-folder.ts";
import { command, KeyManagerProcess, succeed } from "../../node/key-manager-process.ts";
import { connected, freePorts, run } from "./chain-scripts.ts";

const pin = "pin-canary-4711";

function canaries(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => {
    // A launch puts links into memory here, and takes them away.
    if (lstatSync(join(folder, name), { throwIfNoEntry: false })?.isFile() !== true) return false;
    const content = readFileSync(join(folder, name));
    return content.includes(pin) || content.includes("PRIVATE KEY-----");
  });
}

/** Enrolment tokens of a chain's nodes, in a folder of their own. */
async function tokens(keyManager: KeyManagerProcess, folder: ChainFolder, nodes: number): Promise<string> {
  mkdirSync(folder.at("tokens"));
  for (let index = 0; index < nodes; index++)
    renameSync(await keyManager.token(`chain0-node${index}`), folder.at(`tokens/chain0-node${index}`));
  return folder.at("tokens");
}

describe("a chain that is built with a key manager", () => {
  it("has no private key and no PIN on the disk, for FISCO BCOS's program gives the PIN in a config.ini in memory", async () => {
    await using keyManager = await KeyManagerProcess.started();
    using folder = new ChainFolder();
    for (const name of ["node0", "node1"]) folder.writeKey(`keys/${name}.pem`);
    const pinFile = folder.write("pin", `${pin}\n`);
    // It shows which configuration it was given, and where from.
    const program = folder.write("program", '#!/bin/sh\necho "given $2"\ngrep -c "^password=" "$2"\ncat "$2"\n', 0o755);
    const hsm = [
      "-l",
      "127.0.0.1:2",
      "-s",
      "-H",
      "-n",
      folder.at("keys"),
      "--key-index",
      "43,44",
      "--pin-file",
      pinFile,
    ];
    const km = ["--server", keyManager.url, "--key", "alias/nodes", "--token-dir", await tokens(keyManager, folder, 2)];
    const output = folder.at("nodes");
    await succeed("chain", "build", ...hsm, ...km, "-e", program, "-o", output);
    const node = join(output, "127.0.0.1/node1");
    // The chain's authority, the SDK's key and each node's identity at the key manager are what is left.
    assert.deepEqual(canaries(output).sort(), [
      ...["127.0.0.1/node0/identity/key.pem", "127.0.0.1/node1/identity/key.pem"],
      ...["127.0.0.1/sdk/sm_ensdk.key", "127.0.0.1/sdk/sm_sdk.key", "ca/sm_ca.key"],
    ]);
    assert.match(
      readFileSync(join(node, "config.ini"), "utf8"),
      /\[storage_security\]\n {4}enable=true\n {4}key_center_url=127\.0\.0\.1:8151/,
    );

    const launched = await command("node", "launch", node, "--allow-unsafe");
    assert.equal(launched.code, 0, launched.stderr);
    const [, given = ""] = /^given (.*)$/m.exec(launched.stdout) ?? [];
    assert.doesNotMatch(given, /nodes/);
    assert.match(launched.stdout, new RegExp(`^1\\n[\\s\\S]*\\[security\\]\\npassword=${pin}\\n`, "m"));
    assert.equal(existsSync(given), false);
    assert.equal(canaries(node).filter((name) => !name.startsWith("identity")).length, 0);
  });

  it("starts the reference node by a launch, with links to its keys while it runs", async () => {
    await using keyManager = await KeyManagerProcess.started();
    using folder = new ChainFolder();
    folder.writeKey("keys/node0.pem");
    const pinFile = folder.write("pin", pin);
    const args = ["-l", "127.0.0.1:1", "-s", "-H", "-n", folder.at("keys"), "--key-index", "43", "--pin-file", pinFile];
    const km = ["--server", keyManager.url, "--key", "alias/nodes", "--token-dir", await tokens(keyManager, folder, 1)];
    await succeed("chain", "build", ...args, ...km, "-o", folder.at("nodes"));
    const node = folder.at("nodes/127.0.0.1/node0");
    assert.equal(existsSync(join(node, "conf/hsm_password")), false);
    assert.equal(existsSync(join(node, "conf/ssl.key")), false);
    assert.match(readFileSync(join(node, "config.ini"), "utf8"), /^ {4}data_path=volume\/data$/m);
    const seen = folder.write(
      "seen",
      '#!/bin/sh\necho "$@"\ncat conf/hsm_password\nls -l conf/ssl.key | cut -c1\n',
      0o755,
    );
    cpSync(seen, join(node, "../fisco-bcos"));
    chmodSync(join(node, "../fisco-bcos"), 0o755);
    const launched = await command("node", "launch", node, "--allow-unsafe");
    assert.equal(launched.code, 0, launched.stderr);
    assert.match(launched.stdout, new RegExp(`^-c config.ini .*\\n${pin}l\\n$`));
    assert.equal(existsSync(join(node, "conf/hsm_password")), false);
  });

  it("is started by start_all.sh through launches, connects, refuses without the key manager, and is stopped", async () => {
    await using keyManager = await KeyManagerProcess.started();
    using folder = new ChainFolder();
    const { p2p, rpc } = await freePorts();
    const line = ["-l", "127.0.0.1:4", "-p", `${p2p},${rpc}`, "-s", "-o", folder.at("nodes")];
    const km = ["--server", keyManager.url, "--key", "alias/nodes", "--token-dir", await tokens(keyManager, folder, 4)];
    await succeed("chain", "build", ...line, ...km);
    const host = folder.at("nodes/127.0.0.1");
    const env = { LAUNCH_OPTIONS: "--allow-unsafe" };
    try {
      const started = await run("bash", [join(host, "start_all.sh")], "/", env);
      assert.equal(started.code, 0, started.stdout);
      assert.match(started.stdout, / node0 start successfully\n node1 start successfully\n node2 start/);
      await connected(join(host, "node0/log"), 3);
      assert.deepEqual(
        canaries(join(host, "node0")).filter((name) => name !== "identity/key.pem"),
        [],
      );
    } finally {
      const stopped = await run("bash", [join(host, "stop_all.sh")], "/");
      assert.equal(stopped.code, 0, stopped.stdout);
    }
    await keyManager.stop();
    const refused = await run("bash", [join(host, "node0/start.sh")], "/", env);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /node0 did not start/);
  });

  it("is refused before anything is written when a token is missing, or the PIN would stay in config.ini", async () => {
    using folder = new ChainFolder();
    folder.writeKey("keys/node0.pem");
    const pinFile = folder.write("pin", pin);
    const args = [
      "-l",
      "127.0.0.1:1",
      "-s",
      "-H",
      "-n",
      folder.at("keys"),
      "--pin-file",
      pinFile,
      "-o",
      folder.at("nodes"),
    ];
    const km = ["--server", "https://127.0.0.1:1", "--key", "alias/nodes"];
    const cases: readonly (readonly [readonly string[], RegExp])[] = [
      [km, /all three: --server, --key and --token-dir/],
      [[...km, "--token-dir", folder.path], /chain0-node0 is missing: each node needs an enrolment token/],
      [[...km, "--token-dir", folder.path, "--password-in-config"], /leaves the PIN on the disk/],
    ];
    for (const [more, message] of cases) {
      const { code, stderr } = await new Promise<{ code: number; stderr: string }>((resolve) =>
        execFile(join(import.meta.dirname, "../../../../bin/build_chain.sh"), [...args, ...more], (error, _, told) =>
          resolve({ code: Number(error?.code ?? 0), stderr: told }),
        ),
      );
      assert.match(stderr, message);
      assert.equal(code, 2);
      assert.equal(existsSync(folder.at("nodes")), false);
    }
  });
});
