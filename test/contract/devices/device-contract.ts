/** What every device must do, run over each of them by a test file that says how one is made. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, it } from "node:test";
import type { CryptoDevice, DeviceKey, DeviceKeyChoice, UpstreamKeyChoice } from "../../../src/devices/device.ts";

export interface DeviceSubject extends AsyncDisposable {
  readonly device: CryptoDevice;
  /** For devices whose keys are made elsewhere: which key a new one stands for. */
  readonly upstream?: UpstreamKeyChoice | DeviceKeyChoice;
}

const context = { network: "net-1", node: "node-1", purpose: "contract 节点" } as const;

async function newKey({ device, upstream }: DeviceSubject): Promise<DeviceKey> {
  const [suite = "intl"] = device.capabilities().suites;
  const name = { keyId: randomUUID(), version: 1, suite };
  return { ...name, material: await device.createKey(name, upstream) };
}

/** Whether the box secret that comes back, if any does, is the one that went in. */
async function opens(
  device: CryptoDevice,
  key: DeviceKey,
  sealed: Sealed,
  under: Readonly<Record<string, string>> = context,
) {
  try {
    using opened = await device.boxSecretToOpen(key, sealed.algorithm, sealed.blob, under);
    return opened.equals(sealed.bytes);
  } catch {
    return false;
  }
}

interface Sealed {
  readonly algorithm: number;
  readonly blob: Buffer;
  readonly bytes: Buffer;
}

async function seal(device: CryptoDevice, key: DeviceKey): Promise<Sealed> {
  const { secret, algorithm, blob } = await device.boxSecretToSeal(key, context);
  using held = secret;
  return { algorithm, blob, bytes: held.expose((bytes) => Buffer.from(bytes)) };
}

/**
 * @param make - A device that is ready; called once: all that is asked of it is asked of one device, one after another.
 * @param skip - Why the device is not to be had here, or false.
 */
export function deviceContract(make: () => Promise<DeviceSubject>, skip: string | false = false): void {
  describe("as every device", { skip }, () => {
    let subject: DeviceSubject | undefined;
    before(async () => {
      subject = await make();
    });
    after(() => subject?.[Symbol.asyncDispose]());
    deviceTests((behaviour, test) =>
      it(behaviour, async () => {
        assert.ok(subject !== undefined, "the device is ready");
        await test(subject);
      }),
    );
  });
}

type Says = (behaviour: string, test: (subject: DeviceSubject) => Promise<void>) => void;

/** The last one locks the device. */
function deviceTests(says: Says): void {
  says(
    "gives back the box secret that it gave, under the same key and context, as often as it is asked",
    async (subject) => {
      const { device } = subject;
      const key = await newKey(subject);
      const sealed = await seal(device, key);
      assert.ok(sealed.bytes.length >= 32);
      for (let times = 0; times < 3; times++) assert.ok(await opens(device, key, sealed));
    },
  );

  says("finds the key by its material alone, as after a restart", async (subject) => {
    const key = await newKey(subject);
    const sealed = await seal(subject.device, key);
    assert.ok(await opens(subject.device, { ...key, material: Buffer.from(key.material) }, sealed));
  });

  says("answers many at once", async (subject) => {
    const { device } = subject;
    const key = await newKey(subject);
    const sealed = await Promise.all(Array.from({ length: 12 }, () => seal(device, key)));
    assert.ok((await Promise.all(sealed.map((each) => opens(device, key, each)))).every(Boolean));
  });

  says("never gives one key's box secret to another key", async (subject) => {
    const [key, other] = [await newKey(subject), await newKey(subject)];
    const sealed = await seal(subject.device, key);
    assert.equal(await opens(subject.device, other, sealed), false);
    assert.equal(await opens(subject.device, { ...other, material: key.material }, sealed), false);
  });

  says("refuses boxes of another device, and blobs that it did not make", async (subject) => {
    const { device } = subject;
    const key = await newKey(subject);
    const { algorithm, blob } = await seal(device, key);
    await assert.rejects(async () => device.boxSecretToOpen(key, algorithm + 100, blob, context), {
      code: "BOX_REFUSED",
    });
    // A KMS may say that it knows no such key, rather than that the blob is none of its own.
    await assert.rejects(async () => device.boxSecretToOpen(key, algorithm, Buffer.alloc(blob.length + 1, 3), context));
  });

  says("refuses a blob with any byte changed or cut, with one and the same error", async (subject) => {
    const { device } = subject;
    if (!device.capabilities().authenticatesBlobs) return;
    const key = await newKey(subject);
    const { algorithm, blob } = await seal(device, key);
    const step = Math.max(1, Math.floor(blob.length / 16));
    for (let at = 0; at < blob.length; at += step) {
      const changed = Buffer.from(blob);
      changed[at] = (changed[at] ?? 0) ^ 0x80;
      await assert.rejects(
        device.boxSecretToOpen(key, algorithm, changed, context),
        { code: "BOX_REFUSED" },
        `byte ${at}`,
      );
    }
    if (blob.length > 0)
      await assert.rejects(device.boxSecretToOpen(key, algorithm, blob.subarray(0, -1), context), {
        code: "BOX_REFUSED",
      });
  });

  says("binds what it wraps itself to the context", async (subject) => {
    const { device } = subject;
    const key = await newKey(subject);
    const sealed = await seal(device, key);
    if (sealed.blob.length === 0) return;
    for (const other of [{}, { ...context, node: "node-2" }, { ...context, more: "x" }])
      assert.equal(await opens(device, key, sealed, other), false);
  });

  says("refuses material that is damaged", async (subject) => {
    const key = await newKey(subject);
    for (const material of [Buffer.alloc(0), Buffer.from("{}"), key.material.subarray(1)])
      await assert.rejects(async () => subject.device.boxSecretToSeal({ ...key, material }, context), {
        code: "KEY_DAMAGED",
      });
  });

  says("refuses the kinds of key that its capabilities do not name", async ({ device }) => {
    if (device.capabilities().specs.includes("RSA_2048")) return;
    const key = { keyId: randomUUID(), version: 1, suite: "intl", spec: "RSA_2048", usage: "sign" } as const;
    await assert.rejects(async () => device.createSpecifiedKey(key), { code: "DEVICE_UNSUPPORTED" });
  });

  says("answers nothing once it is locked", async (subject) => {
    const { device } = subject;
    const key = await newKey(subject);
    const { algorithm, blob } = await seal(device, key);
    await device.lock();
    assert.equal((await device.health()).state, "locked");
    await assert.rejects(async () => device.boxSecretToSeal(key, context), { code: "DEVICE_LOCKED" });
    await assert.rejects(async () => device.boxSecretToOpen(key, algorithm, blob, context), { code: "DEVICE_LOCKED" });
    await assert.rejects(async () => newKey(subject), { code: "DEVICE_LOCKED" });
  });
}
