import assert from "node:assert/strict";
import { copyFileSync, linkSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename } from "node:path";
import { describe, it } from "node:test";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { generateKeystoreAccount } from "../../../src/node/key-formats/keystore-lock.ts";
import { generateNodekey } from "../../../src/node/key-formats/nodekey-hex.ts";
import { generateTesseraKeyPair } from "../../../src/node/key-formats/tessera-lock.ts";
import { NodeFolder } from "../../unit/node/fake-key-manager.ts";
import { command, succeed } from "./key-manager-process.ts";

const secret = (content: string) => SecretBuffer.copyOf(Buffer.from(content));
const bytes = (file: SecretBuffer) => file.expose((exposed) => Buffer.from(exposed));
const inspect = async (...args: string[]) => JSON.parse(await succeed("node", "key", "inspect", "--json", ...args));

async function keystoreIn(folder: NodeFolder) {
  const account = await generateKeystoreAccount(secret("pw"), { cost: "light" });
  return { ...account, path: folder.write(account.fileName, bytes(account.file)) };
}

describe("strongroom node key", () => {
  it("shows a node key's enode key, node id and address, and never the key", async () => {
    using folder = new NodeFolder();
    const { file, identity } = generateNodekey();
    const { code, stdout, stderr } = await command("node", "key", "inspect", folder.write("nodekey", bytes(file)));
    assert.equal(code, 0, stderr);
    for (const part of [identity.nodeId, identity.address, identity.fingerprint, "nodekey-hex", "nodeIdV4"])
      assert.ok(stdout.includes(part ?? "?"), part ?? "missing");
    assert.equal(stdout.includes(bytes(file).toString()), false);
  });

  it("takes a keystore's address on trust without the password, and proves it with it", async () => {
    using folder = new NodeFolder();
    const { path, address, identity } = await keystoreIn(folder);
    const claimed = await inspect(path);
    assert.deepEqual([claimed.locked, claimed.passwordProven, claimed.address], [true, false, address]);
    const lines = folder.write("pw", "other\r\npw\r\n");
    const proven = await inspect(path, "--password-file", lines, "--password-line", "2");
    assert.deepEqual([proven.locked, proven.passwordProven, proven.nodeId], [false, true, identity.nodeId]);
    for (const line of ["1", "3"]) {
      const refused = await command("node", "key", "inspect", path, "--password-file", lines, "--password-line", line);
      assert.equal(refused.code, 2);
      assert.equal(refused.stdout, "");
    }
  });

  it("refuses a keystore under the file name of another account", async () => {
    using folder = new NodeFolder();
    const { path } = await keystoreIn(folder);
    const other = folder.at(basename(path).replace(/[0-9a-f]{40}$/, "ab".repeat(20)));
    copyFileSync(path, other);
    const { code, stderr } = await command("node", "key", "inspect", other);
    assert.equal(code, 2);
    assert.match(stderr, /the file's name says 0x(ab){20}/);
  });

  it("puts a keystore under another password, and leaves nothing else behind", async () => {
    using folder = new NodeFolder();
    const { path, address } = await keystoreIn(folder);
    const [old, fresh] = [folder.write("old", "pw\n"), folder.write("new", "fresh\n")];
    linkSync(path, `${path}.strongroom-old`); // as a change leaves it that was killed
    const before = readdirSync(folder.path).length;
    const change = ["node", "key", "keystore-passwd", path, "--light", "--new-password-file", fresh];
    await succeed(...change, "--password-file", old);
    assert.equal((await inspect(path, "--password-file", fresh)).address, address);
    assert.equal(readdirSync(folder.path).length, before - 1);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    const unchanged = readFileSync(path);
    assert.equal((await command(...change, "--password-file", old)).code, 2);
    assert.deepEqual(readFileSync(path), unchanged);
  });

  it("locks a Tessera key at a given cost, and locks it again", async () => {
    using folder = new NodeFolder();
    const pair = await generateTesseraKeyPair();
    const path = folder.write("tm.key", bytes(pair.file));
    const [one, two] = [folder.write("one", "one\n"), folder.write("two", "two\n")];
    assert.equal((await inspect(path)).publicKey, pair.publicFile.toString());
    const relock = ["node", "key", "tessera-relock", path, "--memory", "64", "--passes", "2", "--lanes", "1"];
    await succeed(...relock, "--new-password-file", one);
    assert.equal((await inspect(path)).locked, true);
    assert.match(readFileSync(path, "utf8"), /"memory":64,"iterations":2,"parallelism":1/);
    await succeed(...relock, "--password-file", one, "--new-password-file", two);
    assert.equal((await inspect(path, "--password-file", two)).publicKey, pair.publicFile.toString());
    const unchanged = readFileSync(path);
    for (const more of [
      ["--password-file", one, "--new-password-file", two],
      ["--password-file", two],
      ["--password-file", two, "--new-password-file", one, "--memory", "2000000"],
    ])
      assert.equal((await command(...relock, ...more)).code, 2);
    assert.deepEqual(readFileSync(path), unchanged);
  });

  it("lists every format", async () => {
    const formats: { name: string }[] = JSON.parse(await succeed("node", "key", "formats", "--json"));
    for (const name of ["pem", "keystore-json", "tessera-key", "besu-key", "pkcs12", "password-file"])
      assert.ok(formats.some((format) => format.name === name));
  });
});
