import assert from "node:assert/strict";
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { readMounts } from "../../../src/volume/mounts.ts";
import { NodeFolder } from "../../unit/node/fake-key-manager.ts";
import { command, KeyManagerProcess, succeed } from "./key-manager-process.ts";

const missing = ["/dev/fuse", "/usr/bin/fusermount3"].find((path) => !existsSync(path));
const skip = missing === undefined ? false : `this machine has no ${missing}`;
const script = 'echo line >>"$1/lines"; cp "$1/lines" "$2"';

describe("launching on a sealfs volume whose state the key manager keeps", { skip }, () => {
  it("refuses an older copy of the volume that was put back, and starts nothing", async () => {
    await using keyManager = await KeyManagerProcess.started();
    using folder = new NodeFolder();
    const node = folder.at("node");
    const seen = folder.at("seen");
    const common = ["--kind", "generic", "--network", "net-1", "--server", keyManager.url, "--key", "alias/nodes"];
    const program = ["/bin/sh", "-c", script, "sh", "@DATA@", seen];
    await succeed("node", "init", "anchored-1", ...common, "--dir", node, "--", ...program);
    const manifest = join(node, "node.toml");
    const text = readFileSync(manifest, "utf8").replace("@DATA@", "{data}");
    writeFileSync(manifest, `${text}\n[volume]\nkind = "sealfs"\n`);
    await succeed("node", "enroll", node, "--token-file", await keyManager.token("anchored-1"));
    await succeed("volume", "create", node, "--anchor");
    const volume = join(node, "volume");
    const launch = () => command("node", "launch", node, "--allow-unsafe");
    const launched = async (lines: number) => {
      const { code, stderr } = await launch();
      assert.equal(code, 0, stderr);
      assert.equal(readFileSync(seen, "utf8"), "line\n".repeat(lines));
      rmSync(seen);
    };
    const putBack = (name: string) => {
      rmSync(volume, { recursive: true });
      cpSync(folder.at(name), volume, { recursive: true, preserveTimestamps: true });
    };
    const refused = async (what: string) => {
      const { code, stderr } = await launch();
      assert.equal(code, 5, `${what}: ${stderr}`);
      assert.match(stderr, /older copy|another copy/, what);
      assert.equal(existsSync(seen), false, `${what}: the program was started`);
      assert.equal(
        readMounts().some((mount) => mount.mountPoint.startsWith(node)),
        false,
      );
    };
    await launched(1);
    cpSync(volume, folder.at("older"), { recursive: true, preserveTimestamps: true });
    await launched(2);
    cpSync(volume, folder.at("newest"), { recursive: true, preserveTimestamps: true });
    putBack("older");
    await refused("the whole volume");
    await refused("again");
    putBack("newest");
    cpSync(join(folder.at("older"), "store/keys"), join(volume, "store/keys"));
    await refused("the key table alone");
    putBack("newest");
    await launched(3);
  });
});
