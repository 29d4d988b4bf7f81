import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { sdfCardMissing } from "../../sdf-card/build.ts";
import { freePorts, run } from "../chain/build/chain-scripts.ts";
import { TemporaryFolder } from "../running-server.ts";
import { patternOf, readPage, runSession, stepsOf } from "./written-session.ts";

describe("docs/hsm.md", () => {
  it("holds commands that do what it says, as they are written", {
    timeout: 240_000,
    skip: sdfCardMissing(),
  }, async () => {
    using folder = new TemporaryFolder();
    const steps = stepsOf(readPage("hsm.md"));
    const { p2p, rpc } = await freePorts();
    try {
      const { exitCode, printed, stderr } = await runSession(steps, folder.path, { PORTS: `${p2p},${rpc}` });
      for (const [index, step] of steps.entries()) {
        const { heading } = step;
        assert.ok(printed[index] !== undefined, `${heading} is reached\n${stderr}`);
        if (step.printed !== undefined)
          assert.match(printed[index], patternOf(step.printed), `${heading}\n${printed[index]}`);
      }
      assert.equal(exitCode, 0, stderr);
    } finally {
      // Nodes are in sessions of their own, and outlive a shell that stopped halfway.
      const stop = join(folder.path, "nodes/127.0.0.1/stop_all.sh");
      if (existsSync(stop)) await run("bash", [stop], folder.path);
    }
  });

  it("covers the tutorial: install, initialise, keys, build, configure, start, confirm", () => {
    const all = stepsOf(readPage("hsm.md"))
      .map(({ commands }) => commands)
      .join("\n");
    const inOrder = [
      "libgmt0018\\.so",
      "init ",
      "generate ",
      "device test",
      "import ",
      "export-public",
      'build_chain\\.sh -p "\\$PORTS" -l 127\\.0\\.0\\.1:4 -s -H -n nodeKeyDir/',
      "\\[security",
      "key_id=46",
      "start_all\\.sh",
      "ps -ef \\| grep -v grep \\| grep .*fisco-bcos",
      "tail -f nodes/127\\.0\\.0\\.1/node0/log/\\*.*heartBeat,connected count",
      "stop_all\\.sh",
    ];
    assert.match(all, new RegExp(inOrder.join("[\\s\\S]*")));
  });
});
