import { randomUUID } from "node:crypto";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import type {
  BoxSecret,
  DeviceCapabilities,
  DeviceKey,
  DeviceKeyChoice,
  NewSpecifiedKey,
  SpecifiedDeviceKey,
  UpstreamKeyChoice,
} from "../../../src/devices/device.ts";
import type { DeviceError } from "../../../src/devices/errors.ts";
import { RootKey } from "../../../src/devices/root-key.ts";
import { SoftDevice } from "../../../src/devices/soft.ts";

/** A device that says it is a card and is none: soft keys of its own, which notes what it is asked and fails when told to. */
export class FakeCard extends SoftDevice {
  readonly asked: string[] = [];
  readonly choices: (UpstreamKeyChoice | DeviceKeyChoice | undefined)[] = [];
  authenticates = true;
  failure: DeviceError | undefined;

  constructor() {
    super(new RootKey(randomUUID(), "intl", SecretBuffer.random(32)));
  }

  override capabilities(): DeviceCapabilities {
    return { kind: "sdf", suites: ["sm", "intl"], specs: ["SM2", "HMAC_SM3"], authenticatesBlobs: this.authenticates };
  }

  override createKey(key: Omit<DeviceKey, "material">, choice?: UpstreamKeyChoice | DeviceKeyChoice): Promise<Buffer> {
    this.#note("createKey");
    this.choices.push(choice);
    return super.createKey(key);
  }

  override createSpecifiedKey(
    key: Omit<SpecifiedDeviceKey, "material">,
    choice?: DeviceKeyChoice,
  ): Promise<NewSpecifiedKey> {
    this.#note("createSpecifiedKey");
    this.choices.push(choice);
    return super.createSpecifiedKey(key);
  }

  override async boxSecretToSeal(key: DeviceKey): Promise<BoxSecret> {
    this.#note("boxSecretToSeal");
    return await super.boxSecretToSeal(key);
  }

  override async boxSecretToOpen(key: DeviceKey, algorithm: number, blob: Uint8Array): Promise<SecretBuffer> {
    this.#note("boxSecretToOpen");
    return await super.boxSecretToOpen(key, algorithm, blob);
  }

  override async destroyKey(key: DeviceKey): Promise<void> {
    this.#note("destroyKey");
    await super.destroyKey(key);
  }

  #note(call: string): void {
    this.asked.push(call);
    if (this.failure !== undefined) throw this.failure;
  }
}
