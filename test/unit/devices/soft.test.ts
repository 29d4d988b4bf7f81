import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, it } from "node:test";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { RootKey } from "../../../src/devices/root-key.ts";
import { SoftDevice } from "../../../src/devices/soft.ts";

const newRoot = () => new RootKey(randomUUID(), "intl", SecretBuffer.random(32));

describe("soft device", () => {
  it("gives back the same box secret for a key version, across a restart", async () => {
    using root = newRoot();
    const name = { keyId: randomUUID(), version: 1, suite: "sm" } as const;
    const first = new SoftDevice(root);
    const key = { ...name, material: await first.createKey(name) };
    const { secret, algorithm, blob } = await first.boxSecretToSeal(key);
    await first.lock();
    await using second = new SoftDevice(root);
    using again = await second.boxSecretToOpen(key, algorithm, blob);
    assert.ok(again.equals(secret));
  });

  it("refuses material of another key, another version, another suite, another root", async () => {
    using root = newRoot();
    using otherRoot = newRoot();
    const name = { keyId: randomUUID(), version: 1, suite: "intl" } as const;
    const device = new SoftDevice(root);
    const material = await device.createKey(name);
    for (const wrong of [{ keyId: randomUUID() }, { version: 2 }, { suite: "sm" as const }])
      await assert.rejects(async () => device.boxSecretToSeal({ ...name, ...wrong, material }), {
        code: "KEY_DAMAGED",
      });
    const foreign = new SoftDevice(otherRoot);
    await assert.rejects(async () => foreign.boxSecretToSeal({ ...name, material }), { code: "KEY_DAMAGED" });
  });

  it("refuses box headers that no soft device wrote", async () => {
    using root = newRoot();
    const device = new SoftDevice(root);
    const name = { keyId: randomUUID(), version: 1, suite: "intl" } as const;
    const key = { ...name, material: await device.createKey(name) };
    await assert.rejects(async () => device.boxSecretToOpen(key, 2, Buffer.alloc(0)), { code: "BOX_REFUSED" });
    await assert.rejects(async () => device.boxSecretToOpen(key, 1, Buffer.alloc(1)), { code: "BOX_REFUSED" });
  });

  it("answers nothing once locked", async () => {
    using root = newRoot();
    const device = new SoftDevice(root);
    const name = { keyId: randomUUID(), version: 1, suite: "intl" } as const;
    const key = { ...name, material: await device.createKey(name) };
    await device.lock();
    assert.equal((await device.health()).state, "locked");
    await assert.rejects(async () => device.boxSecretToSeal(key), { code: "DEVICE_LOCKED" });
    await assert.rejects(async () => device.createKey(name), { code: "DEVICE_LOCKED" });
  });
});
