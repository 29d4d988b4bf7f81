import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { VolumeError } from "../../../src/volume/errors.ts";
import {
  encodeVolumeHeader,
  maxHeaderBytes,
  readVolumeHeader,
  verifyVolumeHeader,
} from "../../../src/volume/header.ts";
import type { VolumeDescription } from "../../../src/volume/volume.ts";
import { scaled, seed } from "../../run-settings.ts";

const dataKey = SecretBuffer.copyOf(Buffer.alloc(32, 7));
const otherKey = SecretBuffer.copyOf(Buffer.alloc(32, 8));
const descriptions: Readonly<Record<string, VolumeDescription>> = {
  intl: {
    kind: "gocryptfs",
    volumeId: "01234567-89ab-4cde-8f01-23456789abcd",
    suite: "intl",
    parameters: { cipher: "aes-256-gcm" },
  },
  sm: { kind: "level", volumeId: "ffffffff-ffff-4fff-bfff-ffffffffffff", suite: "sm", parameters: {} },
};
const refused = ["VOLUME_HEADER_INVALID", "VOLUME_WRONG_KEY"];

/** The code with which a header is refused; anything but a VolumeError fails the test. */
function refusal(file: Uint8Array): string | undefined {
  try {
    verifyVolumeHeader(file, dataKey);
    return undefined;
  } catch (error) {
    assert.ok(error instanceof VolumeError, String(error));
    return error.code;
  }
}

/** A header file around a description and a box that need not fit. */
function header(text: string, box: Uint8Array, format = 1): Buffer {
  const fixed = Buffer.from([0x53, 0x52, 0x56, 0x48, format, 0, 0]);
  fixed.writeUInt16BE(Buffer.byteLength(text), 5);
  return Buffer.concat([fixed, Buffer.from(text), box]);
}

function textOf(file: Buffer): string {
  return file.subarray(7, 7 + file.readUInt16BE(5)).toString();
}

function boxOf(file: Buffer): Buffer {
  return file.subarray(7 + file.readUInt16BE(5));
}

for (const [suite, description] of Object.entries(descriptions))
  describe(`a volume header of suite ${suite}`, () => {
    const file = encodeVolumeHeader(description, dataKey);

    it("gives back what was written, read or verified", () => {
      assert.deepEqual(readVolumeHeader(file), description);
      assert.deepEqual(verifyVolumeHeader(file, dataKey), description);
      assert.ok(file.length <= maxHeaderBytes);
    });

    it("has the layout of the format", () => {
      assert.equal(file.subarray(0, 5).toString("latin1"), "SRVH\u0001");
      const { kind, parameters, volumeId } = description;
      assert.equal(textOf(file), JSON.stringify({ kind, parameters, suite, volumeId }));
    });

    it("is refused with any one bit flipped", () => {
      for (let bit = 0; bit < file.length * 8; bit++) {
        const flipped = Buffer.from(file);
        flipped.writeUInt8(flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
        assert.ok(refused.includes(refusal(flipped) ?? "accepted"), `bit ${bit}`);
      }
    });

    it("is refused when cut to any length or with a byte more", () => {
      for (let length = 0; length < file.length; length++)
        assert.ok(refused.includes(refusal(file.subarray(0, length)) ?? "accepted"), `cut to ${length}`);
      assert.ok(refused.includes(refusal(Buffer.concat([file, Buffer.of(0)])) ?? "accepted"));
    });

    it("is refused under another key, and never says which", () => {
      assert.throws(() => verifyVolumeHeader(file, otherKey), { code: "VOLUME_WRONG_KEY", exitCode: 5 });
    });

    it("is another one each time, for its salt is random", () => {
      assert.notDeepEqual(encodeVolumeHeader(description, dataKey), file);
    });
  });

describe("a volume header made of outside bytes", () => {
  const file = encodeVolumeHeader(descriptions.intl as VolumeDescription, dataKey);
  const [text, box] = [textOf(file), boxOf(file)];
  const invalid = { code: "VOLUME_HEADER_INVALID", exitCode: 5 };

  for (const [what, altered] of [
    ["white space", text.replace(":", ": ")],
    ["names in another order", text.replace(/^\{("kind":"[a-z]+"),(.*)\}$/, "{$2,$1}")],
    ["a name twice", text.replace("{", '{"kind":"gocryptfs",')],
    ["a name that is not known", text.replace("{", '{"a":1,')],
    ["a kind that is not known", text.replace("gocryptfs", "cryptomator")],
    ["a suite that is not known", text.replace('"intl"', '"rot13"')],
    ["a suite named as a property of every object", text.replace('"intl"', '"toString"')],
    ["a volume id in capitals", text.replace("89ab", "89AB")],
    ["no volume id", text.replace(/,"volumeId":"[^"]+"/, "")],
    ["a number for a parameter", text.replace('"aes-256-gcm"', "1")],
    ["a parameter named __proto__", text.replace('"cipher"', '"__proto__"')],
    ["a list for the parameters", text.replace(/\{"cipher":"[^"]+"\}/, "[]")],
    ["a parameter of 257 letters", text.replace("aes-256-gcm", "a".repeat(257))],
    ["no object", "null"],
    ["a list", "[]"],
    ["no JSON", "{"],
    ["nothing", ""],
    ["deep nesting", "[".repeat(4000)],
  ] as const)
    it(`is invalid with ${what} in its description`, () => {
      assert.notEqual(altered, text);
      assert.throws(() => readVolumeHeader(header(altered, box)), invalid);
    });

  it("is invalid with a description that is not UTF-8, or longer than 4 KiB", () => {
    const bytes = header(text, box);
    bytes.writeUInt8(0xff, 12);
    assert.throws(() => readVolumeHeader(bytes), invalid);
    const long = text.replace('"aes-256-gcm"', JSON.stringify("a".repeat(5000)));
    assert.throws(() => readVolumeHeader(header(long, box)), invalid);
  });

  it("is invalid in another format, or over its greatest size", () => {
    for (const format of [0, 2, 255]) assert.throws(() => readVolumeHeader(header(text, box, format)), invalid);
    assert.throws(() => readVolumeHeader(Buffer.concat([file, Buffer.alloc(maxHeaderBytes)])), invalid);
  });

  it("is invalid with the sealed box of another volume, and does not open with a changed parameter", () => {
    const other = encodeVolumeHeader(
      { ...(descriptions.intl as VolumeDescription), volumeId: "11111111-1111-4111-8111-111111111111" },
      dataKey,
    );
    assert.throws(() => readVolumeHeader(header(text, boxOf(other))), invalid);
    const changed = header(text.replace("aes-256-gcm", "xchacha20-poly1305"), box);
    assert.equal(readVolumeHeader(changed).parameters.cipher, "xchacha20-poly1305");
    assert.equal(refusal(changed), "VOLUME_WRONG_KEY");
  });

  it("is refused by a VolumeError and nothing else, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
        assert.ok(refused.includes(refusal(bytes) ?? "accepted"));
      }),
      { seed, numRuns: scaled(20_000) },
    );
  });

  it("is refused in the same way when its beginning is right", () => {
    const part = fc.oneof(fc.json(), fc.constant(text), fc.string({ unit: "binary" }));
    fc.assert(
      fc.property(part, fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.constant(box)), (anyText, anyBox) => {
        if (anyText === text && Buffer.from(anyBox).equals(box)) return;
        assert.ok(refused.includes(refusal(header(anyText, anyBox)) ?? "accepted"));
      }),
      { seed, numRuns: scaled(20_000) },
    );
  });

  it("is refused when several of its bytes were changed", () => {
    const change = fc.tuple(fc.nat(file.length - 1), fc.integer({ min: 1, max: 255 }));
    fc.assert(
      fc.property(fc.uniqueArray(change, { minLength: 1, maxLength: 8, selector: ([at]) => at }), (changes) => {
        const changed = Buffer.from(file);
        for (const [at, mask] of changes) changed.writeUInt8(changed.readUInt8(at) ^ mask, at);
        assert.ok(refused.includes(refusal(changed) ?? "accepted"));
      }),
      { seed, numRuns: scaled(20_000) },
    );
  });
});
