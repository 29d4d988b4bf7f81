import assert from "node:assert/strict";
import { createHash, createHmac, createPublicKey, randomUUID, verify } from "node:crypto";
import { after, describe, it } from "node:test";
import { OpensslKey } from "../../../../src/crypto/openssl-key.ts";
import type { SpecifiedDeviceKey } from "../../../../src/devices/device.ts";
import type { Pkcs11Device } from "../../../../src/devices/pkcs11/device.ts";
import { noToken, SoftToken } from "./soft-token.ts";

const digest = createHash("sha256").update("a block").digest();
const newName = () => ({ keyId: randomUUID(), version: 1, suite: "intl" }) as const;

async function newPair(device: Pkcs11Device, spec: "ECC_NIST_P256" | "ECC_SECG_P256K1" = "ECC_NIST_P256") {
  const name = { ...newName(), spec, usage: "sign" } as const;
  const { material, spki } = await device.createSpecifiedKey(name);
  assert.ok(spki);
  return { key: { ...name, material }, spki };
}

async function isSignature(
  spec: "ECC_NIST_P256" | "ECC_SECG_P256K1",
  spki: Buffer,
  signature: Buffer,
): Promise<boolean> {
  using key = await OpensslKey.ofPublicKey(spec, spki);
  return key.verifyDigest("ECDSA_SHA_256", digest, signature);
}

const hexIdOf = (key: { readonly material: Buffer }) => (JSON.parse(key.material.toString()) as { id: string }).id;

describe("keys of a PKCS#11 token", { skip: noToken }, () => {
  const token = noToken === false ? new SoftToken() : undefined;
  after(() => token?.[Symbol.dispose]());
  const says = (behaviour: string, test: (device: Pkcs11Device, token: SoftToken) => Promise<void>) =>
    it(behaviour, async () => {
      assert.ok(token);
      await using device = await token.open();
      await test(device, token);
    });

  says("sign a digest so that OpenSSL verifies it, with the lower s", async (device) => {
    const halfOrder = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0n;
    for (const spec of ["ECC_NIST_P256", "ECC_SECG_P256K1"] as const) {
      const { key, spki } = await newPair(device, spec);
      for (let times = 0; times < 8; times++) {
        const signature = await device.signDigest(key, "ECDSA_SHA_256", digest);
        assert.ok(await isSignature(spec, spki, signature));
        const s = signature.subarray(6 + (signature[3] ?? 0));
        if (spec === "ECC_SECG_P256K1") assert.ok(BigInt(`0x${s.toString("hex")}`) <= halfOrder);
      }
    }
  });

  says("sign digests of SHA-384 and SHA-512 on the larger curves", async (device) => {
    for (const [spec, algorithm, hash] of [
      ["ECC_NIST_P384", "ECDSA_SHA_384", "sha384"],
      ["ECC_NIST_P521", "ECDSA_SHA_512", "sha512"],
    ] as const) {
      const name = { ...newName(), spec, usage: "sign" } as const;
      const { material, spki } = await device.createSpecifiedKey(name);
      assert.ok(spki);
      const signature = await device.signDigest(
        { ...name, material },
        algorithm,
        createHash(hash).update("a block").digest(),
      );
      assert.ok(
        verify(hash, Buffer.from("a block"), createPublicKey({ key: spki, format: "der", type: "spki" }), signature),
      );
    }
  });

  says("sign messages by Ed25519 through the token's own operations", async (device) => {
    const label = `ed-${randomUUID()}`;
    const pair = await device.token.generateKeyPair(label, "ED25519");
    const message = Buffer.from("a message of any length");
    const { raw: signature } = await device.token.sign(pair, message);
    assert.ok(verify(null, message, createPublicKey({ key: pair.spki, format: "der", type: "spki" }), signature));
    assert.equal(await device.token.destroy(label), 2);
  });

  says("make the MACs that OpenSSL makes under a key whose bytes nobody sees, the same each time", async (device) => {
    for (const [spec, algorithm, bytes] of [
      ["HMAC_224", "HMAC_SHA_224", 28],
      ["HMAC_256", "HMAC_SHA_256", 32],
      ["HMAC_384", "HMAC_SHA_384", 48],
      ["HMAC_512", "HMAC_SHA_512", 64],
    ] as const) {
      const name = { ...newName(), spec, usage: "mac" } as const;
      const key = { ...name, material: (await device.createSpecifiedKey(name)).material };
      const made = await device.mac(key, algorithm, Buffer.from("message"));
      assert.equal(made.length, bytes);
      assert.deepEqual(await device.mac(key, algorithm, Buffer.from("message")), made);
      assert.notDeepEqual(await device.mac(key, algorithm, Buffer.from("massage")), made);
      assert.notDeepEqual(
        made,
        createHmac(`sha${bytes * 8}`, Buffer.alloc(bytes))
          .update("message")
          .digest(),
      );
    }
  });

  says("refuse what they are not for", async (device) => {
    const { key } = await newPair(device);
    const refused: readonly (() => Promise<unknown>)[] = [
      () => device.signDigest(key, "RSASSA_PSS_SHA_256", digest),
      () => device.signDigest({ ...key, usage: "mac" }, "ECDSA_SHA_256", digest),
      () => device.decrypt(key),
      () => device.mac(key, "HMAC_SHA_256", digest),
      () => device.createSpecifiedKey({ ...newName(), spec: "SM2", usage: "sign" }),
      () => device.createSpecifiedKey({ ...newName(), spec: "HMAC_SM3", usage: "mac" }),
      () => device.createKey({ ...newName(), suite: "sm" }),
      () => device.createKey(newName(), { keyIndex: 1 }),
      () => device.createKey(newName(), { integration: "aws" }),
    ];
    for (const call of refused) await assert.rejects(call, { code: "DEVICE_UNSUPPORTED" });
    await assert.rejects(device.signDigest(key, "ECDSA_SHA_256", digest.subarray(1)), RangeError);
  });

  it("are found again after a restart, and by every process", async () => {
    assert.ok(token);
    let made: { readonly key: SpecifiedDeviceKey; readonly spki: Buffer };
    {
      await using device = await token.open();
      made = await newPair(device);
    }
    await using device = await token.open();
    assert.ok(
      await isSignature("ECC_NIST_P256", made.spki, await device.signDigest(made.key, "ECDSA_SHA_256", digest)),
    );
  });

  says("are sensitive, cannot be taken out, and do nothing but what they are for", async (device, { pkcs11Tool }) => {
    const name = newName();
    await device.createKey(name);
    const { key } = await newPair(device);
    const labels = new Set([`strongroom:${name.keyId}:1`, `strongroom:${key.keyId}:1`]);
    const listed = (await device.token.list()).filter(({ label }) => labels.has(label));
    assert.deepEqual(
      listed
        .map(({ kind, usages, extractable }) => ({ kind, usages, extractable }))
        .toSorted((a, b) => a.kind.localeCompare(b.kind)),
      [
        { kind: "aes", usages: ["encrypt"], extractable: false },
        { kind: "key-pair", usages: ["sign"], extractable: false },
      ],
    );
    const seen = pkcs11Tool.call(token, "--list-objects", "--type", "secrkey");
    assert.match(seen, new RegExp(`${name.keyId}[^]*?Access: +sensitive, always sensitive, never extractable`));
  });

  says("are gone from the token once they are destroyed, found by their name alone", async (device) => {
    const { key } = await newPair(device);
    const label = `strongroom:${key.keyId}:1`;
    const { keyId, version, suite } = key;
    await device.destroyKey({ keyId, version, suite, material: Buffer.alloc(0) });
    assert.ok((await device.token.list()).every((each) => each.label !== label));
    await assert.rejects(device.signDigest(key, "ECDSA_SHA_256", digest), { code: "DEVICE_KEY_NOT_FOUND" });
    await device.destroyKey({ keyId, version, suite, material: Buffer.alloc(0) });
  });

  says("are not used once another process has destroyed them", async (device, { open }) => {
    const { key } = await newPair(device);
    await device.signDigest(key, "ECDSA_SHA_256", digest);
    await using other = await open.call(token);
    await other.destroyKey(key);
    await assert.rejects(device.signDigest(key, "ECDSA_SHA_256", digest), { code: "DEVICE_KEY_NOT_FOUND" });
  });

  says(
    "that the token has already can be taken by label or id, and outlive their destruction here",
    async (device, soft) => {
      soft.pkcs11Tool(
        "--keypairgen",
        "--key-type",
        "EC:prime256v1",
        "--id",
        "a1a2",
        "--label",
        "node key",
        "--usage-sign",
      );
      soft.pkcs11Tool(
        "--keygen",
        "--private",
        "--key-type",
        "AES:32",
        "--id",
        "a3",
        "--label",
        "old master",
        "--sensitive",
        "--usage-decrypt",
      );
      const name = { ...newName(), spec: "ECC_NIST_P256", usage: "sign" } as const;
      for (const keyId of ["node key", "id:a1a2", "id:A1A2"]) {
        const { material, spki } = await device.createSpecifiedKey(name, { keyId });
        const key = { ...name, material };
        assert.ok(
          spki && (await isSignature("ECC_NIST_P256", spki, await device.signDigest(key, "ECDSA_SHA_256", digest))),
        );
        await device.destroyKey(key);
      }
      const master = { ...newName() };
      const material = await device.createKey(master, { keyId: "old master" });
      const { secret, algorithm, blob } = await device.boxSecretToSeal({ ...master, material }, { node: "n" });
      using sealed = secret;
      using opened = await device.boxSecretToOpen({ ...master, material }, algorithm, blob, { node: "n" });
      assert.ok(opened.equals(sealed));
    },
  );

  says(
    "that the token has already are refused when they are absent, ambiguous, or of another kind",
    async (device, soft) => {
      const name = { ...newName(), spec: "ECC_NIST_P256", usage: "sign" } as const;
      const take = (keyId: string) => device.createSpecifiedKey(name, { keyId });
      soft.pkcs11Tool("--keypairgen", "--key-type", "EC:secp384r1", "--id", "b1", "--label", "large", "--usage-sign");
      soft.makePairThatSignsNothing("b2", "derives");
      for (const id of ["b3", "b4"])
        soft.pkcs11Tool("--keypairgen", "--key-type", "EC:prime256v1", "--id", id, "--label", "twin", "--usage-sign");
      await assert.rejects(take("nobody"), { code: "DEVICE_KEY_NOT_FOUND" });
      await assert.rejects(take("id:ffff"), { code: "DEVICE_KEY_NOT_FOUND" });
      await assert.rejects(take("large"), { code: "DEVICE_UNSUPPORTED" });
      await assert.rejects(take("derives"), { code: "DEVICE_UNSUPPORTED" });
      await assert.rejects(take("twin"), { code: "DEVICE_INPUT_REFUSED" });
      await assert.rejects(device.createKey(newName(), { keyId: "large" }), { code: "DEVICE_UNSUPPORTED" });
    },
  );

  says("whose public half is not in the token are listed, but not taken for key pairs", async (device, soft) => {
    soft.pkcs11Tool("--keypairgen", "--key-type", "EC:prime256v1", "--id", "e1", "--label", "half", "--usage-sign");
    soft.pkcs11Tool("--delete-object", "--type", "pubkey", "--id", "e1");
    const [half, other] = await device.token.list({ label: "half" });
    assert.equal(half?.kind, "other");
    assert.equal(other, undefined);
    const name = { ...newName(), spec: "ECC_NIST_P256", usage: "sign" } as const;
    await assert.rejects(device.createSpecifiedKey(name, { keyId: "half" }), { code: "DEVICE_UNSUPPORTED" });
  });

  says("of a name that is empty are none", async (device) => {
    for (const keyId of ["", "id:", "id:a", "id:xyz"])
      await assert.rejects(device.createKey(newName(), { keyId }), { code: "DEVICE_KEY_NOT_FOUND" });
  });

  says("without the right to sign do not sign", async (device, soft) => {
    soft.makePairThatSignsNothing("c1", "no sign");
    const id = Buffer.from("c1", "hex");
    const { curve, fingerprint } = await device.token.publicKey(id);
    await assert.rejects(device.token.sign({ id, curve, fingerprint }, digest), {
      code: "DEVICE_UNSUPPORTED",
      message: /CKR_KEY_FUNCTION_NOT_PERMITTED/,
    });
  });

  says("exchanged under the same id are noticed", async (device, soft) => {
    const { key } = await newPair(device);
    const id = hexIdOf(key);
    for (const type of ["privkey", "pubkey"]) soft.pkcs11Tool("--delete-object", "--type", type, "--id", id);
    soft.pkcs11Tool("--keypairgen", "--key-type", "EC:prime256v1", "--id", id, "--label", "thief", "--usage-sign");
    await using fresh = await soft.open();
    await assert.rejects(fresh.signDigest(key, "ECDSA_SHA_256", digest), { code: "DEVICE_KEY_CHANGED" });
  });

  says("whose private half alone was exchanged are noticed before a signature leaves", async (device, soft) => {
    const { key } = await newPair(device);
    const id = hexIdOf(key);
    soft.pkcs11Tool("--delete-object", "--type", "privkey", "--id", id);
    soft.pkcs11Tool("--keypairgen", "--key-type", "EC:prime256v1", "--id", "d1", "--label", "thief", "--usage-sign");
    soft.pkcs11Tool("--set-id", id, "--type", "privkey", "--id", "d1");
    await using fresh = await soft.open();
    await assert.rejects(fresh.signDigest(key, "ECDSA_SHA_256", digest), {
      code: "DEVICE_KEY_CHANGED",
      message: /private key does not belong/,
    });
  });

  says("of one id twice are refused rather than guessed", async (device, soft) => {
    const { key } = await newPair(device);
    soft.pkcs11Tool(
      "--keypairgen",
      "--key-type",
      "EC:prime256v1",
      "--id",
      hexIdOf(key),
      "--label",
      "x",
      "--usage-sign",
    );
    await using fresh = await soft.open();
    await assert.rejects(fresh.signDigest(key, "ECDSA_SHA_256", digest), { message: /KEY_AMBIGUOUS/ });
  });
});
