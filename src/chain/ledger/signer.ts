/** `sm2`: GM/T 0003 on the recommended curve. `secp256k1`: ECDSA of SEC 1 on SEC 2's curve. */
export type SigningAlgorithm = "sm2" | "secp256k1";

/**
 * A private key that signs a digest, wherever it lives: a cipher card, a KMS, a sealed file.
 *
 * The digest is what the device is given: for `sm2` e = SM3(ZA ‖ hash), with the default user id; for `secp256k1` the 32-byte
 * hash itself. `ChainSuite.signingDigest` makes it.
 */
export interface DigestSigner {
  readonly algorithm: SigningAlgorithm;
  /** `04 ‖ X ‖ Y`, 65 bytes. */
  readonly publicKey: Buffer;
  /** r ‖ s, 64 bytes, big-endian. Rejects when there is no signature; whether one was made may then be unknown. */
  sign(digest: Buffer): Promise<Buffer>;
}
