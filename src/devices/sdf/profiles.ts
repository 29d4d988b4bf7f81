/**
 * How vendors' libraries differ in what GM/T 0018 left open. A profile is chosen in the configuration of a device and is
 * proven by the self-test each time the device is opened: it is never guessed, since a wrong layout writes past a buffer.
 *
 * `SDF_InternalEncrypt_ECC` has two argument lists, and the wrong one makes a library write through a number: it is never called.
 * `SDF_ExternalEncrypt_ECC` with the exported key does the same and is alike everywhere.
 */

/** Where the parts of an ECCCipher lie, in bytes from its start. x and y are fields of 64 bytes. */
export interface EccCipherLayout {
  readonly x: number;
  readonly y: number;
  /** C3, at the start of a field of `mFieldBytes`. */
  readonly m: number;
  readonly mFieldBytes: 32 | 64;
  /** The length of C2, u32. */
  readonly length: number;
  /** C2. */
  readonly c: number;
  readonly maxC2Bytes: number;
  /** The structure has room for `maxC2Bytes` always, however short C2 is. */
  readonly c2Fixed: boolean;
}

/** SGD ids of hashes. SHA-384 and SHA-512 have the same ids nowhere. */
export interface SdfHashIds {
  readonly sm3: number;
  readonly sha1: number;
  readonly sha256: number;
  readonly sha384?: number;
  readonly sha512?: number;
}

export interface SdfProfile {
  readonly name: string;
  readonly eccCipher: EccCipherLayout;
  /** The third argument of `InternalDecrypt_ECC`. */
  readonly internalDecryptThirdArgument: number;
  readonly hashIds: SdfHashIds;
  /** `SDF_GetKEKAccessRight` must be called before a KEK is used, where the library has it. */
  readonly kekAccessRight: boolean;
}

/** Algorithm ids of GM/T 0006 that are the same everywhere. */
export const sgd = {
  sm4Ecb: 0x401,
  sm4Cbc: 0x402,
  sm2: 0x20100,
  sm2Sign: 0x20200,
  sm2Encrypt: 0x20800,
} as const;

/** x[64] y[64] M[32] L C[]: the standard's order. */
function standardCipher(maxC2Bytes: number, c2Fixed: boolean): EccCipherLayout {
  return { x: 0, y: 64, m: 128, mFieldBytes: 32, length: 160, c: 164, maxC2Bytes, c2Fixed };
}

const standardHashIds = { sm3: 1, sha1: 2, sha256: 4 } as const;

/** The longest C2 that the standard's open-ended structure is used for here; libraries stop at about 255 bytes themselves. */
const openEndedC2Bytes = 1024;

/** Every known profile, by its name in a device's configuration. */
export const sdfProfiles = {
  /** GM/T 0018-2012 as printed: SoftSDF, most cards. */
  gmt0018: {
    name: "gmt0018",
    eccCipher: standardCipher(openEndedC2Bytes, false),
    internalDecryptThirdArgument: sgd.sm2Encrypt,
    hashIds: standardHashIds,
    kekAccessRight: false,
  },
  /** The header that FISCO BCOS is built against: C[32], so that 32 bytes is all that can be enveloped. */
  fisco: {
    name: "fisco",
    eccCipher: standardCipher(32, true),
    internalDecryptThirdArgument: sgd.sm2Encrypt,
    hashIds: standardHashIds,
    kekAccessRight: false,
  },
  /** Sansec's libraries of today, and what sdf-go expects: C[136], a KEK right of its own. */
  sansec: {
    name: "sansec",
    eccCipher: standardCipher(136, true),
    internalDecryptThirdArgument: sgd.sm2Encrypt,
    hashIds: { ...standardHashIds, sha384: 0x10, sha512: 0x8 },
    kekAccessRight: true,
  },
  /** Sansec's older libraries: clength x[64] y[64] C[136] M[64]. */
  "sansec-old": {
    name: "sansec-old",
    eccCipher: { length: 0, x: 4, y: 68, c: 132, m: 268, mFieldBytes: 64, maxC2Bytes: 136, c2Fixed: true },
    internalDecryptThirdArgument: sgd.sm2Encrypt,
    hashIds: { ...standardHashIds, sha384: 0x10, sha512: 0x8 },
    kekAccessRight: true,
  },
  /** openHiTLS: InternalDecrypt takes the key's type where others take the algorithm. */
  openhitls: {
    name: "openhitls",
    eccCipher: standardCipher(openEndedC2Bytes, false),
    internalDecryptThirdArgument: sgd.sm2,
    hashIds: { ...standardHashIds, sha384: 5, sha512: 6 },
    kekAccessRight: false,
  },
} as const satisfies Readonly<Record<string, SdfProfile>>;

export type SdfProfileName = keyof typeof sdfProfiles;

export const sdfProfileNames: readonly SdfProfileName[] = Object.keys(sdfProfiles) as SdfProfileName[];

export function isSdfProfileName(name: unknown): name is SdfProfileName {
  return typeof name === "string" && Object.hasOwn(sdfProfiles, name);
}
