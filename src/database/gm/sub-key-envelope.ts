import { checkPublicKey } from "../../crypto/curve.ts";
import { DerReader, derTags } from "../../crypto/der.ts";
import { CryptoError } from "../../crypto/errors.ts";
import { OpensslKey } from "../../crypto/openssl-key.ts";
import { writePrivateKeyDer } from "../../crypto/pem.ts";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";

/** A sub-key is an SM4 key, or a secret that keys are derived of. */
export const subKeyBounds = { leastBytes: 16, mostBytes: 64 } as const;

/**
 * The private half of a master key, wherever it is: opens envelopes, GM/T 0009-2012 ciphertexts in DER. Whoever knows the public
 * key can make one, so that an envelope proves nothing about where its sub-key came from: the table that keeps it does.
 */
export interface SubKeyOpener extends AsyncDisposable {
  /** `04 ‖ X ‖ Y`. */
  readonly publicKey: Buffer;
  /** Undefined when the envelope does not open; what the holder of the key fails with is thrown. The caller disposes of it. */
  open(envelope: Buffer): Promise<SecretBuffer | undefined>;
}

/**
 * Opens envelopes with a private key in memory: OpenSSL holds a copy, and wipes it when the opener is disposed of.
 *
 * @param scalar - 32 bytes; stays the caller's to dispose of, as soon as this returns if it likes.
 */
export async function softOpener(scalar: SecretBuffer, publicKey: Buffer): Promise<SubKeyOpener> {
  using pkcs8 = writePrivateKeyDer("sm2", scalar, "pkcs8");
  const key = await OpensslKey.ofPrivateKey("SM2", pkcs8);
  return {
    publicKey,
    open: async (envelope) => (isEnvelope(envelope) ? key.decrypt("SM2PKE", envelope) : undefined),
    async [Symbol.asyncDispose]() {
      key[Symbol.dispose]();
    },
  };
}

/**
 * True for the strict DER of SEQUENCE { INTEGER x, INTEGER y, OCTET STRING (32), OCTET STRING (16 to 64) } with (x, y) on the
 * curve: what can be said of an envelope without the private key.
 */
export function isEnvelope(bytes: Buffer): boolean {
  const refuse = () => new CryptoError("SM2_REFUSED");
  try {
    const outer = new DerReader(bytes, refuse);
    const parts = outer.enter(derTags.sequence);
    outer.end();
    const point = Buffer.concat([Buffer.of(4), parts.readUnsigned(32), parts.readUnsigned(32)]);
    const hashBytes = parts.read(derTags.octetString).length;
    const bodyBytes = parts.read(derTags.octetString).length;
    parts.end();
    checkPublicKey("sm2", point);
    return hashBytes === 32 && isSubKeyLength(bodyBytes);
  } catch (error) {
    if (error instanceof CryptoError) return false;
    throw error;
  }
}

/** True for a length that a sub-key may have. */
export function isSubKeyLength(byteLength: number): boolean {
  return byteLength >= subKeyBounds.leastBytes && byteLength <= subKeyBounds.mostBytes;
}
