import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { nobody, otherUserUnavailable } from "../../other-user.ts";
import { repository, TemporaryFolder } from "../../running-server.ts";
import { freePorts, run } from "../build/chain-scripts.ts";

const buildChain = join(repository, "bin/build_chain.sh");
const standIn = join(repository, "test/process/chain/build/node-stand-in.sh");

/** A one-node chain of the stand-in that anyone can look into. */
async function oneNode(folder: TemporaryFolder): Promise<{ readonly node: string; readonly rpc: number }> {
  const program = join(folder.path, "program");
  cpSync(standIn, program);
  chmodSync(program, 0o755);
  const { p2p, rpc } = await freePorts();
  const args = ["-l", "127.0.0.1:1", "-p", `${p2p},${rpc}`, "-e", program, "-o", "nodes"];
  const built = await run(buildChain, args, folder.path);
  assert.equal(built.code, 0, built.stderr);
  return { node: join(folder.path, "nodes/127.0.0.1/node0"), rpc };
}

describe("the scripts of a node", { timeout: 120_000 }, () => {
  it("are not misled by another user's process with the node's command line", {
    skip: otherUserUnavailable,
  }, async () => {
    using folder = new TemporaryFolder();
    const { node } = await oneNode(folder);
    const command = `exec -a '${node}/../fisco-bcos' sleep 300`;
    const impostor = spawn("bash", ["-c", command], { uid: nobody, gid: nobody, cwd: "/", stdio: "ignore" });
    try {
      await until(() => readFileSync(`/proc/${impostor.pid}/cmdline`, "latin1").startsWith(node));
      const stopped = await run("bash", [join(node, "stop.sh")], "/");
      assert.equal(stopped.stdout, " node0 isn't running.\n");
      assert.equal(impostor.exitCode ?? impostor.signalCode, null, "it was left alone");
      const started = await run("bash", [join(node, "start.sh")], "/");
      assert.equal(started.stdout, " node0 start successfully\n", started.stderr);
    } finally {
      const stopped = await run("bash", [join(node, "stop.sh")], "/");
      assert.equal(stopped.stdout, " stop node0 success.\n");
      impostor.kill("SIGKILL");
    }
  });

  it("say to another user that the node may be running", { skip: otherUserUnavailable }, async () => {
    using folder = new TemporaryFolder();
    const { node } = await oneNode(folder);
    for (const each of [folder.path, join(folder.path, "nodes"), join(node, "..")]) chmodSync(each, 0o755);
    chmodSync(node, 0o755);
    const started = await run("bash", [join(node, "start.sh")], "/");
    assert.equal(started.code, 0, started.stderr);
    try {
      const child = spawn("bash", [join(node, "stop.sh")], { uid: nobody, gid: nobody, cwd: "/" });
      let said = "";
      child.stderr.on("data", (chunk: Buffer) => {
        said += chunk;
      });
      const [code] = await once(child, "close");
      assert.equal(code, 1);
      assert.match(said, /node0 may be running as another user \(pid and user: \d+ 0\)/);
    } finally {
      assert.equal((await run("bash", [join(node, "stop.sh")], "/")).code, 0);
    }
  });

  it("show nothing of a command line that steers a terminal", async () => {
    using folder = new TemporaryFolder();
    const { node, rpc } = await oneNode(folder);
    const listen = `require("net").createServer().listen(${rpc}, "127.0.0.1", () => console.log("up"))`;
    const holder = spawn(process.execPath, ["-e", listen, "\u001b[31mred\u009b0m"], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    try {
      await once(holder.stdout, "data");
      const { code, stderr } = await run("bash", [join(node, "start.sh")], "/");
      assert.equal(code, 1);
      assert.match(stderr, new RegExp(`port ${rpc} is in use by pid ${holder.pid} \\(.*\\?\\[31mred`));
      // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not be there
      assert.doesNotMatch(stderr.trimEnd(), /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
    } finally {
      holder.kill("SIGKILL");
    }
  });
});

async function until(met: () => boolean): Promise<void> {
  for (let tries = 0; tries < 1000; tries++) {
    if (met()) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.fail("it did not come to it");
}
