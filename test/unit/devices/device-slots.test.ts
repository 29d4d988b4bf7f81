import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import type { DeviceKey } from "../../../src/devices/device.ts";
import { DeviceError } from "../../../src/devices/errors.ts";
import { KeySlots } from "../../../src/devices/key-slots.ts";
import type { RootKey } from "../../../src/devices/root-key.ts";
import { FakeCard } from "./fake-card.ts";

describe("a key slot that a device opens", () => {
  let folder: string;
  let file: string;
  let slots: KeySlots;
  let root: RootKey;
  let card: FakeCard;
  const keyFile = SecretBuffer.random(32);
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "strongroom-device-slots-"));
    file = join(folder, "root.slots");
    slots = new KeySlots(file);
    root = await slots.create("intl", "key-file", keyFile, "first");
    card = new FakeCard();
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const named = () => ({ name: "card-1", device: card });

  it("opens the root key, with the key of the device that was chosen, beside the other slots", async () => {
    assert.equal(await slots.addDevice(root, named(), { keyIndex: 43 }, "in the vault"), 2);
    assert.deepEqual(card.choices, [{ keyIndex: 43 }]);
    using opened = await slots.open(named());
    assert.ok(sameRoot(opened, root));
    using byFile = await slots.open(keyFile);
    assert.ok(sameRoot(byFile, root));
    assert.deepEqual(
      slots.list().map(({ slot, kind, label }) => [slot, kind, label]),
      [
        [1, "key-file", "first"],
        [2, "device", "card-1: in the vault"],
      ],
    );
  });

  it("can be the only one", async () => {
    await slots.addDevice(root, named(), undefined, "");
    slots.remove(root, 1);
    using opened = await slots.open(named());
    assert.ok(sameRoot(opened, root));
    await assert.rejects(slots.open(keyFile), { code: "UNLOCK_REFUSED" });
    assert.throws(() => slots.remove(root, 2), { code: "SLOT_LAST" });
  });

  it("is not opened by a secret, nor asked of a device of another name", async () => {
    await slots.addDevice(root, named(), undefined, "");
    const before = card.asked.length;
    await assert.rejects(slots.open({ name: "card-2", device: card }), { code: "UNLOCK_REFUSED" });
    assert.equal(card.asked.length, before);
    using wrong = SecretBuffer.random(32);
    await assert.rejects(slots.open(wrong), { code: "UNLOCK_REFUSED" });
  });

  it("is not opened by another device of the same name", async () => {
    await slots.addDevice(root, named(), undefined, "");
    await assert.rejects(slots.open({ name: "card-1", device: new FakeCard() }), { code: "KEY_DAMAGED" });
  });

  it("is refused for a device whose blobs anyone could make", async () => {
    card.authenticates = false;
    await assert.rejects(slots.addDevice(root, named(), undefined, ""), { code: "DEVICE_UNSUPPORTED" });
    assert.deepEqual(card.asked, []);
    assert.equal(slots.list().length, 1);
  });

  it("is not added when the device fails, and tells why", async () => {
    card.failure = new DeviceError("DEVICE_UNREACHABLE");
    await assert.rejects(slots.addDevice(root, named(), undefined, ""), { code: "DEVICE_UNREACHABLE" });
    assert.equal(slots.list().length, 1);
  });

  it("passes on what the device fails with, rather than calling the secret wrong", async () => {
    await slots.addDevice(root, named(), undefined, "");
    card.failure = new DeviceError("DEVICE_PIN_REFUSED");
    await assert.rejects(slots.open(named()), { code: "DEVICE_PIN_REFUSED" });
  });

  for (const code of ["DEVICE_KEY_CHANGED", "DEVICE_KEY_NOT_FOUND"] as const)
    it(`whose key fails with ${code} keeps no other slot of the device from being opened`, async () => {
      await slots.addDevice(root, named(), { keyIndex: 1 }, "gone");
      await slots.addDevice(root, named(), { keyIndex: 2 }, "there");
      const failsOnce = new DeviceError(code);
      const card = new FailingOnce(failsOnce, named().device);
      using opened = await slots.open({ name: "card-1", device: card });
      assert.ok(sameRoot(opened, root));
      assert.equal(card.times, 2);
      slots.remove(root, 3);
      await assert.rejects(slots.open({ name: "card-1", device: new FailingOnce(failsOnce, named().device) }), {
        code,
      });
    });

  it("asks a device that refused its PIN, or is away, for no other slot", async () => {
    await slots.addDevice(root, named(), { keyIndex: 1 }, "one");
    await slots.addDevice(root, named(), { keyIndex: 2 }, "two");
    for (const code of ["DEVICE_PIN_REFUSED", "DEVICE_UNREACHABLE"] as const) {
      const card = new FailingOnce(new DeviceError(code), named().device);
      await assert.rejects(slots.open({ name: "card-1", device: card }), { code });
      assert.equal(card.times, 1);
    }
  });

  it("is opened no more once it is removed", async () => {
    const slot = await slots.addDevice(root, named(), undefined, "");
    slots.remove(root, slot);
    await assert.rejects(slots.open(named()), { code: "UNLOCK_REFUSED" });
  });

  it("is refused with any of its parameters altered", async () => {
    await slots.addDevice(root, named(), undefined, "mine");
    const text = readFileSync(file, "utf8");
    const altered = [
      text.replace('"name": "card-1"', '"name": "card-2"'),
      text.replace(/"keyId": "(.)/, (_, first: string) => `"keyId": "${first === "0" ? "1" : "0"}`),
      text.replace(/"material": "..../, '"material": "AAAA'),
      text.replace('"suite": "sm"', '"suite": "intl"'),
      text.replace('"label": "mine"', '"label": "other"'),
      text.replace('"kind": "device"', '"kind": "key-file"'),
      text.replace(/"name": "card-1",\s*/, ""),
      text.replace('"name": "card-1"', '"name": "card-1", "more": 1'),
      text.replace('"name": "card-1"', '"name": "../card"'),
    ];
    for (const [index, each] of altered.entries()) {
      assert.notEqual(each, text, `case ${index} alters nothing`);
      writeFileSync(file, each);
      for (const name of ["card-1", "card-2"])
        await assert.rejects(slots.open({ name, device: card }), /./, `case ${index} opened as ${name}`);
    }
    writeFileSync(file, text);
    using opened = await slots.open(named());
    assert.ok(sameRoot(opened, root));
  });
});

/** Fails at the first box that it is to open; then it is the card that it stands for. */
class FailingOnce extends FakeCard {
  times = 0;
  readonly #failsWith: DeviceError;
  readonly #card: FakeCard;

  constructor(failsWith: DeviceError, card: FakeCard) {
    super();
    this.#failsWith = failsWith;
    this.#card = card;
  }

  override async boxSecretToOpen(key: DeviceKey, algorithm: number, blob: Uint8Array): Promise<SecretBuffer> {
    this.times += 1;
    if (this.times === 1) throw this.#failsWith;
    return await this.#card.boxSecretToOpen(key, algorithm, blob);
  }
}

function sameRoot(one: RootKey, other: RootKey): boolean {
  using left = one.derive("stateMac");
  using right = other.derive("stateMac");
  return one.id === other.id && left.equals(right);
}
