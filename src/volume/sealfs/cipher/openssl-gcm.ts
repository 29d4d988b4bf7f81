import { createCipheriv } from "node:crypto";

/**
 * AES-256-GCM by the OpenSSL inside Node, called through koffi: EVP_EncryptInit_ex(3) and its kin on contexts that keep their
 * expanded key, straight into the caller's memory. node:crypto expands the key and makes two objects for every block.
 */

/** A pointer into OpenSSL; null when it refused. */
type Pointer = unknown;

interface Functions {
  newContext(): Pointer;
  freeContext(context: Pointer): void;
  readonly aes256Gcm: Pointer;
  initSeal(context: Pointer, cipher: Pointer, engine: null, key: Uint8Array | null, nonce: Uint8Array | null): number;
  initOpen(context: Pointer, cipher: Pointer, engine: null, key: Uint8Array | null, nonce: Uint8Array | null): number;
  authenticate(context: Pointer, out: null, outBytes: Buffer, input: Uint8Array, inputBytes: number): number;
  seal(context: Pointer, out: Uint8Array, outBytes: Buffer, input: Uint8Array, inputBytes: number): number;
  open(context: Pointer, out: Uint8Array, outBytes: Buffer, input: Uint8Array, inputBytes: number): number;
  finishSeal(context: Pointer, out: Uint8Array, outBytes: Buffer): number;
  finishOpen(context: Pointer, out: Uint8Array, outBytes: Buffer): number;
  control(context: Pointer, command: number, bytes: number, tag: Uint8Array): number;
  clearErrors(): void;
}

/** From openssl/evp.h. */
const getTag = 0x10;
const setTag = 0x11;
/** Lengths are C ints; no block is anywhere near. */
const maxBytes = 1 << 24;
const keyBytes = 32;
const nonceBytes = 12;
const tagBytes = 16;

/** Where OpenSSL says how many bytes it wrote, and where it writes none at the end. */
const count = Buffer.alloc(4);
const nothing = Buffer.alloc(tagBytes);
/** What a context is left with that protects nothing any more: all that the last key expanded to is overwritten. */
const noKey = Buffer.alloc(keyBytes);
const noNonce = Buffer.alloc(nonceBytes);
const mostSpare = 64;

/** Makes AES-256-GCM contexts. */
export interface OpensslGcm {
  /** @param key - 32 bytes; OpenSSL keeps what it expands to, until the context is disposed of. */
  contextOf(key: Uint8Array): OpensslGcmContext;
}

/** One expanded key, in OpenSSL's memory. */
export class OpensslGcmContext implements Disposable {
  readonly #openssl: Functions;
  /** Of contexts that were disposed of: to take another key costs half of making one. */
  readonly #spare: Pointer[];
  /** For both directions: GCM's key schedule is the same in both, and each block says which it is. */
  readonly #context: Pointer;
  #disposed = false;

  constructor(openssl: Functions, spare: Pointer[], key: Uint8Array) {
    if (key.length !== keyBytes)
      throw new RangeError(`aes-256-gcm takes a key of ${keyBytes} bytes, got ${key.length}`);
    this.#openssl = openssl;
    this.#spare = spare;
    const used = spare.pop();
    const context = used ?? openssl.newContext();
    this.#context = context;
    const cipher = used === undefined ? openssl.aes256Gcm : null;
    if (context !== null && openssl.initSeal(context, cipher, null, key, null) === 1) return;
    this.#disposed = true;
    openssl.freeContext(context);
    throw new Error("OpenSSL did not take an AES key");
  }

  /** All lengths are checked here: OpenSSL writes as many bytes as it is told. */
  seal(nonce: Buffer, associatedData: Buffer, plaintext: Buffer, ciphertext: Buffer, tag: Buffer): void {
    this.#check(nonce, associatedData, plaintext, ciphertext, tag);
    const [openssl, context] = [this.#openssl, this.#context];
    const done =
      openssl.initSeal(context, null, null, null, nonce) === 1 &&
      (associatedData.length === 0 ||
        openssl.authenticate(context, null, count, associatedData, associatedData.length) === 1) &&
      (plaintext.length === 0 || openssl.seal(context, ciphertext, count, plaintext, plaintext.length) === 1) &&
      openssl.finishSeal(context, nothing, count) === 1 &&
      openssl.control(context, getTag, tagBytes, tag) === 1;
    if (!done) throw new Error("OpenSSL could not seal a block");
  }

  /** @returns False when the tag does not match; what is in `plaintext` then is the caller's to wipe. */
  open(nonce: Buffer, associatedData: Buffer, ciphertext: Buffer, tag: Buffer, plaintext: Buffer): boolean {
    this.#check(nonce, associatedData, ciphertext, plaintext, tag);
    const [openssl, context] = [this.#openssl, this.#context];
    const fed =
      openssl.initOpen(context, null, null, null, nonce) === 1 &&
      (associatedData.length === 0 ||
        openssl.authenticate(context, null, count, associatedData, associatedData.length) === 1) &&
      (ciphertext.length === 0 || openssl.open(context, plaintext, count, ciphertext, ciphertext.length) === 1) &&
      openssl.control(context, setTag, tagBytes, tag) === 1;
    if (!fed) throw new Error("OpenSSL could not open a block");
    const isAuthentic = openssl.finishOpen(context, nothing, count) === 1;
    if (!isAuthentic) openssl.clearErrors();
    return isAuthentic;
  }

  /** The expanded key is overwritten, or wiped by OpenSSL (EVP_CIPHER_CTX_free(3)). */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    const [openssl, context] = [this.#openssl, this.#context];
    if (this.#spare.length < mostSpare && openssl.initSeal(context, null, null, noKey, noNonce) === 1)
      this.#spare.push(context);
    else openssl.freeContext(context);
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  #check(nonce: Buffer, associatedData: Buffer, input: Buffer, output: Buffer, tag: Buffer): void {
    if (this.#disposed) throw new Error("an AES context was used after it was disposed of");
    const fits =
      nonce.length === nonceBytes &&
      tag.length === tagBytes &&
      input.length === output.length &&
      input.length <= maxBytes &&
      associatedData.length <= maxBytes;
    if (!fits) throw new RangeError("a block, its nonce and its tag have lengths that do not fit");
  }
}

let loaded: Promise<OpensslGcm | undefined> | undefined;

/**
 * Undefined where OpenSSL's functions can't be reached (a Node of another build, a platform without koffi), or do not give
 * what node:crypto gives.
 */
export function loadOpensslGcm(): Promise<OpensslGcm | undefined> {
  loaded ??= load().catch(() => undefined);
  return loaded;
}

async function load(): Promise<OpensslGcm | undefined> {
  if (!process.versions.openssl?.startsWith("3.")) return undefined;
  const { default: koffi } = await import("koffi");
  const own = koffi.load(null);
  const openssl: Functions = {
    newContext: own.func("void *EVP_CIPHER_CTX_new()"),
    freeContext: own.func("void EVP_CIPHER_CTX_free(void *)"),
    // Fetched once: what EVP_aes_256_gcm(3) gives is looked up by its name for each context.
    aes256Gcm: own.func("void *EVP_CIPHER_fetch(void *, const char *, const char *)")(null, "AES-256-GCM", null),
    initSeal: own.func("int EVP_EncryptInit_ex(void *, void *, void *, uint8_t *, uint8_t *)"),
    initOpen: own.func("int EVP_DecryptInit_ex(void *, void *, void *, uint8_t *, uint8_t *)"),
    // Associated data is what goes in with no place to come out, in either direction.
    authenticate: own.func("int EVP_CipherUpdate(void *, void *, uint8_t *, uint8_t *, int)"),
    seal: own.func("int EVP_EncryptUpdate(void *, uint8_t *, uint8_t *, uint8_t *, int)"),
    open: own.func("int EVP_DecryptUpdate(void *, uint8_t *, uint8_t *, uint8_t *, int)"),
    finishSeal: own.func("int EVP_EncryptFinal_ex(void *, uint8_t *, uint8_t *)"),
    finishOpen: own.func("int EVP_DecryptFinal_ex(void *, uint8_t *, uint8_t *)"),
    control: own.func("int EVP_CIPHER_CTX_ctrl(void *, int, int, uint8_t *)"),
    clearErrors: own.func("void ERR_clear_error()"),
  };
  const spare: Pointer[] = [];
  const made: OpensslGcm = { contextOf: (key) => new OpensslGcmContext(openssl, spare, key) };
  return givesWhatNodeGives(made) ? made : undefined;
}

/** One block each way, beside node:crypto, under a key that protects nothing. */
function givesWhatNodeGives(openssl: OpensslGcm): boolean {
  const pattern = (bytes: number) => Buffer.from(Array.from({ length: bytes }, (_, at) => (at * 89 + bytes) & 0xff));
  const [key, nonce, associatedData, plaintext] = [pattern(32), pattern(12), pattern(61), pattern(1000)];
  const [ciphertext, tag, opened] = [Buffer.alloc(1000), Buffer.alloc(16), Buffer.alloc(1000)];
  // A context that has had another key, as most have.
  openssl.contextOf(pattern(32).reverse())[Symbol.dispose]();
  using context = openssl.contextOf(key);
  // One way after the other, and back: the context serves both.
  context.seal(nonce, associatedData, opened, ciphertext, tag);
  if (!context.open(nonce, associatedData, ciphertext, tag, opened) || opened.some((byte) => byte !== 0)) return false;
  context.seal(nonce, associatedData, plaintext, ciphertext, tag);
  const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(associatedData);
  const same = cipher.update(plaintext).equals(ciphertext) && cipher.final().length === 0;
  if (!same || !cipher.getAuthTag().equals(tag)) return false;
  if (!context.open(nonce, associatedData, ciphertext, tag, opened) || !opened.equals(plaintext)) return false;
  tag.writeUInt8(tag.readUInt8(15) ^ 1, 15);
  return !context.open(nonce, associatedData, ciphertext, tag, opened);
}
