import { createHmac } from "node:crypto";
import type { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import { hkdf, type Suite, suites } from "../../../crypto/suite.ts";
import { type CtrCipher, ctrUnauthenticated } from "../../../crypto/unauthenticated-cipher.ts";

/** HMAC of the suite's hash (RFC 2104) under one key. */
export interface KeyedMac extends Disposable {
  /** @returns 32 bytes. */
  mac(message: Buffer): Buffer;
}

/** The suite's cipher in counter mode under one key: its own inverse, and without a tag. */
export interface CounterMode extends Disposable {
  /** @param iv - The first counter block, 16 bytes; it must never repeat for another input. */
  crypt(iv: Buffer, input: Buffer): Buffer;
}

/** What names and keys are made with, besides block ciphers. All ways give the same bytes. */
export interface KeyedFunctions {
  /** @param key - Becomes the MAC's. */
  macOf(suite: Suite, key: SecretBuffer): KeyedMac;
  /** @param key - Of the suite's length; becomes the cipher's. */
  counterModeOf(suite: Suite, key: SecretBuffer): CounterMode;
  /** HKDF (RFC 5869) over the suite's hash, up to 32 bytes. The caller disposes of the result; `secret` stays its own. */
  derive(suite: Suite, secret: SecretBuffer, salt: Buffer, info: Buffer, bytes: number): SecretBuffer;
}

/** The suite's cipher in counter mode, as OpenSSL calls it. */
export function counterModeName(suite: Suite): CtrCipher {
  return suite === suites.sm ? "sm4-ctr" : "aes-256-ctr";
}

/** By node:crypto: runs everywhere. */
export const nodeKeyedFunctions: KeyedFunctions = {
  macOf: (suite, key) => ({
    mac: (message) =>
      key
        .expose((bytes) => createHmac(suite.hash, bytes))
        .update(message)
        .digest(),
    [Symbol.dispose]: () => key[Symbol.dispose](),
  }),
  counterModeOf: (suite, key) => ({
    crypt: (iv, input) => ctrUnauthenticated(counterModeName(suite), key, iv, input),
    [Symbol.dispose]: () => key[Symbol.dispose](),
  }),
  derive: (suite, secret, salt, info, bytes) => hkdf(suite, secret, salt, info, bytes),
};
