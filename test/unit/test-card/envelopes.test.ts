import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { generateKeyPair } from "../../../src/crypto/curve.ts";
import { sm2Decrypt, sm2Encrypt } from "../../../src/crypto/sm2-encryption.ts";
import { makeTestCard, type SdfCardVariant, sdfCardMissing, type TestCard } from "../../sdf-card/build.ts";
import { fromFields, SdfCaller, sdr, toFields, toPublicKeyStruct } from "../../sdf-card/caller.ts";
import { fromHex, loadVectors, withBitFlipped } from "../crypto/load-vectors.ts";

const pin = "12345678";
const sm2Encryption = 0x20800;
const u32 = (n: number): Buffer => Buffer.of(n & 255, n >> 8, 0, 0);

/** Where the parts of an ECCCipher lie in each variant; `bytes` is all that the library writes for a C2 of n bytes. */
interface Layout {
  x: number;
  m: number;
  length: number;
  c: number;
  max: number;
  bytes(n: number): number;
}
const standard = (max: number, bytes: (n: number) => number): Layout => ({
  x: 0,
  m: 128,
  length: 160,
  c: 164,
  max,
  bytes,
});
const layouts: Readonly<Record<Exclude<SdfCardVariant, "minimal">, Layout>> = {
  gmt0018: standard(255, (n) => 164 + n),
  openhitls: standard(255, (n) => 164 + n),
  fisco: standard(32, () => 196),
  sansec: standard(136, () => 300),
  "sansec-old": { x: 4, m: 268, length: 0, c: 132, max: 136, bytes: () => 332 },
};

function pack(layout: Layout, raw: Buffer): Buffer {
  const out = Buffer.alloc(layout.bytes(raw.length - 97));
  toFields(raw.subarray(1, 65)).copy(out, layout.x);
  raw.copy(out, layout.m, 65, 97);
  u32(raw.length - 97).copy(out, layout.length);
  raw.copy(out, layout.c, 97);
  return out;
}

function unpack(layout: Layout, cipher: Buffer): Buffer {
  const length = cipher.readUInt32LE(layout.length);
  const c1 = fromFields(cipher.subarray(layout.x, layout.x + 128));
  const c3 = cipher.subarray(layout.m, layout.m + 32);
  return Buffer.concat([Buffer.of(4), c1, c3, cipher.subarray(layout.c, layout.c + length)]);
}

function opened(card: TestCard): { sdf: SdfCaller; session: bigint } {
  card.admin("generate", "1");
  const sdf = new SdfCaller(card.library);
  const session = sdf.openSession();
  assert.equal(sdf.takeRight(session, 1, pin), sdr.ok);
  return { sdf, session };
}

describe("the test card's envelopes", { skip: sdfCardMissing() }, () => {
  for (const [name, layout] of Object.entries(layouts) as [SdfCardVariant, Layout][]) {
    const third = name === "openhitls" ? 0x20100 : sm2Encryption;

    it(`${name}: what it encrypts we open, what we encrypt it opens, and it writes not a byte beyond`, () => {
      using card = makeTestCard(pin, name);
      const { sdf, session } = opened(card);
      const { scalar, publicKey } = generateKeyPair("sm2");
      for (const n of [1, 16, 32, layout.max].filter((n) => n <= layout.max)) {
        const plaintext = randomBytes(n);
        const cipher = Buffer.alloc(layout.bytes(n) + 16, 0xa5);
        const key = toPublicKeyStruct(publicKey);
        assert.equal(sdf.call("SDF_ExternalEncrypt_ECC", session, sm2Encryption, key, plaintext, n, cipher), sdr.ok);
        assert.ok(cipher.subarray(layout.bytes(n)).every((byte) => byte === 0xa5));
        using text = sm2Decrypt(scalar, unpack(layout, cipher));
        assert.ok(text.equals(plaintext));

        const ours = pack(layout, sm2Encrypt(sdf.publicKey(session, 1, "Enc"), plaintext));
        const [out, length] = [Buffer.alloc(n + 1, 0xa5), u32(0)];
        assert.equal(sdf.call("SDF_InternalDecrypt_ECC", session, 1, third, ours, out, length), sdr.ok);
        assert.equal(length.readUInt32LE(), n);
        assert.deepEqual(out, Buffer.concat([plaintext, Buffer.of(0xa5)]));
      }
      const tooLong = randomBytes(layout.max + 1);
      const room = Buffer.alloc(1024);
      const key = toPublicKeyStruct(publicKey);
      const encrypt = (alg: number, n: number): number =>
        sdf.call("SDF_ExternalEncrypt_ECC", session, alg, key, tooLong, n, room);
      assert.equal(encrypt(sm2Encryption, tooLong.length), sdr.inArgument);
      assert.equal(encrypt(sm2Encryption, 0), sdr.inArgument);
      assert.equal(encrypt(0x20200, 16), sdr.algorithmNotSupported);
    });

    it(`${name}: a sealed session key comes back under its handle`, () => {
      using card = makeTestCard(pin, name);
      const { sdf, session } = opened(card);
      const [cipher, made, imported] = [Buffer.alloc(512), Buffer.alloc(8), Buffer.alloc(8)];
      assert.equal(sdf.call("SDF_GenerateKeyWithIPK_ECC", session, 1, 128, cipher, made), sdr.ok);
      assert.equal(sdf.call("SDF_ImportKeyWithISK_ECC", session, 1, cipher, imported), sdr.ok);
      assert.deepEqual(encryptBlock(sdf, session, made), encryptBlock(sdf, session, imported));
      assert.equal(sdf.call("SDF_GenerateKeyWithIPK_ECC", session, 1, 100, cipher, made), sdr.inArgument);
    });
  }

  it("opens the structure image of the standard's worked example", () => {
    using card = makeTestCard(pin);
    const { ciphertext } = loadVectors<{ ciphertext: Record<"scalar" | "plaintext" | "image", string> }>(
      "sdf-structs.json",
    );
    const file = join(card.dir, "../worked");
    writeFileSync(file, ciphertext.scalar);
    card.admin("import", "9", file, "--enc", file);
    const { sdf, session } = opened(card);
    assert.equal(sdf.takeRight(session, 9, pin), sdr.ok);
    const [out, length] = [Buffer.alloc(255), u32(0)];
    const image = fromHex(ciphertext.image);
    assert.equal(sdf.call("SDF_InternalDecrypt_ECC", session, 9, sm2Encryption, image, out, length), sdr.ok);
    assert.equal(out.toString("hex", 0, length.readUInt32LE()), ciphertext.plaintext);
  });

  it("refuses a ciphertext with any byte changed, another index's, and one without a right", () => {
    using card = makeTestCard(pin);
    card.admin("generate", "2");
    const { sdf, session } = opened(card);
    const layout = layouts.gmt0018;
    const sealed = pack(layout, sm2Encrypt(sdf.publicKey(session, 1, "Enc"), randomBytes(16)));
    const open = (index: number, cipher: Buffer): number => {
      const withRoom = Buffer.concat([cipher, Buffer.alloc(16)]); // a changed length is read too
      return sdf.call("SDF_InternalDecrypt_ECC", session, index, sm2Encryption, withRoom, Buffer.alloc(255), u32(0));
    };
    assert.equal(open(1, sealed), sdr.ok);
    for (let at = 0; at < sealed.length; at++) {
      if (at >= 161 && at < 164) continue; // the upper bytes of the length are tried below
      assert.notEqual(open(1, withBitFlipped(sealed, at * 8)), sdr.ok, `byte ${at}`);
    }
    for (const length of [0, 256, 0x7fff]) {
      const changed = Buffer.from(sealed);
      changed.writeUInt32LE(length, layout.length);
      assert.equal(open(1, changed), sdr.inArgument);
    }
    assert.equal(open(2, sealed), sdr.noRight);
    assert.equal(sdf.takeRight(session, 2, pin), sdr.ok);
    assert.equal(open(2, sealed), sdr.encryptedData);
    assert.equal(open(3, sealed), sdr.keyNotExist);
  });

  it("takes InternalEncrypt with an algorithm, and in the openhitls build without", () => {
    using card = makeTestCard(pin);
    const { sdf, session } = opened(card);
    const [plaintext, out, length] = [randomBytes(32), Buffer.alloc(255), u32(0)];
    const cipher = Buffer.alloc(512);
    assert.equal(sdf.call("SDF_InternalEncrypt_ECC", session, 1, sm2Encryption, plaintext, 32, cipher), sdr.ok);
    assert.equal(sdf.call("SDF_InternalDecrypt_ECC", session, 1, sm2Encryption, cipher, out, length), sdr.ok);
    assert.deepEqual(out.subarray(0, 32), plaintext);
    using hitls = makeTestCard(pin, "openhitls");
    const other = opened(hitls);
    const decrypt = (algorithm: number): number =>
      other.sdf.call("SDF_InternalDecrypt_ECC", other.session, 1, algorithm, cipher, out, length);
    assert.equal(decrypt(sm2Encryption), sdr.algorithmNotSupported);
    assert.equal(decrypt(0x20100), sdr.encryptedData);
  });

  for (const [mode, algorithm, overhead] of [
    ["ECB", 0x401, 0],
    ["CBC", 0x402, 32],
  ] as const)
    it(`wraps a session key under a KEK by SM4-${mode} and takes it back, and no other`, () => {
      using card = makeTestCard(pin);
      card.admin("kek", "1");
      card.admin("kek", "2");
      const { sdf, session } = opened(card);
      const [wrapped, length, made, imported] = [Buffer.alloc(80), u32(0), Buffer.alloc(8), Buffer.alloc(8)];
      assert.equal(sdf.call("SDF_GenerateKeyWithKEK", session, 128, algorithm, 1, wrapped, length, made), sdr.ok);
      assert.equal(length.readUInt32LE(), 16 + overhead);
      const take = (kek: number, n: number): number =>
        sdf.call("SDF_ImportKeyWithKEK", session, algorithm, kek, wrapped, n, imported);
      assert.equal(take(1, 16 + overhead), sdr.ok);
      assert.deepEqual(encryptBlock(sdf, session, made), encryptBlock(sdf, session, imported));
      assert.equal(take(9, 16 + overhead), sdr.keyNotExist);
      assert.notEqual(take(1, 15 + overhead), sdr.ok);
      assert.equal(take(1, 80), sdr.inArgument);
      const other = take(2, 16 + overhead);
      if (other === sdr.ok) assert.notDeepEqual(encryptBlock(sdf, session, made), encryptBlock(sdf, session, imported));
      else assert.equal(other, sdr.key);
    });

  it("asks for a right to a KEK in the sansec build, given for the card's PIN", () => {
    using card = makeTestCard(pin, "sansec");
    card.admin("kek", "1");
    const { sdf, session } = opened(card);
    const generate = (): number =>
      sdf.call("SDF_GenerateKeyWithKEK", session, 128, 0x401, 1, Buffer.alloc(64), u32(0), Buffer.alloc(8));
    assert.equal(generate(), sdr.noRight);
    const right = (password: string): number =>
      sdf.call("SDF_GetKEKAccessRight", session, 1, Buffer.from(password), password.length);
    assert.equal(right("87654321"), sdr.wrongPassword);
    assert.equal(right(pin), sdr.ok);
    assert.equal(generate(), sdr.ok);
  });

  it("ends a key's life by DestroyKey and with its session, and holds at most 256 in one", () => {
    using card = makeTestCard(pin);
    const { sdf, session } = opened(card);
    const handle = Buffer.alloc(8);
    const take = (): number => sdf.call("SDF_ImportKey", session, randomBytes(16), 16, handle);
    for (let i = 0; i < 256; i++) assert.equal(take(), sdr.ok);
    assert.equal(take(), sdr.noBuffer);
    assert.equal(sdf.call("SDF_DestroyKey", session, handle.readBigUInt64LE()), sdr.ok);
    assert.equal(sdf.call("SDF_DestroyKey", session, handle.readBigUInt64LE()), sdr.inArgument);
    assert.equal(take(), sdr.ok);
    const other = sdf.openSession();
    assert.equal(sdf.call("SDF_DestroyKey", other, handle.readBigUInt64LE()), sdr.inArgument);
  });
});

function encryptBlock(sdf: SdfCaller, session: bigint, handle: Buffer): Buffer {
  const [out, length] = [Buffer.alloc(16), u32(0)];
  const code = sdf.call(
    "SDF_Encrypt",
    session,
    handle.readBigUInt64LE(),
    0x401,
    null,
    Buffer.alloc(16),
    16,
    out,
    length,
  );
  assert.equal(code, sdr.ok);
  return out;
}
