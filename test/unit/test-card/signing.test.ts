import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { generateKeyPair } from "../../../src/crypto/curve.ts";
import { writePrivateKey } from "../../../src/crypto/pem.ts";
import { sm2SignDigest, sm2VerifyDigest } from "../../../src/crypto/sm2-digest.ts";
import { makeTestCard, sdfCardMissing, type TestCard } from "../../sdf-card/build.ts";
import { SdfCaller, sdr, toFields, toPublicKeyStruct } from "../../sdf-card/caller.ts";
import { fromHex, loadVectors } from "../crypto/load-vectors.ts";

const pin = "12345678";
const sm2Sign = 0x20200;
const structs = loadVectors<Record<"publicKey" | "signature", { image: string }>>("sdf-structs.json");
const worked = loadVectors<{ sm2_sign: { id: string; e: string }[] }>("sm.json").sm2_sign[0];

describe("signing with the test card", { skip: sdfCardMissing() }, () => {
  let card: TestCard;
  let sdf: SdfCaller;
  let session: bigint;
  const digest = randomBytes(32);

  before(() => {
    card = makeTestCard(pin);
    card.admin("generate", "43");
    card.admin("generate", "44", "--no-sign");
    sdf = new SdfCaller(card.library);
    session = sdf.openSession();
    assert.equal(sdf.takeRight(session, 43, pin), sdr.ok);
    assert.equal(sdf.takeRight(session, 44, pin), sdr.ok);
  });
  after(() => card?.[Symbol.dispose]());

  it("says that it is a test device", () => {
    const info = Buffer.alloc(101, 0xa5);
    assert.equal(sdf.call("SDF_GetDeviceInfo", session, info), sdr.ok);
    assert.equal(info.toString("latin1", 0, 40).trim(), "Strongroom TEST card");
    assert.match(info.toString("latin1", 56, 72), /^[0-9A-F]{16}$/);
    assert.equal(info.readUInt8(100), 0xa5, "DEVICEINFO has 100 bytes");
  });

  it("signs so that our own SM2 verifies it, with zeros in the padding", () => {
    const out = Buffer.alloc(129, 0xa5);
    assert.equal(sdf.call("SDF_InternalSign_ECC", session, 43, digest, 32, out), sdr.ok);
    assert.ok(out.subarray(0, 32).equals(Buffer.alloc(32)) && out.subarray(64, 96).equals(Buffer.alloc(32)));
    assert.equal(out.readUInt8(128), 0xa5, "ECCSignature has 128 bytes");
    const { signature } = sdf.sign(session, 43, digest);
    assert.ok(sm2VerifyDigest(sdf.publicKey(session, 43), digest, signature));
    assert.ok(!sm2VerifyDigest(sdf.publicKey(session, 43, "Enc"), digest, signature));
  });

  it("verifies what it signed itself and what our own SM2 signed, and nothing else", () => {
    const { scalar, publicKey } = generateKeyPair("sm2");
    const ours = toFields(sm2SignDigest(scalar, digest));
    const other = randomBytes(32);
    const key = toPublicKeyStruct(publicKey);
    assert.equal(sdf.call("SDF_ExternalVerify_ECC", session, sm2Sign, key, digest, 32, ours), sdr.ok);
    assert.equal(sdf.call("SDF_ExternalVerify_ECC", session, sm2Sign, key, other, 32, ours), sdr.verify);
    assert.equal(
      sdf.call("SDF_ExternalVerify_ECC", session, 0x20800, key, digest, 32, ours),
      sdr.algorithmNotSupported,
    );
    const own = toFields(sdf.sign(session, 43, digest).signature);
    assert.equal(sdf.call("SDF_InternalVerify_ECC", session, 43, digest, 32, own), sdr.ok);
    assert.equal(sdf.call("SDF_InternalVerify_ECC", session, 44, digest, 32, own), sdr.verify);
  });

  it("accepts the structure images of the standard's worked example", () => {
    const { publicKey, signature } = structs;
    const e = fromHex(worked?.e ?? "");
    const args = [fromHex(publicKey.image), e, 32, fromHex(signature.image)] as const;
    assert.equal(sdf.call("SDF_ExternalVerify_ECC", session, sm2Sign, ...args), sdr.ok);
  });

  it("takes a key from hex, PKCS#8 and SEC 1, and shows its public key", () => {
    const { scalar, publicKey } = generateKeyPair("sm2");
    const forms = [
      scalar.expose((bytes) => bytes.toString("hex")),
      ...(["pkcs8", "sec1"] as const).map((form) => writePrivateKey("sm2", scalar, form).expose(String)),
    ];
    forms.forEach((text, i) => {
      const file = join(card.dir, `../imported-${i}`);
      writeFileSync(file, text);
      card.admin("import", String(50 + i), file);
      assert.deepEqual(sdf.publicKey(session, 50 + i), publicKey);
      assert.equal(sdf.takeRight(session, 50 + i, pin), sdr.ok);
      assert.ok(sm2VerifyDigest(publicKey, digest, sdf.sign(session, 50 + i, digest).signature));
    });
  });

  it("shows another public key once the key under an index was replaced", () => {
    card.admin("generate", "60");
    const first = sdf.publicKey(session, 60);
    card.admin("generate", "60", "--replace");
    assert.notDeepEqual(sdf.publicKey(session, 60), first);
  });

  it("refuses to sign without a right, after its release, and in another session", () => {
    card.admin("generate", "61");
    assert.equal(sdf.sign(session, 61, digest).code, sdr.noRight);
    assert.equal(sdf.takeRight(session, 61, pin), sdr.ok);
    assert.equal(sdf.sign(sdf.openSession(), 61, digest).code, sdr.noRight);
    assert.equal(sdf.sign(session, 61, digest).code, sdr.ok);
    assert.equal(sdf.call("SDF_ReleasePrivateKeyAccessRight", session, 61), sdr.ok);
    assert.equal(sdf.call("SDF_ReleasePrivateKeyAccessRight", session, 61), sdr.noRight);
    assert.equal(sdf.sign(session, 61, digest).code, sdr.noRight);
  });

  it("refuses an absent index, a key that may not sign and a digest of another length", () => {
    assert.equal(sdf.sign(session, 7, digest).code, sdr.keyNotExist);
    assert.equal(sdf.sign(session, 0, digest).code, sdr.keyNotExist);
    assert.equal(sdf.takeRight(session, 7, pin), sdr.keyNotExist);
    assert.equal(sdf.sign(session, 44, digest).code, sdr.mayNotSign);
    assert.equal(sdf.sign(session, 43, randomBytes(31)).code, sdr.inArgument);
    assert.equal(sdf.sign(session, 43, randomBytes(33)).code, sdr.inArgument);
  });

  it("refuses padding that is not zero, other bits than 256, and a point off the curve", () => {
    const { scalar, publicKey } = generateKeyPair("sm2");
    const signature = toFields(sm2SignDigest(scalar, digest));
    const verify = (key: Buffer, sig: Buffer): number =>
      sdf.call("SDF_ExternalVerify_ECC", session, sm2Sign, key, digest, 32, sig);
    const key = toPublicKeyStruct(publicKey);
    for (const at of [0, 4, 35, 68, 99, 36, 100]) {
      const changed = Buffer.from(key);
      changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
      assert.equal(verify(changed, signature), sdr.inArgument, `byte ${at} of the public key`);
    }
    for (const at of [0, 31, 64, 95]) {
      const changed = Buffer.from(signature);
      changed.writeUInt8(1, at);
      assert.equal(verify(key, changed), sdr.inArgument, `byte ${at} of the signature`);
    }
  });

  it("knows a closed session and a made-up one", () => {
    const closed = sdf.openSession();
    assert.equal(sdf.call("SDF_CloseSession", closed), sdr.ok);
    assert.equal(sdf.sign(closed, 43, digest).code, sdr.inArgument);
    assert.equal(sdf.call("SDF_CloseSession", closed), sdr.inArgument);
    assert.equal(sdf.sign(1n, 43, digest).code, sdr.inArgument);
  });

  it("closes a device's sessions with it", () => {
    const { device } = sdf.openDevice();
    const own = sdf.openSession(device);
    assert.equal(sdf.call("SDF_CloseDevice", device), sdr.ok);
    assert.equal(sdf.sign(own, 43, digest).code, sdr.inArgument);
    assert.equal(sdf.call("SDF_CloseDevice", device), sdr.inArgument);
    assert.equal(sdf.sign(session, 43, digest).code, sdr.ok);
  });

  it("gives random bytes, and different ones each time", () => {
    const [first, second] = [Buffer.alloc(32), Buffer.alloc(32)];
    assert.equal(sdf.call("SDF_GenerateRandom", session, 32, first), sdr.ok);
    assert.equal(sdf.call("SDF_GenerateRandom", session, 32, second), sdr.ok);
    assert.notDeepEqual(first, second);
    assert.equal(sdf.call("SDF_GenerateRandom", session, 0, first), sdr.inArgument);
    assert.equal(sdf.call("SDF_GenerateRandom", session, 32, null), sdr.outArgument);
  });
});
