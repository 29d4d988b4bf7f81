import { OpensslKey } from "../../crypto/openssl-key.ts";
import { readPrivateKey, writePrivateKeyDer } from "../../crypto/pem.ts";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { sm2SignatureToRaw } from "../../crypto/sm2.ts";
import type { DigestSigner, SigningAlgorithm } from "../ledger/signer.ts";
import { ChainNodeError } from "./errors.ts";

/** Order of secp256k1 (SEC 2, 2.4.1). */
const secp256k1Order = 0xffff_ffff_ffff_ffff_ffff_ffff_ffff_fffe_baae_dce6_af48_a03b_bfd2_5e8c_d036_4141n;

/** A node key in this process: OpenSSL holds the scalar until {@link Symbol.dispose}. */
export class SoftSigner implements DigestSigner, Disposable {
  readonly algorithm: SigningAlgorithm;
  readonly publicKey: Buffer;
  readonly #key: OpensslKey;

  private constructor(algorithm: SigningAlgorithm, publicKey: Buffer, key: OpensslKey) {
    this.algorithm = algorithm;
    this.publicKey = publicKey;
    this.#key = key;
  }

  /**
   * Reads node.pem, which stays the caller's to wipe.
   *
   * @throws {CryptoError} `KEY_FORMAT_INVALID`.
   * @throws {ChainNodeError} `CONFIG_UNUSABLE` for a key on another curve than the chain's.
   */
  static async ofPem(pem: SecretBuffer, algorithm: SigningAlgorithm): Promise<SoftSigner> {
    const { curve, scalar, publicKey } = pem.expose((bytes) => readPrivateKey(bytes));
    try {
      if (curve !== algorithm)
        throw new ChainNodeError("CONFIG_UNUSABLE", `the key is on ${curve}, the chain signs on ${algorithm}`);
      using pkcs8 = writePrivateKeyDer(curve, scalar, "pkcs8");
      const key = await OpensslKey.ofPrivateKey(algorithm === "sm2" ? "SM2" : "ECC_SECG_P256K1", pkcs8);
      return new SoftSigner(algorithm, publicKey, key);
    } finally {
      scalar[Symbol.dispose]();
    }
  }

  async sign(digest: Buffer): Promise<Buffer> {
    const der = await this.#key.signDigest(this.algorithm === "sm2" ? "SM2DSA" : "ECDSA_SHA_256", digest);
    const raw = sm2SignatureToRaw(der);
    return this.algorithm === "sm2" ? raw : lowS(raw);
  }

  [Symbol.dispose](): void {
    this.#key[Symbol.dispose]();
  }
}

/** The smaller of s and n − s: the other is a valid signature too, and a chain admits one of them only. */
export function lowS(raw: Buffer): Buffer {
  const s = BigInt(`0x${raw.toString("hex", 32)}`);
  if (s <= secp256k1Order / 2n) return raw;
  const low = (secp256k1Order - s).toString(16).padStart(64, "0");
  return Buffer.concat([raw.subarray(0, 32), Buffer.from(low, "hex")]);
}
