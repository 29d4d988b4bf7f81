import type { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import type { Sm4Provider } from "../../../crypto/sm4/provider.ts";
import { type Suite, suites } from "../../../crypto/suite.ts";
import type { BlockCipher } from "../block-cipher.ts";
import { GcmCipher } from "./gcm-cipher.ts";
import { Sm4GcmCipher } from "./sm4-cipher.ts";

/** How block ciphers are made on this machine. All ways give the same bytes. */
export interface BlockCiphers {
  /** @param key - Of the suite's length; the cipher becomes its owner. @throws {RangeError} For another length. */
  make(suite: Suite, key: SecretBuffer): BlockCipher;
}

/** @param sm4 - The provider that was chosen at start; without one, SM4 goes through node:crypto. */
export function blockCiphers(sm4?: Sm4Provider): BlockCiphers {
  return {
    make: (suite, key) =>
      suite === suites.sm && sm4 !== undefined ? new Sm4GcmCipher(sm4, key) : new GcmCipher(suite, key),
  };
}
