import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { DeviceError } from "../errors.ts";
import type { NativeCallOptions, NativeCalls } from "../native/native-calls.ts";
import { type CurveName, curves, fingerprintOf, isCurveName } from "./curves.ts";
import type { ImportedKey } from "./private-key-file.ts";
import { type Operation, operations, type SecretKeyKind, type TokenKey, u32 } from "./protocol.ts";
import { type CheckedSignature, SignatureCheck } from "./signature-check.ts";

export interface TokenPublicKey {
  readonly curve: CurveName;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Buffer;
  /** SHA-256 of it. */
  readonly fingerprint: Buffer;
}

/** Which key pair signs: a key of the token's that is known by its public key. */
export interface TokenSigningKey {
  /** CKA_ID. */
  readonly id: Buffer;
  readonly curve: CurveName;
  readonly fingerprint: Buffer;
}

export interface KeyFilter {
  readonly label?: string;
  /** CKA_ID. */
  readonly id?: Buffer;
}

type CallLimits = Pick<NativeCallOptions, "deadlineMs" | "signal">;

const repeatable = { repeatable: true } as const;

/**
 * The operations of a PKCS#11 token, typed: what {@link Pkcs11Device} and commands about a token's keys call. Errors are
 * `DeviceError`.
 */
export class Pkcs11Token implements Disposable {
  readonly #calls: NativeCalls;
  readonly #check = new SignatureCheck((id) => this.publicKey(id));

  constructor(calls: NativeCalls) {
    this.#calls = calls;
  }

  /** Makes a secret key that stays in the token. @returns Its CKA_ID, 16 random bytes. */
  async generateSecretKey(label: string, kind: SecretKeyKind, keyBytes: number): Promise<Buffer> {
    return await this.#one(operations.generateSecretKey, [Buffer.from(label), Buffer.from(kind), u32(keyBytes)]);
  }

  /** Makes a key pair whose private key stays in the token. */
  async generateKeyPair(label: string, curve: CurveName): Promise<TokenPublicKey & { readonly id: Buffer }> {
    const [id, spki] = await this.#calls.call(operations.generateKeyPair, [Buffer.from(label), Buffer.from(curve)]);
    if (id === undefined || spki === undefined) throw malformed(operations.generateKeyPair);
    return { id, curve, spki, fingerprint: fingerprintOf(spki) };
  }

  /**
   * Puts a key pair that was made elsewhere into the token, from where it does not leave again, and has it sign once to prove it.
   *
   * @throws {DeviceError} `DEVICE_KEY_CHANGED` when the token does not keep, show or use it as it was given; nothing is left in it then.
   */
  async importKeyPair(label: string, key: ImportedKey): Promise<TokenPublicKey & { readonly id: Buffer }> {
    const { curve, pkcs8, value, spki } = key;
    const point = spki.subarray(spki.length - curves[curve].pointBytes);
    const names = [Buffer.from(label), Buffer.from(curve)];
    const [id, shown] = await pkcs8.expose((info) =>
      value.expose((bytes) => this.#calls.call(operations.importKeyPair, [...names, info, bytes, point])),
    );
    if (id === undefined || shown === undefined) throw malformed(operations.importKeyPair);
    if (!shown.equals(spki))
      throw new DeviceError("DEVICE_KEY_CHANGED", "the token shows another key than was imported");
    return { id, curve, spki, fingerprint: fingerprintOf(spki) };
  }

  /** @throws {DeviceError} `DEVICE_KEY_NOT_FOUND`. */
  async publicKey(id: Buffer): Promise<TokenPublicKey> {
    const [curveName, spki] = await this.#calls.call(operations.publicKey, [id], repeatable);
    const curve = curveName?.toString() ?? "";
    if (!isCurveName(curve) || spki === undefined) throw malformed(operations.publicKey);
    return { curve, spki, fingerprint: fingerprintOf(spki) };
  }

  /**
   * Signs, and never sends the same call a second time: whether a call that failed has signed is not known. A signature is given out
   * once it, or one that was begun after it had been made, has been verified with the public key.
   *
   * @param input - A digest as long as the curve's hash; for ED25519 the message.
   * @returns r ‖ s as the token gives them, s high or low; 64 bytes for ED25519. And, but for ED25519, DER with the lower s.
   * @throws {DeviceError} `DEVICE_KEY_CHANGED` when the token's key is not of this fingerprint or its signature does not verify,
   *   `DEVICE_KEY_NOT_FOUND`.
   */
  async sign(key: TokenSigningKey, input: Uint8Array, limits: CallLimits = {}): Promise<CheckedSignature> {
    const args = [key.id, key.fingerprint, Buffer.from(key.curve), bufferOf(input)];
    return await this.#check.checked(key, input, () =>
      this.#one(operations.sign, args, { ...limits, repeatable: false }),
    );
  }

  /** Frees the public keys that signatures were checked with; the calls stay their owner's to close. */
  [Symbol.dispose](): void {
    this.#check[Symbol.dispose]();
  }

  /** @param name - Of a MAC that `info.macs` has. */
  async mac(id: Buffer, name: string, message: Uint8Array): Promise<Buffer> {
    return await this.#one(operations.mac, [id, Buffer.from(name), bufferOf(message)], repeatable);
  }

  /** AES-GCM in the token. @returns ciphertext ‖ tag (16) */
  async gcmSeal(id: Buffer, iv: Buffer, associatedData: Buffer, plaintext: SecretBuffer): Promise<Buffer> {
    return await plaintext.expose((bytes) =>
      this.#one(operations.gcmSeal, [id, iv, associatedData, bytes], repeatable),
    );
  }

  /** @returns Undefined for what does not authenticate; else the caller disposes of it. */
  async gcmOpen(id: Buffer, iv: Buffer, associatedData: Buffer, ciphertext: Buffer): Promise<SecretBuffer | undefined> {
    const [plaintext] = await this.#calls.call(operations.gcmOpen, [id, iv, associatedData, ciphertext], repeatable);
    return plaintext === undefined ? undefined : SecretBuffer.take(plaintext);
  }

  /** AES key wrap (RFC 3394) in the token. */
  async keyWrap(id: Buffer, payload: SecretBuffer): Promise<Buffer> {
    return await payload.expose((bytes) => this.#one(operations.keyWrap, [id, bytes], repeatable));
  }

  /** @returns Undefined for what does not authenticate; else the caller disposes of it. */
  async keyUnwrap(id: Buffer, wrapped: Buffer): Promise<SecretBuffer | undefined> {
    const [payload] = await this.#calls.call(operations.keyUnwrap, [id, wrapped], repeatable);
    return payload === undefined ? undefined : SecretBuffer.take(payload);
  }

  /** Destroys every object of this label in the token. @returns How many there were. */
  async destroy(label: string): Promise<number> {
    return (await this.#one(operations.destroy, [Buffer.from(label)], repeatable)).readUInt32BE();
  }

  /** The private and secret keys of the token, at most 10,000; with a choice only those of its label or id. */
  async list({ label = "", id = Buffer.alloc(0) }: KeyFilter = {}): Promise<readonly TokenKey[]> {
    const keys = await this.#calls.call(operations.list, [Buffer.from(label), id], repeatable);
    return keys.map((key) => JSON.parse(key.toString()) as TokenKey);
  }

  /**
   * The one key that a person means.
   *
   * @param name - Its CKA_LABEL, or `id:` and its CKA_ID in hex.
   * @throws {DeviceError} `DEVICE_KEY_NOT_FOUND`; `DEVICE_INPUT_REFUSED` when several have the label.
   */
  async find(name: string): Promise<TokenKey> {
    const id = /^id:((?:[0-9a-f]{2}){1,255})$/i.exec(name)?.[1];
    const filter = id === undefined ? { label: name } : { id: Buffer.from(id, "hex") };
    const [key, other] = name === "" ? [] : await this.list(filter);
    if (key === undefined)
      throw new DeviceError("DEVICE_KEY_NOT_FOUND", `the token has no key ${JSON.stringify(name)}`);
    if (other !== undefined)
      throw new DeviceError(
        "DEVICE_INPUT_REFUSED",
        `the token has several keys ${JSON.stringify(name)}: name one as id:HEX, where HEX is its CKA_ID`,
      );
    if (key.id === "")
      throw new DeviceError("DEVICE_UNSUPPORTED", `the key ${JSON.stringify(name)} has no CKA_ID: give it one first`);
    return key;
  }

  async #one(operation: Operation, args: readonly Buffer[], options?: NativeCallOptions): Promise<Buffer> {
    const [answer] = await this.#calls.call(operation, args, options);
    if (answer === undefined) throw malformed(operation);
    return answer;
  }
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function malformed(operation: Operation): DeviceError {
  return new DeviceError("DEVICE_FAILED", `the device's process gave no answer to ${operation}`);
}
