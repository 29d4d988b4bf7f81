import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, lstatSync, readdirSync, readFileSync, rmSync, statfsSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { NodeFolder } from "../../unit/node/fake-key-manager.ts";
import { command, KeyManagerProcess, succeed } from "./key-manager-process.ts";

const nodekey = `${"0".repeat(62)}2a\n`;
const tmpfsMissing = statfsSync("/dev/shm").type === 0x01021994 ? false : "/dev/shm is not a tmpfs on this machine";

function snapshot(folder: string): string {
  const hash = createHash("sha256");
  for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" }).sort()) {
    const stats = lstatSync(join(folder, name));
    hash.update(`${name}\0${stats.mode}\0${stats.isFile() ? stats.mtimeMs : 0}\0`);
    if (stats.isFile()) hash.update(readFileSync(join(folder, name)));
  }
  return hash.digest("hex");
}

describe("the node commands against a real key manager", () => {
  let keyManager: KeyManagerProcess;
  before(async () => {
    keyManager = await KeyManagerProcess.started();
  });
  after(async () => {
    await keyManager[Symbol.asyncDispose]();
  });

  /** A manifest whose program prints its key, and leaves a witness. */
  function init(folder: NodeFolder, name: string, ...more: readonly string[]) {
    const common = ["--kind", "geth", "--network", "net-1", "--server", keyManager.url, "--key", "alias/nodes"];
    const script = 'cat "$1"; echo started >"$2"';
    const argv = ["/bin/sh", "-c", script, "sh", "{key:nodekey}", folder.at("witness")];
    return command("node", "init", name, ...common, "--dir", folder.at("node"), ...more, "--", ...argv);
  }

  async function enrolled(folder: NodeFolder, name: string) {
    assert.equal((await init(folder, name)).code, 0);
    await succeed("node", "enroll", folder.at("node"), "--token-file", await keyManager.token(name));
    await succeed("node", "seal", folder.at("node"), folder.write("nodekey", nodekey));
  }

  it("start a sealed node, and no longer once it is revoked, with every file as it was", async () => {
    using folder = new NodeFolder();
    await enrolled(folder, "node-1");
    assert.equal(await succeed("node", "launch", folder.at("node")), nodekey);
    assert.equal(existsSync(folder.at("witness")), true);
    rmSync(folder.at("witness"));
    await succeed("node", "revoke", "node-1", "--data", keyManager.data);
    const unchanged = snapshot(folder.path);
    const refused = await command("node", "launch", folder.at("node"));
    assert.equal(refused.code, 3, refused.stderr);
    assert.equal(refused.stdout, "");
    assert.equal(snapshot(folder.path), unchanged);
  });

  it("end with 4 while the key manager is stopped, and start again when it is back", async () => {
    using folder = new NodeFolder();
    await enrolled(folder, "node-2");
    await keyManager.stop();
    const unchanged = snapshot(folder.path);
    const outcome = await command("node", "launch", folder.at("node"));
    await keyManager.start();
    assert.equal(outcome.code, 4, outcome.stderr);
    assert.equal(snapshot(folder.path), unchanged);
    assert.equal(await succeed("node", "launch", folder.at("node")), nodekey);
  });

  it("do not let one node open what is another's", async () => {
    using one = new NodeFolder();
    using other = new NodeFolder();
    await enrolled(one, "node-3");
    await enrolled(other, "node-4");
    // node-4's identity with node-3's files: the key manager refuses, for the context names node-3.
    rmSync(one.at("node/identity"), { recursive: true });
    const manifest = readFileSync(one.at("node/node.toml"), "utf8");
    one.write("node/node.toml", manifest.replace('folder = "identity"', `folder = "${other.at("node/identity")}"`));
    assert.equal((await command("node", "launch", one.at("node"))).code, 3);
  });

  it("refuse a token twice, for another name, and from a file that others can read", async () => {
    using folder = new NodeFolder();
    assert.equal((await init(folder, "node-5")).code, 0);
    const token = await keyManager.token("node-5");
    await succeed("node", "enroll", folder.at("node"), "--token-file", token);
    assert.equal((await command("node", "enroll", folder.at("node"), "--token-file", token)).code, 3);
    const forOther = await keyManager.token("node-6");
    assert.equal((await command("node", "enroll", folder.at("node"), "--token-file", forOther)).code, 2);
    const loose = folder.write("loose", readFileSync(token));
    chmodSync(loose, 0o644);
    assert.equal((await command("node", "enroll", folder.at("node"), "--token-file", loose)).code, 2);
  });

  it("write an identity only its owner can read", async () => {
    using folder = new NodeFolder();
    await enrolled(folder, "node-7");
    assert.equal(statSync(folder.at("node/identity")).mode & 0o777, 0o700);
    assert.equal(statSync(folder.at("node/identity/key.pem")).mode & 0o777, 0o600);
    const status = JSON.parse(await succeed("node", "status", folder.at("node"), "--json", "--ask"));
    assert.equal(status.identity.enrolled, true);
    assert.match(status.identity.meaning, /stolen disk/);
    assert.equal(status.sealedFiles[0].state, "sealed");
  });

  it("keep a tmpfs identity off the disk: a copy of the disk alone is refused", { skip: tmpfsMissing }, async () => {
    using folder = new NodeFolder();
    const name = `node-tmpfs-${process.pid}`;
    assert.equal((await init(folder, name, "--identity", "tmpfs")).code, 0);
    const token = await keyManager.token(name, "--identity-kind", "tmpfs");
    await succeed("node", "enroll", folder.at("node"), "--token-file", token);
    const status = JSON.parse(await succeed("node", "status", folder.at("node"), "--json"));
    try {
      assert.match(status.identity.folder, /^\/(dev\/shm|run)\//);
      await succeed("node", "seal", folder.at("node"), folder.write("nodekey", nodekey));
      assert.equal(await succeed("node", "launch", folder.at("node")), nodekey);
      for (const file of readdirSync(folder.path, { recursive: true, encoding: "utf8" }))
        assert.doesNotMatch(file, /key\.pem/);
    } finally {
      rmSync(status.identity.folder, { recursive: true, force: true });
    }
    // What a thief has: the disk, without what was in memory.
    const stolen = await command("node", "launch", folder.at("node"));
    assert.equal(stolen.code, 3);
    assert.match(stolen.stderr, /enroll the node again/);
  });

  it("refuse a tmpfs identity on a disk before the token is used up", async () => {
    using folder = new NodeFolder();
    assert.equal((await init(folder, "node-8", "--identity", "tmpfs", "--identity-folder", "identity")).code, 0);
    const token = await keyManager.token("node-8", "--identity-kind", "tmpfs");
    const refused = await command("node", "enroll", folder.at("node"), "--token-file", token);
    const onDisk = statfsSync(folder.path).type !== 0x01021994;
    assert.equal(refused.code, onDisk ? 1 : 0, refused.stderr);
  });

  it("enrol an auditor into a folder that administrative commands take as --identity", async () => {
    using folder = new NodeFolder();
    await succeed("principal", "create", "alice", "--role", "auditor", "--data", keyManager.data);
    const token = folder.at("token");
    await succeed("node", "token", "alice", "--data", keyManager.data, "--out", token);
    assert.equal((await command("node", "enroll", "--into", folder.at("id"), "--token-file", token)).code, 2);
    const server = ["--server", keyManager.url];
    await succeed("node", "enroll", "--into", folder.at("id"), "--token-file", token, ...server);
    assert.match(await succeed("audit", "verify", "--identity", folder.at("id"), ...server), /\d/);
  });

  it("make no token for a node where it cannot be written", async () => {
    using folder = new NodeFolder();
    folder.write("taken", "mine");
    for (const [out, message] of [
      ["none/token", /there is no folder .*none for the token/],
      ["taken", /taken exists already/],
    ] as const) {
      const words = ["--key", "alias/nodes", "--data", keyManager.data, "--out", folder.at(out)];
      const { code, stderr } = await command("node", "token", "node-9", ...words);
      assert.equal(code, 1, stderr);
      assert.match(stderr, message);
    }
    assert.equal(readFileSync(folder.at("taken"), "utf8"), "mine");
    assert.doesNotMatch(await succeed("node", "list", "--data", keyManager.data), /node-9/);
  });

  it("answer usage errors with 2 and name the mistake", async () => {
    using folder = new NodeFolder();
    assert.equal((await command("node", "launch", folder.at("nothing"))).code, 2);
    assert.equal((await command("node", "launch", folder.path, "--lease", "soon")).code, 2);
    assert.equal((await command("node", "init", "n", "--kind", "gethh")).code, 2);
    folder.write("node.toml", "[node]\nnam = 1\n");
    const { code, stderr } = await command("node", "launch", folder.path);
    assert.equal(code, 2);
    assert.match(stderr, /^strongroom: error: .*"node\.nam"; did you mean node\.name\?/m);
  });
});
