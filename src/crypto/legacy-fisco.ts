/**
 * The ciphers of the FISCO BCOS key manager and its nodes, byte for byte. They are legacy: the key is one unsalted hash of
 * a passphrase, the IV is the key's own first 16 bytes, and nothing is authenticated. They exist to read what such nodes
 * have written and to serve them until they are converted; docs/formats.md says what they do not protect.
 */
import { hash } from "node:crypto";
import { decodeBase64, encodeBase64 } from "./base64.ts";
import { CryptoError } from "./errors.ts";
import { keccak256 } from "./keccak.ts";
import { SecretBuffer } from "./secret-buffer.ts";
import { type CbcCipher, cbcDecryptUnauthenticated, cbcEncryptUnauthenticated } from "./unauthenticated-cipher.ts";

/** `standard`: Keccak-256 and AES-256-CBC. `sm`: SM3 and SM4-CBC. Nothing in the data says which made it. */
export type LegacyMode = "standard" | "sm";

export const legacyIvBytes = 16;
/** Longest hex text that is decrypted: a key file of 1 MiB. */
const maxHexCharacters = 1 << 22;

const ciphers: Readonly<Record<LegacyMode, CbcCipher>> = { standard: "aes-256-cbc", sm: "sm4-cbc" };

/**
 * The cipher key of a passphrase (`uniformKey`): Keccak-256 (32 bytes), or the first 16 bytes of SM3.
 * Both the super key and the data key of FISCO BCOS are such passphrases. The caller disposes of the result.
 */
export function legacyKey(mode: LegacyMode, passphrase: SecretBuffer): SecretBuffer {
  return passphrase.expose((bytes) => {
    if (mode === "standard") return SecretBuffer.take(keccak256(bytes));
    const digest = hash("sm3", bytes, "buffer");
    const key = SecretBuffer.copyOf(digest.subarray(0, 16));
    digest.fill(0);
    return key;
  });
}

/** CBC under the passphrase's key, IV = the key's first 16 bytes, PKCS#7. */
export function legacyEncrypt(mode: LegacyMode, passphrase: SecretBuffer, plaintext: Uint8Array): Buffer {
  using key = legacyKey(mode, passphrase);
  return key.expose((bytes) =>
    cbcEncryptUnauthenticated(ciphers[mode], key, bytes.subarray(0, legacyIvBytes), plaintext),
  );
}

/**
 * Opens {@link legacyEncrypt}. In `sm` mode the padding is checked too, which the original does not.
 *
 * @param iv - 16 bytes, where the format stores one; by default the key's first 16 bytes.
 * @throws {CryptoError} `LEGACY_REFUSED`.
 */
export function legacyDecrypt(
  mode: LegacyMode,
  passphrase: SecretBuffer,
  ciphertext: Uint8Array,
  iv?: Uint8Array,
): SecretBuffer {
  using key = legacyKey(mode, passphrase);
  return key.expose((bytes) =>
    cbcDecryptUnauthenticated(ciphers[mode], key, iv ?? bytes.subarray(0, legacyIvBytes), ciphertext),
  );
}

/** The `cipher_data_key` of a data key: lower-case hex. The empty data key is a data key. */
export function legacyEncryptDataKey(mode: LegacyMode, superKey: SecretBuffer, dataKey: SecretBuffer): string {
  return dataKey.expose((bytes) => legacyEncrypt(mode, superKey, bytes)).toString("hex");
}

/**
 * The data key of a `cipher_data_key`. Call it only for one that is registered: with the key as IV, two answers about
 * chosen input give away the super key.
 *
 * @param cipherDataKeyHex - Hex in either case, whole blocks.
 * @throws {CryptoError} `LEGACY_REFUSED` for other text, another super key or mode (all but about one in 256).
 */
export function legacyDecryptDataKey(mode: LegacyMode, superKey: SecretBuffer, cipherDataKeyHex: string): SecretBuffer {
  return legacyDecrypt(mode, superKey, parseHex(cipherDataKeyHex));
}

/**
 * The encrypted text of a key file: lower-case hex, without a line end, of CBC over the file's base64.
 *
 * @throws {RangeError} For an empty file: encrypting nothing in the place of a key has destroyed keys before.
 */
export function legacyEncryptKeyFile(mode: LegacyMode, dataKey: SecretBuffer, file: SecretBuffer): string {
  if (file.byteLength === 0) throw new RangeError("the key file to encrypt is empty");
  using base64 = file.expose((bytes) => SecretBuffer.take(encodeBase64(bytes)));
  return legacyEncryptText(mode, dataKey, base64);
}

/**
 * What `encWithCipherKey` answers: lower-case hex of CBC over the text as it was sent. The text is meant to be base64 of a
 * key file, but the original takes any.
 */
export function legacyEncryptText(mode: LegacyMode, dataKey: SecretBuffer, text: SecretBuffer): string {
  return text.expose((bytes) => legacyEncrypt(mode, dataKey, bytes)).toString("hex");
}

/**
 * The key file of an encrypted text.
 *
 * @param text - The whole file, at most 4 MiB of hex.
 * @throws {CryptoError} `LEGACY_REFUSED` for text that is not hex, a wrong data key or mode (what comes out must be
 *   canonical base64, so noise is refused too).
 */
export function legacyDecryptKeyFile(mode: LegacyMode, dataKey: SecretBuffer, text: Uint8Array): SecretBuffer {
  if (text.length > maxHexCharacters) throw notHex();
  using base64 = legacyDecrypt(mode, dataKey, parseHex(Buffer.from(text).toString("latin1")));
  const file = base64.expose(decodeBase64);
  if (file === undefined) throw new CryptoError("LEGACY_REFUSED");
  if (file.length === 0)
    throw new CryptoError("LEGACY_REFUSED", "the encrypted key file holds nothing; restore the key from its backup");
  return SecretBuffer.take(file);
}

function parseHex(text: string): Buffer {
  if (text.length > maxHexCharacters || text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text)) throw notHex();
  return Buffer.from(text, "hex");
}

function notHex(): CryptoError {
  return new CryptoError("LEGACY_REFUSED", `the ciphertext is not hex of at most ${maxHexCharacters} characters`);
}
