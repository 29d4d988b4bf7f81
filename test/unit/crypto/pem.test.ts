import assert from "node:assert/strict";
import { createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import { describe, it } from "node:test";
import { encodeBase64 } from "../../../src/crypto/base64.ts";
import {
  type CurveName,
  checkPublicKey,
  curves,
  generateKeyPair,
  nodeIdOf,
  publicKeyOf,
  publicKeyOfNodeId,
} from "../../../src/crypto/curve.ts";
import { der, derTags } from "../../../src/crypto/der.ts";
import { readPrivateKey, writePrivateKey } from "../../../src/crypto/pem.ts";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";

const curveNames = ["sm2", "secp256k1", "p256"] as const;
const encodings = ["pkcs8", "sec1"] as const;
const invalid = { name: "CryptoError", code: "KEY_FORMAT_INVALID" };
const opensslName = (curve: CurveName) => curves[curve].opensslName;

/** The text that OpenSSL itself writes. */
function opensslPem(curve: CurveName, encoding: "pkcs8" | "sec1"): Buffer {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: opensslName(curve) });
  return Buffer.from(privateKey.export({ type: encoding, format: "pem" }));
}

function pem(label: string, content: Uint8Array, lineBytes = 64, lineEnd = "\n"): Buffer {
  const base64 = encodeBase64(content).toString();
  const lines = base64.match(new RegExp(`.{1,${lineBytes}}`, "g")) ?? [];
  return Buffer.from([`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join(lineEnd));
}

/** An ECPrivateKey with the parts given. */
function sec1(scalar: Uint8Array, ...rest: readonly Uint8Array[]): Buffer {
  return der(derTags.sequence, der(derTags.integer, Buffer.of(1)), der(derTags.octetString, scalar), ...rest);
}
const namedCurve = (curve: CurveName) => der(derTags.explicit0, der(derTags.objectIdentifier, curves[curve].oid));
const pointOf = (bytes: Uint8Array) => der(derTags.explicit1, der(derTags.bitString, Buffer.of(0), bytes));

describe("private keys in PEM", () => {
  for (const curve of curveNames)
    for (const encoding of encodings)
      it(`${curve} ${encoding}: what OpenSSL writes is read, written again byte for byte, and read by OpenSSL`, () => {
        for (let i = 0; i < 5; i++) {
          const text = opensslPem(curve, encoding);
          const read = readPrivateKey(text);
          assert.equal(read.curve, curve);
          assert.equal(read.encoding, encoding);
          assert.equal(read.scalar.byteLength, 32);
          assert.deepEqual(publicKeyOf(curve, read.scalar), read.publicKey);
          using written = writePrivateKey(curve, read.scalar, encoding);
          assert.ok(written.equals(text));
          const spki = createPublicKey(createPrivateKey(text)).export({ type: "spki", format: "der" });
          assert.deepEqual(spki.subarray(-65), read.publicKey);
        }
      });

  it("keep the leading zeros of a scalar and of a coordinate", () => {
    for (const curve of curveNames) {
      const bytes = Buffer.alloc(32);
      bytes.writeUInt8(5, 31);
      using scalar = SecretBuffer.copyOf(bytes);
      for (const encoding of encodings) {
        using text = writePrivateKey(curve, scalar, encoding);
        const read = text.expose(readPrivateKey);
        assert.ok(read.scalar.equals(bytes));
        assert.equal(read.publicKey.length, 65);
      }
    }
  });

  it("accept a scalar whose leading zeros an old writer dropped, if the file's public point confirms it", () => {
    const bytes = Buffer.from(`00${"17".repeat(31)}`, "hex");
    using scalar = SecretBuffer.copyOf(bytes);
    const point = pointOf(publicKeyOf("sm2", scalar));
    const read = readPrivateKey(pem("EC PRIVATE KEY", sec1(bytes.subarray(1), namedCurve("sm2"), point)));
    assert.ok(read.scalar.equals(bytes));
    const without = pem("EC PRIVATE KEY", sec1(bytes.subarray(1), namedCurve("sm2")));
    assert.throws(() => readPrivateKey(without), invalid);
  });

  it("accept a key without its public point, or with the compressed one", () => {
    const { scalar, publicKey } = generateKeyPair("secp256k1");
    const compressed = Buffer.concat([Buffer.of(2 + ((publicKey.at(-1) ?? 0) & 1)), publicKey.subarray(1, 33)]);
    const wrongSign = Buffer.concat([Buffer.of(3 - ((publicKey.at(-1) ?? 0) & 1)), publicKey.subarray(1, 33)]);
    const file = (...rest: Buffer[]) =>
      pem(
        "EC PRIVATE KEY",
        scalar.expose((bytes) => sec1(bytes, namedCurve("secp256k1"), ...rest)),
      );
    assert.deepEqual(readPrivateKey(file()).publicKey, publicKey);
    assert.deepEqual(readPrivateKey(file(pointOf(compressed))).publicKey, publicKey);
    assert.throws(() => readPrivateKey(file(pointOf(wrongSign))), invalid);
  });

  it("accept CR LF, other line lengths, no last line end, and a parameters block of the same curve before the key", () => {
    const { scalar } = generateKeyPair("sm2");
    const content = scalar.expose((bytes) => sec1(bytes, namedCurve("sm2")));
    const parameters = pem("EC PARAMETERS", der(derTags.objectIdentifier, curves.sm2.oid));
    const other = pem("EC PARAMETERS", der(derTags.objectIdentifier, curves.p256.oid));
    const key = pem("EC PRIVATE KEY", content);
    for (const text of [
      pem("EC PRIVATE KEY", content, 64, "\r\n"),
      pem("EC PRIVATE KEY", content, 76),
      pem("EC PRIVATE KEY", content, 20),
      key.subarray(0, -1),
      Buffer.concat([parameters, key]),
    ])
      assert.ok(readPrivateKey(text).scalar.equals(scalar));
    for (const blocks of [[other, key], [key, parameters], [key, key], [parameters, parameters, key], [parameters], []])
      assert.throws(() => readPrivateKey(Buffer.concat(blocks)), invalid);
  });

  it("are refused with another public point, a scalar out of range, another or no curve, explicit parameters", () => {
    const { scalar } = generateKeyPair("sm2");
    const other = generateKeyPair("sm2");
    const bytes = scalar.expose((view) => Buffer.from(view));
    const curveOid = Buffer.from("2b81040022", "hex"); // secp384r1
    const breaches = {
      "another point": sec1(bytes, namedCurve("sm2"), pointOf(other.publicKey)),
      "a point of odd length": sec1(bytes, namedCurve("sm2"), pointOf(other.publicKey.subarray(0, 64))),
      "scalar 0": sec1(Buffer.alloc(32), namedCurve("sm2")),
      "scalar over n": sec1(Buffer.alloc(32, 0xff), namedCurve("sm2")),
      "33-byte scalar": sec1(Buffer.concat([Buffer.of(0), bytes]), namedCurve("sm2")),
      "empty scalar": sec1(Buffer.alloc(0), namedCurve("sm2")),
      "no curve": sec1(bytes),
      "another curve": sec1(bytes, der(derTags.explicit0, der(derTags.objectIdentifier, curveOid))),
      "explicit parameters": sec1(bytes, der(derTags.explicit0, der(derTags.sequence))),
      "bytes behind": Buffer.concat([sec1(bytes, namedCurve("sm2")), Buffer.of(5, 0)]),
      "an unknown field": sec1(bytes, namedCurve("sm2"), der(0xa2, der(derTags.integer, Buffer.of(1)))),
      nothing: Buffer.alloc(0),
    };
    for (const [name, content] of Object.entries(breaches))
      assert.throws(() => readPrivateKey(pem("EC PRIVATE KEY", content)), invalid, name);
    const explicit = generateKeyPairSync("ec", { namedCurve: "prime256v1", paramEncoding: "explicit" });
    const explicitPem = explicit.privateKey.export({ type: "pkcs8", format: "pem" });
    assert.throws(() => readPrivateKey(Buffer.from(explicitPem)), invalid);
  });

  it("of other kinds are refused: RSA, Ed25519, P-384, public keys, encrypted keys, certificates", () => {
    const rsa = generateKeyPairSync("rsa", { modulusLength: 1024 });
    const p384 = generateKeyPairSync("ec", { namedCurve: "secp384r1" }).privateKey;
    const sm2 = generateKeyPairSync("ec", { namedCurve: "SM2" });
    const passphrase = { cipher: "aes-256-cbc", passphrase: "x" };
    for (const text of [
      rsa.privateKey.export({ type: "pkcs8", format: "pem" }),
      rsa.privateKey.export({ type: "pkcs1", format: "pem" }),
      generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" }),
      p384.export({ type: "pkcs8", format: "pem" }),
      p384.export({ type: "sec1", format: "pem" }),
      sm2.publicKey.export({ type: "spki", format: "pem" }),
      sm2.privateKey.export({ type: "pkcs8", format: "pem", ...passphrase }),
      sm2.privateKey.export({ type: "sec1", format: "pem", ...passphrase }),
      "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ])
      assert.throws(() => readPrivateKey(Buffer.from(text)), invalid);
  });

  it("are refused when cut anywhere, and errors never show the key", () => {
    const text = opensslPem("sm2", "pkcs8");
    const body = text.toString().split("\n")[1] ?? "";
    for (let length = 0; length < text.length - 1; length++)
      assert.throws(
        () => readPrivateKey(text.subarray(0, length)),
        (error: Error & { code?: string }) => error.code === invalid.code && !error.message.includes(body.slice(0, 8)),
        `${length} of ${text.length} bytes`,
      );
  });

  it("are refused with text around them, blank or long lines, loose base64, and over 4096 bytes", () => {
    const text = opensslPem("sm2", "pkcs8").toString();
    for (const changed of [
      `Bag Attributes\n${text}`,
      `\n${text}`,
      `${text}\n`,
      `${text}more`,
      `\ufeff${text}`,
      text.replace("\n", "\n\n"),
      text.replace("\n", "\n "),
      text.replaceAll("\n", "\r"),
      text.replace(/\n(?!-)/g, ""),
      text.replace(/.\n-----END/, "\n-----END"),
      text.replace("PRIVATE KEY-----\n", "PRIVATE KEY-----\n===="),
      text.replace("END PRIVATE", "END EC PRIVATE"),
      text.replaceAll("-----", "----"),
      text.replaceAll("PRIVATE", "private"),
      "A".repeat(4097),
    ])
      assert.throws(() => readPrivateKey(Buffer.from(changed)), invalid, JSON.stringify(changed.slice(0, 60)));
  });

  it("leave the caller's bytes as they were", () => {
    const text = opensslPem("p256", "sec1");
    const before = Buffer.from(text);
    readPrivateKey(text);
    assert.deepEqual(text, before);
  });
});

describe("public keys and node ids", () => {
  it("convert both ways, with upper case accepted", () => {
    for (const curve of curveNames) {
      const { publicKey } = generateKeyPair(curve);
      const nodeId = nodeIdOf(publicKey);
      assert.match(nodeId, /^[0-9a-f]{128}$/);
      assert.deepEqual(publicKeyOfNodeId(curve, nodeId), publicKey);
      assert.deepEqual(publicKeyOfNodeId(curve, nodeId.toUpperCase()), publicKey);
    }
  });

  it("are refused off the curve, on another curve, of another length, not in hex", () => {
    const { publicKey } = generateKeyPair("sm2");
    const nodeId = nodeIdOf(publicKey);
    for (const bad of [
      nodeId.slice(1),
      `${nodeId}0`,
      `0x${nodeId.slice(2)}`,
      nodeId.replace(/.$/, "g"),
      "0".repeat(128),
    ])
      assert.throws(() => publicKeyOfNodeId("sm2", bad), invalid);
    assert.throws(() => publicKeyOfNodeId("p256", nodeId), invalid);
    assert.throws(() => checkPublicKey("sm2", publicKey.subarray(0, 64)), invalid);
    assert.throws(() => checkPublicKey("sm2", Buffer.of(0)), invalid);
    assert.throws(() => nodeIdOf(publicKey.subarray(1)), RangeError);
  });
});
