import { hash, timingSafeEqual } from "node:crypto";
import type { Context } from "../../crypto/context.ts";
import { CryptoError } from "../../crypto/errors.ts";
import { kernelRandomBytes } from "../../crypto/kernel-random.ts";
import { deviceAlgorithms } from "../../crypto/sealed-box.ts";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import type { BoxSecret, DeviceKey } from "../device.ts";
import type { CardCalls } from "./card-calls.ts";
import { boundHash, type KekMaterial, keyChanged, readMaterial, statementOf, writeMaterial } from "./material.ts";

const blobForm = 1;
const seedBytes = 32;
const tagBytes = 16;
/** The first block of every input; its last byte says what the output is. Jobs are never given another number. */
const label = Buffer.from("strongroom/kek/\0");
const jobs = { check: 0, tag: 1, firstHalf: 2, secondHalf: 3 } as const;

/**
 * Master keys that are SM4 keys under a key-encryption key (KEK) of a card. The SM4 key K exists only wrapped, and inside the
 * card while a call uses it; it never leaves it, so the box secret S is not wrapped but derived under it:
 *
 *     F(job, h) = the last block of SM4-CBC under K, IV 0, of label (16, its last byte the job) ‖ h (32)
 *     h         = SM3(SM3(key, context) ‖ form ‖ seed)
 *     S         = F(2, h) ‖ F(3, h)
 *     blob      = form = 1 (1) ‖ seed (32, random) ‖ F(1, h) (16)
 *
 * CBC-MAC over inputs of one length is a PRF. Who does not have the card can make neither S nor the tag for any seed.
 */
export class KekSecrets {
  readonly #card: CardCalls;

  constructor(card: CardCalls) {
    this.#card = card;
  }

  async create(key: Omit<DeviceKey, "material">, kekIndex: number): Promise<Buffer> {
    const wrapped = await this.#card.newWrappedKey(kekIndex);
    const members = { scheme: "sm4-kek", kekIndex, wrapped: wrapped.toString("hex") } as const;
    const [check] = await this.#card.prf(kekIndex, wrapped, [checkInput(key, members)]);
    return writeMaterial({ ...members, check: (check ?? Buffer.alloc(0)).toString("hex") });
  }

  async seal(key: DeviceKey, context: Context): Promise<BoxSecret> {
    const head = Buffer.concat([Buffer.of(blobForm), kernelRandomBytes(seedBytes)]);
    const { tag, secret } = await this.#derive(key, context, head);
    return { secret, algorithm: deviceAlgorithms.sdfSm4Kek, blob: Buffer.concat([head, tag]) };
  }

  /** @throws {CryptoError} `BOX_REFUSED` for a blob that was not made here for this key and context. */
  async open(key: DeviceKey, blob: Buffer, context: Context): Promise<SecretBuffer> {
    if (blob.length !== 1 + seedBytes + tagBytes || blob[0] !== blobForm) throw new CryptoError("BOX_REFUSED");
    const { tag, secret } = await this.#derive(key, context, blob.subarray(0, 1 + seedBytes));
    if (timingSafeEqual(tag, blob.subarray(1 + seedBytes))) return secret;
    secret[Symbol.dispose]();
    throw new CryptoError("BOX_REFUSED");
  }

  /** @throws {DeviceError} `DEVICE_KEY_CHANGED` when the card's KEK is not the one that the material was made under. */
  async #derive(
    key: DeviceKey,
    context: Context,
    head: Buffer,
  ): Promise<{ readonly tag: Buffer; readonly secret: SecretBuffer }> {
    const { check, ...members } = readMaterial(key, ["sm4-kek"]);
    const bound = hash("sm3", Buffer.concat([boundHash(key, context), head]), "buffer");
    const [checked, tag, first, second] = await this.#card.prf(members.kekIndex, Buffer.from(members.wrapped, "hex"), [
      checkInput(key, members),
      input(jobs.tag, bound),
      input(jobs.firstHalf, bound),
      input(jobs.secondHalf, bound),
    ]);
    if (checked === undefined || tag === undefined || first === undefined || second === undefined)
      throw new TypeError("prf gave fewer answers than it had inputs");
    const secret = SecretBuffer.take(Buffer.concat([first, second]));
    first.fill(0);
    second.fill(0);
    if (timingSafeEqual(checked, Buffer.from(check, "hex"))) return { tag, secret };
    secret[Symbol.dispose]();
    throw keyChanged(key, `KEK index ${members.kekIndex} is not the one that this key was made under`);
  }
}

function checkInput(key: Omit<DeviceKey, "material">, members: Omit<KekMaterial, "check">): Buffer {
  return input(jobs.check, hash("sm3", statementOf(key, members), "buffer"));
}

function input(job: number, bound: Buffer): Buffer {
  const first = Buffer.from(label);
  first[first.length - 1] = job;
  return Buffer.concat([first, bound]);
}
