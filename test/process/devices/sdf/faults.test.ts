import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { renameSync, writeFileSync } from "node:fs";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { OpensslKey } from "../../../../src/crypto/openssl-key.ts";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { sm2VerifyDigest } from "../../../../src/crypto/sm2-digest.ts";
import type { DeviceKeyChoice } from "../../../../src/devices/device.ts";
import type { PoolSettings } from "../../../../src/devices/native/pool-settings.ts";
import type { SdfDevice } from "../../../../src/devices/sdf/device.ts";
import { openSdfSigner, type SdfSigner } from "../../../../src/devices/sdf/signer.ts";
import { sdfCardMissing, type TestCard } from "../../../sdf-card/build.ts";
import { cardPin, openCard, readyCard } from "./card.ts";

const skip = sdfCardMissing();
const digest = Buffer.alloc(32, 0x5a);

async function signer(card: TestCard, pool: Partial<PoolSettings> = {}, publicKey?: Uint8Array): Promise<SdfSigner> {
  using secret = SecretBuffer.take(Buffer.from(cardPin));
  const settings = { minSessions: 1, maxSessions: 1, reopenFirstMs: 10, breakerCoolDownMs: 50, ...pool };
  return await openSdfSigner({
    library: card.library,
    keyIndex: 1,
    pin: { secret },
    pool: settings,
    ...(publicKey === undefined ? {} : { publicKey }),
  });
}

const signs = (by: SdfSigner, signature: Buffer) =>
  sm2VerifyDigest(Buffer.concat([Buffer.of(4), by.publicKey]), digest, signature);

/** Signs until it succeeds: what a caller that knows what it does may do. */
async function eventually(by: SdfSigner, withinMs = 20_000): Promise<Buffer> {
  for (const until = performance.now() + withinMs; ; await sleep(20))
    try {
      return await by.sign(digest);
    } catch (error) {
      if (performance.now() > until) throw error;
    }
}

async function masterKey(device: SdfDevice, choice: DeviceKeyChoice) {
  const name = { keyId: randomUUID(), version: 1, suite: "sm" } as const;
  return { ...name, material: await device.createKey(name, choice) };
}

describe("a card's signer", { skip }, () => {
  it("signs many digests at once over several sessions, with no two calls on one", async () => {
    using card = readyCard();
    await using by = await signer(card, { minSessions: 3, maxSessions: 3 });
    const signatures = await Promise.all(Array.from({ length: 200 }, () => by.sign(digest)));
    assert.equal(new Set(signatures.map((signature) => signature.toString("hex"))).size, 200);
    for (const signature of signatures.slice(0, 10)) assert.ok(signs(by, signature));
  });

  it("takes the right once for each session, however slow it is and however much is signed", async () => {
    using card = readyCard();
    card.setFaults("strict=1", "right-ms=300");
    await using by = await signer(card);
    const before = performance.now();
    for (let i = 0; i < 20; i++) await by.sign(digest);
    assert.ok(performance.now() - before < 20 * 300);
  });

  it("refuses digests that are not 32 bytes", async () => {
    using card = readyCard();
    await using by = await signer(card);
    for (const length of [0, 31, 33])
      await assert.rejects(by.sign(Buffer.alloc(length)), { code: "DEVICE_INPUT_REFUSED" });
    assert.ok(signs(by, await by.sign(digest)));
  });

  it("does not open for another public key than is expected", async () => {
    using card = readyCard();
    await assert.rejects(signer(card, {}, Buffer.alloc(64, 1)), { code: "DEVICE_KEY_CHANGED" });
  });

  it("fails when the card is unplugged, and signs again when it is back", async () => {
    using card = readyCard();
    await using by = await signer(card);
    await by.sign(digest);
    card.setFaults("unplugged=1");
    await assert.rejects(by.sign(digest), { code: "DEVICE_UNREACHABLE", message: /0x01000003/ });
    card.setFaults();
    assert.ok(signs(by, await eventually(by)));
  });

  it("does not sign twice what broke off once", async () => {
    using card = readyCard();
    await using by = await signer(card);
    card.setFaults("on=SDF_InternalSign_ECC", "commfail-at=1");
    await assert.rejects(by.sign(digest), { code: "DEVICE_UNREACHABLE" });
    assert.ok(signs(by, await eventually(by)));
  });

  it("replaces a session that is lost", async () => {
    using card = readyCard();
    await using by = await signer(card);
    card.setFaults("on=SDF_InternalSign_ECC", "die-at=1");
    await assert.rejects(by.sign(digest), { code: "DEVICE_UNREACHABLE", message: /0x01010105/ });
    card.setFaults();
    assert.ok(signs(by, await eventually(by)));
  });

  it("gives up a call that hangs at its deadline, and goes on in another process", async () => {
    using card = readyCard();
    await using by = await signer(card, { callDeadlineMs: 1_500, abandonedSessions: 0 });
    card.setFaults("on=SDF_InternalSign_ECC", "hang-at=1");
    await assert.rejects(by.sign(digest), { code: "DEVICE_TIMEOUT" });
    card.setFaults();
    assert.ok(signs(by, await eventually(by)));
  });

  it("has signed by another session what waited behind a call that hangs", async () => {
    using card = readyCard();
    await using by = await signer(card, {
      minSessions: 2,
      maxSessions: 2,
      callDeadlineMs: 3_000,
      abandonedSessions: 1,
    });
    await by.sign(digest);
    card.setFaults("on=SDF_InternalSign_ECC", "hang-at=1");
    const outcomes = await Promise.allSettled(Array.from({ length: 12 }, () => by.sign(digest)));
    const failed = outcomes.filter((each) => each.status === "rejected");
    assert.deepEqual(
      failed.map(({ reason }) => reason.code),
      ["DEVICE_TIMEOUT"],
    );
    for (const each of outcomes) assert.ok(each.status === "rejected" || signs(by, each.value));
  });

  it("has signed again by another session what one that was lost had not begun", async () => {
    using card = readyCard();
    await using by = await signer(card, { minSessions: 2, maxSessions: 2 });
    await by.sign(digest);
    card.setFaults("on=SDF_InternalSign_ECC", "die-at=2");
    const outcomes = await Promise.allSettled(Array.from({ length: 30 }, () => by.sign(digest)));
    const signed = outcomes.filter((each) => each.status === "fulfilled");
    // Of a group, what was signed before cannot be confirmed any more: at most eight calls are lost.
    assert.ok(signed.length >= 30 - 8 && signed.length < 30, `${signed.length} were signed`);
    for (const each of signed) assert.ok(signs(by, each.value));
  });

  it("goes on with the library that it has loaded when its file is replaced", async () => {
    using card = readyCard();
    await using by = await signer(card, { minSessions: 1, maxSessions: 2 });
    await by.sign(digest);
    renameSync(card.library, `${card.library}.old`);
    writeFileSync(card.library, "an update that is half written");
    const signatures = await Promise.all(Array.from({ length: 60 }, () => by.sign(digest)));
    for (const signature of signatures) assert.ok(signs(by, signature));
    for (let waits = 0; waits < 1000 && by.health().sessions < 2; waits++) await sleep(20);
    assert.equal(by.health().sessions, 2);
  });

  for (const [name, fault] of [
    ["crashes", "crash-at=1"],
    ["ends its process", "exit-at=1"],
  ] as const)
    it(`outlives a library that ${name}, and does not send the call again`, async () => {
      using card = readyCard();
      await using by = await signer(card);
      card.setFaults("on=SDF_InternalSign_ECC", fault);
      await assert.rejects(by.sign(digest), { code: "DEVICE_FAILED" });
      card.setFaults();
      assert.ok(signs(by, await eventually(by)));
    });

  it("does not sign with another key that was put under its index", async () => {
    using card = readyCard();
    await using by = await signer(card);
    await by.sign(digest);
    card.admin("generate", "1", "--replace");
    await sleep(1_100);
    await assert.rejects(by.sign(digest), { code: "DEVICE_KEY_CHANGED", message: /key index 1/ });
  });

  it("gives out no signature that the card made wrongly, the first or a later one", async () => {
    using card = readyCard();
    await using by = await signer(card);
    for (const call of [1, 3]) {
      card.setFaults("on=SDF_InternalSign_ECC", `corrupt-at=${call}`);
      for (let right = 1; right < call; right++) assert.ok(signs(by, await by.sign(digest)));
      await assert.rejects(by.sign(digest), { code: "DEVICE_KEY_CHANGED", message: /does not verify/ });
      assert.ok(signs(by, await by.sign(digest)));
    }
  });

  it("gives out none of many signatures that another key under its index made, however soon after", async () => {
    using card = readyCard();
    await using by = await signer(card);
    let came = 0;
    const outcomes = await Promise.allSettled(
      Array.from({ length: 60 }, async () => {
        const signature = await by.sign(digest);
        came += 1;
        if (came === 10) card.admin("generate", "1", "--replace");
        return signs(by, signature);
      }),
    );
    const refused = outcomes.filter((each) => each.status === "rejected");
    assert.ok(came >= 10 && refused.length > 0, `${came} came, ${refused.length} were refused`);
    for (const each of refused) assert.equal(each.reason.code, "DEVICE_KEY_CHANGED");
    for (const each of outcomes) assert.ok(each.status === "rejected" || each.value);
  });

  it("says that a key may not sign", async () => {
    using card = readyCard();
    card.admin("generate", "1", "--replace", "--no-sign");
    await using by = await signer(card);
    await assert.rejects(by.sign(digest), { code: "DEVICE_PIN_REFUSED", message: /gives this key no right/ });
  });

  it("lets what is being signed come back when it is closed, and answers nothing after", async () => {
    using card = readyCard();
    const by = await signer(card);
    const running = Array.from({ length: 5 }, () => by.sign(digest).then(Boolean, (error: Error) => error));
    await by.close();
    for (const outcome of await Promise.all(running)) assert.ok(outcome === true || outcome instanceof Error);
    await assert.rejects(by.sign(digest));
  });
});

describe("a card's signing keys in custody", { skip }, () => {
  it("give out none of many signatures that another key under their index made, however soon after", async () => {
    using card = readyCard();
    await using device = await openCard(card, { pool: { minSessions: 2, maxSessions: 2 } });
    const name = { keyId: randomUUID(), version: 1, suite: "sm", spec: "SM2", usage: "sign" } as const;
    const { material, spki } = await device.createSpecifiedKey(name, { keyIndex: 1 });
    assert.ok(spki);
    using publicKey = await OpensslKey.ofPublicKey("SM2", spki);
    let came = 0;
    const outcomes = await Promise.allSettled(
      Array.from({ length: 120 }, async () => {
        const signature = await device.signDigest({ ...name, material }, "SM2DSA", digest);
        came += 1;
        if (came === 20) card.admin("generate", "1", "--replace");
        return publicKey.verifyDigest("SM2DSA", digest, signature);
      }),
    );
    const refused = outcomes.filter((each) => each.status === "rejected");
    assert.ok(came >= 20 && refused.length > 0, `${came} came, ${refused.length} were refused`);
    for (const each of refused) assert.equal(each.reason.code, "DEVICE_KEY_CHANGED");
    for (const each of outcomes) assert.ok(each.status === "rejected" || each.value);
  });

  it("give out no signature whose key cannot be read again", async () => {
    using card = readyCard();
    await using device = await openCard(card);
    const name = { keyId: randomUUID(), version: 1, suite: "sm", spec: "SM2", usage: "sign" } as const;
    const { material } = await device.createSpecifiedKey(name, { keyIndex: 1 });
    await device.signDigest({ ...name, material }, "SM2DSA", digest);
    card.setFaults("on=SDF_ExportSignPublicKey_ECC", "commfail-at=1");
    await assert.rejects(device.signDigest({ ...name, material }, "SM2DSA", digest), { code: "DEVICE_UNREACHABLE" });
  });
});

describe("a card's master keys", { skip }, () => {
  it("under an index whose key pair was replaced are found out", async () => {
    using card = readyCard();
    await using device = await openCard(card);
    const key = await masterKey(device, { keyIndex: 1 });
    const { secret, algorithm, blob } = await device.boxSecretToSeal(key, {});
    secret[Symbol.dispose]();
    card.admin("generate", "1", "--replace");
    await sleep(1_100);
    const changed = { code: "DEVICE_KEY_CHANGED" };
    await assert.rejects(device.boxSecretToSeal(key, {}), changed);
    await assert.rejects(device.boxSecretToOpen(key, algorithm, blob, {}), changed);
    await using reopened = await openCard(card);
    await assert.rejects(reopened.boxSecretToOpen(key, algorithm, blob, {}), changed);
  });

  it("under a KEK that was replaced are found out", async () => {
    using card = readyCard();
    await using device = await openCard(card);
    const key = await masterKey(device, { kekIndex: 1 });
    const { secret, algorithm, blob } = await device.boxSecretToSeal(key, {});
    secret[Symbol.dispose]();
    card.admin("kek", "1", "--replace");
    await assert.rejects(device.boxSecretToOpen(key, algorithm, blob, {}), { code: "DEVICE_KEY_CHANGED" });
    await assert.rejects(device.boxSecretToSeal(key, {}), { code: "DEVICE_KEY_CHANGED" });
  });

  it("cannot be made by who has the public keys only", async () => {
    using card = readyCard();
    await using device = await openCard(card);
    const [key, other] = [await masterKey(device, { keyIndex: 1 }), await masterKey(device, { keyIndex: 1 })];
    const mine = JSON.parse(key.material.toString()) as Record<string, string>;
    const theirs = JSON.parse(other.material.toString()) as Record<string, string>;
    // The MAC key of one under the signature of the other.
    const material = Buffer.from(JSON.stringify({ ...mine, macKey: theirs.macKey }));
    await assert.rejects(device.boxSecretToSeal({ ...key, material }, {}), { code: "KEY_DAMAGED" });
    for (const member of ["signature", "macKey", "encryptKey", "signKey"] as const) {
      const altered = Buffer.from(mine[member] ?? "", "hex");
      altered[40] = (altered[40] ?? 0) ^ 1;
      const forged = Buffer.from(JSON.stringify({ ...mine, [member]: altered.toString("hex") }));
      await assert.rejects(device.boxSecretToSeal({ ...key, material: forged }, {}), /KEY_DAMAGED|replaced|signed/);
    }
  });

  it("leave no key behind in the card's session", async () => {
    using card = readyCard();
    await using device = await openCard(card);
    const key = await masterKey(device, { kekIndex: 1 });
    const { secret, algorithm, blob } = await device.boxSecretToSeal(key, {});
    using held = secret;
    // A session of this card holds 256 keys.
    for (let times = 0; times < 300; times++) {
      using opened = await device.boxSecretToOpen(key, algorithm, blob, {});
      assert.ok(opened.equals(held));
    }
  });

  it("under a KEK whose right was not taken say so", async () => {
    using card = readyCard("sansec");
    await using device = await openCard(card, { profile: "sansec" });
    await assert.rejects(masterKey(device, { kekIndex: 1 }), {
      code: "DEVICE_PIN_REFUSED",
      message: /list its index with the device's KEK indices/,
    });
    assert.equal((await device.health()).state, "ready");
  });

  it("need a KEK that is there, an index that may sign, and one of both", async () => {
    using card = readyCard();
    card.admin("generate", "2", "--replace", "--no-sign");
    await using device = await openCard(card, { keyIndices: [1, 2] });
    await assert.rejects(masterKey(device, { kekIndex: 9 }), { code: "DEVICE_KEY_NOT_FOUND", message: /KEK index 9/ });
    await assert.rejects(masterKey(device, { keyIndex: 9 }), { code: "DEVICE_KEY_NOT_FOUND" });
    await assert.rejects(masterKey(device, { keyIndex: 2 }), { code: "DEVICE_PIN_REFUSED" });
    await assert.rejects(masterKey(device, { keyIndex: 1, kekIndex: 1 }), { code: "DEVICE_UNSUPPORTED" });
    await assert.rejects(masterKey(device, {}), { code: "DEVICE_UNSUPPORTED" });
    await assert.rejects(masterKey(device, { keyId: "label" }), { code: "DEVICE_UNSUPPORTED" });
    const intl = { keyId: randomUUID(), version: 1, suite: "intl" } as const;
    await assert.rejects(device.createKey(intl, { keyIndex: 1 }), { code: "DEVICE_UNSUPPORTED" });
  });
});
