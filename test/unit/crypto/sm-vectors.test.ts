import assert from "node:assert/strict";
import { type CipherCCMTypes, createCipheriv, createDecipheriv, createHmac, hash } from "node:crypto";
import { describe, it } from "node:test";
import { publicKeyOf } from "../../../src/crypto/curve.ts";
import { pbkdf2Key } from "../../../src/crypto/kdf.ts";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { sm2Digest, sm2Sign, sm2SignatureToDer, sm2SigningKey, sm2Verify, sm2Za } from "../../../src/crypto/sm2.ts";
import { sm2SignDigest, sm2VerifyDigest } from "../../../src/crypto/sm2-digest.ts";
import { encryptWithEphemeralKey, sm2Decrypt } from "../../../src/crypto/sm2-encryption.ts";
import { aeadOpen, aeadSeal, suites } from "../../../src/crypto/suite.ts";
import {
  cbcDecryptUnauthenticated,
  cbcEncryptUnauthenticated,
  ctrUnauthenticated,
} from "../../../src/crypto/unauthenticated-cipher.ts";
import { fromHex, loadVectors } from "./load-vectors.ts";

type Case = Readonly<Record<string, string>>;
const vectors = loadVectors<Readonly<Record<string, readonly Case[]>>>("sm.json");

/** The cases of a set; a field that a case lacks reads as the empty string. */
function cases(
  set: string,
): readonly { readonly id: string; hex(field: string): Buffer; text(field: string): string }[] {
  const found = vectors[set];
  assert.ok(found !== undefined && found.length > 0, set);
  return found.map((values) => ({
    id: values.id ?? "",
    hex: (field) => fromHex(values[field] ?? ""),
    text: (field) => values[field] ?? "",
  }));
}

const publicKeyIn = (vector: { hex(field: string): Buffer }) =>
  Buffer.concat([Buffer.of(4), vector.hex("px"), vector.hex("py")]);

describe("SM2 signature vectors", () => {
  for (const vector of cases("sm2_sign")) {
    it(`${vector.text("result")}: ${vector.id}`, () => {
      const publicKey = publicKeyIn(vector);
      const signature = Buffer.concat([vector.hex("r"), vector.hex("s")]);
      const verify = () => sm2VerifyDigest(publicKey, vector.hex("e"), signature);
      if (vector.id.startsWith("pub")) assert.throws(verify, { code: "KEY_FORMAT_INVALID" });
      else assert.equal(verify(), vector.text("result") === "valid");
    });
  }

  it("give ZA, the digest, both signature forms and a key that signs and verifies", () => {
    const [vector] = cases("sm2_sign");
    assert.ok(vector);
    const publicKey = publicKeyIn(vector);
    const message = vector.hex("msg");
    assert.deepEqual(sm2Za(publicKey), vector.hex("z"));
    assert.deepEqual(sm2Digest(publicKey, message, vector.hex("userId")), vector.hex("e"));
    assert.deepEqual(sm2SignatureToDer(vector.hex("sigRaw64")), vector.hex("sigDer"));
    assert.ok(sm2Verify(publicKey, message, vector.hex("sigRaw64")));
    assert.ok(sm2Verify(publicKey, message, vector.hex("sigDer"), { form: "der" }));
    using scalar = SecretBuffer.take(vector.hex("d"));
    const key = sm2SigningKey(scalar);
    assert.deepEqual(key.publicKey, publicKey);
    assert.ok(sm2VerifyDigest(publicKey, vector.hex("e"), sm2Sign(key, message)));
    assert.ok(sm2Verify(publicKey, message, sm2SignDigest(scalar, vector.hex("e"))));
  });

  it("verify the chain's form, a signature over a 32-byte hash with the public key behind it", () => {
    for (const vector of cases("fisco_sm2_sign_with_pub")) {
      const signature = vector.hex("sig128");
      const publicKey = Buffer.concat([Buffer.of(4), signature.subarray(64)]);
      assert.deepEqual(sm2Digest(publicKey, vector.hex("txHash")), vector.hex("e"));
      assert.ok(sm2Verify(publicKey, vector.hex("txHash"), signature.subarray(0, 64)));
    }
  });
});

describe("SM2 encryption vectors", () => {
  for (const vector of cases("sm2_encrypt")) {
    it(`${vector.text("result")}: ${vector.id}`, () => {
      using scalar = SecretBuffer.take(vector.hex("d"));
      const c1 = Buffer.concat([Buffer.of(4), vector.hex("c1x"), vector.hex("c1y")]);
      const raw = Buffer.concat([c1, vector.hex("c3"), vector.hex("c2")]);
      if (vector.text("result") === "invalid") {
        assert.throws(() => sm2Decrypt(scalar, raw), { code: "SM2_REFUSED" });
        return;
      }
      using opened = sm2Decrypt(scalar, raw);
      assert.ok(opened.equals(vector.hex("msg")));
      using openedAsn1 = sm2Decrypt(scalar, vector.hex("derGmt0009"), "asn1");
      assert.ok(openedAsn1.equals(vector.hex("msg")));
      assert.deepEqual(raw, vector.hex("c1c3c2"));
      assert.throws(() => sm2Decrypt(scalar, vector.hex("c1c2c3")), { code: "SM2_REFUSED" }, "the old draft's order");
    });
  }

  it("give the published ciphertext for the published ephemeral scalar", () => {
    const [vector] = cases("sm2_encrypt");
    assert.ok(vector);
    using k = SecretBuffer.take(vector.hex("k"));
    const parts = encryptWithEphemeralKey(
      publicKeyIn(vector),
      { scalar: k, publicKey: publicKeyOf("sm2", k) },
      vector.hex("msg"),
    );
    assert.deepEqual(parts && Buffer.concat([parts.c1, parts.c3, parts.c2]), vector.hex("c1c3c2"));
  });
});

describe("SM3 and SM4 vectors", () => {
  it("SM3", () => {
    for (const vector of cases("sm3"))
      assert.deepEqual(hash("sm3", vector.hex("msg"), "buffer"), vector.hex("digest"), vector.id);
  });

  it("HMAC-SM3", () => {
    for (const vector of cases("hmac_sm3"))
      assert.deepEqual(createHmac("sm3", vector.hex("key")).update(vector.hex("msg")).digest(), vector.hex("mac"));
  });

  it("PBKDF2 over HMAC-SM3", async () => {
    for (const vector of cases("pbkdf2_hmac_sm3")) {
      using password = SecretBuffer.take(vector.hex("password"));
      const salt = vector.hex("salt");
      using key = await pbkdf2Key(
        "sm3",
        password,
        salt,
        Number(vector.text("iterations")),
        Number(vector.text("dkLen")),
      );
      assert.ok(key.equals(vector.hex("dk")), vector.id);
    }
  });

  it("SM4 on one block, and a million times over", () => {
    for (const vector of cases("sm4_block")) {
      const cipher = createCipheriv("sm4-ecb", vector.hex("key"), null).setAutoPadding(false);
      let block = vector.hex("pt");
      const iterations = Number(vector.text("iterations")) || 1;
      for (let i = 0; i < iterations; i++) block = cipher.update(block);
      assert.deepEqual(block, vector.hex("ct"), vector.id);
    }
  });

  it("SM4 in ECB, CBC, OFB, CFB and CTR", () => {
    for (const vector of cases("sm4_modes")) {
      const mode = vector.text("mode");
      const iv = mode === "sm4-ecb" ? null : vector.hex("iv");
      const cipher = createCipheriv(mode, vector.hex("key"), iv).setAutoPadding(false);
      const ciphertext = Buffer.concat([cipher.update(vector.hex("pt")), cipher.final()]);
      assert.deepEqual(ciphertext, vector.hex("ct"), vector.id);
    }
  });

  it("SM4-CBC and SM4-CTR as this package offers them", () => {
    for (const vector of cases("sm4_modes")) {
      using key = SecretBuffer.take(vector.hex("key"));
      if (vector.text("mode") === "sm4-ctr")
        assert.deepEqual(ctrUnauthenticated("sm4-ctr", key, vector.hex("iv"), vector.hex("pt")), vector.hex("ct"));
      if (vector.text("mode") !== "sm4-cbc") continue;
      const padded = cbcEncryptUnauthenticated("sm4-cbc", key, vector.hex("iv"), vector.hex("pt"));
      assert.deepEqual(padded.subarray(0, -16), vector.hex("ct"));
      using opened = cbcDecryptUnauthenticated("sm4-cbc", key, vector.hex("iv"), padded);
      assert.ok(opened.equals(vector.hex("pt")));
    }
  });

  it("SM4-GCM and SM4-CCM of RFC 8998", () => {
    for (const vector of cases("sm4_aead")) {
      const [key, iv, aad, plaintext] = [vector.hex("key"), vector.hex("iv"), vector.hex("aad"), vector.hex("pt")];
      const expected = Buffer.concat([vector.hex("ct"), vector.hex("tag")]);
      if (vector.text("mode") === "sm4-gcm") {
        assert.deepEqual(aeadSeal(suites.sm, key, iv, aad, plaintext), expected);
        using opened = aeadOpen(suites.sm, key, iv, aad, expected);
        assert.ok(opened?.equals(plaintext));
        continue;
      }
      const cipher = createCipheriv("sm4-ccm" as CipherCCMTypes, key, iv, { authTagLength: 16 });
      cipher.setAAD(aad, { plaintextLength: plaintext.length });
      const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()]);
      assert.deepEqual(Buffer.concat([ciphertext, cipher.getAuthTag()]), expected);
      const decipher = createDecipheriv("sm4-ccm" as CipherCCMTypes, key, iv, { authTagLength: 16 });
      decipher.setAuthTag(vector.hex("tag")).setAAD(aad, { plaintextLength: plaintext.length });
      assert.deepEqual(decipher.update(vector.hex("ct")), plaintext);
    }
  });

  it("SM4-CBC-MAC as the last block of CBC", () => {
    for (const vector of cases("sm4_cbc_mac")) {
      const cipher = createCipheriv("sm4-cbc", vector.hex("key"), vector.hex("iv")).setAutoPadding(false);
      assert.deepEqual(cipher.update(vector.hex("data")).subarray(-16), vector.hex("mac"));
    }
  });
});
