import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, lstatSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { loadManifest } from "../../../src/node/manifest-reader.ts";
import { NodeFolder } from "../../unit/node/fake-key-manager.ts";
import { command, KeyManagerProcess, succeed } from "./key-manager-process.ts";

const strongroom = join(import.meta.dirname, "../../../bin/strongroom");
const noStrace =
  spawnSync("strace", ["-f", "-qq", "true"]).status === 0 ? false : "strace cannot trace processes on this machine";

interface Created {
  readonly name: string;
  readonly folder: string;
  readonly suggestedCommand?: readonly string[];
  readonly keys: readonly {
    readonly name: string;
    readonly format: string;
    readonly nodeId?: string;
    readonly address?: string;
    readonly publicKey?: string;
    readonly enode?: string;
  }[];
}

interface Audited {
  readonly eventName: string;
  readonly requestParameters: Readonly<Record<string, unknown>>;
  readonly userIdentity: { readonly arn?: string };
}

/** Every form in which a private key could lie in a file: as it is, and what is inside hex and base64. */
function formsOf(plaintext: Buffer): Buffer[] {
  const text = plaintext.toString("latin1");
  const inner = [...text.matchAll(/[0-9a-f]{64}/g)].map(([hex]) => Buffer.from(hex, "hex"));
  const base64 = [...text.matchAll(/"bytes":"([A-Za-z0-9+/=]+)"/g)].map(([, bytes]) =>
    Buffer.from(bytes ?? "", "base64"),
  );
  return [plaintext, ...inner, ...base64].flatMap((bytes) => [
    bytes,
    Buffer.from(bytes.toString("hex")),
    Buffer.from(bytes.toString("base64").replace(/=+$/, "")),
  ]);
}

function filesUnder(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => join(folder, name))
    .filter((path) => lstatSync(path).isFile());
}

describe("creating and destroying nodes against real key managers", () => {
  let keyManager: KeyManagerProcess;
  before(async () => {
    keyManager = await KeyManagerProcess.started();
  });
  after(async () => {
    await keyManager[Symbol.asyncDispose]();
  });

  function argumentsFor(name: string, kind: string, dir: string, token: string, at = keyManager): string[] {
    const where = ["--network", "net-1", "--server", at.url, "--key", "alias/nodes", "--dir", dir];
    return ["node", "create", name, "--kind", kind, ...where, "--token-file", token, "--light-kdf", "--json"];
  }

  async function create(name: string, kind: string, dir: string, ...more: readonly string[]): Promise<Created> {
    const token = await keyManager.token(name);
    return JSON.parse(await succeed(...argumentsFor(name, kind, dir, token), ...more)) as Created;
  }

  async function audited(eventName: string): Promise<Audited[]> {
    const text = await succeed("audit", "export", "--format", "jsonl", "--data", keyManager.data);
    const records = text.split("\n").filter((line) => line !== "");
    return records.map((line) => JSON.parse(line) as Audited).filter((record) => record.eventName === eventName);
  }

  it("gives a GoQuorum node its four secrets, sealed, in a folder of its own, and prints what is public", async () => {
    using folder = new NodeFolder();
    const dir = folder.at("node");
    const created = await create("quorum-1", "goquorum", dir, "--address", "127.0.0.1:30303");
    const key = (name: string) => created.keys.find((each) => each.name === name);
    assert.match(key("nodekey")?.enode ?? "", /^enode:\/\/[0-9a-f]{128}@127\.0\.0\.1:30303$/);
    assert.match(key("account")?.address ?? "", /^0x[0-9a-f]{40}$/);
    assert.equal(Buffer.from(key("tm")?.publicKey ?? "", "base64").length, 32);
    assert.equal(readFileSync(join(dir, "tm.pub"), "utf8"), key("tm")?.publicKey);
    assert.equal(lstatSync(dir).mode & 0o777, 0o700);
    for (const each of ["sealed", "identity"]) assert.equal(lstatSync(join(dir, each)).mode & 0o777, 0o700);
    const { manifest } = loadManifest(dir);
    assert.deepEqual(
      manifest.sealedFiles.map(({ name, handover }) => `${name} ${handover}`),
      ["nodekey fd", "password fd", "account keystore", "tm fd"],
    );
    assert.equal(manifest.node.uid, process.getuid?.());
    assert.deepEqual(created.suggestedCommand?.slice(-4), [
      "--unlock",
      key("account")?.address,
      "--password",
      "{key:password}",
    ]);
  });

  it("never writes a key in plain to any file, whatever the name, and the key manager never has one", {
    skip: noStrace,
  }, async () => {
    using folder = new NodeFolder();
    const dir = folder.at("node");
    const token = await keyManager.token("traced-1");
    const trace = folder.at("trace");
    const args = [
      "-f",
      "-qq",
      "-xx",
      "-s",
      "65536",
      "-e",
      "trace=write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg",
    ];
    const { status, stderr } = spawnSync(
      "strace",
      [...args, "-o", trace, strongroom, ...argumentsFor("traced-1", "goquorum", dir, token)],
      {
        encoding: "utf8",
        maxBuffer: 1 << 26,
      },
    );
    assert.equal(status, 0, stderr);
    const written = readFileSync(trace, "latin1");
    const database = filesUnder(keyManager.data).map((file) => readFileSync(file));
    const onDisk = filesUnder(dir).map((file) => readFileSync(file));
    for (const name of ["nodekey", "password", "account", "tm"]) {
      const out = `/dev/shm/strongroom-test-${process.pid}-${name}`;
      await succeed("node", "unseal", dir, name, "--out", out);
      const plaintext = readFileSync(out);
      rmSync(out);
      for (const form of formsOf(plaintext)) {
        const hex = [...form].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
        assert.equal(written.includes(hex), false, `${name} was written in plain`);
        for (const file of [...database, ...onDisk]) assert.equal(file.includes(form), false, name);
      }
    }
    // The trace sees what is written: the sealed files' magic is in it.
    assert.ok(written.includes("\\x53\\x52\\x53\\x46\\x02"));
  });

  it("goes on where an earlier run has ended, and gives the same identities when everything is there", async () => {
    using folder = new NodeFolder();
    const dir = folder.at("node");
    const first = await create("again-1", "besu", dir);
    const token = folder.write("no-token", "x");
    const again = JSON.parse(await succeed(...argumentsFor("again-1", "besu", dir, token))) as Created;
    assert.deepEqual(again.keys, first.keys);
    const other = await command(...argumentsFor("again-2", "besu", dir, token));
    assert.equal(other.code, 1);
    assert.match(other.stderr, /manifest of another node/);
  });

  it("refuses without a token, and warns of another node of the same user", async () => {
    using folder = new NodeFolder();
    const args = argumentsFor("no-token", "besu", folder.at("a"), "").filter(
      (word) => word !== "" && word !== "--token-file",
    );
    const refused = await command(...args);
    assert.equal(refused.code, 3);
    assert.match(refused.stderr, /not enrolled/);
    assert.equal(existsSync(folder.at("a/sealed")), false);
    const token = await keyManager.token("beside-1");
    const { stderr } = await command(...argumentsFor("beside-1", "besu", folder.at("b"), token));
    assert.match(stderr, /belongs to user \d+ too/);
  });

  it("hands a created node its account and password as geth takes them, and starts it", async () => {
    using folder = new NodeFolder();
    const dir = folder.at("node");
    const script = 'ls "$1"; wc -c <"$2"; test -L "$1"/UTC* || echo real; cat "$3" | wc -c';
    const argv = ["/bin/sh", "-c", script, "sh", "{keystore}", "{key:nodekey}", "{key:password}"];
    const { keys } = await create("geth-1", "geth", dir, "--", ...argv);
    const [listed = "", ...rest] = (await succeed("node", "launch", dir)).trim().split("\n");
    const account = keys.find(({ name }) => name === "account");
    assert.match(listed, /^UTC--/);
    assert.ok(listed.endsWith(account?.address?.slice(2) ?? "?"), listed);
    assert.deepEqual(rest, ["64", "real", "65"]);
  });

  it("starts two nodes of two key managers on one host at once, and cuts off the one that is revoked", async () => {
    await using second = await KeyManagerProcess.started();
    using folder = new NodeFolder();
    const script = 'cat "$1" | wc -c; sleep 1';
    const argv = ["--", "/bin/sh", "-c", script, "sh", "{key:nodekey}"];
    await create("one", "besu", folder.at("one"), ...argv);
    await succeed(...argumentsFor("one", "besu", folder.at("two"), await second.token("one"), second), ...argv);
    const both = await Promise.all([
      command("node", "launch", folder.at("one")),
      command("node", "launch", folder.at("two")),
    ]);
    assert.deepEqual(
      both.map(({ code, stdout }) => `${code} ${stdout.trim()}`),
      ["0 66", "0 66"],
    );
    await succeed("node", "revoke", "one", "--data", keyManager.data);
    const [first, other] = await Promise.all([
      command("node", "launch", folder.at("one")),
      command("node", "launch", folder.at("two")),
    ]);
    assert.equal(first?.code, 3);
    assert.match(first?.stderr ?? "", /access refused/);
    assert.doesNotMatch(first?.stderr ?? "", /revoked|disabled|polic(y|ies)|grant\b/);
    assert.equal(other?.code, 0, other?.stderr);
  });

  it("refuses another node's sealed file in a key's place before the program is started, naming both keys", async () => {
    using folder = new NodeFolder();
    const argv = ["--", "/bin/sh", "-c", 'echo started >"$1"', "sh", folder.at("witness"), "{key:nodekey}"];
    const one = await create("swap-1", "besu", folder.at("one"), ...argv);
    const two = await create("swap-2", "besu", folder.at("two"), ...argv);
    const sealed = "sealed/nodekey.sealed";
    writeFileSync(join(folder.at("one"), sealed), readFileSync(join(folder.at("two"), sealed)));
    const { code, stderr } = await command("node", "launch", folder.at("one"));
    assert.equal(code, 5);
    for (const created of [one, two]) assert.ok(stderr.includes(created.keys[0]?.nodeId ?? "?"), stderr);
    assert.equal(existsSync(folder.at("witness")), false);
  });

  it("destroys a node: on record with its public identities, revoked, and nothing of it left", async () => {
    using folder = new NodeFolder();
    const dir = folder.at("node");
    const { keys } = await create("gone-1", "goquorum", dir);
    const unconfirmed = await command("node", "destroy", dir);
    assert.equal(unconfirmed.code, 2);
    assert.match(unconfirmed.stderr, /--yes/);
    await succeed("node", "destroy", dir, "--yes");
    assert.equal(existsSync(dir), false);
    const [record, ...more] = (await audited("DestroyNode")).filter(
      ({ requestParameters }) => requestParameters.name === "gone-1",
    );
    assert.deepEqual(more, []);
    assert.match(record?.userIdentity.arn ?? "", /:node\/gone-1$/);
    const nodekey = keys.find(({ name }) => name === "nodekey");
    const account = keys.find(({ name }) => name === "account");
    const listed = Object.entries(record?.requestParameters ?? {}).filter(([name]) => /^key [0-9]+$/.test(name));
    const told = listed.map(([, text]) => text);
    assert.ok(told.includes(`nodekey nodekey-hex ${nodekey?.nodeId}`), told.join());
    assert.ok(told.includes(`account keystore-json ${account?.address}`), told.join());
    const nodes = await succeed("principal", "list", "--data", keyManager.data, "--json");
    assert.match(nodes, /gone-1/);
    assert.equal((await command("node", "destroy", dir, "--yes")).code, 2);
  });

  it("destroys nothing while the key manager is out of reach, unless it is told to go on without a record", async () => {
    using folder = new NodeFolder();
    const dir = folder.at("node");
    await create("gone-2", "besu", dir);
    await keyManager.stop();
    try {
      const refused = await command("node", "destroy", dir, "--yes");
      assert.equal(refused.code, 4);
      assert.ok(existsSync(join(dir, "sealed/nodekey.sealed")));
      assert.equal(existsSync(join(dir, "destruction.json")), false);
      await succeed("node", "destroy", dir, "--yes", "--without-record");
      assert.equal(existsSync(dir), false);
    } finally {
      await keyManager.start();
    }
  });

  it("destroys a node that was revoked before, and says so", async () => {
    using folder = new NodeFolder();
    const dir = folder.at("node");
    await create("gone-3", "tessera", dir);
    await succeed("node", "revoke", "gone-3", "--data", keyManager.data);
    assert.match(await succeed("node", "destroy", dir, "--yes"), /revoked it before/);
    assert.equal(existsSync(dir), false);
  });

  it("makes plain keys for a node without protection, which status says plainly, and starts it without a key manager", async () => {
    using folder = new NodeFolder();
    const dir = folder.at("node");
    const script = 'wc -c <"$1"; ls "$2" | wc -l';
    const argv = ["--", "/bin/sh", "-c", script, "sh", "{dir}/keys/nodekey", "{dir}/keystore"];
    await succeed(
      "node",
      "create",
      "plain-1",
      "--kind",
      "geth",
      "--network",
      "n",
      "--dir",
      dir,
      "--protection",
      "none",
      "--light-kdf",
      ...argv,
    );
    for (const file of ["keys/nodekey", "keys/password"]) assert.equal(lstatSync(join(dir, file)).mode & 0o777, 0o600);
    assert.match(await succeed("node", "status", dir), /NOT PROTECTED/);
    assert.equal(
      (JSON.parse(await succeed("node", "status", dir, "--json")) as { protection: string }).protection,
      "none",
    );
    assert.deepEqual((await succeed("node", "launch", dir)).trim().split("\n"), ["64", "1"]);
    assert.equal((await command("node", "seal", dir, join(dir, "keys/nodekey"))).code, 2);
    await succeed("node", "destroy", dir, "--yes");
    assert.equal(existsSync(dir), false);
  });
});
