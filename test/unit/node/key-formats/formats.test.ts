import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { enodeUrl, nodeIdV4 } from "../../../../src/node/key-formats/ec-identity.ts";
import { identityLine } from "../../../../src/node/key-formats/format.ts";
import { detectKeyFormat, keyFormatByName, keyFormats } from "../../../../src/node/key-formats/table.ts";
import { nodeKeyVectors } from "./vectors.ts";

const { nodekey: nodeKeys } = nodeKeyVectors;
const vectors = join(import.meta.dirname, "../../../vectors");

const allFiscoFiles: { plainPem?: string; mode: string; id: string }[] = JSON.parse(
  readFileSync(join(vectors, "fisco-legacy.json"), "utf8"),
).nodeKeyFiles;
const fiscoFiles = allFiscoFiles.flatMap(({ plainPem, ...file }) =>
  plainPem?.startsWith("-----BEGIN") ? [{ ...file, plainPem }] : [],
);

const detect = (content: string | Uint8Array) => detectKeyFormat(SecretBuffer.copyOf(Buffer.from(content)));

describe("key-file formats", () => {
  it("give the node id and address of published geth node keys", () => {
    for (const vector of nodeKeys) {
      const { file_bytes: file, enode_pub: nodeId, istanbul_validator_address: address, source } = vector;
      const { format, identity } = detect(file);
      assert.equal(format.name, "nodekey-hex", source);
      assert.equal(identity.nodeId, nodeId, source);
      assert.equal(identity.address, address, source);
      assert.equal(nodeIdV4(identity), vector.enode_id_v4, source);
      assert.equal(enodeUrl(identity, "10.0.0.1:30303"), `enode://${nodeId}@10.0.0.1:30303`);
    }
  });

  it("read FISCO BCOS key files, standard and SM", () => {
    for (const { plainPem, mode, id } of fiscoFiles) {
      const { format, identity } = detect(plainPem);
      assert.equal(format.name, "pem", id);
      assert.match(identity.nodeId ?? "", /^[0-9a-f]{128}$/);
      assert.equal(identity.algorithm, mode === "sm" ? "sm2" : "secp256k1", id);
    }
  });

  it("give the fingerprint that OpenSSL gives, for EC, RSA and Ed25519", () => {
    const encodings = {
      privateKeyEncoding: { type: "pkcs8", format: "pem" },
      publicKeyEncoding: { type: "spki", format: "der" },
    } as const;
    for (const { privateKey, publicKey } of [
      generateKeyPairSync("ec", { namedCurve: "secp256k1", ...encodings }),
      generateKeyPairSync("ec", { namedCurve: "P-256", ...encodings }),
      generateKeyPairSync("rsa", { modulusLength: 2048, ...encodings }),
      generateKeyPairSync("ed25519", encodings),
    ]) {
      const expected = `sha256:${createHash("sha256").update(publicKey).digest("hex")}`;
      assert.equal(detect(privateKey).identity.fingerprint, expected);
    }
  });

  it("name a key by its node id, else its fingerprint, else none", () => {
    assert.equal(identityLine({ algorithm: "x", nodeId: "id", fingerprint: "f" }), "id");
    assert.equal(identityLine({ algorithm: "x", fingerprint: "f" }), "f");
    assert.equal(identityLine({ algorithm: "none" }), "none");
  });

  it("read raw bytes only when the format is named", () => {
    const scalar = Buffer.from(nodeKeys[0]?.priv ?? "", "hex");
    assert.throws(() => detect(scalar), { code: "KEY_FILE_INVALID", hint: /--format opaque/ });
    const identity = keyFormatByName("raw-secp256k1").readPublicIdentity(SecretBuffer.copyOf(scalar));
    assert.equal(identity.nodeId, nodeKeys[0]?.enode_pub);
    assert.equal(keyFormatByName("opaque").readPublicIdentity(SecretBuffer.random(5)).algorithm, "none");
  });

  it("refuse what is almost a node key", () => {
    const key = nodeKeys[0]?.priv ?? "";
    for (const bad of [
      "",
      key.slice(1),
      `${key}0`,
      `0x${key}`,
      `${key}\n\n\n`,
      `${key} \n`,
      `${key}\n `,
      `\n${key}`,
      ` ${key}`,
      `${key.slice(0, 63)}g`,
      "0".repeat(64),
      "f".repeat(64),
      `${key.slice(0, 63)}\u00e9`,
    ])
      assert.throws(() => keyFormatByName("nodekey-hex").readPublicIdentity(SecretBuffer.copyOf(Buffer.from(bad))), {
        code: "KEY_FILE_INVALID",
        exitCode: 2,
      });
  });

  it("refuse PEM that is encrypted, cut, of a public key, or too large", () => {
    const { privateKey, publicKey } = generateKeyPairSync("rsa", {
      modulusLength: 2048,
      privateKeyEncoding: { type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "p" },
      publicKeyEncoding: { type: "spki", format: "pem" },
    });
    const plain = fiscoFiles[0]?.plainPem ?? "";
    for (const bad of [privateKey, publicKey, plain.slice(0, -20), plain.slice(1), `${plain}${plain}`, "-----BEGIN "])
      assert.throws(() => detect(bad), { code: "KEY_FILE_INVALID" });
    assert.throws(() => detect(`-----BEGIN PRIVATE KEY-----\n${"A".repeat(20_000)}`), { code: "KEY_FILE_INVALID" });
  });

  it("refuse an EC key whose public point is another key's", () => {
    const [mine, theirs] = [0, 1].map(() =>
      generateKeyPairSync("ec", { namedCurve: "secp256k1" }).privateKey.export({ type: "pkcs8", format: "der" }),
    ) as [Buffer, Buffer];
    theirs.copy(mine, mine.length - 64, theirs.length - 64);
    const pem = `-----BEGIN PRIVATE KEY-----\n${mine.toString("base64").replace(/.{64}/g, "$&\n")}\n-----END PRIVATE KEY-----\n`;
    assert.throws(() => detect(pem), { code: "KEY_FILE_INVALID" });
  });

  it("have names of their own", () => {
    assert.equal(new Set(keyFormats.map((format) => format.name)).size, keyFormats.length);
    assert.throws(() => keyFormatByName("nodekey"), { code: "INPUT_INVALID" });
  });

  it("never put the key into an error", () => {
    const secret = randomBytes(31).toString("hex");
    assert.throws(
      () => detect(secret),
      (error: Error) => !error.message.includes(secret.slice(0, 16)),
    );
  });
});
