/** Calls a GM/T 0018 library as plainly as can be, for the tests of the card itself: no pool, no profile, no checks. */
import koffi from "koffi";

const handle = "uint64_t";
const u32 = "uint32_t";
const bytes = "void *";

/** Arguments of each function in the standard's order; `bytes` may be null. */
const signatures = {
  SDF_OpenDevice: [bytes],
  SDF_CloseDevice: [handle],
  SDF_OpenSession: [handle, bytes],
  SDF_CloseSession: [handle],
  SDF_GetDeviceInfo: [handle, bytes],
  SDF_GenerateRandom: [handle, u32, bytes],
  SDF_GetPrivateKeyAccessRight: [handle, u32, bytes, u32],
  SDF_ReleasePrivateKeyAccessRight: [handle, u32],
  SDF_GetKEKAccessRight: [handle, u32, bytes, u32],
  SDF_ExportSignPublicKey_ECC: [handle, u32, bytes],
  SDF_ExportEncPublicKey_ECC: [handle, u32, bytes],
  SDF_GenerateKeyPair_ECC: [handle, u32, u32, bytes, bytes],
  SDF_InternalSign_ECC: [handle, u32, bytes, u32, bytes],
  SDF_InternalVerify_ECC: [handle, u32, bytes, u32, bytes],
  SDF_ExternalVerify_ECC: [handle, u32, bytes, bytes, u32, bytes],
  SDF_ExternalSign_ECC: [handle, u32, bytes, bytes, u32, bytes],
  SDF_ExternalEncrypt_ECC: [handle, u32, bytes, bytes, u32, bytes],
  SDF_InternalEncrypt_ECC: [handle, u32, u32, bytes, u32, bytes],
  SDF_InternalDecrypt_ECC: [handle, u32, u32, bytes, bytes, bytes],
  SDF_GenerateKeyWithIPK_ECC: [handle, u32, u32, bytes, bytes],
  SDF_GenerateKeyWithEPK_ECC: [handle, u32, u32, bytes, bytes, bytes],
  SDF_ImportKeyWithISK_ECC: [handle, u32, bytes, bytes],
  SDF_GenerateKeyWithKEK: [handle, u32, u32, u32, bytes, bytes, bytes],
  SDF_ImportKeyWithKEK: [handle, u32, u32, bytes, u32, bytes],
  SDF_ImportKey: [handle, bytes, u32, bytes],
  SDF_GetSymmKeyHandle: [handle, u32, bytes],
  SDF_DestroyKey: [handle, handle],
  SDF_Encrypt: [handle, handle, u32, bytes, bytes, u32, bytes, bytes],
  SDF_Decrypt: [handle, handle, u32, bytes, bytes, u32, bytes, bytes],
  SDF_CalculateMAC: [handle, handle, u32, bytes, bytes, u32, bytes, bytes],
  SDF_HashInit: [handle, u32, bytes, bytes, u32],
  SDF_HashUpdate: [handle, bytes, u32],
  SDF_HashFinal: [handle, bytes, bytes],
  SDF_GenerateAgreementDataWithECC: [handle, u32, u32, bytes, u32, bytes, bytes, bytes],
  SDF_GenerateKeyWithECC: [handle, bytes, u32, bytes, bytes, handle, bytes],
  SDF_GenerateAgreementDataAndKeyWithECC: [
    ...[handle, u32, u32, bytes, u32, bytes, u32],
    ...[bytes, bytes, bytes, bytes, bytes],
  ],
  SDF_CreateFile: [handle, bytes, u32, u32],
  SDF_ReadFile: [handle, bytes, u32, u32, bytes, bytes],
  SDF_WriteFile: [handle, bytes, u32, u32, u32, bytes],
  SDF_DeleteFile: [handle, bytes, u32],
} as const;

export type SdfFunction = keyof typeof signatures;
export type SdfArgument = bigint | number | Buffer | null;

export const sdr = {
  ok: 0,
  commFail: 0x01000003,
  openDevice: 0x01000005,
  openSession: 0x01000006,
  mayNotSign: 0x01000007,
  keyNotExist: 0x01000008,
  algorithmNotSupported: 0x01000009,
  verify: 0x0100000e,
  step: 0x01000010,
  fileSize: 0x01000011,
  fileNotExist: 0x01000012,
  fileOffset: 0x01000013,
  keyType: 0x01000014,
  key: 0x01000015,
  encryptedData: 0x01000016,
  noRight: 0x01000018,
  fileExists: 0x0100001a,
  noBuffer: 0x0100001c,
  inArgument: 0x0100001d,
  outArgument: 0x0100001e,
  wrongPassword: 0x01000100,
  passwordLocked: 0x01000101,
  sessionLost: 0x01010105,
  unplugged: 0x01010201,
} as const;

/** A loaded library: each call gives its code, as an unsigned number. */
export class SdfCaller {
  readonly #library: ReturnType<typeof koffi.load>;
  readonly #functions = new Map<SdfFunction, ReturnType<ReturnType<typeof koffi.load>["func"]>>();

  constructor(path: string) {
    this.#library = koffi.load(path);
  }

  #function(name: SdfFunction) {
    const known = this.#functions.get(name);
    if (known !== undefined) return known;
    const loaded = this.#library.func(name, "uint32_t", [...signatures[name]]);
    this.#functions.set(name, loaded);
    return loaded;
  }

  call(name: SdfFunction, ...args: readonly SdfArgument[]): number {
    return this.#function(name)(...args);
  }

  /** The same on a thread of libuv's pool; the arguments live on until it has returned. */
  callAside(name: SdfFunction, ...args: readonly SdfArgument[]): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#function(name).async(...args, (error: Error | null, code: number) => {
        if (error !== null) reject(error);
        else resolve(code);
      });
    });
  }

  openDevice(): { code: number; device: bigint } {
    const out = Buffer.alloc(8);
    return { code: this.call("SDF_OpenDevice", out), device: out.readBigUInt64LE() };
  }

  /** A session on a device that was opened for it. @throws {Error} When one of them can't be opened. */
  openSession(device: bigint = this.openDevice().device): bigint {
    const out = Buffer.alloc(8);
    const code = this.call("SDF_OpenSession", device, out);
    if (code !== 0) throw new Error(`no session: 0x${code.toString(16)}`);
    return out.readBigUInt64LE();
  }

  takeRight(session: bigint, index: number, pin: string): number {
    const password = Buffer.from(pin);
    return this.call("SDF_GetPrivateKeyAccessRight", session, index, password, password.length);
  }

  /** Signs a digest; the signature is r ‖ s, 64 bytes, and empty when it failed. */
  sign(session: bigint, index: number, digest: Buffer): { code: number; signature: Buffer } {
    const out = Buffer.alloc(128, 0xa5);
    const code = this.call("SDF_InternalSign_ECC", session, index, digest, digest.length, out);
    return { code, signature: code === 0 ? fromFields(out) : Buffer.alloc(0) };
  }

  /** The signing or encryption key of an index, `04 ‖ x ‖ y`. */
  publicKey(session: bigint, index: number, kind: "Sign" | "Enc" = "Sign"): Buffer {
    const out = Buffer.alloc(132, 0xa5);
    const code = this.call(`SDF_Export${kind}PublicKey_ECC`, session, index, out);
    if (code !== 0) throw new Error(`no public key: 0x${code.toString(16)}`);
    return Buffer.concat([Buffer.of(4), fromFields(out.subarray(4))]);
  }
}

/** Two 256-bit numbers out of two fields of 64 bytes. */
export function fromFields(fields: Buffer): Buffer {
  return Buffer.concat([fields.subarray(32, 64), fields.subarray(96, 128)]);
}

/** Two 256-bit numbers (64 bytes) as two fields of 64 bytes. */
export function toFields(numbers: Uint8Array): Buffer {
  const zeros = Buffer.alloc(32);
  return Buffer.concat([zeros, numbers.subarray(0, 32), zeros, numbers.subarray(32, 64)]);
}

/** ECCrefPublicKey of `04 ‖ x ‖ y`. */
export function toPublicKeyStruct(publicKey: Uint8Array): Buffer {
  const bits = Buffer.alloc(4);
  bits.writeUInt32LE(256);
  return Buffer.concat([bits, toFields(publicKey.subarray(1))]);
}
