import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { deviceOfEnvelope, openEnvelope, sealEnvelope } from "../../../src/devices/device-envelope.ts";
import { FakeCard } from "./fake-card.ts";

const superKey = () => SecretBuffer.take(Buffer.from("super key 超级"));

describe("an envelope under a key of a device", () => {
  const card = new FakeCard();
  const named = { name: "card-1", device: card };

  it("gives back the secret to the device that sealed it, and holds none of it in clear", async () => {
    using secret = superKey();
    const envelope = await sealEnvelope(named, "super-key", secret, { keyIndex: 7 });
    assert.deepEqual(card.choices.at(-1), { keyIndex: 7 });
    assert.equal(deviceOfEnvelope(envelope), "card-1");
    assert.ok(!envelope.includes("super key"));
    using opened = await openEnvelope(named, "super-key", envelope);
    assert.ok(opened.equals(secret));
  });

  it("does not open for another purpose, name or device", async () => {
    using secret = superKey();
    const envelope = await sealEnvelope(named, "super-key", secret);
    await assert.rejects(openEnvelope(named, "secret", envelope), { code: "DEVICE_UNSUPPORTED" });
    await assert.rejects(openEnvelope({ ...named, name: "card-2" }, "super-key", envelope), {
      code: "DEVICE_UNSUPPORTED",
    });
    await assert.rejects(openEnvelope({ name: "card-1", device: new FakeCard() }, "super-key", envelope));
    const renamed = Buffer.from(envelope.toString().replace('"super-key"', '"secret"'));
    await assert.rejects(openEnvelope(named, "secret", renamed), { code: "BOX_REFUSED" });
    const moved = Buffer.from(envelope.toString().replace('"card-1"', '"card-2"'));
    await assert.rejects(openEnvelope({ ...named, name: "card-2" }, "super-key", moved), { code: "BOX_REFUSED" });
  });

  it("does not open with any byte of its box changed", async () => {
    using secret = superKey();
    const envelope = JSON.parse((await sealEnvelope(named, "super-key", secret)).toString()) as { box: string };
    const box = Buffer.from(envelope.box, "base64");
    for (let at = 0; at < box.length; at++) {
      const changed = Buffer.from(box);
      changed[at] = (changed[at] ?? 0) ^ 1;
      const text = Buffer.from(JSON.stringify({ ...envelope, box: changed.toString("base64") }));
      await assert.rejects(openEnvelope(named, "super-key", text), { code: "BOX_REFUSED" }, `byte ${at}`);
    }
  });

  for (const [what, text] of [
    ["nothing", ""],
    ["no JSON", "{"],
    ["null", "null"],
    ["another format", '{"format":"x"}'],
    ["bytes beyond any envelope", `"${"x".repeat(70_000)}"`],
  ] as const)
    it(`is refused when it is ${what}`, () =>
      assert.rejects(openEnvelope(named, "super-key", Buffer.from(text)), { code: "KEY_DAMAGED" }));

  it("is not made of nothing, of too much, or by a device whose blobs anyone could make", async () => {
    using empty = SecretBuffer.take(Buffer.alloc(0));
    await assert.rejects(sealEnvelope(named, "super-key", empty), RangeError);
    using large = SecretBuffer.random(4097);
    await assert.rejects(sealEnvelope(named, "super-key", large), RangeError);
    const open = new FakeCard();
    open.authenticates = false;
    using secret = superKey();
    await assert.rejects(sealEnvelope({ name: "open", device: open }, "super-key", secret), {
      code: "DEVICE_UNSUPPORTED",
    });
  });
});
