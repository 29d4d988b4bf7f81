import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { decodeBase64, encodeBase64 } from "../../../src/crypto/base64.ts";
import { type Context, encodeContext } from "../../../src/crypto/context.ts";
import { generateKeyPair } from "../../../src/crypto/curve.ts";
import { CryptoError } from "../../../src/crypto/errors.ts";
import { legacyDecryptKeyFile, legacyEncryptKeyFile } from "../../../src/crypto/legacy-fisco.ts";
import { legacyDecryptDatabaseValue, legacyEncryptDatabaseValue } from "../../../src/crypto/legacy-fisco-database.ts";
import { readPrivateKey, writePrivateKey } from "../../../src/crypto/pem.ts";
import { type BoxType, boxTypes, openBox, readBoxHeader, sealBox } from "../../../src/crypto/sealed-box.ts";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { sm2Sign, sm2SigningKey, sm2Verify } from "../../../src/crypto/sm2.ts";
import { sm2Decrypt, sm2Encrypt } from "../../../src/crypto/sm2-encryption.ts";
import { suites } from "../../../src/crypto/suite.ts";
import { scaled, seed } from "../../run-settings.ts";

const runs = (full: number) => ({ seed, numRuns: scaled(full) });
const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((array) => Buffer.from(array));
const secretBytes = fc.uint8Array({ minLength: 32, maxLength: 32 });
const text = (maxLength: number) => fc.string({ unit: "grapheme", maxLength });
const contexts: fc.Arbitrary<Context> = fc.dictionary(
  fc.string({ unit: "binary", minLength: 1, maxLength: 12 }),
  text(20),
  { maxKeys: 6, noNullPrototype: true },
);
const suiteNames = fc.constantFrom("intl" as const, "sm" as const);
const types = fc.constantFrom(...(Object.keys(boxTypes) as BoxType[]));
const modes = fc.constantFrom("standard" as const, "sm" as const);

/** Runs `call`; anything but a result or a CryptoError of this code fails. True when it was refused. */
function refuses(code: string, call: () => unknown): boolean {
  try {
    call();
    return false;
  } catch (error) {
    assert.ok(error instanceof CryptoError, String(error));
    assert.equal(error.code, code);
    return true;
  }
}

/** What a reader of docs/formats.md writes to parse the encoding. */
function obviousDecode(encoded: Buffer): [string, string][] {
  const entries: [string, string][] = [];
  let at = 0;
  const take = () => {
    const length = encoded.readUInt32BE(at);
    at += 4 + length;
    return encoded.toString("utf8", at - length, at);
  };
  while (at < encoded.length) entries.push([take(), take()]);
  return entries;
}

describe("context encoding", () => {
  it("is decodable, so that two contexts never share bytes, and sorted by bytes", () => {
    fc.assert(
      fc.property(contexts, (context) => {
        const decoded = obviousDecode(encodeContext(context));
        assert.deepEqual(new Map(decoded), new Map(Object.entries(context)));
        for (const [i, [name]] of decoded.entries()) {
          const next = decoded[i + 1];
          if (next !== undefined) assert.ok(Buffer.compare(Buffer.from(name), Buffer.from(next[0])) < 0);
        }
      }),
      runs(4000),
    );
  });

  it("does not depend on the order in which names were set", () => {
    fc.assert(
      fc.property(contexts, (context) => {
        const reversed = Object.fromEntries(Object.entries(context).reverse());
        assert.deepEqual(encodeContext(reversed), encodeContext(context));
      }),
      runs(2000),
    );
  });
});

describe("sealed box", () => {
  const boxes = fc.record({
    suite: suiteNames,
    type: types,
    context: contexts,
    plaintext: bytes(200),
    blob: bytes(40),
  });
  const keyId = "00112233-4455-6677-8899-aabbccddeeff";

  it("gives back what was sealed", () => {
    fc.assert(
      fc.property(boxes, secretBytes, fc.integer({ min: 1, max: 2 ** 32 - 1 }), (input, keyBytes, keyVersion) => {
        using secret = SecretBuffer.copyOf(keyBytes);
        const header = {
          suite: suites[input.suite],
          type: input.type,
          keyId,
          keyVersion,
          deviceAlgorithm: 1,
          deviceBlob: input.blob,
        };
        const box = sealBox(header, secret, input.context, input.plaintext);
        assert.deepEqual(readBoxHeader(box), header);
        using opened = openBox(box, input.type, secret, input.context);
        assert.ok(opened.equals(input.plaintext));
      }),
      runs(2000),
    );
  });

  it("is refused under any other context, with one error", () => {
    fc.assert(
      fc.property(boxes, contexts, (input, other) => {
        fc.pre(!encodeContext(other).equals(encodeContext(input.context)));
        using secret = SecretBuffer.copyOf(Buffer.alloc(32, 3));
        const header = {
          suite: suites[input.suite],
          type: input.type,
          keyId,
          keyVersion: 1,
          deviceAlgorithm: 1,
          deviceBlob: input.blob,
        };
        const box = sealBox(header, secret, input.context, input.plaintext);
        assert.ok(refuses("BOX_REFUSED", () => openBox(box, input.type, secret, other)));
      }),
      runs(2000),
    );
  });

  it("refuses any bytes, and any bytes behind a right beginning, with one error", () => {
    const start = Buffer.from("5352425801", "hex");
    const inputs = fc.oneof(
      bytes(300),
      bytes(300).map((tail) => Buffer.concat([start, tail])),
    );
    fc.assert(
      fc.property(inputs, types, (input, type) => {
        using secret = SecretBuffer.copyOf(Buffer.alloc(32, 3));
        assert.ok(refuses("BOX_REFUSED", () => openBox(input, type, secret, {})));
        refuses("BOX_REFUSED", () => readBoxHeader(input));
      }),
      runs(6000),
    );
  });
});

describe("private keys", () => {
  const { scalar } = generateKeyPair("sm2");
  const curveNames = fc.constantFrom("sm2" as const, "secp256k1" as const, "p256" as const);
  const encodings = fc.constantFrom("pkcs8" as const, "sec1" as const);

  it("are read back from what is written, for any scalar, leading zeros kept", () => {
    const scalars = fc.tuple(fc.nat({ max: 31 }), secretBytes).map(([zeros, array]) => {
      const padded = Buffer.from(array);
      padded.fill(0, 0, zeros);
      padded.writeUInt8(padded.readUInt8(31) | 1, 31);
      padded.writeUInt8(padded.readUInt8(0) & 0x7f, 0);
      return padded;
    });
    fc.assert(
      fc.property(curveNames, encodings, scalars, (curve, encoding, scalarBytes) => {
        using secret = SecretBuffer.copyOf(scalarBytes);
        using file = writePrivateKey(curve, secret, encoding);
        const read = file.expose(readPrivateKey);
        using back = read.scalar;
        assert.ok(back.equals(scalarBytes));
        assert.deepEqual([read.curve, read.encoding], [curve, encoding]);
      }),
      runs(1000),
    );
  });

  it("in any bytes are read or refused with KEY_FORMAT_INVALID, nothing else", () => {
    const armoured = fc.tuple(encodings, bytes(200)).map(([encoding, content]) => {
      const label = encoding === "pkcs8" ? "PRIVATE KEY" : "EC PRIVATE KEY";
      return Buffer.from(`-----BEGIN ${label}-----\n${content.toString("base64")}\n-----END ${label}-----\n`);
    });
    fc.assert(
      fc.property(fc.oneof(bytes(400), armoured), (input) =>
        refuses("KEY_FORMAT_INVALID", () => readPrivateKey(input)),
      ),
      runs(6000),
    );
  });

  it("with bytes of the file or of its DER changed are refused or still the same key", () => {
    const changes = fc.array(fc.tuple(fc.nat({ max: 400 }), fc.nat({ max: 255 })), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(encodings, fc.boolean(), changes, (encoding, insideDer, edits) => {
        using file = writePrivateKey("sm2", scalar, encoding);
        const lines = file.expose((view) => view.toString()).split("\n");
        const body = insideDer
          ? Buffer.from(lines.slice(1, -2).join(""), "base64")
          : file.expose((view) => Buffer.from(view));
        for (const [at, value] of edits) body.writeUInt8(value, at % body.length);
        const changed = insideDer
          ? Buffer.from([lines[0], ...(body.toString("base64").match(/.{1,64}/g) ?? []), lines.at(-2), ""].join("\n"))
          : body;
        refuses("KEY_FORMAT_INVALID", () => assert.ok(readPrivateKey(changed).scalar.equals(scalar)));
      }),
      runs(6000),
    );
  });
});

describe("SM2", () => {
  const { scalar, publicKey } = generateKeyPair("sm2");
  const key = sm2SigningKey(scalar);

  it("verifies what it signs, for any message, user id and form", () => {
    const forms = fc.constantFrom("raw" as const, "der" as const);
    fc.assert(
      fc.property(bytes(200), text(40), forms, (message, userId, form) => {
        assert.ok(sm2Verify(publicKey, message, sm2Sign(key, message, { userId, form }), { userId, form }));
      }),
      runs(1000),
    );
  });

  it("answers any bytes in the place of a signature with false", () => {
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ minLength: 64, maxLength: 64 }), bytes(100)), (signature) => {
        assert.equal(sm2Verify(publicKey, Buffer.from("m"), signature), false);
        assert.equal(sm2Verify(publicKey, Buffer.from("m"), signature, { form: "der" }), false);
      }),
      runs(1000),
    );
  });

  it("decrypts what it encrypts, and refuses any other bytes", () => {
    const forms = fc.constantFrom("raw" as const, "asn1" as const);
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 100 }), bytes(200), forms, (plaintext, noise, form) => {
        using opened = sm2Decrypt(scalar, sm2Encrypt(publicKey, plaintext, form), form);
        assert.ok(opened.equals(plaintext));
        assert.ok(refuses("SM2_REFUSED", () => sm2Decrypt(scalar, noise, form)));
      }),
      runs(600),
    );
  });
});

describe("legacy formats and base64", () => {
  it("give back what was encrypted", () => {
    const formats = fc.constantFrom("v2-raw" as const, "v2-snappy" as const, "v3" as const, "v3.3" as const);
    fc.assert(
      fc.property(modes, formats, bytes(2000), text(40), (mode, format, value, passphrase) => {
        using dataKey = SecretBuffer.copyOf(Buffer.from(passphrase));
        const stored = legacyEncryptDatabaseValue(format, mode, dataKey, value);
        assert.deepEqual(legacyDecryptDatabaseValue(format, mode, dataKey, stored), value);
        if (value.length === 0) return;
        using file = SecretBuffer.copyOf(value);
        const encrypted = Buffer.from(legacyEncryptKeyFile(mode, dataKey, file));
        assert.ok(legacyDecryptKeyFile(mode, dataKey, encrypted).equals(value));
      }),
      runs(2000),
    );
  });

  it("in any bytes are decrypted or refused with LEGACY_REFUSED, nothing else", () => {
    using dataKey = SecretBuffer.copyOf(Buffer.from("123456"));
    fc.assert(
      fc.property(modes, bytes(200), (mode, input) => {
        refuses("LEGACY_REFUSED", () => legacyDecryptKeyFile(mode, dataKey, input));
        refuses("LEGACY_REFUSED", () => legacyDecryptKeyFile(mode, dataKey, Buffer.from(input.toString("hex"))));
        for (const format of ["v2-raw", "v2-snappy", "v3", "v3.3"] as const)
          refuses("LEGACY_REFUSED", () => legacyDecryptDatabaseValue(format, mode, dataKey, input));
        const stored = legacyEncryptDatabaseValue("v2-raw", mode, dataKey, input);
        refuses("LEGACY_REFUSED", () => legacyDecryptDatabaseValue("v2-snappy", mode, dataKey, stored));
      }),
      runs(4000),
    );
  });

  it("base64 agrees with Node's, and decodes only what it would encode", () => {
    fc.assert(
      fc.property(bytes(100), bytes(40), (input, noise) => {
        assert.equal(encodeBase64(input).toString(), input.toString("base64"));
        assert.deepEqual(decodeBase64(encodeBase64(input)), input);
        const decoded = decodeBase64(noise);
        if (decoded !== undefined) assert.deepEqual(encodeBase64(decoded), noise);
      }),
      runs(4000),
    );
  });
});
