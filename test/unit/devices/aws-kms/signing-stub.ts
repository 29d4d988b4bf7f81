/** Answers of a KMS with one signing key, made by OpenSSL. It is no KMS: it checks nothing, and signs what it is told to. */
import { type CurveName, curves, ecPublicKeyOid, generateKeyPair } from "../../../../src/crypto/curve.ts";
import { der, derTags } from "../../../../src/crypto/der.ts";
import { OpensslKey } from "../../../../src/crypto/openssl-key.ts";
import { writePrivateKeyDer } from "../../../../src/crypto/pem.ts";
import type { KmsSigningCurve } from "../../../../src/devices/aws-kms/signing-key.ts";
import { json, type KmsStub, type StubRequest } from "./kms-stub.ts";

export const keyId = "1234abcd-12ab-34cd-56ef-1234567890ab";
export const keyArn = `arn:aws:kms:eu-west-1:111122223333:key/${keyId}`;
const names = { sm2: ["SM2", "SM2DSA"], secp256k1: ["ECC_SECG_P256K1", "ECDSA_SHA_256"] } as const;

export type Answers = { readonly publicKey?: object; readonly sign?: (request: StubRequest, honest: object) => object };

/** A key pair that a stub can answer with. */
export class StubSigningKey implements Disposable {
  readonly publicKey: Buffer;
  readonly #curve: KmsSigningCurve;
  readonly #key: OpensslKey;

  private constructor(curve: KmsSigningCurve, publicKey: Buffer, key: OpensslKey) {
    this.#curve = curve;
    this.publicKey = publicKey;
    this.#key = key;
  }

  static async make(curve: KmsSigningCurve): Promise<StubSigningKey> {
    const { scalar, publicKey } = generateKeyPair(curve);
    using held = scalar;
    using pkcs8 = writePrivateKeyDer(curve, held, "pkcs8");
    return new StubSigningKey(curve, publicKey, await OpensslKey.ofPrivateKey(names[curve][0], pkcs8));
  }

  sign(digest: Uint8Array): Promise<Buffer> {
    return this.#key.signDigest(names[this.#curve][1], digest);
  }

  get shown(): object {
    return {
      KeyId: keyArn,
      KeySpec: names[this.#curve][0],
      KeyUsage: "SIGN_VERIFY",
      PublicKey: spkiOf(this.#curve, this.publicKey).toString("base64"),
    };
  }

  /** Lets the stub answer as a KMS with this key, but for what `answers` changes. */
  serve(stub: KmsStub, { publicKey = {}, sign = (_, honest) => honest }: Answers = {}): void {
    stub.answer = (request, response) => {
      if (request.target.endsWith("GetPublicKey")) return json({ ...this.shown, ...publicKey })(request, response);
      const { Message } = JSON.parse(request.body) as { readonly Message: string };
      void this.sign(Buffer.from(Message, "base64")).then((signature) => {
        const honest = {
          KeyId: keyArn,
          Signature: signature.toString("base64"),
          SigningAlgorithm: names[this.#curve][1],
        };
        json(sign(request, honest))(request, response);
      });
    };
  }

  [Symbol.dispose](): void {
    this.#key[Symbol.dispose]();
  }
}

export function spkiOf(curve: CurveName, publicKey: Buffer): Buffer {
  const oids = [ecPublicKeyOid, curves[curve].oid].map((oid) => der(derTags.objectIdentifier, oid));
  return der(derTags.sequence, der(derTags.sequence, ...oids), der(derTags.bitString, Buffer.of(0), publicKey));
}
