import assert from "node:assert/strict";
import { createHash, generateKeyPairSync } from "node:crypto";
import { describe, it } from "node:test";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { type FiscoKeyFile, fiscoKeyFiles, generateFiscoKey } from "../../../../src/node/key-formats/fisco-key.ts";
import { pem } from "../../../../src/node/key-formats/pem.ts";
import { detectKeyFormat } from "../../../../src/node/key-formats/table.ts";

const secret = (content: string) => SecretBuffer.copyOf(Buffer.from(content));
const publicKeyEncoding = { type: "spki", format: "der" } as const;
const fingerprint = (spki: Buffer) => `sha256:${createHash("sha256").update(spki).digest("hex")}`;
const rsa = generateKeyPairSync("rsa", {
  modulusLength: 2048,
  publicKeyEncoding,
  privateKeyEncoding: { type: "pkcs1", format: "pem" },
});

function ec(namedCurve: string, type: "pkcs8" | "sec1", more: { paramEncoding?: "explicit" } = {}) {
  return generateKeyPairSync("ec", {
    namedCurve,
    ...more,
    publicKeyEncoding,
    privateKeyEncoding: { type, format: "pem" },
  });
}

describe("PEM keys", () => {
  it("give the fingerprint of their public key in PKCS#1, PKCS#8 and SEC1, on every named curve", () => {
    const others = generateKeyPairSync("ed25519", {
      publicKeyEncoding,
      privateKeyEncoding: { type: "pkcs8", format: "pem" },
    });
    const keys = ["secp256k1", "P-256", "P-384", "P-521", "SM2"].flatMap((curve) => [
      ec(curve, "pkcs8"),
      ec(curve, "sec1"),
    ]);
    for (const { privateKey, publicKey } of [rsa, others, ...keys]) {
      const { format, identity } = detectKeyFormat(secret(privateKey));
      assert.equal(format, pem);
      assert.equal(identity.fingerprint, fingerprint(publicKey), privateKey);
    }
  });

  it("on curves of no name, or with the public point of another key, are refused", () => {
    const { privateKey } = ec("P-384", "pkcs8", { paramEncoding: "explicit" });
    assert.throws(() => detectKeyFormat(secret(privateKey)), { code: "KEY_FILE_INVALID" });
    assert.throws(() => detectKeyFormat(secret(ec("brainpoolP256r1", "pkcs8").privateKey)), {
      code: "KEY_FILE_INVALID",
    });
    for (const curve of ["P-256", "P-384", "P-521", "SM2"]) {
      const [mine, theirs] = [0, 1].map(() => {
        const { privateKey: key } = generateKeyPairSync("ec", { namedCurve: curve });
        return key.export({ type: "pkcs8", format: "der" });
      }) as [Buffer, Buffer];
      theirs.copy(mine, mine.length - 64, theirs.length - 64);
      const swapped = `-----BEGIN PRIVATE KEY-----\n${mine.toString("base64").replace(/.{64}/g, "$&\n")}\n-----END PRIVATE KEY-----\n`;
      assert.throws(() => detectKeyFormat(secret(swapped)), { code: "KEY_FILE_INVALID" }, curve);
    }
  });

  it("stand alone in their file", () => {
    const { privateKey } = rsa;
    for (const bad of [privateKey + privateKey, `${privateKey}x`, `${privateKey}\n\n`, `# key\n${privateKey}`])
      assert.throws(() => detectKeyFormat(secret(bad)), { code: "KEY_FILE_INVALID" });
  });
});

describe("keys of FISCO BCOS nodes", () => {
  for (const [file, kinds] of Object.entries(fiscoKeyFiles))
    for (const [kind, curve] of Object.entries(kinds))
      it(`are generated as ${file} of ${kind}: ${curve} in PKCS#8`, () => {
        const made = generateFiscoKey(kind as "fisco" | "fisco-sm", file as FiscoKeyFile);
        assert.equal(made.fileName, file);
        const { format, identity } = detectKeyFormat(made.file);
        assert.equal(format.name, made.format);
        assert.deepEqual(identity, made.identity);
        assert.equal(identity.algorithm, curve);
        const text = made.file.expose((bytes) => bytes.toString());
        assert.ok(text.startsWith("-----BEGIN PRIVATE KEY-----\n"));
        if (curve !== "rsa") assert.match(identity.nodeId ?? "", /^[0-9a-f]{128}$/);
        // The sizes that FISCO's own tools write.
        if (file === "node.pem") assert.equal(text.length, kind === "fisco" ? 237 : 241);
      });

  it("are refused for a file that the kind of node does not have", () => {
    assert.throws(() => generateFiscoKey("fisco", "gmnode.key"), RangeError);
    assert.throws(() => generateFiscoKey("fisco-sm", "ssl.key"), RangeError);
  });
});
