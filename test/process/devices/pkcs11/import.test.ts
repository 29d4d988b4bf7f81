/** Keys that were made elsewhere go into a token, sign there, and do not come out again. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash, createPublicKey, generateKeyPairSync, verify } from "node:crypto";
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import type { Pkcs11Device } from "../../../../src/devices/pkcs11/device.ts";
import { readImportedKey } from "../../../../src/devices/pkcs11/private-key-file.ts";
import { runStrongroom, TemporaryFolder } from "../../running-server.ts";
import { noToken, SoftToken, softHsmLibrary } from "./soft-token.ts";

const made = {
  ECC_NIST_P256: generateKeyPairSync("ec", { namedCurve: "P-256" }),
  ECC_SECG_P256K1: generateKeyPairSync("ec", { namedCurve: "secp256k1" }),
  ED25519: generateKeyPairSync("ed25519"),
} as const;
type Curve = keyof typeof made;

const pemOf = (curve: Curve, type: "pkcs8" | "sec1" = "pkcs8") =>
  String(made[curve].privateKey.export({ type, format: "pem" } as { type: "pkcs8"; format: "pem" }));
const spkiOf = (curve: Curve) => made[curve].publicKey.export({ type: "spki", format: "der" });

async function importPem(device: Pkcs11Device, label: string, pem: string) {
  using text = SecretBuffer.take(Buffer.from(pem.trimEnd()));
  using key = readImportedKey(text);
  return await device.token.importKeyPair(label, key);
}

describe("a private key that is imported into a token", { skip: noToken }, () => {
  const token = noToken === false ? new SoftToken() : undefined;
  after(() => token?.[Symbol.dispose]());
  const says = (behaviour: string, test: (device: Pkcs11Device, token: SoftToken) => Promise<void>) =>
    it(behaviour, async () => {
      assert.ok(token);
      await using device = await token.open();
      await test(device, token);
    });

  for (const curve of Object.keys(made) as Curve[])
    says(`on ${curve} signs there, as its public key says`, async (device) => {
      const { id, spki, fingerprint } = await importPem(device, `of ${curve}`, pemOf(curve));
      assert.deepEqual(spki, spkiOf(curve));
      assert.deepEqual((await device.token.publicKey(id)).spki, spki);
      const message = Buffer.from("a block");
      const input = curve === "ED25519" ? message : createHash("sha256").update(message).digest();
      const { raw } = await device.token.sign({ id, curve, fingerprint }, input);
      const key = createPublicKey({ key: spki, format: "der", type: "spki" });
      const algorithm = curve === "ED25519" ? null : "sha256";
      assert.ok(verify(algorithm, message, { key, dsaEncoding: "ieee-p1363" }, raw));
    });

  says("in the form of SEC 1 is the same key", async (device) => {
    assert.deepEqual((await importPem(device, "sec1", pemOf("ECC_NIST_P256", "sec1"))).spki, spkiOf("ECC_NIST_P256"));
  });

  says("is sensitive, private, and not to be had again", async (device, { pkcs11Tool }) => {
    const { id } = await importPem(device, "kept", pemOf("ECC_NIST_P256"));
    const key = (await device.token.list({ id }))[0];
    assert.deepEqual([key?.kind, key?.usages, key?.extractable], ["key-pair", ["sign"], false]);
    const shown = pkcs11Tool.call(token, "--list-objects", "--type", "privkey", "--id", id.toString("hex"));
    assert.match(shown, /sensitive/);
    assert.doesNotMatch(shown, /(?<!never )extractable/);
    const read = ["--read-object", "--type", "privkey", "--id", id.toString("hex")];
    const out = join(token?.folder ?? "", "read");
    try {
      pkcs11Tool.call(token, ...read, "--output-file", out);
    } catch {
      // Some versions of the tool end with a failure, others only say it.
    }
    assert.ok(!existsSync(out) || readFileSync(out).length === 0);
  });

  says("that is no key leaves nothing in the token", async (device) => {
    const before = await device.token.list();
    const good = pemOf("ECC_NIST_P256");
    const bad = [
      "",
      "no PEM",
      good.replace("BEGIN PRIVATE", "BEGIN PUBLIC"),
      good.replace(/\n[A-Za-z0-9+/]{8}/, "\nAAAAAAAA"),
      good.slice(0, 60),
      pemOf("ED25519").replace(/\n(....)/, "\nAAAA"),
      pemOf("ED25519").replace(/=?\n-----END/, "A\n-----END"),
      String(made.ECC_NIST_P256.publicKey.export({ type: "spki", format: "pem" })),
      String(generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey.export({ type: "pkcs8", format: "pem" })),
      String(generateKeyPairSync("x25519").privateKey.export({ type: "pkcs8", format: "pem" })),
      String(generateKeyPairSync("ec", { namedCurve: "SM2" }).privateKey.export({ type: "pkcs8", format: "pem" })),
    ];
    for (const [at, pem] of bad.entries())
      await assert.rejects(
        importPem(device, "bad", pem),
        { code: /KEY_FORMAT_INVALID|DEVICE_UNSUPPORTED/ },
        `case ${at}`,
      );
    assert.deepEqual(await device.token.list(), before);
  });

  says("whose public half is another's is refused, and leaves nothing in the token", async (device) => {
    const before = await device.token.list();
    using text = SecretBuffer.take(Buffer.from(pemOf("ECC_NIST_P256").trimEnd()));
    using key = readImportedKey(text);
    const spki = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ type: "spki", format: "der" });
    const crossed = { curve: key.curve, pkcs8: key.pkcs8, value: key.value, spki, [Symbol.dispose]: () => {} };
    await assert.rejects(device.token.importKeyPair("crossed", crossed), { code: "DEVICE_KEY_CHANGED" });
    assert.deepEqual(await device.token.list(), before);
  });
});

describe("device keys import", { skip: noToken }, () => {
  const folder = new TemporaryFolder();
  const token = noToken === false ? new SoftToken() : undefined;
  after(() => {
    token?.[Symbol.dispose]();
    folder[Symbol.dispose]();
  });
  const devices = join(folder.path, "devices.toml");
  const writeDevices = () => {
    const entry = (name: string) =>
      `[[device]]\nname = "${name}"\nkind = "pkcs11"\nlibrary = "${softHsmLibrary}"\ntoken_label = "${token?.label}"\npin_file = "pin"\nsessions_max = 1\nenvironment = { SOFTHSM2_CONF = "${token?.environment.SOFTHSM2_CONF}" }\n`;
    const set = '[[device]]\nname = "both"\nmembers = ["token", "twin"]\n';
    writeFileSync(devices, entry("token") + entry("twin") + set, { mode: 0o600 });
    writeFileSync(join(folder.path, "pin"), token?.pin ?? "", { mode: 0o600 });
  };
  const run = (...args: string[]) => runStrongroom(["device", "keys", "import", ...args, "--devices", devices]);
  const publicPem = String(made.ECC_SECG_P256K1.publicKey.export({ type: "spki", format: "pem" }));

  it("takes a key from a file that its owner alone can read, and prints its public key", async () => {
    writeDevices();
    const file = folder.file("node.key", pemOf("ECC_SECG_P256K1"));
    chmodSync(file, 0o640);
    const open = await run("token", "--label", "node", "--key-file", file);
    assert.equal(open.code, 2, open.stderr);
    assert.match(open.stderr, /mode 0640/);
    chmodSync(file, 0o600);
    const imported = await run("token", "--label", "node", "--key-file", file);
    assert.deepEqual([imported.code, imported.stdout], [0, publicPem], imported.stderr);
    const twice = await run("token", "--label", "node", "--key-file", file);
    assert.equal(twice.code, 1, twice.stderr);
    const scalar = /[A-Za-z0-9+/]{40}/.exec(pemOf("ECC_SECG_P256K1"))?.[0] ?? "none";
    for (const { stdout, stderr } of [open, imported, twice]) assert.ok(!(stdout + stderr).includes(scalar));
  });

  it("takes a key from standard input", async () => {
    writeDevices();
    const args = ["token", "--label", "piped", "--key-file", "-", "--out", join(folder.path, "piped.pem")];
    const program = join(import.meta.dirname, "../../../../src/cli/main.ts");
    const child = spawn(process.execPath, [program, "device", "keys", "import", ...args, "--devices", devices]);
    child.stdin.end(pemOf("ECC_SECG_P256K1"));
    const code = await new Promise((resolve) => child.once("close", resolve));
    assert.equal(code, 0);
    assert.equal(readFileSync(join(folder.path, "piped.pem"), "utf8"), publicPem);
  });

  it("is refused without a file, without a label, for no key, and into a set", async () => {
    writeDevices();
    const file = folder.file("other.key", pemOf("ED25519"));
    const garbage = folder.file("garbage.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    for (const args of [
      ["token", "--label", "x"],
      ["token", "--key-file", file],
      ["both", "--label", "x", "--key-file", file],
      ["token", "--label", "x", "--key-file", join(folder.path, "missing")],
    ]) {
      const { code, stderr } = await run(...args);
      assert.equal(code, 2, `${args.join(" ")}: ${stderr}`);
    }
    const { code, stderr } = await run("token", "--label", "x", "--key-file", garbage);
    assert.notEqual(code, 0);
    assert.match(stderr, /key file|key/);
  });
});
