import { ownFault } from "./errors.ts";

/**
 * The operations of an sdf session, as they cross between this process and the device's own. Numbers are u32, big-endian;
 * public keys are X ‖ Y; ciphertexts `04 ‖ x ‖ y ‖ C3 ‖ C2`.
 */
export const sdfOperations = {
  /** () → random bytes. Arguments: how many (1 to 65,536). */
  random: "random",
  /** Arguments: key index. → X ‖ Y of the signing key pair, read from the card now. */
  signPublicKey: "sign-public-key",
  /** Arguments: key index. → X ‖ Y of the encryption key pair, read from the card now. */
  encryptPublicKey: "encrypt-public-key",
  /** Arguments: key index, e (32), the public key that must be there. → r ‖ s. */
  sign: "sign",
  /** Arguments: public key, plaintext. → ciphertext. */
  encrypt: "encrypt",
  /** Arguments: key index, ciphertext. → plaintext. */
  decrypt: "decrypt",
  /** Arguments: KEK index. → a new SM4 key, wrapped under it. */
  newWrappedKey: "new-wrapped-key",
  /** Arguments: KEK index, wrapped SM4 key, inputs of 48 bytes. → for each input the CBC-MAC under the key, 16 bytes. */
  prf: "prf",
} as const;

/** What a device's process is given to open a card. */
export interface SdfConfig {
  /** Path of the vendor's library, or a name that the loader finds. */
  readonly library: string;
  /** SHA-256 that the library must have when it is loaded, hex; then `library` is a path. */
  readonly librarySha256?: string;
  readonly profile: string;
  /** Key pairs that may be used; each session takes the right to all of them. */
  readonly keyIndices: readonly number[];
  /** Key-encryption keys whose right must be taken, for profiles whose libraries ask for one. */
  readonly kekIndices: readonly number[];
}

export const prfInputBytes = 48;
export const prfOutputBytes = 16;

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** One argument of an operation. @throws {DeviceFault} `bad-input` (ARGUMENTS) when it is missing or of another length. */
export function argumentOf(args: readonly Buffer[], at: number, byteLength?: number): Buffer {
  const argument = args[at];
  if (argument === undefined || (byteLength !== undefined && argument.length !== byteLength))
    throw ownFault("bad-input", "ARGUMENTS", "the operation's arguments are missing or of another length");
  return argument;
}
