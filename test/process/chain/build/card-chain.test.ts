import assert from "node:assert/strict";
import { readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { makeTestCard, sdfCardMissing } from "../../../sdf-card/build.ts";
import { ChainFolder } from "../../../unit/chain/build/chain-folder.ts";
import { connected, freePorts, run } from "./chain-scripts.ts";

const script = join(import.meta.dirname, "../../../../bin/build_chain.sh");
const pin = "card-pin-4711";
const indices = [43, 44, 45, 46];

describe("a chain whose node keys are in a cipher machine", { skip: sdfCardMissing() }, () => {
  it("starts with keys that were imported there, and whose files are gone", async () => {
    using card = makeTestCard(pin);
    using folder = new ChainFolder();
    const pinFile = folder.write("pin", `${pin}\n`);
    for (const index of indices) {
      folder.writeKey(`keys/node${index}.pem`);
      card.admin("import", String(index), folder.at(`keys/node${index}.pem`));
    }
    const { p2p, rpc } = await freePorts();
    const line = [
      "-l",
      "127.0.0.1:4",
      "-p",
      `${p2p},${rpc}`,
      "-s",
      "-H",
      "-n",
      folder.at("keys"),
      "-o",
      folder.at("nodes"),
    ];
    const machine = ["--key-index", indices.join(), "--hsm-lib-path", card.library, "--pin-file", pinFile];
    const built = await run(script, [...line, ...machine], folder.path);
    assert.equal(built.code, 0, built.stderr);
    rmSync(folder.at("keys"), { recursive: true });
    const host = folder.at("nodes/127.0.0.1");
    try {
      const started = await run("bash", [join(host, "start_all.sh")], "/");
      assert.equal(started.code, 0, started.stdout);
      for (const name of ["node0", "node1", "node2", "node3"]) await connected(join(host, name, "log"), 3);
    } finally {
      const stopped = await run("bash", [join(host, "stop_all.sh")], "/");
      assert.equal(stopped.code, 0, stopped.stdout);
    }
    const withPin = readdirSync(folder.path, { recursive: true, encoding: "utf8" }).filter(
      (name) => statSync(folder.at(name)).isFile() && readFileSync(folder.at(name)).includes(pin),
    );
    assert.deepEqual(
      withPin.filter((name) => !/^pin$|\/node\d\/conf\/hsm_password$/.test(name)),
      [],
    );
  });

  it("does not start with the key of another node, and says so", async () => {
    using card = makeTestCard(pin);
    using folder = new ChainFolder();
    folder.writeKey("keys/node0.pem");
    card.admin("generate", "43");
    const { p2p, rpc } = await freePorts();
    const line = [
      "-l",
      "127.0.0.1:1",
      "-p",
      `${p2p},${rpc}`,
      "-s",
      "-H",
      "-n",
      folder.at("keys"),
      "-o",
      folder.at("nodes"),
    ];
    const machine = ["--key-index", "43", "--hsm-lib-path", card.library, "--pin-file", folder.write("pin", pin)];
    assert.equal((await run(script, [...line, ...machine], folder.path)).code, 0);
    const started = await run("bash", [folder.at("nodes/127.0.0.1/node0/start.sh")], "/");
    assert.equal(started.code, 1);
    assert.match(started.stderr, /node0 did not start; .*nohup\.out:\n.*error: .*key/);
  });
});
