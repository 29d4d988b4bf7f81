import assert from "node:assert/strict";
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { buildChain } from "../../../../src/chain/build/build.ts";
import { readChainNodeConfig } from "../../../../src/chain/build/config-reader.ts";
import { type NodeSettings, nodeSettings } from "../../../../src/chain/node/settings.ts";
import { ChainFolder, fourNodes } from "../build/chain-folder.ts";

function settingsWith(...lines: readonly string[]): { readonly settings: NodeSettings; readonly folder: string } {
  using files = new ChainFolder();
  const folder = buildChain(fourNodes(files)).nodes[0]?.folder ?? "";
  const config = join(folder, "config.ini");
  appendFileSync(config, ["", "[strongroom]", ...lines, ""].join("\n"));
  return { settings: nodeSettings(readChainNodeConfig(config)), folder };
}

describe("a node's own settings", () => {
  it("have defaults, without a counter of the guard", () => {
    const { settings } = settingsWith();
    assert.deepEqual([settings.heartbeatSeconds, settings.signDeadlineMs], [10, 10_000]);
    assert.deepEqual([settings.guardCounter, settings.withoutCounter], [undefined, false]);
  });

  it("may say that a node gives its counter up", () => {
    const { settings } = settingsWith("guard_counter=none");
    assert.deepEqual([settings.guardCounter, settings.withoutCounter], [undefined, true]);
    assert.equal(settingsWith("guard_counter=./none").settings.withoutCounter, false);
  });

  it("name the manifest of the counter from the node's folder on, whatever folder the process is in", () => {
    const { settings, folder } = settingsWith("guard_counter=node.toml");
    assert.equal(settings.guardCounter, join(folder, "node.toml"));
    assert.equal(settingsWith("guard_counter=/etc/node/node.toml").settings.guardCounter, "/etc/node/node.toml");
  });

  it("that are unknown, empty or out of range are refused", () => {
    for (const [line, message] of [
      ["guard_counters=node.toml", /not a setting: they are heartbeat_seconds, sign_deadline_ms, guard_counter/],
      ["guard_counter=", /guard_counter takes the path/],
      ["heartbeat_seconds=0", /takes 1 to 3600/],
      ["heartbeat_seconds=", /takes 1 to 3600/],
      ["sign_deadline_ms=99", /takes 100 to 600000/],
      ["sign_deadline_ms=1e3", /takes 100 to 600000/],
    ] as const)
      assert.throws(() => settingsWith(line), { code: "CONFIG_UNUSABLE", exitCode: 2, message });
  });
});
