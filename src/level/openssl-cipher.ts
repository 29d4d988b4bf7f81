import { SecretBuffer } from "../crypto/secret-buffer.ts";
import { nonceBytes, type Suite, suites, tagBytes } from "../crypto/suite.ts";
import { nodeCipherProvider, type ValueCipher, type ValueCipherProvider } from "./value-cipher.ts";

type Pointer = unknown;

/** The functions of OpenSSL's EVP interface that are called (EVP_EncryptInit(3)), as they lie in Node's own binary. */
interface Evp {
  fetch(library: null, name: string, properties: null): Pointer;
  newContext(): Pointer;
  freeContext(context: Pointer): void;
  init(context: Pointer, cipher: Pointer, engine: null, key: Buffer | null, iv: Buffer | null, encrypt: number): number;
  update(context: Pointer, out: Buffer | null, outBytes: Buffer, input: Uint8Array, inputBytes: number): number;
  final(context: Pointer, out: Buffer, outBytes: Buffer): number;
  control(context: Pointer, command: number, bytes: number, data: Buffer): number;
}

const commandGetTag = 0x10; // EVP_CTRL_AEAD_GET_TAG, openssl/evp.h
const commandSetTag = 0x11; // EVP_CTRL_AEAD_SET_TAG
const asBefore = -1;
const names: Readonly<Record<Suite["name"], string>> = { intl: "AES-256-GCM", sm: "SM4-GCM" };
const scratch = Buffer.alloc(tagBytes);
const outBytes = Buffer.alloc(4);

let chosen: Promise<ValueCipherProvider> | undefined;

/**
 * The fastest provider that works in this process. Calling the OpenSSL inside Node by koffi costs a quarter of
 * node:crypto's objects for each small value; it is used when koffi loads, Node exports the functions, and known answers
 * come out right against node:crypto. Otherwise node:crypto itself.
 */
export function fastestCipherProvider(): Promise<ValueCipherProvider> {
  chosen ??= loadOpensslProvider().then(
    (provider) => provider ?? nodeCipherProvider,
    () => nodeCipherProvider,
  );
  return chosen;
}

/** The provider over Node's own OpenSSL; undefined when its answers differ. Rejects when it can't be loaded. */
export async function loadOpensslProvider(): Promise<ValueCipherProvider | undefined> {
  if (!process.versions.openssl?.startsWith("3.")) return undefined;
  const { default: koffi } = await import("koffi");
  const own = koffi.load(null);
  const evp: Evp = {
    fetch: own.func("void *EVP_CIPHER_fetch(void *, const char *, const char *)"),
    newContext: own.func("void *EVP_CIPHER_CTX_new()"),
    freeContext: own.func("void EVP_CIPHER_CTX_free(void *)"),
    init: own.func("int EVP_CipherInit_ex(void *, void *, void *, uint8_t *, uint8_t *, int)"),
    update: own.func("int EVP_CipherUpdate(void *, uint8_t *, uint8_t *, uint8_t *, int)"),
    final: own.func("int EVP_CipherFinal_ex(void *, uint8_t *, uint8_t *)"),
    control: own.func("int EVP_CIPHER_CTX_ctrl(void *, int, int, uint8_t *)"),
  };
  const ciphers = new Map<Suite["name"], Pointer>();
  for (const suite of Object.values(suites)) {
    const cipher = evp.fetch(null, names[suite.name], null);
    if (cipher === null) return undefined;
    ciphers.set(suite.name, cipher);
  }
  const provider: ValueCipherProvider = {
    name: "openssl",
    create: (suite, key) => new OpensslCipher(evp, ciphers.get(suite.name), suite, key),
  };
  return Object.values(suites).every((suite) => agreesWithNode(provider, suite)) ? provider : undefined;
}

class OpensslCipher implements ValueCipher {
  readonly #evp: Evp;
  #sealing: Pointer;
  #opening: Pointer;

  constructor(evp: Evp, cipher: Pointer, suite: Suite, key: SecretBuffer) {
    // OpenSSL reads as many bytes as the cipher's key has, whatever the buffer holds.
    if (key.byteLength !== suite.keyBytes) throw new RangeError(`a key of ${suite.name} has ${suite.keyBytes} bytes`);
    this.#evp = evp;
    this.#sealing = keyedContext(evp, cipher, key, 1);
    this.#opening = keyedContext(evp, cipher, key, 0);
  }

  seal(nonce: Buffer, associated: Buffer, plaintext: Uint8Array, out: Buffer, offset: number): void {
    const evp = this.#evp;
    const length = plaintext.byteLength;
    const context = this.#sealing;
    if (context === null || nonce.length !== nonceBytes || out.length < offset + length + tagBytes)
      throw new RangeError("sealing needs a cipher in use, a nonce of 12 bytes and room for the tag");
    const sealed =
      evp.init(context, null, null, null, nonce, asBefore) === 1 &&
      addBytes(evp, context, null, associated) &&
      addBytes(evp, context, out.subarray(offset), plaintext) &&
      evp.final(context, scratch, outBytes) === 1 &&
      evp.control(context, commandGetTag, tagBytes, out.subarray(offset + length)) === 1;
    if (!sealed) throw new Error("OpenSSL could not seal a value");
  }

  open(box: Buffer, offset: number, associated: Buffer): Buffer | undefined {
    const evp = this.#evp;
    const bodyStart = offset + nonceBytes;
    const bodyEnd = box.length - tagBytes;
    const context = this.#opening;
    if (context === null) throw new Error("the cipher was used after it was wiped");
    if (bodyEnd < bodyStart) return undefined;
    const plaintext = Buffer.allocUnsafe(bodyEnd - bodyStart);
    const opened =
      evp.init(context, null, null, null, box.subarray(offset, bodyStart), asBefore) === 1 &&
      evp.control(context, commandSetTag, tagBytes, box.subarray(bodyEnd)) === 1 &&
      addBytes(evp, context, null, associated) &&
      addBytes(evp, context, plaintext, box.subarray(bodyStart, bodyEnd)) &&
      evp.final(context, scratch, outBytes) === 1;
    if (opened) return plaintext;
    plaintext.fill(0);
    return undefined;
  }

  /** Frees the key schedules; OpenSSL wipes them. */
  [Symbol.dispose](): void {
    if (this.#sealing !== null) this.#evp.freeContext(this.#sealing);
    if (this.#opening !== null) this.#evp.freeContext(this.#opening);
    this.#sealing = null;
    this.#opening = null;
  }
}

function keyedContext(evp: Evp, cipher: Pointer, key: SecretBuffer, encrypt: 0 | 1): Pointer {
  const context = evp.newContext();
  if (context === null) throw new Error("OpenSSL has no memory for a cipher");
  if (key.expose((bytes) => evp.init(context, cipher, null, bytes, null, encrypt)) !== 1)
    throw new Error("OpenSSL refused the cipher's key");
  return context;
}

/** With no `out`, the bytes are associated data. No bytes at all is no call: OpenSSL takes a null input for the end. */
function addBytes(evp: Evp, context: Pointer, out: Buffer | null, input: Uint8Array): boolean {
  return input.byteLength === 0 || evp.update(context, out, outBytes, input, input.byteLength) === 1;
}

/** Known answers against node:crypto, with lengths around the block size, and a changed tag refused in between. */
function agreesWithNode(provider: ValueCipherProvider, suite: Suite): boolean {
  using key = SecretBuffer.copyOf(Buffer.alloc(suite.keyBytes, 7));
  using ours = provider.create(suite, key);
  using theirs = nodeCipherProvider.create(suite, key);
  return [0, 1, 15, 16, 17, 1024].every((length) => {
    const nonce = Buffer.alloc(nonceBytes, length + 1);
    const associated = Buffer.alloc(length % 20, 3);
    const plaintext = Buffer.alloc(length, 0x5a);
    const [mine, expected] = [ours, theirs].map((cipher) => {
      const box = Buffer.alloc(nonceBytes + length + tagBytes);
      nonce.copy(box);
      cipher.seal(nonce, associated, plaintext, box, nonceBytes);
      return box;
    });
    if (mine === undefined || expected === undefined || !mine.equals(expected)) return false;
    const changed = Buffer.from(mine);
    changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1;
    return (
      ours.open(changed, 0, associated) === undefined && ours.open(mine, 0, associated)?.equals(plaintext) === true
    );
  });
}
