import assert from "node:assert/strict";
import { type CipherGCMTypes, createCipheriv, hash, hkdfSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { encodeContext } from "../../../src/crypto/context.ts";
import {
  type BoxHeader,
  type BoxType,
  boxTypes,
  maxBoxPlaintextBytes,
  openBox,
  readBoxHeader,
  sealBox,
  sealBoxWithGivenRandomness,
} from "../../../src/crypto/sealed-box.ts";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { type SuiteName, suites } from "../../../src/crypto/suite.ts";
import { fromHex, loadVectors, withBitFlipped } from "./load-vectors.ts";

interface BoxVector {
  readonly id: string;
  readonly suite: SuiteName;
  readonly type: BoxType;
  readonly keyId: string;
  readonly keyVersion: number;
  readonly deviceAlgorithm: number;
  readonly context: Record<string, string>;
  readonly deviceBlob: string;
  readonly secret: string;
  readonly salt: string;
  readonly nonce: string;
  readonly encodedContext: string;
  readonly plaintext: string;
  readonly header: string;
  readonly info: string;
  readonly key: string;
  readonly commitment: string;
  readonly box: string;
}

const refused = { name: "CryptoError", code: "BOX_REFUSED", message: /^the sealed box is altered/ };
const keyId = "00112233-4455-6677-8899-aabbccddeeff";
const context = { node: "node0", purpose: "volume" };
const plaintext = Buffer.alloc(32, 9);
const secret = SecretBuffer.copyOf(Buffer.alloc(32, 1));

function headerFor(suite: SuiteName, change: Partial<BoxHeader> = {}): BoxHeader {
  const soft = { keyId, keyVersion: 1, deviceAlgorithm: 1, deviceBlob: Buffer.alloc(0) };
  return { suite: suites[suite], type: "dataKey", ...soft, ...change };
}

describe("sealed box vectors", () => {
  for (const vector of loadVectors<{ readonly cases: readonly BoxVector[] }>("sealed-box.json").cases) {
    const header = headerFor(vector.suite, {
      type: vector.type,
      keyVersion: vector.keyVersion,
      deviceAlgorithm: vector.deviceAlgorithm,
      deviceBlob: fromHex(vector.deviceBlob),
    });

    it(`${vector.id}: seals to these bytes and opens`, () => {
      using key = SecretBuffer.take(fromHex(vector.secret));
      const [salt, nonce] = [fromHex(vector.salt), fromHex(vector.nonce)];
      const box = sealBoxWithGivenRandomness(header, key, vector.context, fromHex(vector.plaintext), salt, nonce);
      assert.equal(box.toString("hex"), vector.box);
      assert.ok(openBox(box, vector.type, key, vector.context).equals(fromHex(vector.plaintext)));
      assert.deepEqual(readBoxHeader(box), header);
    });

    it(`${vector.id}: follows docs/formats.md step by step`, () => {
      const { hash: name, keyBytes, aead } = suites[vector.suite];
      const encodedContext = fromHex(vector.encodedContext);
      assert.deepEqual(encodeContext(vector.context), encodedContext);
      const headerBytes = fromHex(vector.header);
      const digests = [headerBytes, encodedContext].map((bytes) => hash(name, bytes, "buffer"));
      const info = Buffer.concat([Buffer.from("strongroom/box/v1"), ...digests]);
      assert.equal(info.toString("hex"), vector.info);
      const okm = Buffer.from(hkdfSync(name, fromHex(vector.secret), fromHex(vector.salt), info, keyBytes + 32));
      assert.equal(okm.toString("hex"), vector.key + vector.commitment);
      const cipher = createCipheriv(aead as CipherGCMTypes, fromHex(vector.key), fromHex(vector.nonce));
      cipher.setAAD(Buffer.concat([headerBytes, fromHex(vector.commitment), encodedContext]));
      const body = Buffer.concat([cipher.update(fromHex(vector.plaintext)), cipher.final(), cipher.getAuthTag()]);
      assert.equal(vector.header + vector.commitment + vector.nonce + body.toString("hex"), vector.box);
    });
  }
});

describe("docs/formats.md", () => {
  it("shows the first two vectors, step by step", () => {
    const page = readFileSync(join(import.meta.dirname, "../../../docs/formats.md"), "utf8").replaceAll(/\s+/g, "");
    for (const vector of loadVectors<{ readonly cases: readonly BoxVector[] }>("sealed-box.json").cases.slice(0, 2))
      for (const [step, value] of [
        ["header", vector.header],
        ["info", vector.info],
        ["key", vector.key],
        ["commitment", vector.commitment],
        ["box", vector.box],
      ] as const)
        assert.ok(page.includes(`${step}${value}`), `${vector.id}: ${step}`);
  });
});

for (const suite of ["intl", "sm"] as const)
  describe(`sealed box, suite ${suite}`, () => {
    const blob = Buffer.from("wrapped by a device");
    const box = sealBox(headerFor(suite, { deviceBlob: blob }), secret, context, plaintext);

    it("opens under its key, type and context, whatever the order of the context's names", () => {
      using opened = openBox(box, "dataKey", secret, { purpose: "volume", node: "node0" });
      assert.ok(opened.equals(plaintext));
    });

    it("refuses a change to any single bit, with one and the same error", () => {
      for (let bit = 0; bit < box.length * 8; bit++)
        assert.throws(() => openBox(withBitFlipped(box, bit), "dataKey", secret, context), refused, `bit ${bit}`);
    });

    it("refuses every truncation, from either end, and added bytes", () => {
      for (let length = 0; length < box.length; length++) {
        assert.throws(() => openBox(box.subarray(0, length), "dataKey", secret, context), refused, `${length} bytes`);
        assert.throws(() => openBox(box.subarray(box.length - length), "dataKey", secret, context), refused);
      }
      for (const extra of [1, 16, 1000])
        assert.throws(() => openBox(Buffer.concat([box, Buffer.alloc(extra)]), "dataKey", secret, context), refused);
    });

    it("refuses another context: a name or value changed, added, missing, moved, or empty", () => {
      for (const other of [
        {},
        { node: "node0" },
        { ...context, network: "n" },
        { ...context, node: "node1" },
        { ...context, node: "" },
        { Node: "node0", purpose: "volume" },
        { node: "volume", purpose: "node0" },
        { node: "node0purpose", volume: "" },
        { node: "node0", purpose: "volume\0" },
      ])
        assert.throws(() => openBox(box, "dataKey", secret, other), refused, JSON.stringify(other));
    });

    it("refuses another key, one of another length too", () => {
      for (const bytes of [Buffer.alloc(32, 2), withBitFlipped(Buffer.alloc(32, 1), 255), Buffer.alloc(16, 1)]) {
        using other = SecretBuffer.copyOf(bytes);
        assert.throws(() => openBox(box, "dataKey", other, context), refused);
      }
    });

    it("refuses to be opened as any other type, and with its type byte rewritten", () => {
      for (const type of Object.keys(boxTypes) as BoxType[]) {
        if (type === "dataKey") continue;
        assert.throws(() => openBox(box, type, secret, context), refused, type);
        const rewritten = Buffer.from(box);
        rewritten.writeUInt8(boxTypes[type], 6);
        assert.throws(() => openBox(rewritten, type, secret, context), refused, type);
      }
    });

    it("refuses another suite, key id, key version, device algorithm, device blob or salt in its header", () => {
      const rewrite = (change: (bytes: Buffer) => void) => {
        const rewritten = Buffer.from(box);
        change(rewritten);
        return () => openBox(rewritten, "dataKey", secret, context);
      };
      assert.throws(
        rewrite((bytes) => bytes.writeUInt8(suites[suite].id === 1 ? 2 : 1, 5)),
        refused,
        "suite",
      );
      assert.throws(
        rewrite((bytes) => bytes.writeUInt8(3, 5)),
        refused,
        "unknown suite",
      );
      assert.throws(
        rewrite((bytes) => bytes.writeUInt8(2, 4)),
        refused,
        "format",
      );
      assert.throws(
        rewrite((bytes) => bytes.fill(0, 7, 23)),
        refused,
        "key id",
      );
      assert.throws(
        rewrite((bytes) => bytes.writeUInt32BE(2, 23)),
        refused,
        "key version",
      );
      assert.throws(
        rewrite((bytes) => bytes.writeUInt32BE(0, 23)),
        refused,
        "key version 0",
      );
      assert.throws(
        rewrite((bytes) => bytes.writeUInt8(2, 27)),
        refused,
        "device algorithm",
      );
      assert.throws(
        rewrite((bytes) => bytes.fill(0, 30, 40)),
        refused,
        "device blob",
      );
      assert.throws(
        rewrite((bytes) => bytes.writeUInt16BE(0xffff, 28)),
        refused,
        "blob length",
      );
      assert.throws(
        rewrite((bytes) => bytes.writeUInt16BE(0, 28)),
        refused,
        "blob length",
      );
      assert.throws(
        rewrite((bytes) => bytes.fill(0, 49, 81)),
        refused,
        "salt",
      );
    });

    it("does not open when body and header come from two boxes of the same key", () => {
      const other = sealBox(headerFor(suite, { deviceBlob: blob }), secret, context, plaintext);
      const headerBytes = 30 + blob.length + 32;
      for (const cut of [headerBytes, headerBytes + 32, headerBytes + 44, box.length - 16]) {
        const mixed = Buffer.concat([box.subarray(0, cut), other.subarray(cut)]);
        assert.throws(() => openBox(mixed, "dataKey", secret, context), refused, `cut at ${cut}`);
      }
    });

    it("never seals to the same bytes twice", () => {
      assert.notDeepEqual(
        sealBox(headerFor(suite), secret, context, plaintext),
        sealBox(headerFor(suite), secret, context, plaintext),
      );
    });
  });

describe("sealed box limits", () => {
  it("holds 0 to 1 MiB, and refuses more before sealing", () => {
    const largest = Buffer.alloc(maxBoxPlaintextBytes, 5);
    const box = sealBox(headerFor("intl"), secret, context, largest);
    assert.ok(openBox(box, "dataKey", secret, context).equals(largest));
    assert.throws(
      () => sealBox(headerFor("intl"), secret, context, Buffer.alloc(maxBoxPlaintextBytes + 1)),
      RangeError,
    );
    assert.throws(() => readBoxHeader(Buffer.concat([box, Buffer.of(0)])), refused);
  });

  it("carries a device blob of up to 65535 bytes", () => {
    const header = headerFor("sm", { deviceBlob: Buffer.alloc(65_535, 1) });
    const box = sealBox(header, secret, context, plaintext);
    assert.ok(openBox(box, "dataKey", secret, context).equals(plaintext));
    const over = headerFor("sm", { deviceBlob: Buffer.alloc(65_536) });
    assert.throws(() => sealBox(over, secret, context, plaintext), RangeError);
  });

  it("takes key versions from 1 to 2^32 - 1, since a box of version 0 would never open", () => {
    for (const keyVersion of [0, -1, 1.5, 2 ** 32, Number.NaN])
      assert.throws(() => sealBox(headerFor("intl", { keyVersion }), secret, context, plaintext), RangeError);
    for (const keyVersion of [1, 2 ** 32 - 1])
      assert.equal(
        readBoxHeader(sealBox(headerFor("intl", { keyVersion }), secret, context, plaintext)).keyVersion,
        keyVersion,
      );
  });

  it("takes a lower-case UUID as key id, and a secret of at least 16 bytes", () => {
    for (const bad of ["", "x", keyId.toUpperCase(), keyId.replaceAll("-", ""), `${keyId}0`])
      assert.throws(() => sealBox(headerFor("intl", { keyId: bad }), secret, context, plaintext), RangeError);
    for (const bytes of [0, 1, 15]) {
      using short = SecretBuffer.random(bytes);
      assert.throws(() => sealBox(headerFor("intl"), short, context, plaintext), RangeError);
    }
  });

  it("refuses given randomness of another length", () => {
    const seal = (saltBytes: number, nonceBytes: number) => () =>
      sealBoxWithGivenRandomness(
        headerFor("intl"),
        secret,
        {},
        plaintext,
        Buffer.alloc(saltBytes),
        Buffer.alloc(nonceBytes),
      );
    assert.throws(seal(31, 12), RangeError);
    assert.throws(seal(32, 11), RangeError);
  });

  it("does not open under a secret that was wiped", () => {
    const wiped = SecretBuffer.copyOf(Buffer.alloc(32, 1));
    const box = sealBox(headerFor("intl"), wiped, context, plaintext);
    wiped[Symbol.dispose]();
    assert.throws(() => openBox(box, "dataKey", wiped, context), /after it was wiped/);
  });
});
