import { generateKeyPair } from "../../../../src/crypto/curve.ts";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";

/** One key pair for tests that change the text around it. */
export const masterKey: { readonly scalar: SecretBuffer; readonly publicKey: Buffer } = generateKeyPair("sm2");

export function pincodeOf(text: string): SecretBuffer {
  return SecretBuffer.take(Buffer.from(text));
}

/** A copy of the text whose character at a place is another one of the same alphabet. */
export function withCharacterChanged(text: string, at: number, alphabet: string): string {
  const other = alphabet[(alphabet.indexOf(text[at] ?? "") + 1) % alphabet.length] ?? "";
  return text.slice(0, at) + other + text.slice(at + 1);
}

export const hexDigits = "0123456789abcdef";
export const base64urlDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
