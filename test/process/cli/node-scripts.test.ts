import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import {
  chmodSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import {
  type Outcome,
  type RunningProgram,
  runProgram,
  secretFile,
  startKeyManager,
  stateHome,
  temporaryFolder,
} from "../../fisco-stand-in/processes.ts";
import { type RecordedKeyFile, recorded } from "../../fisco-stand-in/recorded.ts";
import { reservePort } from "../../reserved-ports.ts";

const generate = (...args: readonly string[]) => runProgram("gen_data_secure_key.sh", args);
const encrypt = (...args: readonly string[]) => runProgram("encrypt_node_key.sh", args);

function keyFile(id: string): RecordedKeyFile & { plainPem: string } {
  const found = recorded.nodeKeyFiles.find((one) => one.id === id);
  assert.ok(found?.plainPem !== undefined);
  return { ...found, plainPem: found.plainPem };
}
const standard = keyFile("nkf-01");
const sm = keyFile("nkf-04");

/** A node's folder with `name` in conf/. */
function nodeWith(name: string, content: string): string {
  const path = join(temporaryFolder(), "node0/conf", name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content, { mode: 0o644 });
  return path;
}

function backupIn(outcome: Outcome): string {
  const path = /^\[INFO\] File backup to "(.+)"$/m.exec(outcome.stdout)?.[1];
  assert.ok(path !== undefined, outcome.stdout + outcome.stderr);
  return path;
}

describe("the scripts that the document gives to node operators", () => {
  let km: RunningProgram;
  let smKm: RunningProgram;
  before(async () => {
    km = await startKeyManager(["123xyz", "--data", temporaryFolder()]);
    smKm = await startKeyManager(["-g", "123xyz", "--data", temporaryFolder()]);
    await generate("127.0.0.1", String(km.port), standard.dataKey);
    await generate("127.0.0.1", String(smKm.port), sm.dataKey);
  });
  after(async () => {
    await km.stop();
    await smKm.stop();
  });

  it("gen_data_secure_key.sh prints the original's line and the block of both versions", async () => {
    const { code, stdout, stderr } = await generate("127.0.0.1", String(km.port), "123456");
    assert.equal(code, 0);
    const cipher = "cipher_data_key=ed157f4588b86d61a2e1745efe71e6ea";
    assert.equal(
      stdout,
      `CiherDataKey generated: ed157f4588b86d61a2e1745efe71e6ea
Append these into config.ini to enable disk encryption:
; FISCO BCOS 3
[storage_security]
enable=true
key_center_url=127.0.0.1:${km.port}
${cipher}

; FISCO BCOS 2
[storage_security]
enable=true
key_manager_ip=127.0.0.1
key_manager_port=${km.port}
${cipher}
`,
    );
    assert.match(stderr, /warning: the data key was on the command line/);
  });

  it("gen_data_secure_key.sh takes the data key from a file, and prints one block when asked", async () => {
    const file = secretFile(temporaryFolder(), "data.key", "密钥-key\n");
    const { stdout, stderr } = await generate("127.0.0.1", String(km.port), "--data-key-file", file, "--v3");
    assert.match(stdout, /^CiherDataKey generated: 32f065bedc2f7125f1cfb2e172ef4f83$/m);
    assert.doesNotMatch(stdout, /key_manager_ip|^;/m);
    assert.equal(stderr, "");
  });

  it("gen_data_secure_key.sh takes the empty data key, with a warning", async () => {
    const { stdout, stderr } = await generate("127.0.0.1", String(km.port), "");
    assert.match(stdout, /^CiherDataKey generated: 45487c40f53518dbebb17ff9814082a9$/m);
    assert.match(stderr, /the data key is empty/);
  });

  it("gen_data_secure_key.sh fails with 2 for bad arguments and 4 when nobody answers", async () => {
    assert.equal((await generate("127.0.0.1", String(km.port))).code, 2);
    assert.equal((await generate("127.0.0.1", "x", "123456")).code, 2);
    assert.equal((await generate("http://127.0.0.1", "8150", "123456")).code, 2);
    assert.equal((await generate("127.0.0.1", String(await reservePort()), "123456")).code, 4);
    assert.equal((await generate("127.0.0.1", String(km.port), "k".repeat(5000))).code, 3);
  });

  it("encrypt_node_key.sh writes the original's bytes, keeps a private backup elsewhere, and clears the old bytes", async () => {
    const path = nodeWith("node.key", standard.plainPem);
    const hardReader = readFileSync(path);
    const outcome = await encrypt("127.0.0.1", String(km.port), path, standard.cipherDataKey);
    assert.equal(outcome.code, 0, outcome.stderr);
    assert.equal(readFileSync(path, "latin1"), standard.encryptedFileText);
    assert.match(outcome.stdout, new RegExp(`^\\[INFO\\] "${path}" encrypted!$`, "m"));
    const backup = backupIn(outcome);
    assert.equal(dirname(backup), join(stateHome, "strongroom/node-key-backups"));
    assert.deepEqual(readFileSync(backup), hardReader);
    assert.equal(statSync(backup).mode & 0o777, 0o600);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.deepEqual(readdirSync(dirname(path)), ["node.key"]);
  });

  it("encrypt_node_key.sh keeps the backup where it is told to, and warns inside the node's folder", async () => {
    const path = nodeWith("node.key", standard.plainPem);
    const args = ["127.0.0.1", String(km.port), path, standard.cipherDataKey, "--backup-dir"];
    const outcome = await encrypt(...args, join(dirname(path), "backup"));
    assert.equal(outcome.code, 0);
    assert.equal(dirname(backupIn(outcome)), join(dirname(path), "backup"));
    assert.match(outcome.stderr, /lies in the node's folder/);
  });

  it("encrypt_node_key.sh encrypts every key of an SM node in one call, versions 2 and 3", async () => {
    for (const names of [
      ["gmnode.key", "origin_cert/node.key"],
      ["sm_ssl.key", "sm_enssl.key", "node.pem"],
    ]) {
      const conf = join(temporaryFolder(), "conf");
      mkdirSync(join(conf, "origin_cert"), { recursive: true });
      for (const name of names) writeFileSync(join(conf, name), sm.plainPem);
      writeFileSync(join(conf, "gmennode.key"), sm.plainPem);
      const outcome = await encrypt("127.0.0.1", String(smKm.port), sm.cipherDataKey, "--sm-node", conf);
      assert.equal(outcome.code, 0, outcome.stderr);
      for (const name of names) assert.equal(readFileSync(join(conf, name), "latin1"), sm.encryptedFileText, name);
      assert.match(outcome.stderr, /gmennode.key is still a private key in clear/);
      assert.equal(outcome.stdout.match(/encrypted!/g)?.length, names.length);
    }
  });

  it("encrypt_node_key.sh takes FILE and --sm-node together", async () => {
    const path = nodeWith("gmnode.key", sm.plainPem);
    mkdirSync(join(dirname(path), "origin_cert"));
    writeFileSync(join(dirname(path), "origin_cert/node.key"), sm.plainPem);
    const args = ["127.0.0.1", String(smKm.port), path, sm.cipherDataKey, "--sm-node", dirname(path)];
    const outcome = await encrypt(...args);
    assert.equal(outcome.code, 0, outcome.stderr);
    assert.equal(outcome.stdout.match(/encrypted!/g)?.length, 2);
  });

  it("encrypt_node_key.sh replaces the file behind a symbolic link, and says when a hard link keeps the plain key", async () => {
    const path = nodeWith("node.key", standard.plainPem);
    const link = join(dirname(path), "link.key");
    const twin = join(dirname(path), "twin.key");
    symlinkSync("node.key", link);
    linkSync(path, twin);
    const outcome = await encrypt("127.0.0.1", String(km.port), link, standard.cipherDataKey);
    assert.equal(outcome.code, 0, outcome.stderr);
    assert.equal(readFileSync(path, "latin1"), standard.encryptedFileText);
    assert.equal(readFileSync(twin, "latin1"), standard.plainPem);
    assert.match(outcome.stderr, /1 more hard link/);
  });

  const refusals: readonly (readonly [string, string, RegExp])[] = [
    ["an encrypted file", standard.encryptedFileText, /is encrypted already; it was not changed/],
    [
      "a SEC1 key",
      generateKeyPairSync("ec", { namedCurve: "secp256k1" })
        .privateKey.export({ type: "sec1", format: "pem" })
        .toString(),
      /is a SEC1 key \(BEGIN EC PRIVATE KEY\).*openssl pkcs8/s,
    ],
    ["an empty file", "", /is empty: there is no key in it/],
    ["what the original's defect leaves", "0a54fa230caaadf5bdd864b270fa88f5", /too few for a key.*backup/s],
    ["a certificate", "-----BEGIN CERTIFICATE-----\n", /is neither a PKCS#8 key/],
    ["a protected key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\n", /protected by a passphrase/],
    ["a file of 1 MiB", "x".repeat(1 << 20), /is longer than/],
  ];
  for (const [what, content, message] of refusals)
    it(`encrypt_node_key.sh refuses ${what}, says so, and leaves it`, async () => {
      const path = nodeWith("node.key", content);
      const outcome = await encrypt("127.0.0.1", String(km.port), path, standard.cipherDataKey);
      assert.equal(outcome.code, 1);
      assert.match(outcome.stderr, message);
      assert.equal(readFileSync(path, "latin1"), content);
      assert.deepEqual(readdirSync(dirname(path)), ["node.key"]);
    });

  it("encrypt_node_key.sh changes nothing when it fails", async () => {
    const path = nodeWith("node.key", standard.plainPem);
    const bad = join(dirname(path), "gmnode.key");
    writeFileSync(bad, sm.plainPem);
    mkdirSync(join(dirname(path), "origin_cert"));
    writeFileSync(join(dirname(path), "origin_cert/node.key"), "");
    const attempts: readonly (readonly [number, readonly string[]])[] = [
      [4, ["127.0.0.1", String(await reservePort()), path, standard.cipherDataKey]],
      [3, ["127.0.0.1", String(km.port), path, "00".repeat(16)]],
      [3, ["127.0.0.1", String(smKm.port), path, standard.cipherDataKey]],
      [1, ["127.0.0.1", String(smKm.port), path, sm.cipherDataKey, "--sm-node", dirname(path)]],
      [2, ["127.0.0.1", String(km.port), path, "nothex"]],
      [2, ["127.0.0.1", String(km.port), join(dirname(path), "missing"), standard.cipherDataKey]],
      [2, ["127.0.0.1", String(km.port), standard.cipherDataKey]],
      [2, ["127.0.0.1", String(smKm.port), sm.cipherDataKey, "--sm-node", temporaryFolder()]],
      [2, ["127.0.0.1", String(km.port), path, standard.cipherDataKey, "--mode", "other"]],
    ];
    for (const [code, args] of attempts) {
      const outcome = await encrypt(...args);
      assert.equal(outcome.code, code, `${args.join(" ")}\n${outcome.stderr}`);
      assert.match(outcome.stderr, /^encrypt_node_key: error: /m);
      assert.equal(outcome.stdout, "");
      assert.equal(readFileSync(path, "latin1"), standard.plainPem);
      assert.equal(readFileSync(bad, "latin1"), sm.plainPem);
    }
  });

  it("encrypt_node_key.sh leaves the key when the backup cannot be written", async () => {
    const path = nodeWith("node.key", standard.plainPem);
    const blocked = join(temporaryFolder(), "file");
    writeFileSync(blocked, "");
    const args = ["127.0.0.1", String(km.port), path, standard.cipherDataKey, "--backup-dir", join(blocked, "dir")];
    const outcome = await encrypt(...args);
    assert.equal(outcome.code, 1);
    assert.equal(readFileSync(path, "latin1"), standard.plainPem);
  });

  it("encrypt_node_key.sh sends no private key over the network", async () => {
    const path = nodeWith("node.key", standard.plainPem);
    const { createServer } = await import("node:http");
    let seen = "";
    const spy = createServer((request, response) => {
      let body = "";
      request.on("data", (piece) => {
        body += piece;
      });
      request.on("end", async () => {
        seen += body;
        const answer = await fetch(`http://127.0.0.1:${km.port}/`, { method: "POST", body });
        response.end(await answer.text());
      });
    });
    await new Promise<void>((resolve) => spy.listen(0, "127.0.0.1", resolve));
    const address = spy.address();
    assert.ok(typeof address === "object" && address !== null);
    const outcome = await encrypt("127.0.0.1", String(address.port), path, standard.cipherDataKey);
    spy.close();
    assert.equal(outcome.code, 0, outcome.stderr);
    assert.match(seen, /decDataKey/);
    assert.equal(seen.includes(Buffer.from(standard.plainPem).toString("base64").slice(0, 60)), false);
  });

  it("encrypt_node_key.sh keeps a read-only key read-only", async () => {
    const path = nodeWith("node.key", standard.plainPem);
    chmodSync(path, 0o400);
    const outcome = await encrypt("127.0.0.1", String(km.port), path, standard.cipherDataKey, "--mode", "standard");
    assert.equal(outcome.code, 0, outcome.stderr);
    assert.equal(statSync(path).mode & 0o777, 0o400);
  });
});
