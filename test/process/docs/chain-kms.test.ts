import assert from "node:assert/strict";
import { readdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { connected, freePorts, run } from "../chain/build/chain-scripts.ts";
import { KeyManagerFolder, startServer, TemporaryFolder } from "../running-server.ts";
import { readPage, runSession, stepsOf } from "./written-session.ts";

describe("docs/chain.md on node keys in a KMS", { timeout: 240_000 }, () => {
  it("makes a chain whose nodes may each use their own key alone, as it is written", async () => {
    using folder = new TemporaryFolder();
    using manager = await KeyManagerFolder.make();
    const server = await startServer(manager, ["--aws", "127.0.0.1:0"]);
    const host = join(folder.path, "nodes/127.0.0.1");
    try {
      symlinkSync(manager.dataDir, join(folder.path, "kms"));
      const { caPem, privateKeyPem } = await server.enrol("ca-reader");
      privateKeyPem[Symbol.dispose]();
      folder.file("ca.pem", caPem);
      const { p2p, rpc } = await freePorts();
      const page = readPage("chain.md").replaceAll("-l 127.0.0.1:4 -s", `-l 127.0.0.1:4 -p ${p2p},${rpc} -s`);
      const steps = stepsOf(page).filter(({ heading }) => heading === "Node keys in a KMS");
      assert.equal(steps.length, 1);
      const { aws = "" } = server.addresses as { readonly aws?: string };
      const { exitCode, stderr } = await runSession(steps, folder.path, { KMS: aws.replace(/^.*\//, "") });
      assert.equal(exitCode, 0, stderr);
      // The session's end takes its processes along: a chain is there to be started by its scripts.
      const started = await run("bash", [join(host, "start_all.sh")], "/");
      assert.equal(started.code, 0, started.stdout);
      await connected(join(host, "node0/log"), 3);
      const logs = readdirSync(join(host, "node0/log")).map((name) =>
        readFileSync(join(host, "node0/log", name), "utf8"),
      );
      assert.match(logs.join(""), /signing with arn:aws:kms:local:\d{12}:key\/\S+ of a KMS/);
      const config = readFileSync(join(host, "node1/config.ini"), "utf8");
      const written = /^\[security\]\n {4}private_key_path[^[]*/m.exec(config)?.[0] ?? "";
      const shown = /## Node keys in a KMS[\s\S]*?```ini\n([\s\S]*?)```/.exec(page)?.[1] ?? "";
      const keysOf = (text: string) => [...text.matchAll(/^ {4}(\w+)=/gm)].map(([, key]) => key);
      assert.deepEqual(keysOf(written), keysOf(shown));
    } finally {
      const stopped = await run("bash", [join(host, "stop_all.sh")], "/");
      assert.equal(stopped.code, 0, stopped.stdout);
      await server.kill();
    }
  });
});
