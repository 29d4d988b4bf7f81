import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { after, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { OpensslKey } from "../../../../src/crypto/openssl-key.ts";
import type { NativeDeviceEvent } from "../../../../src/devices/native/device-events.ts";
import type { Pkcs11Device } from "../../../../src/devices/pkcs11/device.ts";
import { scaled } from "../../../run-settings.ts";
import { FaultyModule, noFaultyModule } from "./faulty-module.ts";
import { type OpenChoices, SoftToken } from "./soft-token.ts";

const skip = noFaultyModule;
const digest = createHash("sha256").update("a vote").digest();
const quickPool = { maxSessions: 1, callDeadlineMs: 2000, reopenFirstMs: 5, reopenLongestMs: 20, abandonedSessions: 0 };

async function newPair(device: Pkcs11Device) {
  const name = { keyId: randomUUID(), version: 1, suite: "intl", spec: "ECC_NIST_P256", usage: "sign" } as const;
  const { material, spki } = await device.createSpecifiedKey(name);
  assert.ok(spki);
  return { key: { ...name, material }, spki };
}

/** Until a call answers again: sessions and processes are opened anew in the background. */
async function answersAgain<T>(call: () => Promise<T>): Promise<T> {
  for (let attempts = 0; ; attempts++)
    try {
      return await call();
    } catch (error) {
      if (attempts >= 2000) throw error;
      await sleep(25);
    }
}

describe("a PKCS#11 token that fails", { skip }, () => {
  const token = skip === false ? new SoftToken() : undefined;
  after(() => token?.[Symbol.dispose]());

  const opened = async (choices: OpenChoices = {}) => {
    assert.ok(token);
    const module = new FaultyModule(token.folder);
    const events: NativeDeviceEvent[] = [];
    const device = await token.open(
      module.choices({ pool: quickPool, tell: (event) => events.push(event), ...choices }),
    );
    return { module, events, device };
  };

  for (const [fault, code, message] of [
    ["removed", "DEVICE_UNREACHABLE", /CKR_DEVICE_REMOVED/],
    ["session-lost", "DEVICE_SESSION_LOST", /CKR_SESSION_HANDLE_INVALID/],
    ["vendor-code", "DEVICE_FAILED", /CKR_0x80000123/],
    ["crash", "DEVICE_FAILED", /process/],
    ["exit", "DEVICE_FAILED", /process/],
    ["hang", "DEVICE_TIMEOUT", /./],
  ] as const)
    it(`says so when signing meets "${fault}", and signs again once that is over`, async () => {
      const { module, device } = await opened();
      await using owned = device;
      const { key, spki } = await newPair(owned);
      await owned.signDigest(key, "ECDSA_SHA_256", digest);
      module.set(fault);
      await assert.rejects(owned.signDigest(key, "ECDSA_SHA_256", digest), { code, message });
      module.set("none");
      const signature = await answersAgain(() => owned.signDigest(key, "ECDSA_SHA_256", digest));
      using publicKey = await OpensslKey.ofPublicKey("ECC_NIST_P256", spki);
      assert.ok(publicKey.verifyDigest("ECDSA_SHA_256", digest, signature));
      assert.equal((await owned.health()).state, "ready");
    });

  it("sends a wrap again when its session is lost, which does no harm, and a signature never", async () => {
    const { module, device } = await opened();
    await using owned = device;
    const { key: pair } = await newPair(owned);
    const name = { keyId: randomUUID(), version: 1, suite: "intl" } as const;
    const key = { ...name, material: await owned.createKey(name) };
    module.set("session-lost-once");
    (await owned.boxSecretToSeal(key, {})).secret[Symbol.dispose]();

    const again = await opened();
    await using other = again.device;
    again.module.set("session-lost-once");
    await assert.rejects(other.signDigest(pair, "ECDSA_SHA_256", digest), { code: "DEVICE_SESSION_LOST" });
    assert.ok(await answersAgain(() => other.signDigest(pair, "ECDSA_SHA_256", digest)));
  });

  it("is logged in to again, once, when it has forgotten the login", async () => {
    const { module, device } = await opened();
    await using owned = device;
    const { key } = await newPair(owned);
    await owned.signDigest(key, "ECDSA_SHA_256", digest);
    assert.equal(module.logins, 1);
    module.set("logged-out-once");
    await assert.rejects(owned.signDigest(key, "ECDSA_SHA_256", digest), {
      code: "DEVICE_SESSION_LOST",
      message: /CKR_USER_NOT_LOGGED_IN/,
    });
    assert.ok(await answersAgain(() => owned.signDigest(key, "ECDSA_SHA_256", digest)));
    assert.equal(module.logins, 2);
  });

  it("tells a token that fails to decrypt from a blob that is altered", async () => {
    const { module, device } = await opened();
    await using owned = device;
    const name = { keyId: randomUUID(), version: 1, suite: "intl" } as const;
    const key = { ...name, material: await owned.createKey(name) };
    const { secret, algorithm, blob } = await owned.boxSecretToSeal(key, {});
    secret[Symbol.dispose]();
    const altered = Buffer.from(blob);
    altered[20] = (altered[20] ?? 0) ^ 1;
    await assert.rejects(owned.boxSecretToOpen(key, algorithm, altered, {}), { code: "BOX_REFUSED" });
    module.set("decrypt-fails");
    await assert.rejects(owned.boxSecretToOpen(key, algorithm, blob, {}), {
      code: "DEVICE_FAILED",
      message: /CKR_GENERAL_ERROR/,
    });
  });

  it("is not taken for broken however many altered blobs are sent to it", async () => {
    const { events, device } = await opened();
    await using owned = device;
    const name = { keyId: randomUUID(), version: 1, suite: "intl" } as const;
    const key = { ...name, material: await owned.createKey(name) };
    const { secret, algorithm, blob } = await owned.boxSecretToSeal(key, {});
    secret[Symbol.dispose]();
    for (let at = 1; at < blob.length; at++) {
      const altered = Buffer.from(blob);
      altered[at] = (altered[at] ?? 0) ^ 1;
      await assert.rejects(owned.boxSecretToOpen(key, algorithm, altered, {}), { code: "BOX_REFUSED" });
    }
    assert.ok(events.every(({ event }) => event !== "breaker-opened" && event !== "session-closed"));
  });

  for (const [fault, code] of [
    ["wrong-signature", "DEVICE_KEY_CHANGED"],
    ["handles-reused", "DEVICE_KEY_CHANGED"],
    ["short-signature", "DEVICE_FAILED"],
  ] as const)
    it(`gives no signature of a token with "${fault}", the first or a later one, and signs once that is over`, async () => {
      const { module, device } = await opened();
      await using owned = device;
      await newPair(owned);
      const { key, spki } = await newPair(owned);
      module.set(fault);
      await assert.rejects(owned.signDigest(key, "ECDSA_SHA_256", digest), { code });
      module.set("none");
      using publicKey = await OpensslKey.ofPublicKey("ECC_NIST_P256", spki);
      for (const last of [false, true]) {
        const signature = await answersAgain(() => owned.signDigest(key, "ECDSA_SHA_256", digest));
        assert.ok(publicKey.verifyDigest("ECDSA_SHA_256", digest, signature));
        if (last) break;
        module.set(fault);
        await assert.rejects(owned.signDigest(key, "ECDSA_SHA_256", digest), { code });
        module.set("none");
      }
    });

  it("gives out none of many signatures that another key made, however many were right before", async () => {
    const { module, device } = await opened();
    await using owned = device;
    await newPair(owned);
    const { key, spki } = await newPair(owned);
    using publicKey = await OpensslKey.ofPublicKey("ECC_NIST_P256", spki);
    const votes = Array.from({ length: 200 }, (_, index) => createHash("sha256").update(`vote ${index}`).digest());
    let came = 0;
    const outcomes = await Promise.allSettled(
      votes.map(async (vote) => {
        const signature = await owned.signDigest(key, "ECDSA_SHA_256", vote);
        came += 1;
        if (came === 20) module.set("handles-reused");
        return publicKey.verifyDigest("ECDSA_SHA_256", vote, signature);
      }),
    );
    const refused = outcomes.filter((each) => each.status === "rejected");
    assert.ok(came >= 20 && refused.length > 0, `${came} came, ${refused.length} were refused`);
    for (const each of refused) assert.equal(each.reason.code, "DEVICE_KEY_CHANGED");
    for (const each of outcomes) assert.ok(each.status === "rejected" || each.value);
  });

  it("gives out no wrap of a key whose handle has come to name another", async () => {
    const { module, device } = await opened();
    await using owned = device;
    const keys = await Promise.all(
      [1, 2].map(async () => {
        const name = { keyId: randomUUID(), version: 1, suite: "intl" } as const;
        return { ...name, material: await owned.createKey(name) };
      }),
    );
    for (const key of keys) (await owned.boxSecretToSeal(key, {})).secret[Symbol.dispose]();
    module.set("handles-reused");
    for (const key of keys) await assert.rejects(owned.boxSecretToSeal(key, {}), { code: "DEVICE_KEY_CHANGED" });
    module.set("none");
    for (const key of keys) {
      const { secret, blob, algorithm } = await owned.boxSecretToSeal(key, {});
      using sealed = secret;
      using again = await owned.boxSecretToOpen(key, algorithm, blob, {});
      assert.ok(again.equals(sealed));
    }
  });

  it("never sends the PIN again when its process is replaced after the PIN was changed, but once", async () => {
    const { module, device } = await opened();
    await using owned = device;
    const { key } = await newPair(owned);
    const before = module.logins;
    module.set("crash");
    await assert.rejects(owned.signDigest(key, "ECDSA_SHA_256", digest));
    module.set("login-locks");
    for (let waits = 0; waits < 1000 && (await owned.health()).state !== "locked"; waits++) await sleep(20);
    assert.equal((await owned.health()).state, "locked");
    await sleep(200);
    assert.ok(module.logins - before <= 2, `${module.logins - before} logins`);
    await assert.rejects(owned.signDigest(key, "ECDSA_SHA_256", digest), { code: "DEVICE_LOCKED" });
  });

  it("answers or refuses every call that is under way when the token's folder vanishes", async () => {
    using other = new SoftToken();
    await using device = await other.open({ pool: quickPool });
    const { key } = await newPair(device);
    const before = await device.signDigest(key, "ECDSA_SHA_256", digest);
    assert.ok(before.length > 0);
    other.remove();
    const answers = await Promise.allSettled(
      Array.from({ length: 20 }, () => device.signDigest(key, "ECDSA_SHA_256", digest)),
    );
    for (const answer of answers)
      if (answer.status === "rejected") assert.match(String(answer.reason.code), /^DEVICE_/);
    await assert.rejects(newPair(device));
  });
});

describe("a PKCS#11 token under load", { skip }, () => {
  for (const sessions of [1, 4])
    it(`gives every caller its own answer over ${sessions} sessions`, async () => {
      using token = new SoftToken();
      await using device = await token.open({ pool: { minSessions: sessions, maxSessions: sessions } });
      const pairs = [await newPair(device), await newPair(device)];
      const keys = await Promise.all(pairs.map(({ spki }) => OpensslKey.ofPublicKey("ECC_NIST_P256", spki)));
      await Promise.all(
        Array.from({ length: 200 }, async (_, index) => {
          const pair = pairs[index % 2];
          const own = createHash("sha256").update(`vote ${index}`).digest();
          assert.ok(pair);
          const signature = await device.signDigest(pair.key, "ECDSA_SHA_256", own);
          assert.ok(keys[index % 2]?.verifyDigest("ECDSA_SHA_256", own, signature), `vote ${index}`);
        }),
      );
      for (const key of keys) key[Symbol.dispose]();
    });

  it("opens no file and keeps no memory for each signature", async () => {
    using token = new SoftToken();
    let pid = 0;
    await using device = await token.open({
      tell: (event) => {
        if (event.event === "process-started") pid = event.pid;
      },
    });
    const { key } = await newPair(device);
    const sign = async (count: number) => {
      for (let done = 0; done < count; done += 100)
        await Promise.all(Array.from({ length: 100 }, () => device.signDigest(key, "ECDSA_SHA_256", digest)));
    };
    const facts = () => ({
      files: readdirSync(`/proc/${pid}/fd`).length,
      rssMiB: Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024,
    });
    await sign(2000);
    const before = facts();
    await sign(scaled(100_000));
    const after = facts();
    assert.equal(after.files, before.files);
    assert.ok(after.rssMiB - before.rssMiB < 40, `${before.rssMiB} MiB became ${after.rssMiB} MiB`);
  });
});
