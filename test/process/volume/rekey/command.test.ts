import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { long, seed } from "../../../run-settings.ts";
import { NodeFolder } from "../../../unit/node/fake-key-manager.ts";
import { command, KeyManagerProcess, succeed } from "../../node/key-manager-process.ts";
import { skip } from "../sealfs/control/served-volume.ts";

const strongroom = join(import.meta.dirname, "../../../../bin/strongroom");
const preload = join(import.meta.dirname, "killed-at-change.ts");
/** Tried without `--long`, of some fifty changes. */
const tried = 6;

/** `strongroom volume rekey`, killed before a change of a file in the node's folder. */
function rekeyed(node: string, killedAt: number): Promise<{ readonly signal: unknown; readonly errors: string }> {
  const NODE_OPTIONS = `--import=${preload}`;
  const env = { ...process.env, NODE_OPTIONS, KILLED_IN: node, KILLED_AT: String(killedAt) };
  return new Promise((resolve) =>
    execFile(strongroom, ["volume", "rekey", node], { encoding: "utf8", env }, (error, _stdout, stderr) =>
      resolve({ signal: error?.signal ?? error?.code ?? undefined, errors: stderr }),
    ),
  );
}

const boxesOf = (node: string) => readdirSync(node).filter((name) => name.endsWith(".box"));

describe("strongroom volume rekey, against a real key manager", { skip }, () => {
  it("is finished by the same command, killed before whichever change of a file", async () => {
    await using keyManager = await KeyManagerProcess.started();
    using folder = new NodeFolder();
    const node = folder.at("node");
    const common = ["--kind", "generic", "--network", "net-1", "--server", keyManager.url, "--key", "alias/nodes"];
    await succeed("node", "init", "rekeyed-1", ...common, "--dir", node, "--", "/bin/true");
    const manifest = join(node, "node.toml");
    writeFileSync(manifest, `${readFileSync(manifest, "utf8")}\n[volume]\nkind = "sealfs"\n`);
    await succeed("node", "enroll", node, "--token-file", await keyManager.token("rekeyed-1"));
    await succeed("volume", "create", node);
    const before = boxesOf(node);
    const data = (await succeed("volume", "open", node)).trim();
    try {
      writeFileSync(join(data, "file"), "kept");
      const open = await command("volume", "rekey", node);
      assert.equal(open.code, 1, "it was open");
      assert.match(open.stderr, /holds the volume/);
    } finally {
      await succeed("volume", "close", node);
    }
    const copyOf = (name: string) => {
      const copy = folder.at(name);
      cpSync(node, copy, { recursive: true, preserveTimestamps: true });
      return copy;
    };
    const whole = copyOf("whole");
    const { errors } = await rekeyed(whole, 0);
    const changes = Number(/changes: (\d+)/.exec(errors)?.[1]);
    assert.ok(changes > 20, errors);
    assert.equal(boxesOf(whole).length, 1);
    assert.notDeepEqual(boxesOf(whole), before);
    const step = long ? 1 : Math.ceil(changes / tried);
    const first = long ? 1 : 1 + (Math.abs(seed) % step);
    for (let killedAt = first; killedAt <= changes; killedAt += step) {
      const copy = copyOf(`killed-${killedAt}`);
      const what = `killed before change ${killedAt} of ${changes}`;
      const { signal, errors: said } = await rekeyed(copy, killedAt);
      assert.ok(signal === "SIGKILL" || signal === 137, `${what}: ${String(signal)} ${said}`);
      await succeed("volume", "rekey", copy);
      assert.match(await succeed("volume", "check", copy), /all authentic/, what);
      assert.equal(boxesOf(copy).length, 1, what);
      rmSync(copy, { recursive: true });
    }
    const again = (await succeed("volume", "open", whole)).trim();
    try {
      assert.equal(readFileSync(join(again, "file"), "utf8"), "kept");
    } finally {
      await succeed("volume", "close", whole);
    }
  });
});
