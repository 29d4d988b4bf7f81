import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { createHash, X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { DerReader, der, derTags, derUnsigned } from "../../../../src/crypto/der.ts";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { pkcs12 } from "../../../../src/node/key-formats/pkcs12.ts";
import { detectKeyFormat } from "../../../../src/node/key-formats/table.ts";

const openssl = spawnSync("openssl", ["version"]).status === 0;
const missing = openssl ? false : "there is no openssl program on this machine";
const folder = mkdtempSync(join(tmpdir(), "pkcs12-"));
const at = (name: string) => join(folder, name);
const secret = (content: string) => SecretBuffer.copyOf(Buffer.from(content));
const run = (...arguments_: readonly string[]) => execFileSync("openssl", arguments_, { stdio: "pipe" });

/** A PKCS#12 file of a fresh key, and the fingerprint of that key. */
function make(kind: readonly string[], options: readonly string[]): { file: SecretBuffer; fingerprint: string } {
  run("req", "-x509", "-nodes", ...kind, "-keyout", at("k"), "-out", at("c"), "-subj", "/CN=besu", "-days", "2");
  run("pkcs12", "-export", "-inkey", at("k"), "-in", at("c"), "-out", at("p12"), "-passout", "pass:päss ", ...options);
  const spki = new X509Certificate(readFileSync(at("c"))).publicKey.export({ type: "spki", format: "der" });
  const fingerprint = `sha256:${createHash("sha256").update(spki).digest("hex")}`;
  return { file: SecretBuffer.take(readFileSync(at("p12"))), fingerprint };
}

const rsa = ["-newkey", "rsa:2048"];
const p256 = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
const tripleDes = ["-certpbe", "PBE-SHA1-3DES", "-keypbe", "PBE-SHA1-3DES", "-macalg", "sha1"];

const { integer, octetString, objectIdentifier, sequence } = derTags;
const oid = (hex: string) => der(objectIdentifier, Buffer.from(hex, "hex"));
const none = der(0x05);
const count = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return derUnsigned(bytes);
};
const eight = der(octetString, Buffer.alloc(8));
const digest = der(octetString, Buffer.alloc(32));

/** MacData of RFC 7292 over SHA-256. */
function classicMac(iterations: number): Buffer {
  const algorithm = der(sequence, oid("608648016503040201"), none);
  return der(sequence, der(sequence, algorithm, digest), eight, count(iterations));
}

/** MacData of RFC 9579: PBMAC1 with PBKDF2 and HMAC-SHA-256. */
function pbmac1(iterations: number): Buffer {
  const hmac = der(sequence, oid("2a864886f70d0209"), none);
  const parameters = der(sequence, eight, count(iterations), count(32), hmac);
  const derivation = der(sequence, oid("2a864886f70d01050c"), parameters);
  const algorithm = der(sequence, oid("2a864886f70d01050e"), der(sequence, derivation, hmac));
  return der(sequence, der(sequence, algorithm, digest), eight, count(1));
}

/** The file with another MacData. */
function withMac(file: SecretBuffer, macData: Buffer): SecretBuffer {
  return file.expose((bytes) => {
    const pfx = new DerReader(bytes, () => new Error("no DER")).enter(sequence);
    const version = der(integer, pfx.read(integer));
    return SecretBuffer.take(der(sequence, version, der(sequence, pfx.read(sequence)), macData));
  });
}

describe("PKCS#12 files", { skip: missing }, () => {
  after(() => rmSync(folder, { recursive: true }));

  for (const [name, kind, options] of [
    ["AES and RSA", rsa, []],
    ["AES and P-256", p256, []],
    ["3DES and RSA", rsa, tripleDes],
    ["AES and Ed25519", ["-newkey", "ed25519"], []],
  ] as const)
    it(`with ${name} are detected, and give their certificate's key only for the password`, async () => {
      const { file, fingerprint } = make(kind, options);
      const { format, identity } = detectKeyFormat(file);
      assert.equal(format, pkcs12);
      assert.equal(identity.algorithm, "locked");
      assert.equal((await pkcs12.unlock?.(file, secret("päss ")))?.fingerprint, fingerprint);
      for (const wrong of ["päss", "PÄSS ", "", "x"])
        await assert.rejects(async () => pkcs12.unlock?.(file, secret(wrong)), { code: "PASSWORD_WRONG" });
    });

  for (const [name, macData] of [
    ["RFC 7292", classicMac],
    ["PBMAC1", pbmac1],
  ] as const)
    it(`that would keep the program busy for hours before any password is known wrong are refused (${name})`, () => {
      const { file } = make(p256, []);
      const readWith = (iterations: number) => pkcs12.readPublicIdentity(withMac(file, macData(iterations)));
      for (const iterations of [1, 2048, 10_000_000]) assert.equal(readWith(iterations).algorithm, "locked");
      for (const iterations of [10_000_001, 2 ** 31 - 1, 2 ** 32 - 1])
        assert.throws(() => readWith(iterations), { code: "KEY_FILE_INVALID", message: /iterations/ });
    });

  it("under RC2 are recognised, and refused with a way out", async () => {
    const legacy = make(rsa, []);
    const made = spawnSync("openssl", [
      "pkcs12",
      "-export",
      "-legacy",
      "-inkey",
      at("k"),
      "-in",
      at("c"),
      "-out",
      at("old"),
      "-passout",
      "pass:p",
    ]);
    assert.equal(made.status, 0, String(made.stderr));
    const file = SecretBuffer.take(readFileSync(at("old")));
    assert.equal(detectKeyFormat(file).format, pkcs12);
    await assert.rejects(async () => pkcs12.unlock?.(file, secret("p")), {
      code: "KEY_FILE_INVALID",
      message: /OpenSSL 3 no longer opens/,
      hint: /-legacy/,
    });
    assert.ok(legacy.file.byteLength > 0);
  });

  it("without a key, or with bytes changed, added or cut, are refused", async () => {
    const { file } = make(p256, []);
    run("pkcs12", "-export", "-nokeys", "-in", at("c"), "-out", at("bare"), "-passout", "pass:p");
    const bare = SecretBuffer.take(readFileSync(at("bare")));
    await assert.rejects(async () => pkcs12.unlock?.(bare, secret("p")), { code: "KEY_FILE_INVALID" });
    const bytes = file.expose((exposed) => Buffer.from(exposed));
    for (const bad of [
      bytes.subarray(1),
      bytes.subarray(0, -1),
      Buffer.concat([bytes, Buffer.of(0)]),
      Buffer.of(0x30, 0),
    ])
      assert.throws(() => pkcs12.readPublicIdentity(SecretBuffer.copyOf(bad)), { code: "KEY_FILE_INVALID" });
    for (let position = 60; position < bytes.length; position += 97) {
      const bad = Buffer.from(bytes);
      bad.writeUInt8(bad.readUInt8(position) ^ 0x10, position);
      await assert.rejects(async () => pkcs12.unlock?.(SecretBuffer.copyOf(bad), secret("päss ")), {
        code: /^(PASSWORD_WRONG|KEY_FILE_INVALID)$/,
      });
    }
  });
});
