import { CryptoError } from "../../crypto/errors.ts";
import { OpensslKey } from "../../crypto/openssl-key.ts";
import { sm2SignatureToRaw } from "../../crypto/sm2.ts";
import type { AwsKmsClient, KmsPublicKey, KmsSigningAlgorithm } from "./client.ts";
import { AwsKmsError } from "./errors.ts";
import { pointOfSpki } from "./public-key.ts";

/** Curves of signing keys, with what a KMS calls them. */
const kinds = {
  secp256k1: { spec: "ECC_SECG_P256K1", algorithm: "ECDSA_SHA_256" },
  sm2: { spec: "SM2", algorithm: "SM2DSA" },
} as const satisfies Readonly<Record<string, { readonly spec: string; readonly algorithm: KmsSigningAlgorithm }>>;

export type KmsSigningCurve = keyof typeof kinds;

/**
 * A signing key that stays in a KMS. Its public key is read once, and every signature is verified under it before it is given
 * out: a KMS that holds another key under the same name is found out, whatever it says.
 */
export class KmsSigningKey implements Disposable {
  /** An alias that is pointed elsewhere later does not move the key. */
  readonly keyArn: string;
  /** `04 ‖ X ‖ Y`, 65 bytes. */
  readonly publicKey: Buffer;
  readonly #client: AwsKmsClient;
  readonly #algorithm: KmsSigningAlgorithm;
  readonly #verifier: OpensslKey;

  private constructor(
    client: AwsKmsClient,
    keyArn: string,
    publicKey: Buffer,
    algorithm: KmsSigningAlgorithm,
    verifier: OpensslKey,
  ) {
    this.keyArn = keyArn;
    this.publicKey = publicKey;
    this.#client = client;
    this.#algorithm = algorithm;
    this.#verifier = verifier;
  }

  /**
   * @param client - Lent for as long as the key is used; its master key is the one.
   * @throws {AwsKmsError} `KMS_KEY_UNSUITABLE` for a key of another curve or usage, `KMS_ANSWER_INVALID` for a public key that
   *   is none, and what the KMS refuses.
   */
  static async open(client: AwsKmsClient, curve: KmsSigningCurve): Promise<KmsSigningKey> {
    const { spec, algorithm } = kinds[curve];
    const shown = await client.publicKey();
    const publicKey = publicKeyOf(shown, curve);
    return new KmsSigningKey(
      client,
      shown.keyArn,
      publicKey,
      algorithm,
      await OpensslKey.ofPublicKey(spec, shown.spki),
    );
  }

  /**
   * r ‖ s (64 bytes) over a 32-byte digest; with `secp256k1` s may be the higher of the two.
   *
   * @throws {AwsKmsError} `KMS_KEY_CHANGED` when the signature is not this key's, `KMS_ANSWER_INVALID` when it is none, and
   *   what the KMS refuses.
   */
  async sign(digest: Uint8Array): Promise<Buffer> {
    const { signature } = await this.#client.sign(digest, this.#algorithm, this.keyArn);
    const raw = rawOf(signature, this.keyArn);
    if (!this.#verifier.verifyDigest(this.#algorithm, digest, signature))
      throw new AwsKmsError(
        "KMS_KEY_CHANGED",
        `the KMS's signature by ${this.keyArn} is not one of the public key that it showed at the start`,
      );
    return raw;
  }

  [Symbol.dispose](): void {
    this.#verifier[Symbol.dispose]();
  }
}

function publicKeyOf({ keyArn, spec, usage, spki }: KmsPublicKey, curve: KmsSigningCurve): Buffer {
  if (spec !== kinds[curve].spec || usage !== "SIGN_VERIFY")
    throw new AwsKmsError(
      "KMS_KEY_UNSUITABLE",
      `${keyArn} is not a key of spec ${kinds[curve].spec} and usage SIGN_VERIFY`,
    );
  try {
    return pointOfSpki(curve, spki);
  } catch (cause) {
    if (!(cause instanceof CryptoError)) throw cause;
    throw new AwsKmsError("KMS_ANSWER_INVALID", `what the KMS shows of ${keyArn} is no public key on ${curve}`, cause);
  }
}

/** Both kinds of signature are DER of r and s. */
function rawOf(signature: Buffer, keyArn: string): Buffer {
  try {
    return sm2SignatureToRaw(signature);
  } catch (cause) {
    if (!(cause instanceof CryptoError)) throw cause;
    throw new AwsKmsError("KMS_ANSWER_INVALID", `the KMS's signature by ${keyArn} is not r and s in strict DER`, cause);
  }
}
