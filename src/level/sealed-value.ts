import { kernelRandomBytes } from "../crypto/kernel-random.ts";
import { nonceBytes, tagBytes } from "../crypto/suite.ts";
import { LevelError } from "./errors.ts";
import { type Epoch, epochBytes, type Keyring } from "./keyring.ts";

const format = 1;
const epochStart = 5;
const nonceStart = epochStart + epochBytes;
const bodyStart = nonceStart + nonceBytes;

/** Bytes that a stored value is longer than its plaintext. */
export const valueOverheadBytes: number = bodyStart + tagBytes;

/**
 * Seals the values of one batch. Each is a standard AES-256-GCM or SM4-GCM message of its own:
 *
 *     format = 1 (1) ‖ generation (u32) ‖ epoch id (16) ‖ nonce (12) ‖ ciphertext ‖ tag (16)
 *
 * The key is derived from the data key, the store id, the generation and the epoch id (see {@link Keyring}); the
 * associated data is the key as stored, so a value opens only in its own store and under its own key.
 *
 * The nonces of a batch come from one read of the kernel's generator. A sealer is made when all plaintexts are fixed, used
 * within the same synchronous stretch and dropped: were the machine's memory put back to a point in between, the same
 * values would be sealed again to the same bytes, and no nonce would meet a second plaintext.
 */
export class BatchSealer {
  readonly #epoch: Epoch;
  readonly #nonces: Buffer;
  #used = 0;

  /** @param count - How many values the batch has. */
  constructor(keyring: Keyring, count: number) {
    this.#epoch = keyring.sealingEpoch(count);
    this.#nonces = kernelRandomBytes(nonceBytes * count);
  }

  /** @throws {RangeError} After `count` values. */
  seal(storedKey: Buffer, plaintext: Uint8Array): Buffer {
    const { generation, id, cipher } = this.#epoch;
    const nonce = this.#nonces.subarray(this.#used, this.#used + nonceBytes);
    if (nonce.length !== nonceBytes) throw new RangeError("more values than the batch was announced with");
    this.#used += nonceBytes;
    const sealed = Buffer.allocUnsafe(plaintext.byteLength + valueOverheadBytes);
    sealed[0] = format;
    sealed.writeUInt32BE(generation, 1);
    id.copy(sealed, epochStart);
    nonce.copy(sealed, nonceStart);
    cipher.seal(nonce, storedKey, plaintext, sealed, bodyStart);
    return sealed;
  }
}

/**
 * Opens one stored value.
 *
 * @throws {LevelError} `LEVEL_CORRUPTION`: one error for a changed bit, a cut, another key, another store.
 */
export function openValue(keyring: Keyring, storedKey: Buffer, sealed: Buffer): Buffer {
  const plaintext =
    sealed.length < valueOverheadBytes || sealed[0] !== format ? undefined : open(keyring, storedKey, sealed);
  if (plaintext === undefined)
    throw new LevelError("LEVEL_CORRUPTION", `the value of stored key ${describeKey(storedKey)} does not authenticate`);
  return plaintext;
}

/** The generation a stored value says it is sealed under, not yet authenticated; undefined when it is not a value. */
export function generationOf(sealed: Buffer): number | undefined {
  return sealed.length < valueOverheadBytes || sealed[0] !== format ? undefined : sealed.readUInt32BE(1);
}

/** A stored key in an error: hexadecimal, cut at 32 bytes. */
export function describeKey(storedKey: Buffer): string {
  return storedKey.length > 32 ? `${storedKey.toString("hex", 0, 32)}…` : storedKey.toString("hex");
}

function open(keyring: Keyring, storedKey: Buffer, sealed: Buffer): Buffer | undefined {
  const name = sealed.toString("latin1", 1, nonceStart);
  const known = keyring.knownCipher(name);
  if (known !== undefined) return known.open(sealed, nonceStart, storedKey);
  const derived = keyring.cipherOf(sealed.readUInt32BE(1), sealed.subarray(epochStart, nonceStart));
  const plaintext = derived?.open(sealed, nonceStart, storedKey);
  if (derived !== undefined && plaintext !== undefined) keyring.keep(name, derived);
  else derived?.[Symbol.dispose]();
  return plaintext;
}
