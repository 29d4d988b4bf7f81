import type { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import { chooseSm4 } from "../../../crypto/sm4/choose.ts";
import type { Sm4Provider } from "../../../crypto/sm4/provider.ts";
import { type Suite, suites } from "../../../crypto/suite.ts";
import type { BlockCipher } from "../block-cipher.ts";
import { AesGcmCipher } from "./aes-cipher.ts";
import { GcmCipher } from "./gcm-cipher.ts";
import { type KeyedFunctions, nodeKeyedFunctions } from "./keyed-functions.ts";
import { loadOpensslGcm, type OpensslGcm } from "./openssl-gcm.ts";
import { loadKeyedFunctions } from "./openssl-keyed.ts";
import { Sm4GcmCipher } from "./sm4-cipher.ts";

/** How block ciphers are made on this machine. All ways give the same bytes. */
export interface BlockCiphers {
  /** @param key - Of the suite's length; the cipher becomes its owner. @throws {RangeError} For another length. */
  make(suite: Suite, key: SecretBuffer): BlockCipher;
  /** Left out: node:crypto's. */
  readonly keyed?: KeyedFunctions;
}

/**
 * Without a faster way, a suite's cipher is node:crypto's.
 *
 * @param sm4 - The provider of SM4 that was chosen at start, by known answers.
 * @param aes - Of `loadOpensslGcm`. @param keyed - Of `loadKeyedFunctions`.
 */
export function blockCiphers(
  sm4?: Sm4Provider,
  aes?: OpensslGcm,
  keyed: KeyedFunctions = nodeKeyedFunctions,
): BlockCiphers {
  return {
    keyed,
    make(suite, key) {
      if (suite === suites.sm && sm4 !== undefined) return new Sm4GcmCipher(sm4, key);
      if (suite === suites.intl && aes !== undefined) return new AesGcmCipher(aes, key);
      return new GcmCipher(suite, key);
    },
  };
}

/** The fastest ways that this machine has. */
export async function chooseBlockCiphers(suite: Suite): Promise<BlockCiphers> {
  const keyed = await loadKeyedFunctions();
  if (suite === suites.sm) return blockCiphers(chooseSm4().provider, undefined, keyed);
  return blockCiphers(undefined, await loadOpensslGcm(), keyed);
}
