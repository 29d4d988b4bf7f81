import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { NodeFolder } from "../../unit/node/fake-key-manager.ts";
import { command, KeyManagerProcess, succeed } from "../node/key-manager-process.ts";

const missing = ["/dev/fuse", "/usr/bin/fusermount3"].find((path) => !existsSync(path));
const skip = missing === undefined ? false : `this machine has no ${missing}`;

interface ShownZone {
  readonly path: string;
  readonly protection: string;
  readonly destroyed: boolean;
  readonly generations: readonly { generation: number; state: string; sealedBytes?: number }[];
}

describe("strongroom volume on a sealfs volume, against a real key manager", { skip }, () => {
  let keyManager: KeyManagerProcess;
  before(async () => {
    keyManager = await KeyManagerProcess.started();
  });
  after(async () => {
    await keyManager[Symbol.asyncDispose]();
  });

  /** An enrolled node with an empty, locked sealfs volume. */
  async function made(folder: NodeFolder, name: string, ...options: readonly string[]): Promise<string> {
    const node = folder.at("node");
    const common = ["--kind", "generic", "--network", "net-1", "--server", keyManager.url, "--key", "alias/nodes"];
    await succeed("node", "init", name, ...common, "--dir", node, "--", "/bin/true");
    writeFileSync(
      join(node, "node.toml"),
      `${readFileSync(join(node, "node.toml"), "utf8")}\n[volume]\nkind = "sealfs"\n`,
    );
    await succeed("node", "enroll", node, "--token-file", await keyManager.token(name));
    await succeed("volume", "create", node, ...options);
    return node;
  }

  const zonesOf = async (node: string, ...options: readonly string[]): Promise<readonly ShownZone[]> =>
    JSON.parse(await succeed("volume", "keys", node, "--json", ...options)).zones;

  it("exports to a file, and imports it where the node is restored, with what was written", async () => {
    using folder = new NodeFolder();
    const node = await made(folder, "transfer-1");
    const data = (await succeed("volume", "open", node)).trim();
    writeFileSync(join(data, "block"), "canary-of-a-volume");
    const file = folder.at("backup.srvx");
    assert.equal((await command("volume", "export", node, file)).code, 1, "it is open");
    await succeed("volume", "close", node);
    const shown = JSON.parse(await succeed("volume", "export", node, file, "--json"));
    assert.equal(shown.file, file);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.equal(readFileSync(file).includes("canary-of-a-volume"), false);
    assert.equal((await command("volume", "export", node, file)).code, 1, "the file is there");
    assert.equal((await command("volume", "import", node, file)).code, 1, "the volume is there");
    // Another machine: the node's own files, and not its volume.
    const restored = folder.at("restored");
    cpSync(node, restored, { recursive: true, filter: (path) => !path.startsWith(join(node, "volume")) });
    const cut = folder.write("cut.srvx", readFileSync(file).subarray(0, -1));
    assert.equal((await command("volume", "import", restored, cut)).code, 5);
    assert.equal(JSON.parse(await succeed("volume", "status", restored, "--json")).state, "absent");
    await succeed("volume", "import", restored, file);
    const again = (await succeed("volume", "open", restored)).trim();
    try {
      assert.equal(readFileSync(join(again, "block"), "utf8"), "canary-of-a-volume");
    } finally {
      await succeed("volume", "close", restored);
    }
    assert.match(await succeed("volume", "check", restored), /all authentic/);
  });

  it("sets zone rules, shows keys, rotates, and destroys a superseded generation and a zone", async () => {
    using folder = new NodeFolder();
    const node = await made(folder, "zones-1");
    await succeed("volume", "zones", "set", node, "/data/tenant-*=sealed").then(
      () => assert.fail("a * inside a name was taken"),
      () => {},
    );
    await succeed("volume", "zones", "set", node, "data/*=table-sealed", "data/public=plain");
    const { rules } = JSON.parse(await succeed("volume", "zones", "list", node, "--json"));
    assert.deepEqual(rules, [
      { pattern: "data/*", becomes: "table-sealed" },
      { pattern: "data/public", becomes: "plain" },
    ]);
    assert.equal((await command("volume", "zones", "remove", node, "data/other")).code, 1);
    const data = (await succeed("volume", "open", node)).trim();
    try {
      mkdirSync(join(data, "tenant"));
      writeFileSync(join(data, "tenant/file"), Buffer.alloc(100_000, 1));
      assert.deepEqual(
        (await zonesOf(node)).map(({ path, protection }) => [path, protection]),
        [
          ["/", "table-sealed"],
          ["/data/tenant", "table-sealed"],
        ],
      );
      assert.equal((await command("volume", "keys", "destroy", node, "data/tenant", "--generation", "1")).code, 1);
      await succeed("volume", "rotate", node, "data/tenant", "--rate", "1GB", "--wait");
      const [, tenant] = await zonesOf(node, "--count");
      assert.deepEqual(
        tenant?.generations.map(({ generation, sealedBytes }) => [generation, sealedBytes === 0]),
        [
          [1, true],
          [2, false],
        ],
      );
      await succeed("volume", "keys", "destroy", node, "/data/tenant/", "--generation", "1");
      assert.deepEqual(
        (await zonesOf(node))[1]?.generations.map((each) => each.generation),
        [2],
      );
      const unconfirmed = await command("volume", "zones", "destroy", node, "data/tenant");
      assert.equal(unconfirmed.code, 2);
      assert.equal(readFileSync(join(data, "tenant/file")).length, 100_000);
      assert.match(await succeed("volume", "zones", "destroy", node, "data/tenant", "--yes"), /older copy/);
      assert.equal((await command("volume", "rotate", node, "data/tenant")).code, 1);
    } finally {
      await succeed("volume", "close", node);
    }
    const locked = await zonesOf(node);
    assert.deepEqual([locked[1]?.destroyed, locked[1]?.generations], [true, []]);
    await succeed("volume", "open", node);
    try {
      assert.throws(() => readFileSync(join(data, "tenant/file")));
      mkdirSync(join(data, "next"));
      writeFileSync(join(data, "next/file"), "to be destroyed");
    } finally {
      await succeed("volume", "close", node);
    }
    const older = join(node, "older-keys");
    cpSync(join(node, "volume/store/keys"), older);
    assert.match(await succeed("volume", "zones", "destroy", node, "data/next", "--yes"), /under a new data key/);
    cpSync(join(node, "volume/store/keys"), `${older}.now`);
    cpSync(older, join(node, "volume/store/keys"));
    const refused = await command("volume", "open", node);
    assert.notEqual(refused.code, 0, "the older key table opens no more");
    cpSync(`${older}.now`, join(node, "volume/store/keys"));
    assert.deepEqual(
      (await zonesOf(node)).map(({ destroyed }) => destroyed),
      [false, true, true],
    );
  });

  it("refuses an older copy of a volume whose state the key manager keeps", async () => {
    using folder = new NodeFolder();
    const node = await made(folder, "anchor-1", "--anchor");
    const copy = (name: string) => cpSync(join(node, "volume"), folder.at(name), { recursive: true });
    const putBack = (name: string) => {
      rmSync(join(node, "volume"), { recursive: true });
      cpSync(folder.at(name), join(node, "volume"), { recursive: true });
    };
    const used = async () => {
      await succeed("volume", "open", node);
      await succeed("volume", "close", node);
    };
    await used();
    copy("older");
    await used();
    copy("newest");
    putBack("older");
    const refused = await command("volume", "open", node);
    assert.equal(refused.code, 5, refused.stderr);
    assert.match(refused.stderr, /older copy/);
    assert.equal(JSON.parse(await succeed("volume", "status", node, "--json")).state, "locked");
    assert.equal((await command("volume", "rotate", node)).code, 5);
    putBack("newest");
    await used();
    await keyManager.stop();
    try {
      assert.equal((await command("volume", "open", node)).code, 4);
    } finally {
      await keyManager.start();
    }
    await used();
  });

  it("says what is damaged while it is open, and that an end was not orderly", async () => {
    using folder = new NodeFolder();
    const node = await made(folder, "damage-1");
    await succeed("volume", "open", node);
    const { findings } = JSON.parse(await succeed("volume", "status", node, "--json"));
    assert.deepEqual(findings, { count: 0, latest: [] });
    const [holder] = readFileSync("/proc/locks", "utf8")
      .split("\n")
      .filter((line) => line.includes(`:${statSync(join(node, "volume/volume.lock")).ino} `));
    assert.notEqual(holder, undefined, "the server holds the lock");
    const server = serverOf(join(node, "volume/store"));
    process.kill(server, "SIGKILL");
    for (const until = Date.now() + 20_000; serverLives(server); ) {
      assert.ok(Date.now() < until, "the server does not end");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const closed = await command("volume", "close", node);
    assert.equal(closed.code, 1, closed.stderr);
    assert.match(closed.stderr, /good order/);
    await succeed("volume", "open", node);
    await succeed("volume", "close", node);
  });
});

/** The server of a volume has its store in its arguments. */
function serverOf(store: string): number {
  const { readdirSync } = process.getBuiltinModule("node:fs");
  for (const name of readdirSync("/proc")) {
    if (!/^[0-9]+$/.test(name)) continue;
    try {
      const args = readFileSync(`/proc/${name}/cmdline`, "utf8").split("\0");
      if (args.includes(store) && args.some((arg) => arg.includes("sealfs/server/main"))) return Number(name);
    } catch {
      // It has ended meanwhile.
    }
  }
  throw new Error(`no server of ${store}`);
}

function serverLives(pid: number): boolean {
  return existsSync(`/proc/${pid}/cmdline`) && readFileSync(`/proc/${pid}/cmdline`, "utf8") !== "";
}
