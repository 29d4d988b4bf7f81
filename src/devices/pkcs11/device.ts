import { randomBytes } from "node:crypto";
import type { Context } from "../../crypto/context.ts";
import { CryptoError } from "../../crypto/errors.ts";
import {
  isMacSpec,
  type KeyPairSpecName,
  keySpecs,
  type MacAlgorithmName,
  type MacSpecName,
  type SigningAlgorithmName,
  signingAlgorithms,
} from "../../crypto/key-specs.ts";
import { deviceAlgorithms } from "../../crypto/sealed-box.ts";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
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
import type { NativeCalls } from "../native/native-calls.ts";
import type { EcdsaCurve } from "./curves.ts";
import { type Materials, materialOf, readMaterial } from "./material.ts";
import { Pkcs11Token, type TokenSigningKey } from "./token.ts";
import { unwrapSecret, wrapNewSecret } from "./wrap-blob.ts";

const macSpecs = {
  HMAC_224: "HMAC_SHA_224",
  HMAC_256: "HMAC_SHA_256",
  HMAC_384: "HMAC_SHA_384",
  HMAC_512: "HMAC_SHA_512",
};
const aesKeyBytes = 32;

/**
 * Master keys, signing keys and MAC keys in a PKCS#11 token. They are made there, sensitive and not extractable, under the
 * label `strongroom:<key id>:<version>` and a random CKA_ID that the key's material names; or they are keys that the token
 * has already, which are then used but never destroyed.
 *
 * Suite `intl` only: PKCS#11 has no SM algorithms. Box secrets are wrapped by AES-256-GCM, or by AES key wrap where the token
 * does no GCM. ECDSA signatures are DER with the lower s.
 */
export class Pkcs11Device implements CryptoDevice {
  readonly #calls: NativeCalls;
  readonly #specs: readonly (KeyPairSpecName | MacSpecName)[];
  readonly #wrap: Materials["wrap"]["wrap"] | undefined;
  /** The token's own operations: lists, ED25519. */
  readonly token: Pkcs11Token;

  /** @param calls - A device that runs this part's program, or a failover set of such; owned from then on. */
  constructor(calls: NativeCalls) {
    this.#calls = calls;
    this.token = new Pkcs11Token(calls);
    const listed = (name: string) => String(calls.info[name] ?? "").split(",");
    const [curves, macs] = [listed("curves"), listed("macs")];
    const ofMac = ([spec, mac]: [string, string]): readonly MacSpecName[] =>
      macs.includes(mac) && isMacSpec(spec as MacSpecName) ? [spec as MacSpecName] : [];
    this.#specs = [...curves.filter(isEcdsaCurve), ...Object.entries(macSpecs).flatMap(ofMac)];
    const { wrap } = calls.info;
    this.#wrap = wrap === "aes-gcm" || wrap === "aes-kw" ? wrap : undefined;
  }

  /** About the module and the token, for people. */
  get info(): NativeCalls["info"] {
    return this.#calls.info;
  }

  capabilities(): DeviceCapabilities {
    return { kind: "pkcs11", suites: ["intl"], specs: this.#specs, authenticatesBlobs: true };
  }

  health(): Promise<DeviceHealth> {
    return Promise.resolve(this.#calls.health());
  }

  /**
   * Makes an AES-256 key in the token, or takes one that is there.
   *
   * @throws {DeviceError} `DEVICE_UNSUPPORTED` for another suite, a token that wraps nothing, or a key that cannot be used so.
   */
  async createKey(key: Omit<DeviceKey, "material">, choice?: UpstreamKeyChoice | DeviceKeyChoice): Promise<Buffer> {
    if (key.suite !== "intl")
      throw new DeviceError("DEVICE_UNSUPPORTED", `a token's master keys are of suite intl, not ${key.suite}`);
    const name = chosenName(choice);
    if (name !== undefined) return await this.#takeKey(key, name);
    if (this.#wrap === undefined)
      throw new DeviceError("DEVICE_UNSUPPORTED", "the token does neither AES-GCM nor AES key wrap");
    const id = await this.token.generateSecretKey(labelOf(key), this.#wrap, aesKeyBytes);
    return materialOf("wrap", { id: id.toString("hex"), wrap: this.#wrap });
  }

  async boxSecretToSeal(key: DeviceKey, context: Context): Promise<BoxSecret> {
    const material = readMaterial("wrap", key);
    return { ...(await wrapNewSecret(this.token, key, material, context)), algorithm: deviceAlgorithms.pkcs11 };
  }

  /** @throws {CryptoError} `BOX_REFUSED` for whatever the token did not wrap under this key and context. */
  async boxSecretToOpen(key: DeviceKey, algorithm: number, blob: Uint8Array, context: Context): Promise<SecretBuffer> {
    if (algorithm !== deviceAlgorithms.pkcs11) throw new CryptoError("BOX_REFUSED");
    const secret = await unwrapSecret(this.token, key, readMaterial("wrap", key), blob, context);
    if (secret === undefined) throw new CryptoError("BOX_REFUSED");
    return secret;
  }

  async createSpecifiedKey(
    key: Omit<SpecifiedDeviceKey, "material">,
    choice?: DeviceKeyChoice,
  ): Promise<NewSpecifiedKey> {
    if (!this.#specs.includes(key.spec)) throw unsupported(key, "a token of these abilities");
    const name = chosenName(choice);
    if (isMacSpec(key.spec)) {
      if (key.usage !== "mac") throw unsupported(key, key.usage);
      if (name !== undefined) throw unsupported(key, "taking a MAC key that is in the token already");
      const id = await this.token.generateSecretKey(labelOf(key), "hmac", keySpecs[key.spec].keyBytes);
      return { material: materialOf("mac", { id: id.toString("hex") }), spki: null };
    }
    if (!isEcdsaCurve(key.spec) || key.usage !== "sign") throw unsupported(key, key.usage);
    if (name !== undefined) return await this.#takeKeyPair(key, key.spec, name);
    const { id, spki, fingerprint } = await this.token.generateKeyPair(labelOf(key), key.spec);
    return { material: pairMaterial(id, fingerprint), spki };
  }

  /** @throws {DeviceError} `DEVICE_KEY_CHANGED` when the token's key is not the one that was registered. */
  async signDigest(key: SpecifiedDeviceKey, algorithm: SigningAlgorithmName, digest: Uint8Array): Promise<Buffer> {
    if (key.usage !== "sign" || !isEcdsaCurve(key.spec)) throw unsupported(key, "signing");
    const known: readonly SigningAlgorithmName[] = keySpecs[key.spec].signing;
    if (!known.includes(algorithm)) throw unsupported(key, algorithm);
    const { digestBytes } = signingAlgorithms[algorithm];
    if (digest.byteLength !== digestBytes)
      throw new RangeError(`a digest for ${algorithm} has ${digestBytes} bytes, got ${digest.byteLength}`);
    const { id, fingerprint } = readMaterial("sign", key);
    const named = { id: Buffer.from(id, "hex"), fingerprint: Buffer.from(fingerprint, "hex"), curve: key.spec };
    return await this.#sign(named, digest);
  }

  /** Key pairs of a token sign. */
  async decrypt(key: SpecifiedDeviceKey): Promise<never> {
    throw unsupported(key, "decrypting");
  }

  async mac(key: SpecifiedDeviceKey, algorithm: MacAlgorithmName, message: Uint8Array): Promise<Buffer> {
    if (!isMacSpec(key.spec) || !keySpecs[key.spec].macs.includes(algorithm)) throw unsupported(key, algorithm);
    return await this.token.mac(Buffer.from(readMaterial("mac", key).id, "hex"), algorithm, message);
  }

  /** Destroys what was made in the token for this version, found by its label. Keys that were there before stay. */
  async destroyKey(key: DeviceKey): Promise<void> {
    await this.token.destroy(labelOf(key));
  }

  async lock(): Promise<void> {
    await this.#calls.lock();
    this.token[Symbol.dispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#calls[Symbol.asyncDispose]();
    this.token[Symbol.dispose]();
  }

  async #takeKey(key: Omit<DeviceKey, "material">, name: string): Promise<Buffer> {
    const found = await this.token.find(name);
    const wrap = found.usages.includes("encrypt") ? "aes-gcm" : found.usages.includes("wrap") ? "aes-kw" : undefined;
    if (found.kind !== "aes" || wrap === undefined || found.extractable)
      throw new DeviceError(
        "DEVICE_UNSUPPORTED",
        `the token's key ${JSON.stringify(name)} is not an AES key that encrypts or wraps and cannot be taken out`,
      );
    const material = materialOf("wrap", { id: found.id, wrap });
    const context = { purpose: "proof" };
    const { secret, blob, algorithm } = await this.boxSecretToSeal({ ...key, material }, context);
    using made = secret;
    using opened = await this.boxSecretToOpen({ ...key, material }, algorithm, blob, context);
    if (!opened.equals(made))
      throw new DeviceError("DEVICE_FAILED", "the token does not open what it has just wrapped");
    return material;
  }

  async #takeKeyPair(
    key: Omit<SpecifiedDeviceKey, "material">,
    spec: EcdsaCurve,
    name: string,
  ): Promise<NewSpecifiedKey> {
    const found = await this.token.find(name);
    if (found.curve !== spec || !found.usages.includes("sign") || found.extractable)
      throw new DeviceError(
        "DEVICE_UNSUPPORTED",
        `the token's key ${JSON.stringify(name)} is not a key pair of spec ${key.spec} that signs and cannot be taken out`,
      );
    const id = Buffer.from(found.id, "hex");
    const { spki, fingerprint } = await this.token.publicKey(id);
    const [algorithm] = keySpecs[spec].signing;
    const { digestBytes } = signingAlgorithms[algorithm ?? "ECDSA_SHA_256"];
    await this.#sign({ id, fingerprint, curve: spec }, randomBytes(digestBytes));
    return { material: pairMaterial(id, fingerprint), spki };
  }

  async #sign(key: TokenSigningKey, digest: Uint8Array): Promise<Buffer> {
    const { der } = await this.token.sign(key, digest);
    if (der === undefined) throw new DeviceError("DEVICE_FAILED", "the token's answer is not an ECDSA signature");
    return der;
  }
}

function isEcdsaCurve(spec: string): spec is EcdsaCurve {
  return spec in keySpecs && keySpecs[spec as keyof typeof keySpecs].kind === "ec";
}

function chosenName(choice: UpstreamKeyChoice | DeviceKeyChoice | undefined): string | undefined {
  if (choice === undefined) return undefined;
  if ("integration" in choice || choice.keyIndex !== undefined || choice.kekIndex !== undefined)
    throw new DeviceError("DEVICE_UNSUPPORTED", "a token's key is named by its label or its id");
  return choice.keyId;
}

function labelOf({ keyId, version }: Pick<DeviceKey, "keyId" | "version">): string {
  return `strongroom:${keyId}:${version}`;
}

function pairMaterial(id: Buffer, fingerprint: Buffer): Buffer {
  return materialOf("sign", { id: id.toString("hex"), fingerprint: fingerprint.toString("hex") });
}

function unsupported(key: Pick<SpecifiedDeviceKey, "keyId" | "spec" | "usage">, what: string): DeviceError {
  return new DeviceError(
    "DEVICE_UNSUPPORTED",
    `key ${key.keyId}, ${key.spec} of usage ${key.usage}, is not for ${what}`,
  );
}
