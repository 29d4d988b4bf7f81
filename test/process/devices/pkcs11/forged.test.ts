/** What someone who reaches a token without its PIN, and can write files, can make the token's user believe. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createCipheriv, createHash, randomBytes, randomUUID } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { encodeContext } from "../../../../src/crypto/context.ts";
import { deviceAlgorithms } from "../../../../src/crypto/sealed-box.ts";
import type { Pkcs11Device } from "../../../../src/devices/pkcs11/device.ts";
import { noToken, SoftToken, softHsmLibrary } from "./soft-token.ts";

const context = { purpose: "strongroom envelope: super-key" } as const;

/** Puts a key of the attacker's own into the token, without a PIN. */
function putPublicKey(token: SoftToken, id: string, key: Buffer): void {
  const file = join(token.folder, "known-key");
  writeFileSync(file, key);
  const named = ["--module", softHsmLibrary, "--token-label", token.label, "--id", id, "--label", "known"];
  const made = ["--write-object", file, "--type", "secrkey", "--key-type", "AES:32", "--usage-decrypt", "--usage-wrap"];
  execFileSync("pkcs11-tool", [...named, ...made], { env: { ...process.env, ...token.environment }, stdio: "pipe" });
}

/** The blob that the token would make of a secret under a key that we know. */
function blobUnder(known: Buffer, keyId: string): Buffer {
  const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest();
  const version = Buffer.of(0, 0, 0, 1);
  const id = Buffer.from(keyId.replaceAll("-", ""), "hex");
  const binding = Buffer.concat([
    Buffer.from("strongroom/pkcs11/wrap/v1"),
    id,
    version,
    sha256(encodeContext(context)),
  ]);
  const iv = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", known, iv).setAAD(binding);
  return Buffer.concat([Buffer.of(1), iv, cipher.update(randomBytes(32)), cipher.final(), cipher.getAuthTag()]);
}

describe("a key that anyone can put into a token", { skip: noToken }, () => {
  let token: SoftToken;
  let device: Pkcs11Device;
  const known = randomBytes(32);
  const forgedId = "aa".repeat(16);
  before(async () => {
    token = new SoftToken();
    putPublicKey(token, forgedId, known);
    device = await token.open();
  });
  after(async () => {
    await device[Symbol.asyncDispose]();
    token[Symbol.dispose]();
  });

  it("opens no secret that was wrapped outside", async () => {
    const keyId = randomUUID();
    const material = Buffer.from(JSON.stringify({ id: forgedId, wrap: "aes-gcm" }));
    const key = { keyId, version: 1, suite: "intl", material } as const;
    const opening = device.boxSecretToOpen(key, deviceAlgorithms.pkcs11, blobUnder(known, keyId), context);
    await assert.rejects(opening, { code: "DEVICE_KEY_NOT_FOUND", message: /CKA_PRIVATE/ });
  });

  it("does not become a master key", async () => {
    const key = { keyId: randomUUID(), version: 1, suite: "intl" } as const;
    await assert.rejects(device.createKey(key, { keyId: `id:${forgedId}` }), { code: "DEVICE_KEY_NOT_FOUND" });
  });

  it("does not stand in the way of the key whose id it copies", async () => {
    const name = { keyId: randomUUID(), version: 1, suite: "intl" } as const;
    const key = { ...name, material: await device.createKey(name) };
    const { secret, blob, algorithm } = await device.boxSecretToSeal(key, context);
    using sealed = secret;
    const { id } = JSON.parse(key.material.toString()) as { id: string };
    putPublicKey(token, id, known);
    await using fresh = await token.open();
    using opened = await fresh.boxSecretToOpen(key, algorithm, blob, context);
    assert.ok(opened.equals(sealed));
  });
});
