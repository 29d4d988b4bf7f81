import type { DeviceFault } from "../native/fault.ts";
import type { DeviceSession, GroupCall, RunningGroup } from "../native/program.ts";
import {
  faultOfCode,
  faultOfKek,
  faultOfPrivateUse,
  keyChanged,
  keyNotListed,
  ownFault,
  profileMismatch,
} from "./errors.ts";
import type { SdfArgument, SdfCallName, SdfLibrary } from "./library.ts";
import { type SdfProfile, sgd } from "./profiles.ts";
import type { SessionSigning } from "./session-signing.ts";
import {
  c2Start,
  packCipher,
  packPublicKey,
  StructMismatch,
  structBytes,
  unpackCipher,
  unpackPublicKey,
  unpackSignature,
} from "./structs.ts";
import { argumentOf as bytes, prfInputBytes, prfOutputBytes, sdfOperations, u32 } from "./wire.ts";

/** Room for whatever a library of another layout would write. */
const roomyBytes = 2_048;
const maxRandomBytes = 65_536;
const sm4KeyBits = 128;
const blockBytes = 16;

/** Keys that a session may use. */
export interface SessionRights {
  /** Key indices that may be used at all. */
  readonly keyIndices: ReadonlySet<number>;
  /** Those to which this session has taken the right. */
  readonly taken: ReadonlySet<number>;
}

/** One session of a card: one call at a time. Every buffer that the library gets stays in its closure until the call returns. */
export class SdfSession implements DeviceSession {
  readonly handle: bigint;
  readonly #library: SdfLibrary;
  readonly #profile: SdfProfile;
  readonly #rights: SessionRights;
  readonly #release: () => Promise<void>;
  readonly #signing: SessionSigning;

  /** @param release - Gives the rights back and closes the session, after the signing thread has ended. */
  constructor(
    library: SdfLibrary,
    profile: SdfProfile,
    handle: bigint,
    rights: SessionRights,
    signing: SessionSigning,
    release: () => Promise<void>,
  ) {
    this.#library = library;
    this.#profile = profile;
    this.handle = handle;
    this.#rights = rights;
    this.#signing = signing;
    this.#release = release;
  }

  async call(operation: string, args: readonly Buffer[]): Promise<readonly Buffer[]> {
    try {
      switch (operation) {
        case sdfOperations.sign:
          return [await this.#signAlone(number(args, 0), bytes(args, 1, 32), bytes(args, 2, 64))];
        case sdfOperations.decrypt:
          return [await this.decrypt(number(args, 0), bytes(args, 1))];
        case sdfOperations.encrypt:
          return [await this.encrypt(bytes(args, 0, 64), bytes(args, 1))];
        case sdfOperations.prf:
          return await this.#prf(number(args, 0), bytes(args, 1), args.slice(2));
        case sdfOperations.newWrappedKey:
          return [await this.#newWrappedKey(number(args, 0))];
        case sdfOperations.signPublicKey:
          return [Buffer.from(await this.signPublicKey(number(args, 0)))];
        case sdfOperations.encryptPublicKey:
          return [await this.encryptPublicKey(number(args, 0))];
        case sdfOperations.random:
          return [await this.random(number(args, 0))];
        default:
          throw ownFault("bad-input", "OPERATION_UNKNOWN", "an sdf session has no such operation");
      }
    } catch (error) {
      throw error instanceof StructMismatch ? this.mismatch(error.message) : error;
    }
  }

  /** The signing thread takes a tenth of a second to start; until then signatures are made one by one. */
  runsInGroups(operation: string): boolean {
    return operation === sdfOperations.sign && this.#signing.isReady;
  }

  runGroup(calls: readonly GroupCall[]): RunningGroup {
    return this.#signing.run(calls);
  }

  async close(): Promise<void> {
    await this.#signing.end();
    await this.#release();
  }

  /** The signing key pair's X ‖ Y, read now. */
  signPublicKey(keyIndex: number): Promise<Buffer> {
    return this.#export("SDF_ExportSignPublicKey_ECC", keyIndex);
  }

  /** The encryption key pair's X ‖ Y, read now. */
  encryptPublicKey(keyIndex: number): Promise<Buffer> {
    return this.#export("SDF_ExportEncPublicKey_ECC", keyIndex);
  }

  /** r ‖ s over e. @param expected - X ‖ Y that the card must show for this index. */
  async sign(keyIndex: number, digest: Buffer, expected: Buffer): Promise<Buffer> {
    const args = [u32(keyIndex), digest, expected];
    const [outcome] = await this.runGroup([{ operation: sdfOperations.sign, args }]).outcomes;
    const signature = outcome instanceof Error ? undefined : outcome?.[0];
    if (signature !== undefined) return signature;
    throw outcome ?? ownFault("session", "SESSION_ENDED", "the session has ended");
  }

  /** Encrypts to any public key, 1 byte to what the layout holds. */
  async encrypt(publicKey: Buffer, plaintext: Buffer): Promise<Buffer> {
    const layout = this.#profile.eccCipher;
    if (plaintext.length < 1 || plaintext.length > layout.maxC2Bytes)
      throw ownFault(
        "bad-input",
        "LENGTH",
        `this profile's ECCCipher holds 1 to ${layout.maxC2Bytes} bytes, got ${plaintext.length}`,
      );
    const image = Buffer.alloc(roomyBytes);
    const key = packPublicKey(publicKey);
    await this.#must("SDF_ExternalEncrypt_ECC", sgd.sm2Encrypt, key, plaintext, plaintext.length, image);
    return unpackCipher(layout, image, plaintext.length);
  }

  /** Decrypts with the encryption key pair of an index. */
  async decrypt(keyIndex: number, ciphertext: Buffer): Promise<Buffer> {
    this.#mayUse(keyIndex);
    const image = this.#packed(ciphertext);
    const plaintext = Buffer.alloc(roomyBytes);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(plaintext.length);
    const third = this.#profile.internalDecryptThirdArgument;
    const code = await this.#call("SDF_InternalDecrypt_ECC", keyIndex, third, image, plaintext, length);
    if (code !== 0) throw this.#privateFault("SDF_InternalDecrypt_ECC", code, keyIndex);
    const expected = ciphertext.length - c2Start;
    if (length.readUInt32LE() !== expected)
      throw new StructMismatch(`${length.readUInt32LE()} bytes were decrypted where ${expected} were encrypted`);
    const exact = Buffer.from(plaintext.subarray(0, expected));
    plaintext.fill(0);
    return exact;
  }

  async random(byteLength: number): Promise<Buffer> {
    if (byteLength < 1 || byteLength > maxRandomBytes)
      throw ownFault("bad-input", "LENGTH", `1 to ${maxRandomBytes} random bytes can be asked for, not ${byteLength}`);
    const bytes = Buffer.alloc(byteLength);
    await this.#must("SDF_GenerateRandom", byteLength, bytes);
    return bytes;
  }

  /** The error for a library whose structures are not those of the profile. */
  mismatch(what: string): DeviceFault {
    return profileMismatch(this.#profile.name, what);
  }

  /** As the thread does it: the key is read before, and again after the signature was made. */
  async #signAlone(keyIndex: number, digest: Buffer, expected: Buffer): Promise<Buffer> {
    this.#signing.prepare();
    if (!(await this.signPublicKey(keyIndex)).equals(expected)) throw keyChanged(keyIndex);
    const image = Buffer.alloc(roomyBytes);
    const code = await this.#call("SDF_InternalSign_ECC", keyIndex, digest, digest.length, image);
    if (code !== 0) throw this.#privateFault("SDF_InternalSign_ECC", code, keyIndex);
    const signature = unpackSignature(image.subarray(0, structBytes.signature));
    if (!(await this.signPublicKey(keyIndex)).equals(expected)) throw keyChanged(keyIndex);
    return signature;
  }

  async #newWrappedKey(kekIndex: number): Promise<Buffer> {
    const wrapped = Buffer.alloc(roomyBytes);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(wrapped.length);
    const key = Buffer.alloc(8);
    const code = await this.#call("SDF_GenerateKeyWithKEK", sm4KeyBits, sgd.sm4Ecb, kekIndex, wrapped, length, key);
    if (code !== 0) throw faultOfKek("SDF_GenerateKeyWithKEK", code, kekIndex);
    await this.#must("SDF_DestroyKey", key.readBigUInt64LE());
    const wrappedBytes = length.readUInt32LE();
    if (wrappedBytes < blockBytes || wrappedBytes > 256)
      throw new StructMismatch(`SDF_GenerateKeyWithKEK answers with a wrapped key of ${wrappedBytes} bytes`);
    return Buffer.from(wrapped.subarray(0, wrappedBytes));
  }

  async #prf(kekIndex: number, wrapped: Buffer, inputs: readonly Buffer[]): Promise<readonly Buffer[]> {
    if (inputs.length < 1 || inputs.length > 16 || inputs.some((input) => input.length !== prfInputBytes))
      throw ownFault("bad-input", "LENGTH", `a PRF takes 1 to 16 inputs of ${prfInputBytes} bytes`);
    const handle = Buffer.alloc(8);
    const code = await this.#call("SDF_ImportKeyWithKEK", sgd.sm4Ecb, kekIndex, wrapped, wrapped.length, handle);
    if (code !== 0) throw faultOfKek("SDF_ImportKeyWithKEK", code, kekIndex);
    const key = handle.readBigUInt64LE();
    try {
      const outputs: Buffer[] = [];
      for (const input of inputs) outputs.push(await this.#cbcMac(key, input));
      return outputs;
    } finally {
      await this.#must("SDF_DestroyKey", key);
    }
  }

  /** The last block of SM4-CBC with a zero IV: a PRF for inputs of one length. */
  async #cbcMac(key: bigint, input: Buffer): Promise<Buffer> {
    const iv = Buffer.alloc(blockBytes);
    const output = Buffer.alloc(roomyBytes);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(output.length);
    await this.#must("SDF_Encrypt", key, sgd.sm4Cbc, iv, input, input.length, output, length);
    if (length.readUInt32LE() !== input.length)
      throw new StructMismatch(`SDF_Encrypt makes ${length.readUInt32LE()} bytes of ${input.length}`);
    const mac = Buffer.from(output.subarray(input.length - prfOutputBytes, input.length));
    output.fill(0);
    return mac;
  }

  async #export(call: "SDF_ExportSignPublicKey_ECC" | "SDF_ExportEncPublicKey_ECC", keyIndex: number): Promise<Buffer> {
    this.#mayUse(keyIndex);
    const image = Buffer.alloc(roomyBytes);
    const code = await this.#call(call, keyIndex, image);
    if (code !== 0) throw faultOfCode(call, code, `key index ${keyIndex}`);
    return unpackPublicKey(image.subarray(0, structBytes.publicKey));
  }

  #packed(ciphertext: Buffer): Buffer {
    try {
      return packCipher(this.#profile.eccCipher, ciphertext);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw ownFault("bad-input", "LENGTH", error.message);
    }
  }

  /** A key outside the list has no right taken, and a card answers that in a dozen ways. */
  #mayUse(keyIndex: number): void {
    if (!this.#rights.keyIndices.has(keyIndex)) throw keyNotListed(keyIndex);
  }

  #privateFault(call: SdfCallName, code: number, keyIndex: number): DeviceFault {
    return faultOfPrivateUse(call, code, keyIndex, this.#rights.taken.has(keyIndex));
  }

  #call(name: SdfCallName, ...args: readonly SdfArgument[]): Promise<number> {
    return this.#library.call(name, this.handle, ...args);
  }

  async #must(name: SdfCallName, ...args: readonly SdfArgument[]): Promise<void> {
    const code = await this.#call(name, ...args);
    if (code !== 0) throw faultOfCode(name, code);
  }
}

function number(args: readonly Buffer[], at: number): number {
  return bytes(args, at, 4).readUInt32BE();
}
