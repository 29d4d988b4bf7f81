import { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import { type Suite, suites } from "../../../crypto/suite.ts";
import { type CounterMode, type KeyedFunctions, type KeyedMac, nodeKeyedFunctions } from "./keyed-functions.ts";

/**
 * HMAC, HKDF and counter mode by the OpenSSL inside Node, called through koffi: HMAC_Init_ex(3) and EVP_EncryptInit_ex(3) on contexts
 * that keep their key. node:crypto makes an object, or a job, for every message: four times the work for a name.
 */

/** A pointer into OpenSSL; null when it refused. */
type Pointer = unknown;

interface Functions {
  newMac(): Pointer;
  freeMac(context: Pointer): void;
  initMac(context: Pointer, key: Uint8Array | null, keyBytes: number, hash: Pointer, engine: null): number;
  updateMac(context: Pointer, message: Uint8Array, bytes: number): number;
  finishMac(context: Pointer, mac: Uint8Array, macBytes: null): number;
  newCipher(): Pointer;
  freeCipher(context: Pointer): void;
  initCipher(context: Pointer, cipher: Pointer, engine: null, key: Uint8Array | null, nonce: Uint8Array | null): number;
  updateCipher(context: Pointer, out: Uint8Array, outBytes: Buffer, input: Uint8Array, inputBytes: number): number;
  readonly hashes: Readonly<Record<Suite["name"], Pointer>>;
  readonly counterModes: Readonly<Record<Suite["name"], Pointer>>;
}

const macBytes = 32;
const ivBytes = 16;
/** Lengths are C ints; no message is anywhere near. */
const maxBytes = 1 << 24;
const count = Buffer.alloc(4);

class OpensslMac implements KeyedMac {
  readonly #openssl: Functions;
  readonly #context: Pointer;
  #disposed = false;

  constructor(openssl: Functions, suite: Suite, key: SecretBuffer) {
    using owned = key;
    this.#openssl = openssl;
    this.#context = openssl.newMac();
    const hash = openssl.hashes[suite.name];
    const done =
      this.#context !== null &&
      owned.expose((bytes) => openssl.initMac(this.#context, bytes, bytes.length, hash, null)) === 1;
    if (done) return;
    this[Symbol.dispose]();
    throw new Error("OpenSSL did not take a MAC's key");
  }

  mac(message: Buffer): Buffer {
    if (this.#disposed) throw new Error("a MAC was used after it was disposed of");
    const mac = Buffer.allocUnsafeSlow(macBytes);
    // Without a key or hash: those it has.
    const done =
      this.#openssl.initMac(this.#context, null, 0, null, null) === 1 &&
      this.#openssl.updateMac(this.#context, message, message.length) === 1 &&
      this.#openssl.finishMac(this.#context, mac, null) === 1;
    if (!done) throw new Error("OpenSSL could not make a MAC");
    return mac;
  }

  /** OpenSSL wipes what it made of the key (HMAC_CTX_free(3)). */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#openssl.freeMac(this.#context);
  }
}

class OpensslCounterMode implements CounterMode {
  readonly #openssl: Functions;
  readonly #context: Pointer;
  #disposed = false;

  constructor(openssl: Functions, suite: Suite, key: SecretBuffer) {
    using owned = key;
    if (owned.byteLength !== suite.keyBytes)
      throw new RangeError(`counter mode takes a key of ${suite.keyBytes} bytes, got ${owned.byteLength}`);
    this.#openssl = openssl;
    this.#context = openssl.newCipher();
    const cipher = openssl.counterModes[suite.name];
    const done =
      this.#context !== null &&
      owned.expose((bytes) => openssl.initCipher(this.#context, cipher, null, bytes, null)) === 1;
    if (done) return;
    this[Symbol.dispose]();
    throw new Error("OpenSSL did not take a key for counter mode");
  }

  crypt(iv: Buffer, input: Buffer): Buffer {
    if (this.#disposed) throw new Error("a cipher was used after it was disposed of");
    if (iv.length !== ivBytes || input.length > maxBytes) throw new RangeError("an IV or input of a wrong length");
    const output = Buffer.allocUnsafeSlow(input.length);
    const done =
      this.#openssl.initCipher(this.#context, null, null, null, iv) === 1 &&
      (input.length === 0 || this.#openssl.updateCipher(this.#context, output, count, input, input.length) === 1);
    if (!done) throw new Error("OpenSSL could not run a cipher in counter mode");
    return output;
  }

  /** OpenSSL wipes the expanded key (EVP_CIPHER_CTX_free(3)). */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#openssl.freeCipher(this.#context);
  }
}

/** HKDF of up to one block of the hash: two MACs, on one context that is left with a key of no use. */
class Derivation {
  readonly #openssl: Functions;
  readonly #context: Pointer;
  readonly #suite: Suite;
  readonly #extracted = Buffer.allocUnsafeSlow(macBytes);
  readonly #expanded = Buffer.allocUnsafeSlow(macBytes);
  readonly #nothing = Buffer.alloc(macBytes);

  constructor(openssl: Functions, suite: Suite) {
    this.#openssl = openssl;
    this.#suite = suite;
    this.#context = openssl.newMac();
  }

  run(secret: SecretBuffer, salt: Buffer, info: Buffer, bytes: number): SecretBuffer {
    if (bytes > macBytes) throw new RangeError(`up to ${macBytes} bytes are derived, not ${bytes}`);
    const [extracted, expanded] = [this.#extracted, this.#expanded];
    try {
      secret.expose((input) => this.#mac(salt.length === 0 ? this.#nothing : salt, input, undefined, extracted));
      this.#mac(extracted, info, one, expanded);
      return SecretBuffer.copyOf(expanded.subarray(0, bytes));
    } finally {
      extracted.fill(0);
      expanded.fill(0);
      // What the context made of the last secret goes as well.
      this.#openssl.initMac(this.#context, this.#nothing, macBytes, null, null);
    }
  }

  #mac(key: Buffer, first: Buffer, second: Buffer | undefined, into: Buffer): void {
    const [openssl, context] = [this.#openssl, this.#context];
    const done =
      openssl.initMac(context, key, key.length, openssl.hashes[this.#suite.name], null) === 1 &&
      openssl.updateMac(context, first, first.length) === 1 &&
      (second === undefined || openssl.updateMac(context, second, second.length) === 1) &&
      openssl.finishMac(context, into, null) === 1;
    if (!done) throw new Error("OpenSSL could not derive a key");
  }
}

const one = Buffer.from([1]);

let loaded: Promise<KeyedFunctions> | undefined;

/** By OpenSSL's own functions where they can be reached and give what node:crypto gives; else by node:crypto. */
export function loadKeyedFunctions(): Promise<KeyedFunctions> {
  loaded ??= load().catch(() => nodeKeyedFunctions);
  return loaded;
}

async function load(): Promise<KeyedFunctions> {
  if (!process.versions.openssl?.startsWith("3.")) return nodeKeyedFunctions;
  const { default: koffi } = await import("koffi");
  const own = koffi.load(null);
  const openssl: Functions = {
    newMac: own.func("void *HMAC_CTX_new()"),
    freeMac: own.func("void HMAC_CTX_free(void *)"),
    initMac: own.func("int HMAC_Init_ex(void *, const uint8_t *, int, void *, void *)"),
    updateMac: own.func("int HMAC_Update(void *, const uint8_t *, size_t)"),
    finishMac: own.func("int HMAC_Final(void *, uint8_t *, void *)"),
    newCipher: own.func("void *EVP_CIPHER_CTX_new()"),
    freeCipher: own.func("void EVP_CIPHER_CTX_free(void *)"),
    initCipher: own.func("int EVP_EncryptInit_ex(void *, void *, void *, const uint8_t *, const uint8_t *)"),
    updateCipher: own.func("int EVP_EncryptUpdate(void *, uint8_t *, uint8_t *, const uint8_t *, int)"),
    hashes: { intl: own.func("void *EVP_sha256()")(), sm: own.func("void *EVP_sm3()")() },
    counterModes: { intl: own.func("void *EVP_aes_256_ctr()")(), sm: own.func("void *EVP_sm4_ctr()")() },
  };
  const derivations = { intl: new Derivation(openssl, suites.intl), sm: new Derivation(openssl, suites.sm) };
  const made: KeyedFunctions = {
    macOf: (suite, key) => new OpensslMac(openssl, suite, key),
    counterModeOf: (suite, key) => new OpensslCounterMode(openssl, suite, key),
    derive: (suite, secret, salt, info, bytes) => derivations[suite.name].run(secret, salt, info, bytes),
  };
  return [suites.intl, suites.sm].every((suite) => givesWhatNodeGives(made, suite)) ? made : nodeKeyedFunctions;
}

/** Of each function two answers, beside node:crypto's, under keys that protect nothing. */
function givesWhatNodeGives(made: KeyedFunctions, suite: Suite): boolean {
  const pattern = (bytes: number) => Buffer.from(Array.from({ length: bytes }, (_, at) => (at * 89 + bytes) & 0xff));
  const key = (bytes: number) => SecretBuffer.take(pattern(bytes));
  using mac = made.macOf(suite, key(32));
  using nodeMac = nodeKeyedFunctions.macOf(suite, key(32));
  using counterMode = made.counterModeOf(suite, key(suite.keyBytes));
  using nodeCounterMode = nodeKeyedFunctions.counterModeOf(suite, key(suite.keyBytes));
  using secret = key(32);
  return [16, 77].every((bytes) => {
    const [message, iv] = [pattern(bytes), pattern(bytes).subarray(0, ivBytes)];
    using derived = made.derive(suite, secret, iv, message, suite.keyBytes);
    using nodeDerived = nodeKeyedFunctions.derive(suite, secret, iv, message, suite.keyBytes);
    return (
      mac.mac(message).equals(nodeMac.mac(message)) &&
      counterMode.crypt(iv, message).equals(nodeCounterMode.crypt(iv, message)) &&
      derived.equals(nodeDerived)
    );
  });
}
