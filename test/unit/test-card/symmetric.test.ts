import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { generateKeyPair } from "../../../src/crypto/curve.ts";
import { sm2Digest } from "../../../src/crypto/sm2.ts";
import { makeTestCard, sdfCardMissing, type TestCard } from "../../sdf-card/build.ts";
import { SdfCaller, sdr, toPublicKeyStruct } from "../../sdf-card/caller.ts";
import { fromHex, loadVectors } from "../crypto/load-vectors.ts";

interface ModeCase {
  id: string;
  mode: string;
  key: string;
  iv: string | null;
  pt: string;
  ct: string;
}
const vectors = loadVectors<{
  sm4_modes: ModeCase[];
  sm4_cbc_mac: { key: string; iv: string; data: string; mac: string }[];
  sm3: { id: string; msg: string; digest: string }[];
}>("sm.json");
const modes: Readonly<Record<string, number>> = {
  "sm4-ecb": 0x401,
  "sm4-cbc": 0x402,
  "sm4-cfb": 0x404,
  "sm4-ofb": 0x408,
  "sm4-ctr": 0x420,
};
const sm3 = 1;

describe("the test card's SM4 and hashes", { skip: sdfCardMissing() }, () => {
  let card: TestCard;
  let sdf: SdfCaller;
  let session: bigint;

  before(() => {
    card = makeTestCard("12345678");
    sdf = new SdfCaller(card.library);
    session = sdf.openSession();
  });
  after(() => card?.[Symbol.dispose]());

  function keyOf(bytes: Buffer): bigint {
    const handle = Buffer.alloc(8);
    assert.equal(sdf.call("SDF_ImportKey", session, bytes, bytes.length, handle), sdr.ok);
    return handle.readBigUInt64LE();
  }

  function run(
    name: "SDF_Encrypt" | "SDF_Decrypt",
    key: bigint,
    algorithm: number,
    iv: Buffer | null,
    data: Buffer,
  ): Buffer {
    const [out, length] = [Buffer.alloc(data.length), Buffer.alloc(4)];
    assert.equal(sdf.call(name, session, key, algorithm, iv, data, data.length, out, length), sdr.ok);
    assert.equal(length.readUInt32LE(), data.length);
    return out;
  }

  for (const c of vectors.sm4_modes)
    it(`gives ${c.id} both ways, whole and in two parts with the IV it left`, () => {
      const [key, algorithm] = [keyOf(fromHex(c.key)), modes[c.mode] ?? 0];
      const iv = (): Buffer | null => (c.iv === null ? null : fromHex(c.iv));
      const [plain, cipher] = [fromHex(c.pt), fromHex(c.ct)];
      assert.deepEqual(run("SDF_Encrypt", key, algorithm, iv(), plain), cipher);
      assert.deepEqual(run("SDF_Decrypt", key, algorithm, iv(), cipher), plain);
      const left = iv();
      const parts = [plain.subarray(0, 16), plain.subarray(16)].map((part) =>
        run("SDF_Encrypt", key, algorithm, left, part),
      );
      assert.deepEqual(Buffer.concat(parts), cipher);
    });

  it("updates the IV in the caller's memory", () => {
    const [key, iv] = [keyOf(randomBytes(16)), randomBytes(16)];
    const cipher = run("SDF_Encrypt", key, 0x402, iv, randomBytes(48));
    assert.deepEqual(iv, cipher.subarray(32));
  });

  for (const c of vectors.sm4_cbc_mac)
    it("gives the known CBC-MAC", () => {
      const [key, iv, data] = [keyOf(fromHex(c.key)), fromHex(c.iv), fromHex(c.data)];
      const [mac, length] = [Buffer.alloc(16), Buffer.alloc(4)];
      assert.equal(sdf.call("SDF_CalculateMAC", session, key, 0x410, iv, data, data.length, mac, length), sdr.ok);
      assert.equal(mac.toString("hex"), c.mac);
      assert.equal(sdf.call("SDF_CalculateMAC", session, key, 0x410, iv, data, 15, mac, length), sdr.inArgument);
      assert.equal(
        sdf.call("SDF_CalculateMAC", session, key, 0x402, iv, data, 16, mac, length),
        sdr.algorithmNotSupported,
      );
    });

  it("refuses half blocks in ECB and CBC, no IV, no such algorithm, a key of 32 bytes, and an unknown key", () => {
    const [key, long, out, length] = [
      keyOf(randomBytes(16)),
      keyOf(randomBytes(32)),
      Buffer.alloc(64),
      Buffer.alloc(4),
    ];
    const encrypt = (handle: bigint, algorithm: number, iv: Buffer | null, n: number): number =>
      sdf.call("SDF_Encrypt", session, handle, algorithm, iv, Buffer.alloc(64), n, out, length);
    assert.equal(encrypt(key, 0x401, null, 17), sdr.inArgument);
    assert.equal(encrypt(key, 0x402, Buffer.alloc(16), 15), sdr.inArgument);
    assert.equal(encrypt(key, 0x402, null, 16), sdr.inArgument);
    assert.equal(encrypt(key, 0x401, null, 0), sdr.inArgument);
    assert.equal(encrypt(key, 0x101, Buffer.alloc(16), 16), sdr.algorithmNotSupported);
    assert.equal(encrypt(long, 0x401, null, 16), sdr.keyType);
    assert.equal(encrypt(12345n, 0x401, null, 16), sdr.inArgument);
    assert.equal(sdf.call("SDF_ImportKey", session, randomBytes(24), 24, Buffer.alloc(8)), sdr.inArgument);
  });

  it("uses a KEK as a key of the session", () => {
    card.admin("kek", "5");
    const handle = Buffer.alloc(8);
    assert.equal(sdf.call("SDF_GetSymmKeyHandle", session, 5, handle), sdr.ok);
    const [iv, plain] = [randomBytes(16), randomBytes(32)];
    const cipher = run("SDF_Encrypt", handle.readBigUInt64LE(), 0x402, Buffer.from(iv), plain);
    assert.deepEqual(run("SDF_Decrypt", handle.readBigUInt64LE(), 0x402, Buffer.from(iv), cipher), plain);
    assert.equal(sdf.call("SDF_GetSymmKeyHandle", session, 6, handle), sdr.keyNotExist);
  });

  function hash(
    algorithm: number,
    parts: readonly Buffer[],
    publicKey: Buffer | null = null,
    id: Buffer | null = null,
  ): Buffer {
    const [out, length] = [Buffer.alloc(64), Buffer.alloc(4)];
    assert.equal(sdf.call("SDF_HashInit", session, algorithm, publicKey, id, id?.length ?? 0), sdr.ok);
    for (const part of parts) assert.equal(sdf.call("SDF_HashUpdate", session, part, part.length), sdr.ok);
    assert.equal(sdf.call("SDF_HashFinal", session, out, length), sdr.ok);
    return out.subarray(0, length.readUInt32LE());
  }

  for (const c of vectors.sm3)
    it(`gives the SM3 of ${c.id}, in two parts`, () => {
      const message = fromHex(c.msg);
      const cut = message.length >> 1;
      assert.equal(hash(sm3, [message.subarray(0, cut), message.subarray(cut)]).toString("hex"), c.digest);
    });

  it("feeds Z first when a public key and an id are given", () => {
    const { publicKey } = generateKeyPair("sm2");
    const [message, id] = [randomBytes(40), Buffer.from("1234567812345678")];
    assert.deepEqual(hash(sm3, [message], toPublicKeyStruct(publicKey), id), sm2Digest(publicKey, message));
  });

  it("hashes SHA-1 and SHA-256, and SHA-384 only where the maker gave it a number", () => {
    const message = Buffer.from("abc");
    for (const [name, id] of [
      ["sha1", 2],
      ["sha256", 4],
    ] as const)
      assert.deepEqual(hash(id, [message]), createHash(name).update(message).digest());
    assert.equal(sdf.call("SDF_HashInit", session, 5, null, null, 0), sdr.algorithmNotSupported);
  });

  it("refuses a hash out of its order", () => {
    const other = sdf.openSession();
    assert.equal(sdf.call("SDF_HashUpdate", other, Buffer.alloc(1), 1), sdr.step);
    assert.equal(sdf.call("SDF_HashFinal", other, Buffer.alloc(32), Buffer.alloc(4)), sdr.step);
    hash(sm3, []);
    assert.equal(sdf.call("SDF_HashFinal", session, Buffer.alloc(32), Buffer.alloc(4)), sdr.step);
  });
});
