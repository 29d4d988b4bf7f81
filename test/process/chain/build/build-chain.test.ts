import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { ChainFolder } from "../../../unit/chain/build/chain-folder.ts";
import { freePorts, run } from "./chain-scripts.ts";

const script = join(import.meta.dirname, "../../../../bin/build_chain.sh");
const standIn = join(import.meta.dirname, "node-stand-in.sh");

function processLines(program: string): string[] {
  return execFileSync("ps", ["-eww", "-o", "args="], { encoding: "utf8" })
    .split("\n")
    .filter((line) => line.startsWith(program));
}

describe("build_chain.sh", () => {
  const folder = new ChainFolder();
  after(() => folder[Symbol.dispose]());
  for (const name of ["node0", "node1", "node2", "node3"]) folder.writeKey(`nodeKeyDir/${name}.pem`);
  mkdirSync(folder.at("fisco"));
  cpSync(standIn, folder.at("fisco/fisco-bcos"));
  chmodSync(folder.at("fisco/fisco-bcos"), 0o755);

  it("takes the tutorial's line as it stands, and lays the chain out as FISCO BCOS does", async () => {
    const line = "-e fisco/fisco-bcos -p 30300,20200 -l 127.0.0.1:4 -s -H -n nodeKeyDir/";
    const { code, stdout, stderr } = await run(script, line.split(" "), folder.path);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /\[INFO\] All completed\. Files in .*nodes\n$/);
    assert.match(stderr, /warning: .*node0\.pem holds the private key itself/);
    const nodes = folder.at("nodes");
    assert.deepEqual(readdirSync(nodes).sort(), ["127.0.0.1", "ca"]);
    assert.deepEqual(readdirSync(join(nodes, "ca")).sort(), ["sm_ca.crt", "sm_ca.key"]);
    assert.deepEqual(readdirSync(join(nodes, "127.0.0.1")).sort(), [
      ...["ca", "fisco-bcos", "node0", "node1", "node2", "node3", "sdk", "start_all.sh", "stop_all.sh"],
    ]);
    assert.deepEqual(readdirSync(join(nodes, "127.0.0.1/ca")), ["sm_ca.crt"]);
    assert.deepEqual(readdirSync(join(nodes, "127.0.0.1/node3")).sort(), [
      ...["conf", "config.genesis", "config.ini", "nodes.json", "start.sh", "stop.sh"],
    ]);
    for (const name of readdirSync(nodes, { recursive: true, encoding: "utf8" })) {
      const path = join(nodes, name);
      const stats = statSync(path);
      if (!stats.isFile()) continue;
      const text = readFileSync(path, "utf8");
      const isSecret = /PRIVATE KEY/.test(text) || name.endsWith("config.ini");
      assert.equal(stats.mode & 0o777, isSecret ? 0o600 : (stats.mode & 0o100) === 0 ? 0o644 : 0o755, name);
      if (name.endsWith("node.pem")) assert.match(text, /^-----BEGIN PUBLIC KEY-----/);
    }
    assert.match(readFileSync(join(nodes, "127.0.0.1/node1/config.ini"), "utf8"), /^ {4}enable_hsm=true$/m);
  });

  it("refuses options that it does not have, each with what to do", async () => {
    const cases: readonly (readonly [readonly string[], RegExp])[] = [
      [["-l", "127.0.0.1:4", "-m"], /-m of build_chain\.sh is not offered: no monitor/],
      [["-l", "127.0.0.1:4", "-a", "0x1"], /-a of build_chain\.sh is not offered/],
      [["-l", "127.0.0.1:4", "-C", "expand"], /-C <command>' argument 'expand' is invalid/],
      [["-l", "127.0.0.1:4", "-Z"], /unknown option '-Z'/],
      [["-p", "30300,20200"], /required option '-l <hosts>'/],
      [["-l", "127.0.0.1"], /-l takes HOST:NODES/],
      [["-l", "127.0.0.1:4", "-H", "-n", "nodeKeyDir"], /-H needs -s/],
      [["-l", "127.0.0.1:4", "-s", "-H"], /-H needs -n/],
      [["-l", "127.0.0.1:3", "-s", "-n", "nodeKeyDir"], /holds 4 \.pem files, and the chain has 3 nodes/],
      [["-l", "127.0.0.1:4", "-s", "--pin-file", "x"], /-H is not/],
    ];
    for (const [args, message] of cases) {
      const { code, stderr } = await run(script, [...args, "-o", "refused"], folder.path);
      assert.match(stderr, message);
      assert.equal(code, 2, args.join(" "));
    }
    assert.equal(existsSync(folder.at("refused")), false);
  });
});

describe("the scripts of a chain", () => {
  const folder = new ChainFolder();
  after(() => folder[Symbol.dispose]());

  it("start all nodes, name who has a port, show the documented process line, and stop all nodes", async () => {
    const { p2p, rpc } = await freePorts();
    cpSync(standIn, folder.at("program"));
    chmodSync(folder.at("program"), 0o755);
    const line = ["-l", "127.0.0.1:4", "-p", `${p2p},${rpc}`, "-s", "-e", "program", "-o", "nodes with blanks"];
    const built = await run(script, line, folder.path);
    assert.equal(built.code, 0, built.stderr);
    const host = folder.at("nodes with blanks/127.0.0.1");
    try {
      const busy = createServer().listen(p2p + 2, "127.0.0.1");
      await once(busy, "listening");
      const first = await run("bash", [join(host, "start_all.sh")], "/");
      busy.close();
      assert.equal(first.code, 1);
      const started = ["node0", "node1", "node3"].map((name) => ` ${name} start successfully`);
      const tried = ["node0", "node1", "node2", "node3"].map((name) => `try to start ${name}`);
      const lines = first.stdout.trimEnd().split("\n");
      assert.deepEqual(
        lines.filter((each) => !each.includes("cannot start")),
        [...tried, ...started],
      );
      assert.match(
        first.stdout,
        new RegExp(`^ node2 cannot start: port ${p2p + 2} is in use by pid ${process.pid} \\(.*\\)$`, "m"),
      );

      await once(
        spawn("bash", [join(host, "node2/start.sh")], { env: { ...process.env, STAND_IN_NODE: process.execPath } }),
        "exit",
      );
      for (const name of ["node0", "node1", "node2", "node3"])
        assert.deepEqual(processLines(`${host}/${name}/../fisco-bcos`), [
          `${host}/${name}/../fisco-bcos -c config.ini`,
        ]);
      const again = await run("bash", [join(host, "node0/start.sh")], "/");
      assert.match(again.stdout, /^ node0 is running, pid is \d+\n$/);
    } finally {
      const stopped = await run("bash", [join(host, "stop_all.sh")], "/");
      assert.equal(stopped.code, 0, stopped.stdout);
      assert.match(stopped.stdout, / stop node0 success\.\n stop node1 success\.\n/);
    }
    assert.deepEqual(processLines(host), []);
    const idle = await run("bash", [join(host, "node0/stop.sh")], "/");
    assert.equal(idle.stdout, " node0 isn't running.\n");
  });

  it("tell what a node said that does not start", async () => {
    const { p2p, rpc } = await freePorts();
    const program = folder.write("broken", "#!/bin/sh\necho 'error: no such luck'\nexit 3\n", 0o755);
    const line = ["-l", "127.0.0.1:1", "-p", `${p2p},${rpc}`, "-e", program, "-o", "broken-nodes"];
    assert.equal((await run(script, line, folder.path)).code, 0);
    const start = await run("bash", [folder.at("broken-nodes/127.0.0.1/node0/start.sh")], "/");
    assert.equal(start.code, 1);
    assert.match(start.stderr, /node0 did not start; .*nohup\.out:\nerror: no such luck\n$/);
    rmSync(folder.at("broken-nodes"), { recursive: true });
  });
});
