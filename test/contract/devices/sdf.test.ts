import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { describe, it } from "node:test";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { sm2Digest, sm2SignatureToRaw } from "../../../src/crypto/sm2.ts";
import { sm2VerifyDigest } from "../../../src/crypto/sm2-digest.ts";
import { sm2Encrypt } from "../../../src/crypto/sm2-encryption.ts";
import type { DeviceKeyChoice } from "../../../src/devices/device.ts";
import type { SdfDeviceOptions } from "../../../src/devices/sdf/device.ts";
import { openCard, readyCard } from "../../process/devices/sdf/card.ts";
import { type SdfCardVariant, sdfCardMissing } from "../../sdf-card/build.ts";
import { deviceContract } from "./device-contract.ts";

const missing = sdfCardMissing();

function contract(upstream: DeviceKeyChoice, variant: SdfCardVariant, options: Partial<SdfDeviceOptions> = {}): void {
  deviceContract(async () => {
    const card = readyCard(variant);
    const device = await openCard(card, { keyIndices: [1, 2], kekIndices: [1, 2], ...options });
    return {
      device,
      upstream,
      async [Symbol.asyncDispose]() {
        await device[Symbol.asyncDispose]();
        card[Symbol.dispose]();
      },
    };
  }, missing);
}

describe("a GM/T 0018 card that opens SM2 envelopes", () => {
  contract({ keyIndex: 1 }, "gmt0018");
});

describe("a GM/T 0018 card that derives under a KEK, over three sessions", () => {
  contract({ kekIndex: 1 }, "gmt0018", { pool: { minSessions: 2, maxSessions: 3 } });
});

describe("a GM/T 0018 card whose ECCCipher holds 32 bytes", () => {
  contract({ keyIndex: 2 }, "fisco", { profile: "fisco" });
});

describe("a GM/T 0018 card with Sansec's old layout and a right to its KEK", () => {
  contract({ keyIndex: 1 }, "sansec-old", { profile: "sansec-old" });
  contract({ kekIndex: 2 }, "sansec-old", { profile: "sansec-old" });
});

describe("a key pair of a GM/T 0018 card", { skip: missing }, () => {
  const named = (usage: "sign" | "encrypt") =>
    ({ keyId: randomUUID(), version: 1, suite: "sm", spec: "SM2", usage }) as const;

  it("makes signatures that verify here under the public key that it shows", async () => {
    using card = readyCard();
    await using device = await openCard(card);
    const name = named("sign");
    const { material, spki } = await device.createSpecifiedKey(name, { keyIndex: 1 });
    const publicKey = (spki ?? Buffer.alloc(0)).subarray(-65);
    for (const message of ["", "block 17"]) {
      const digest = sm2Digest(publicKey, Buffer.from(message));
      const signature = await device.signDigest({ ...name, material }, "SM2DSA", digest);
      assert.ok(sm2VerifyDigest(publicKey, digest, sm2SignatureToRaw(signature)));
    }
  });

  it("opens what was encrypted here, and nothing that was altered", async () => {
    using card = readyCard();
    await using device = await openCard(card);
    const name = named("encrypt");
    const { material, spki } = await device.createSpecifiedKey(name, { keyIndex: 1 });
    const plaintext = randomBytes(40);
    const ciphertext = sm2Encrypt((spki ?? Buffer.alloc(0)).subarray(-65), plaintext, "asn1");
    using opened = await device.decrypt({ ...name, material }, "SM2PKE", ciphertext);
    assert.ok(opened instanceof SecretBuffer && opened.equals(plaintext));
    for (const at of [0, 5, 20, 60, ciphertext.length - 1]) {
      const altered = Buffer.from(ciphertext);
      altered[at] = (altered[at] ?? 0) ^ 1;
      assert.equal(await device.decrypt({ ...name, material }, "SM2PKE", altered), undefined, `byte ${at}`);
    }
    assert.equal(await device.decrypt({ ...name, material }, "SM2PKE", Buffer.alloc(0)), undefined);
  });

  it("is not used for what it is not for", async () => {
    using card = readyCard();
    await using device = await openCard(card);
    const sign = named("sign");
    const { material } = await device.createSpecifiedKey(sign, { keyIndex: 1 });
    const refused = { code: "DEVICE_UNSUPPORTED" };
    await assert.rejects(device.decrypt({ ...sign, material }, "SM2PKE", Buffer.alloc(100)), refused);
    await assert.rejects(device.signDigest({ ...sign, material }, "ECDSA_SHA_256", Buffer.alloc(32)), refused);
    await assert.rejects(device.mac({ ...sign, material }), refused);
    await assert.rejects(device.createSpecifiedKey(sign), refused);
    await assert.rejects(device.createSpecifiedKey(sign, { kekIndex: 1 }), refused);
    await assert.rejects(device.createSpecifiedKey({ ...sign, spec: "RSA_2048" }, { keyIndex: 1 }), refused);
    await assert.rejects(device.boxSecretToSeal({ ...sign, material }, {}), { code: "KEY_DAMAGED" });
  });

  it("takes digests of 32 bytes only", async () => {
    using card = readyCard();
    await using device = await openCard(card);
    const name = named("sign");
    const { material } = await device.createSpecifiedKey(name, { keyIndex: 1 });
    for (const length of [0, 31, 33, 64])
      await assert.rejects(device.signDigest({ ...name, material }, "SM2DSA", Buffer.alloc(length)), {
        code: "DEVICE_INPUT_REFUSED",
      });
  });
});
