import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { sdfProfiles } from "../../../../src/devices/sdf/profiles.ts";
import {
  c2Start,
  cipherBytes,
  packCipher,
  packPublicKey,
  packSignature,
  StructMismatch,
  structBytes,
  unpackCipher,
  unpackDeviceInfo,
  unpackPublicKey,
  unpackSignature,
} from "../../../../src/devices/sdf/structs.ts";

interface StructVectors {
  readonly publicKey: { readonly xy: string; readonly image: string };
  readonly signature: { readonly rs: string; readonly image: string };
  readonly ciphertext: { readonly raw: string; readonly image: string };
}

const vectors = JSON.parse(
  readFileSync(new URL("../../../vectors/sdf-structs.json", import.meta.url), "utf8"),
) as StructVectors;
const hex = (text: string) => Buffer.from(text, "hex");
const raw = hex(vectors.ciphertext.raw);
const c2Bytes = raw.length - c2Start;

describe("an ECCrefPublicKey", () => {
  const image = hex(vectors.publicKey.image);

  it("is the bytes of the standard's example", () => {
    assert.equal(packPublicKey(hex(vectors.publicKey.xy)).toString("hex"), vectors.publicKey.image);
    assert.equal(unpackPublicKey(image).toString("hex"), vectors.publicKey.xy);
  });

  it("is refused with any bit of its padding set", () => {
    for (const start of [4, 4 + 64])
      for (let at = start; at < start + 32; at++) {
        const bad = Buffer.from(image);
        bad[at] = 1 << (at % 8);
        assert.throws(() => unpackPublicKey(bad), StructMismatch, `byte ${at}`);
      }
  });

  it("is refused with another number of bits, as of RSA or of a key that is not there", () => {
    for (const bits of [0, 255, 257, 512, 2048, 0x00010000]) {
      const bad = Buffer.from(image);
      bad.writeUInt32LE(bits, 0);
      assert.throws(() => unpackPublicKey(bad), StructMismatch);
    }
  });

  it("is refused when it is cut or longer, or when the key to pack is", () => {
    assert.throws(() => unpackPublicKey(image.subarray(1)), StructMismatch);
    assert.throws(() => unpackPublicKey(Buffer.concat([image, Buffer.of(0)])), StructMismatch);
    assert.throws(() => packPublicKey(Buffer.alloc(65)), RangeError);
    assert.throws(() => packPublicKey(Buffer.alloc(63)), RangeError);
  });
});

describe("an ECCSignature", () => {
  const image = hex(vectors.signature.image);

  it("is the bytes of the standard's example", () => {
    assert.equal(packSignature(hex(vectors.signature.rs)).toString("hex"), vectors.signature.image);
    assert.equal(unpackSignature(image).toString("hex"), vectors.signature.rs);
  });

  it("is refused with any byte of its padding set, cut, or longer", () => {
    for (const start of [0, 64])
      for (let at = start; at < start + 32; at++) {
        const bad = Buffer.from(image);
        bad[at] = 0x80;
        assert.throws(() => unpackSignature(bad), StructMismatch, `byte ${at}`);
      }
    assert.throws(() => unpackSignature(image.subarray(0, structBytes.signature - 1)), StructMismatch);
    assert.throws(() => packSignature(Buffer.alloc(72)), RangeError);
  });
});

describe("an ECCCipher", () => {
  const standard = sdfProfiles.gmt0018.eccCipher;

  it("is the bytes of the standard's example in the standard's layout", () => {
    assert.equal(packCipher(standard, raw).toString("hex"), vectors.ciphertext.image);
    assert.deepEqual(unpackCipher(standard, hex(vectors.ciphertext.image), c2Bytes), raw);
  });

  for (const profile of Object.values(sdfProfiles)) {
    const { eccCipher } = profile;
    const image = packCipher(eccCipher, raw);

    it(`comes back from the layout of ${profile.name}`, () => {
      assert.deepEqual(unpackCipher(eccCipher, image, c2Bytes), raw);
      assert.deepEqual(unpackCipher(eccCipher, Buffer.concat([image, Buffer.alloc(900, 7)]), c2Bytes), raw);
    });

    it(`is refused in the layout of ${profile.name} with padding that is not zero`, () => {
      const paddings = [
        [eccCipher.x, eccCipher.x + 32],
        [eccCipher.y, eccCipher.y + 32],
        [eccCipher.m + 32, eccCipher.m + eccCipher.mFieldBytes],
      ] as const;
      for (const [start, end] of paddings)
        for (let at = start; at < end; at++) {
          const bad = Buffer.from(image);
          bad[at] = 1;
          assert.throws(() => unpackCipher(eccCipher, bad, c2Bytes), StructMismatch, `byte ${at}`);
        }
    });

    it(`is refused in the layout of ${profile.name} with another length than was encrypted`, () => {
      for (const length of [0, c2Bytes - 1, c2Bytes + 1, 0x7fffffff, 0xffffffff]) {
        const bad = Buffer.from(image);
        bad.writeUInt32LE(length, eccCipher.length);
        assert.throws(() => unpackCipher(eccCipher, bad, c2Bytes), StructMismatch);
      }
    });

    it(`takes no more in the layout of ${profile.name} than it holds`, () => {
      const longest = Buffer.concat([raw.subarray(0, c2Start), Buffer.alloc(eccCipher.maxC2Bytes, 1)]);
      assert.deepEqual(unpackCipher(eccCipher, packCipher(eccCipher, longest), eccCipher.maxC2Bytes), longest);
      assert.throws(() => packCipher(eccCipher, Buffer.concat([longest, Buffer.of(1)])), RangeError);
      assert.throws(() => cipherBytes(eccCipher, eccCipher.maxC2Bytes + 1), RangeError);
      assert.throws(() => cipherBytes(eccCipher, 0), RangeError);
    });
  }

  it("has the sizes that C compilers give the vendors' structures", () => {
    assert.equal(cipherBytes(sdfProfiles.gmt0018.eccCipher, 32), 164 + 32);
    assert.equal(cipherBytes(sdfProfiles.fisco.eccCipher, 19), 164 + 32);
    assert.equal(cipherBytes(sdfProfiles.sansec.eccCipher, 19), 164 + 136);
    assert.equal(cipherBytes(sdfProfiles["sansec-old"].eccCipher, 19), 4 + 64 + 64 + 136 + 64);
  });

  it("is not read in another order than it was written", () => {
    const old = packCipher(sdfProfiles["sansec-old"].eccCipher, raw);
    assert.throws(() => unpackCipher(standard, old, c2Bytes), StructMismatch);
    const fixed = packCipher(sdfProfiles.sansec.eccCipher, raw);
    const roomy = Buffer.concat([fixed, Buffer.alloc(200)]);
    assert.throws(() => unpackCipher(sdfProfiles["sansec-old"].eccCipher, roomy, c2Bytes), StructMismatch);
  });

  it("is not made of anything but 04, x, y, C3 and C2", () => {
    assert.throws(() => packCipher(standard, raw.subarray(0, c2Start)), RangeError);
    assert.throws(() => packCipher(standard, Buffer.alloc(0)), RangeError);
    assert.throws(() => packCipher(standard, Buffer.concat([Buffer.of(2), raw.subarray(1)])), RangeError);
  });
});

describe("a DEVICEINFO", () => {
  const image = Buffer.alloc(structBytes.deviceInfo);
  image.write("Maker & Sons    ", 0, "latin1");
  image.write("Card", 40, "latin1");
  image.write("1234567890abcdef", 56, "latin1");
  for (let at = 72, value = 1; at < 100; at += 4, value++) image.writeUInt32LE(value, at);

  it("gives its texts without padding and its numbers", () => {
    assert.deepEqual(unpackDeviceInfo(image), {
      maker: "Maker & Sons",
      name: "Card",
      serial: "1234567890abcdef",
      deviceVersion: 1,
      standardVersion: 2,
      asymmetricAbility: [3, 4],
      symmetricAbility: 5,
      hashAbility: 6,
      bufferBytes: 7,
    });
  });

  it("cannot put control characters on a terminal", () => {
    const rude = Buffer.from(image);
    rude.write("\x1b[2J\x07\x9bX", 0, "latin1");
    assert.equal(unpackDeviceInfo(rude).maker.startsWith("?[2J??X"), true);
  });

  it("is refused when it is cut", () => {
    assert.throws(() => unpackDeviceInfo(image.subarray(0, 99)), StructMismatch);
  });
});
