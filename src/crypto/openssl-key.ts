import { DerReader, derTags } from "./der.ts";
import { CryptoError } from "./errors.ts";
import {
  type EncryptionAlgorithmName,
  encryptionAlgorithms,
  type KeyPairSpecName,
  keySpecs,
  type SigningAlgorithmName,
  signingAlgorithms,
} from "./key-specs.ts";
import { loadOpensslKeys, type OpensslKeys, type Pointer, type Transform } from "./openssl.ts";
import { SecretBuffer } from "./secret-buffer.ts";
import { InTurn } from "./turns.ts";

/** From openssl/rsa.h. */
const paddings = { pkcs1: 1, oaep: 4, pss: 6 } as const;
const saltAsLongAsDigest = -1; // RSA_PSS_SALTLEN_DIGEST
const typeNames = { rsa: "RSA", ec: "EC", sm2: "SM2" } as const;
/** More bytes than an SM2 ciphertext of the longest plaintext adds to it: two coordinates, a hash, DER. */
const maxSm2CiphertextBytes = 1024 + 128;

/** koffi runs at most 256 calls in its threads; more than the cores can do only waits there. */
const inThreads = new InTurn(32);
/** Memory that a thread reads or writes, which must not be collected meanwhile. */
const lentToThreads = new Set<readonly Uint8Array[]>();

/**
 * A private or public key inside OpenSSL, which holds the only copy and wipes it when the key is disposed of.
 *
 * All arithmetic with the private key is OpenSSL's own, blinded or constant-time as OpenSSL does it.
 */
export class OpensslKey implements Disposable {
  readonly spec: KeyPairSpecName;
  readonly #openssl: OpensslKeys;
  #key: Pointer;

  private constructor(openssl: OpensslKeys, key: Pointer, spec: KeyPairSpecName) {
    this.#openssl = openssl;
    this.#key = key;
    this.spec = spec;
  }

  /**
   * Reads a PKCS#8 private key, which stays the caller's to dispose of.
   *
   * @throws {CryptoError} `KEY_FORMAT_INVALID` for anything but a private key of this spec's kind.
   * @throws {Error} Where OpenSSL's functions can't be reached.
   */
  static async ofPrivateKey(spec: KeyPairSpecName, pkcs8: SecretBuffer): Promise<OpensslKey> {
    const openssl = await loadOpensslKeys();
    return pkcs8.expose((bytes) => OpensslKey.#read(openssl, spec, bytes, "readPrivateKey"));
  }

  /** Reads a SubjectPublicKeyInfo, DER. Errors as {@link ofPrivateKey}. */
  static async ofPublicKey(spec: KeyPairSpecName, spki: Uint8Array): Promise<OpensslKey> {
    return OpensslKey.#read(await loadOpensslKeys(), spec, spki, "readPublicKey");
  }

  static #read(
    openssl: OpensslKeys,
    spec: KeyPairSpecName,
    der: Uint8Array,
    read: "readPrivateKey" | "readPublicKey",
  ): OpensslKey {
    const memory = openssl.newMemory(der, der.byteLength);
    const key = memory === null ? null : openssl[read](memory, null);
    openssl.freeMemory(memory);
    const { kind } = keySpecs[spec];
    if (key !== null && openssl.typeOf(key) === typeNames[kind]) return new OpensslKey(openssl, key, spec);
    if (key !== null) openssl.freeKey(key);
    openssl.clearErrors();
    throw new CryptoError("KEY_FORMAT_INVALID", `the DER is not a key of spec ${spec}`);
  }

  /**
   * Signs a digest of the algorithm's length: RSA signatures as long as the modulus, ECDSA and SM2 ones in DER.
   *
   * @throws {RangeError} For a digest of another length, or an algorithm that is not the spec's.
   */
  async signDigest(algorithm: SigningAlgorithmName, digest: Uint8Array): Promise<Buffer> {
    const openssl = this.#openssl;
    this.#checkDigest(algorithm, digest);
    const context = this.#signatureContext(algorithm, "initSign");
    try {
      const out = Buffer.allocUnsafeSlow(openssl.sizeOf(this.#held()));
      const length = await this.#transform(openssl.sign, context, out, digest);
      if (length === undefined) throw new Error(`OpenSSL could not make a signature of ${algorithm}`);
      return out.subarray(0, length);
    } finally {
      openssl.freeContext(context);
    }
  }

  /** True when `signature` is this key's over the digest; a malformed signature is false. Errors as {@link signDigest}. */
  verifyDigest(algorithm: SigningAlgorithmName, digest: Uint8Array, signature: Uint8Array): boolean {
    const openssl = this.#openssl;
    this.#checkDigest(algorithm, digest);
    const mostBytes = openssl.sizeOf(this.#held());
    if (signature.byteLength === 0 || signature.byteLength > mostBytes) return false;
    // RFC 8017 8.1.2 and 8.2.2, step 1. For PSS, OpenSSL also takes a signature without its leading zeros.
    if (keySpecs[this.spec].kind === "rsa" && signature.byteLength !== mostBytes) return false;
    const context = this.#signatureContext(algorithm, "initVerify");
    try {
      return openssl.verify(context, signature, signature.byteLength, digest, digest.byteLength) === 1;
    } finally {
      openssl.freeContext(context);
      openssl.clearErrors();
    }
  }

  /**
   * Decrypts; undefined for whatever does not. The caller disposes of the result.
   *
   * @throws {RangeError} For an algorithm that is not the spec's.
   */
  async decrypt(algorithm: EncryptionAlgorithmName, ciphertext: Uint8Array): Promise<SecretBuffer | undefined> {
    const openssl = this.#openssl;
    if (!this.#knows(keySpecs[this.spec].encryption, algorithm)) throw this.#foreign(algorithm);
    if (!this.#couldBeCiphertext(algorithm, ciphertext)) return undefined;
    const context = openssl.newContext(this.#held(), null);
    const out = Buffer.allocUnsafeSlow(Math.max(openssl.sizeOf(this.#held()), ciphertext.byteLength));
    try {
      const { scheme, hash } = encryptionAlgorithms[algorithm];
      const ready =
        openssl.initDecrypt(context) === 1 &&
        (scheme === "sm2" ||
          (openssl.setPadding(context, paddings.oaep) === 1 &&
            openssl.setOaepDigest(context, hash, null) === 1 &&
            openssl.setMaskDigest(context, hash, null) === 1));
      if (!ready) throw new Error(`OpenSSL refused ${algorithm}`);
      const length = await this.#transform(openssl.decrypt, context, out, ciphertext);
      return length === undefined ? undefined : SecretBuffer.copyOf(out.subarray(0, length));
    } finally {
      out.fill(0);
      openssl.freeContext(context);
      openssl.clearErrors();
    }
  }

  /** Frees the key; OpenSSL wipes it once the calls that are under way have ended. */
  [Symbol.dispose](): void {
    if (this.#key !== null) this.#openssl.freeKey(this.#key);
    this.#key = null;
  }

  #held(): Pointer {
    if (this.#key === null) throw new Error("a key was used after it was wiped");
    return this.#key;
  }

  /** A call of OpenSSL's: milliseconds of RSA and the large curves go to a thread. Undefined when it is refused. */
  async #transform(call: Transform, context: Pointer, out: Buffer, input: Uint8Array): Promise<number | undefined> {
    const outBytes = Buffer.alloc(8);
    outBytes.writeBigUInt64LE(BigInt(out.byteLength));
    const lent = [out, outBytes, input];
    lentToThreads.add(lent);
    try {
      const result = isSlow(this.spec)
        ? await inThreads.run(() => inThread(call, context, out, outBytes, input))
        : call(context, out, outBytes, input, input.byteLength);
      return result === 1 ? Number(outBytes.readBigUInt64LE()) : undefined;
    } finally {
      lentToThreads.delete(lent);
    }
  }

  #signatureContext(algorithm: SigningAlgorithmName, init: "initSign" | "initVerify"): Pointer {
    const openssl = this.#openssl;
    const { scheme, hash } = signingAlgorithms[algorithm];
    const context = openssl.newContext(this.#held(), null);
    const ready =
      openssl[init](context) === 1 &&
      (scheme !== "rsa-pkcs1" || openssl.setPadding(context, paddings.pkcs1) === 1) &&
      (scheme !== "rsa-pss" || openssl.setPadding(context, paddings.pss) === 1) &&
      openssl.setDigest(context, openssl.digest(hash)) === 1 &&
      (scheme !== "rsa-pss" || openssl.setSaltBytes(context, saltAsLongAsDigest) === 1);
    if (ready) return context;
    openssl.freeContext(context);
    openssl.clearErrors();
    throw new Error(`OpenSSL refused ${algorithm}`);
  }

  #checkDigest(algorithm: SigningAlgorithmName, digest: Uint8Array): void {
    if (!this.#knows(keySpecs[this.spec].signing, algorithm)) throw this.#foreign(algorithm);
    const { digestBytes } = signingAlgorithms[algorithm];
    if (digest.byteLength !== digestBytes)
      throw new RangeError(`a digest for ${algorithm} has ${digestBytes} bytes, got ${digest.byteLength}`);
  }

  #couldBeCiphertext(algorithm: EncryptionAlgorithmName, ciphertext: Uint8Array): boolean {
    if (algorithm !== "SM2PKE") return ciphertext.byteLength === this.#openssl.sizeOf(this.#held());
    return ciphertext.byteLength <= maxSm2CiphertextBytes && isSm2Ciphertext(ciphertext);
  }

  #knows(algorithms: readonly string[], algorithm: string): boolean {
    return algorithms.includes(algorithm);
  }

  #foreign(algorithm: string): RangeError {
    return new RangeError(`a key of spec ${this.spec} does not know ${algorithm}`);
  }
}

function inThread(
  call: Transform,
  context: Pointer,
  out: Buffer,
  outBytes: Buffer,
  input: Uint8Array,
): Promise<number> {
  return new Promise((resolve, reject) => {
    call.async(context, out, outBytes, input, input.byteLength, (error, value) =>
      error ? reject(error) : resolve(value),
    );
  });
}

function isSlow(spec: KeyPairSpecName): boolean {
  return keySpecs[spec].kind === "rsa" || spec === "ECC_NIST_P384" || spec === "ECC_NIST_P521";
}

/** Strict DER of SEQUENCE { INTEGER x, INTEGER y, OCTET STRING C3, OCTET STRING C2 }: OpenSSL reads more than that. */
function isSm2Ciphertext(ciphertext: Uint8Array): boolean {
  const refuse = () => new CryptoError("SM2_REFUSED");
  try {
    const outer = new DerReader(ciphertext, refuse);
    const parts = outer.enter(derTags.sequence);
    outer.end();
    parts.readUnsigned(32);
    parts.readUnsigned(32);
    const hashBytes = parts.read(derTags.octetString).length;
    const bodyBytes = parts.read(derTags.octetString).length;
    parts.end();
    return hashBytes === 32 && bodyBytes > 0;
  } catch {
    return false;
  }
}
