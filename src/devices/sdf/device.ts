import type { Context } from "../../crypto/context.ts";
import { ecPublicKeyOid } from "../../crypto/curve.ts";
import { der, derTags } from "../../crypto/der.ts";
import { CryptoError } from "../../crypto/errors.ts";
import type { EncryptionAlgorithmName, SigningAlgorithmName } from "../../crypto/key-specs.ts";
import { deviceAlgorithms } from "../../crypto/sealed-box.ts";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { sm2SignatureToDer } from "../../crypto/sm2.ts";
import type {
  BoxSecret,
  CryptoDevice,
  DeviceCapabilities,
  DeviceHealth,
  DeviceKey,
  DeviceKeyChoice,
  NewSpecifiedKey,
  SpecifiedDeviceKey,
  UpstreamKeyChoice,
} from "../device.ts";
import { DeviceError } from "../errors.ts";
import type { NativeCalls, NativeDeviceOptions } from "../native/native-calls.ts";
import { NativeDevice } from "../native/native-device.ts";
import { CardCalls } from "./card-calls.ts";
import { rawCiphertextOf } from "./ciphertext.ts";
import { Sm2Envelopes } from "./envelope.ts";
import { KekSecrets } from "./kek.ts";
import { keyChanged, readMaterial, unsupportedUse, writeMaterial } from "./material.ts";
import type { SdfConfig } from "./wire.ts";

/** What runs in the card's process: a source in a checkout, compiled in the package. */
const program = new URL(import.meta.url.endsWith(".ts") ? "./program.ts" : "./program.js", import.meta.url);

/** How a card is opened. `kekIndices` matters to profiles whose libraries ask for a right to a KEK only. */
export type SdfDeviceOptions = Pick<NativeDeviceOptions, "name" | "pin" | "pool" | "environment" | "tell"> &
  Omit<SdfConfig, "kekIndices"> &
  Partial<Pick<SdfConfig, "kekIndices">>;

/**
 * Opens a GM/T 0018 card in a process of its own.
 *
 * @throws {DeviceError} With `failure`: library missing or for another processor, a call missing, a layout profile that does
 *   not fit, a wrong or locked PIN, a key index that is not there.
 */
export async function openSdfDevice(options: SdfDeviceOptions): Promise<SdfDevice> {
  return new SdfDevice(await openSdfCalls(options));
}

/** The card's process and sessions alone, for failover sets and signers. */
export function openSdfCalls(options: SdfDeviceOptions): Promise<NativeDevice> {
  const { library, librarySha256, profile, keyIndices, kekIndices = [], ...native } = options;
  const pinned = librarySha256 === undefined ? {} : { librarySha256 };
  const config: SdfConfig = { library, ...pinned, profile, keyIndices, kekIndices };
  return NativeDevice.open({ ...native, program, config });
}

/**
 * Keys in a GM/T 0018 card: master keys as SM2 envelopes or under a KEK, SM2 key pairs that sign or decrypt. The card's keys
 * are made and destroyed with its vendor's tools; a key of this device is a pointer that says what the card must show.
 */
export class SdfDevice implements CryptoDevice {
  readonly #native: NativeCalls;
  readonly #card: CardCalls;
  readonly #envelopes: Sm2Envelopes;
  readonly #keks: KekSecrets;
  #locked = false;

  /** @param native - A card, or a failover set of cards that hold the same keys; closed with this device. */
  constructor(native: NativeCalls) {
    this.#native = native;
    this.#card = new CardCalls(native);
    this.#envelopes = new Sm2Envelopes(this.#card);
    this.#keks = new KekSecrets(this.#card);
  }

  /** What the library says of itself, and what the self-test proved. */
  get info(): Readonly<Record<string, string | number | boolean>> {
    return this.#native.info;
  }

  capabilities(): DeviceCapabilities {
    return { kind: "sdf", suites: ["sm"], specs: ["SM2"], authenticatesBlobs: true };
  }

  health(): Promise<DeviceHealth> {
    return Promise.resolve(this.#locked ? { state: "locked", detail: "locked" } : this.#native.health());
  }

  /** @param choice - `keyIndex` for SM2 envelopes, which takes the index's signing key too, or `kekIndex`. */
  async createKey(key: Omit<DeviceKey, "material">, choice?: UpstreamKeyChoice | DeviceKeyChoice): Promise<Buffer> {
    this.#mustBeOpen();
    if (key.suite !== "sm")
      throw new DeviceError("DEVICE_UNSUPPORTED", `a GM/T 0018 card's master keys are of suite sm, not ${key.suite}`);
    const { keyIndex, kekIndex } = indicesOf(choice);
    if (keyIndex !== undefined && kekIndex === undefined) return this.#envelopes.create(key, keyIndex);
    if (kekIndex !== undefined && keyIndex === undefined) return this.#keks.create(key, kekIndex);
    throw new DeviceError(
      "DEVICE_UNSUPPORTED",
      "a master key in a GM/T 0018 card is a key of the card: choose a key index or a KEK index, one of them",
    );
  }

  async boxSecretToSeal(key: DeviceKey, context: Context): Promise<BoxSecret> {
    this.#mustBeOpen();
    const { scheme } = readMaterial(key, ["sm2-envelope", "sm4-kek"]);
    return scheme === "sm2-envelope" ? this.#envelopes.seal(key, context) : this.#keks.seal(key, context);
  }

  async boxSecretToOpen(key: DeviceKey, algorithm: number, blob: Uint8Array, context: Context): Promise<SecretBuffer> {
    this.#mustBeOpen();
    const { scheme } = readMaterial(key, ["sm2-envelope", "sm4-kek"]);
    const bytes = Buffer.from(blob.buffer, blob.byteOffset, blob.byteLength);
    if (scheme === "sm2-envelope" && algorithm === deviceAlgorithms.sdfSm2Envelope)
      return this.#envelopes.open(key, bytes, context);
    if (scheme === "sm4-kek" && algorithm === deviceAlgorithms.sdfSm4Kek) return this.#keks.open(key, bytes, context);
    throw new CryptoError("BOX_REFUSED");
  }

  /** Points at an SM2 key pair of the card; the card makes none by this interface. */
  async createSpecifiedKey(
    key: Omit<SpecifiedDeviceKey, "material">,
    choice?: DeviceKeyChoice,
  ): Promise<NewSpecifiedKey> {
    this.#mustBeOpen();
    if (key.spec !== "SM2" || key.usage === "mac") throw unsupportedUse(key, "such keys");
    const { keyIndex } = indicesOf(choice);
    if (keyIndex === undefined || choice?.kekIndex !== undefined)
      throw new DeviceError("DEVICE_UNSUPPORTED", "a key pair of a GM/T 0018 card is in it already: choose its index");
    const publicKey = await this.#publicKey(key.usage, keyIndex);
    const material = writeMaterial({ scheme: "sm2-key", keyIndex, publicKey: publicKey.toString("hex") });
    return { material, spki: sm2Spki(publicKey) };
  }

  async signDigest(key: SpecifiedDeviceKey, algorithm: SigningAlgorithmName, digest: Uint8Array): Promise<Buffer> {
    this.#mustBeOpen();
    if (key.usage !== "sign" || algorithm !== "SM2DSA") throw unsupportedUse(key, algorithm);
    const { keyIndex, publicKey } = readMaterial(key, ["sm2-key"]);
    return sm2SignatureToDer(await this.#card.sign(keyIndex, digest, Buffer.from(publicKey, "hex")));
  }

  async decrypt(
    key: SpecifiedDeviceKey,
    algorithm: EncryptionAlgorithmName,
    ciphertext: Uint8Array,
  ): Promise<SecretBuffer | undefined> {
    this.#mustBeOpen();
    if (key.usage !== "encrypt" || algorithm !== "SM2PKE") throw unsupportedUse(key, algorithm);
    const { keyIndex, publicKey } = readMaterial(key, ["sm2-key"]);
    const raw = rawCiphertextOf(ciphertext);
    if (raw === undefined) return undefined;
    try {
      return await this.#card.decrypt(keyIndex, raw);
    } catch (error) {
      if (!(error instanceof DeviceError) || error.failure?.kind !== "bad-input") throw error;
      if ((await this.#publicKey("encrypt", keyIndex)).toString("hex") !== publicKey)
        throw keyChanged(key, `key index ${keyIndex} shows another public key`);
      return undefined;
    }
  }

  async mac(key: SpecifiedDeviceKey): Promise<never> {
    throw unsupportedUse(key, "MACs");
  }

  /** The card's keys are not ours to destroy: an index may serve more than one key here, and programs beside us. */
  destroyKey(key: DeviceKey): Promise<void> {
    this.#envelopes.forget(key);
    return Promise.resolve();
  }

  async lock(): Promise<void> {
    this.#locked = true;
    this.#envelopes.end();
    await this.#native.lock();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#locked = true;
    this.#envelopes.end();
    await this.#native[Symbol.asyncDispose]();
  }

  #publicKey(usage: "sign" | "encrypt", keyIndex: number): Promise<Buffer> {
    return usage === "sign" ? this.#card.signPublicKey(keyIndex) : this.#card.encryptPublicKey(keyIndex);
  }

  #mustBeOpen(): void {
    if (this.#locked) throw new DeviceError("DEVICE_LOCKED");
  }
}

function indicesOf(
  choice: UpstreamKeyChoice | DeviceKeyChoice | undefined,
): Pick<DeviceKeyChoice, "keyIndex" | "kekIndex"> {
  if (choice === undefined) return {};
  if ("integration" in choice || ("keyId" in choice && choice.keyId !== undefined))
    throw new DeviceError("DEVICE_UNSUPPORTED", "keys of a GM/T 0018 card are chosen by index");
  return choice as DeviceKeyChoice;
}

/** SubjectPublicKeyInfo (GM/T 0009-2012): id-ecPublicKey on the SM2 curve. @param publicKey - X ‖ Y. */
export function sm2Spki(publicKey: Uint8Array): Buffer {
  const algorithm = der(
    derTags.sequence,
    der(derTags.objectIdentifier, ecPublicKeyOid),
    der(derTags.objectIdentifier, sm2CurveOid),
  );
  return der(derTags.sequence, algorithm, der(derTags.bitString, Buffer.of(0, 4), publicKey));
}

/** 1.2.156.10197.1.301 */
const sm2CurveOid = Buffer.from("2a811ccf5501822d", "hex");
