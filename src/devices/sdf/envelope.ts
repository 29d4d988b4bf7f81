import { createHmac, timingSafeEqual } from "node:crypto";
import type { Context } from "../../crypto/context.ts";
import { CryptoError } from "../../crypto/errors.ts";
import { deviceAlgorithms } from "../../crypto/sealed-box.ts";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { sm2Digest } from "../../crypto/sm2.ts";
import { sm2VerifyDigest } from "../../crypto/sm2-digest.ts";
import type { BoxSecret, DeviceKey } from "../device.ts";
import { DeviceError } from "../errors.ts";
import type { CardCalls } from "./card-calls.ts";
import { boundHash, type EnvelopeMaterial, keyChanged, readMaterial, statementOf, writeMaterial } from "./material.ts";

const secretBytes = 32;
const envelopeBytes: number = 97 + secretBytes;
const tagBytes = 32;
const blobForm = 1;
const macLabel = Buffer.from("strongroom/sdf/sm2-envelope/v1");
/** How long the card's public key, once compared, is taken as the same. */
const identityMs = 1_000;

interface OpenedKey {
  readonly macKey: SecretBuffer;
  readonly material: EnvelopeMaterial;
  comparedAtMs: number;
}

/**
 * Master keys that are SM2 key pairs of a card. The box secret S is 32 random bytes, encrypted to the pair's public key:
 *
 *     blob = form = 1 (1) ‖ 04 ‖ x ‖ y ‖ C3 (32) ‖ C2 (32) ‖ tag (32)
 *     tag  = HMAC-SM3(A, "strongroom/sdf/sm2-envelope/v1" ‖ SM3(key, context) ‖ everything before the tag)
 *
 * Anyone can encrypt to a public key: that the blob is one of ours says the tag, under a key A that the card alone can open,
 * and which lies in the material, signed by the card's own signing key. The tag is compared before the card sees the envelope.
 */
export class Sm2Envelopes {
  readonly #card: CardCalls;
  readonly #opened = new Map<string, OpenedKey>();
  #ended = false;

  constructor(card: CardCalls) {
    this.#card = card;
  }

  /** Makes the material of a new master key, and proves that the card opens what is enveloped to it. */
  async create(key: Omit<DeviceKey, "material">, keyIndex: number): Promise<Buffer> {
    const [encryptKey, signKey] = await this.#publicKeys(keyIndex);
    using macKey = SecretBuffer.random(secretBytes);
    const enveloped = await this.#card.encrypt(encryptKey, macKey);
    using again = await this.#card.decrypt(keyIndex, enveloped);
    if (!again.equals(macKey))
      throw keyChanged(key, `key index ${keyIndex} does not open what was just enveloped to it`);
    const members = {
      scheme: "sm2-envelope",
      keyIndex,
      encryptKey: encryptKey.toString("hex"),
      signKey: signKey.toString("hex"),
      macKey: enveloped.toString("hex"),
    } as const;
    const signature = await this.#card.sign(keyIndex, digestOf(signKey, statementOf(key, members)), signKey);
    return writeMaterial({ ...members, signature: signature.toString("hex") });
  }

  async seal(key: DeviceKey, context: Context): Promise<BoxSecret> {
    const { macKey, material } = await this.#open(key);
    const secret = SecretBuffer.random(secretBytes);
    try {
      const envelope = await this.#card.encrypt(Buffer.from(material.encryptKey, "hex"), secret);
      const body = Buffer.concat([Buffer.of(blobForm), envelope]);
      const blob = Buffer.concat([body, tagOf(macKey, key, context, body)]);
      return { secret, algorithm: deviceAlgorithms.sdfSm2Envelope, blob };
    } catch (error) {
      secret[Symbol.dispose]();
      throw error;
    }
  }

  /** @throws {CryptoError} `BOX_REFUSED` for a blob that was not made here for this key and context. */
  async open(key: DeviceKey, blob: Buffer, context: Context): Promise<SecretBuffer> {
    const { macKey, material } = await this.#open(key);
    const body = blob.subarray(0, 1 + envelopeBytes);
    const tag = blob.subarray(body.length);
    if (tag.length !== tagBytes || body[0] !== blobForm || !timingSafeEqual(tag, tagOf(macKey, key, context, body)))
      throw new CryptoError("BOX_REFUSED");
    try {
      return await this.#card.decrypt(material.keyIndex, body.subarray(1));
    } catch (error) {
      // The tag was right, so the envelope is as it was made: then it is the key that is not.
      if (error instanceof DeviceError && error.failure?.kind === "bad-input") await this.#compare(key, material);
      throw error;
    }
  }

  forget({ keyId, version }: Pick<DeviceKey, "keyId" | "version">): void {
    for (const [name, opened] of this.#opened)
      if (name.startsWith(`${keyId}/${version}/`)) {
        opened.macKey[Symbol.dispose]();
        this.#opened.delete(name);
      }
  }

  /** Wipes what is kept, and keeps nothing from then on. */
  end(): void {
    this.#ended = true;
    for (const { macKey } of this.#opened.values()) macKey[Symbol.dispose]();
    this.#opened.clear();
  }

  async #open(key: DeviceKey): Promise<OpenedKey> {
    const name = `${key.keyId}/${key.version}/${key.suite}/${key.material.toString("base64")}`;
    const known = this.#opened.get(name);
    if (known !== undefined) {
      if (performance.now() - known.comparedAtMs > identityMs) {
        await this.#compare(key, known.material);
        known.comparedAtMs = performance.now();
      }
      return known;
    }
    const material = readMaterial(key, ["sm2-envelope"]);
    await this.#compare(key, material);
    checkSignature(key, material);
    const macKey = await this.#card.decrypt(material.keyIndex, Buffer.from(material.macKey, "hex"));
    const meanwhile = this.#opened.get(name);
    if (this.#ended || meanwhile !== undefined) macKey[Symbol.dispose]();
    if (this.#ended) throw new DeviceError("DEVICE_LOCKED");
    if (meanwhile !== undefined) return meanwhile;
    const opened = { macKey, material, comparedAtMs: performance.now() };
    this.#opened.set(name, opened);
    return opened;
  }

  /** @throws {DeviceError} `DEVICE_KEY_CHANGED` when the card shows other public keys than the material. */
  async #compare(key: DeviceKey, material: EnvelopeMaterial): Promise<void> {
    const [encryptKey, signKey] = await this.#publicKeys(material.keyIndex);
    if (encryptKey.toString("hex") !== material.encryptKey || signKey.toString("hex") !== material.signKey)
      throw keyChanged(key, `key index ${material.keyIndex} shows another public key`);
  }

  #publicKeys(keyIndex: number): Promise<[encryptKey: Buffer, signKey: Buffer]> {
    return Promise.all([this.#card.encryptPublicKey(keyIndex), this.#card.signPublicKey(keyIndex)]);
  }
}

function checkSignature(key: DeviceKey, { signature, ...members }: EnvelopeMaterial): void {
  const signKey = Buffer.from(members.signKey, "hex");
  const publicKey = Buffer.concat([Buffer.of(4), signKey]);
  const digest = digestOf(signKey, statementOf(key, members));
  if (!sm2VerifyDigest(publicKey, digest, Buffer.from(signature, "hex")))
    throw new DeviceError(
      "KEY_DAMAGED",
      `key ${key.keyId} version ${key.version}: its material is not what the card signed for it`,
    );
}

function digestOf(signKey: Buffer, statement: Buffer): Buffer {
  return sm2Digest(Buffer.concat([Buffer.of(4), signKey]), statement);
}

function tagOf(macKey: SecretBuffer, key: DeviceKey, context: Context, body: Buffer): Buffer {
  const mac = macKey.expose((bytes) => createHmac("sm3", bytes));
  return mac.update(macLabel).update(boundHash(key, context)).update(body).digest();
}
