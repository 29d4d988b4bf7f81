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
  cipher(): Pointer;
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

/** Makes AES-256-GCM contexts. */
export interface OpensslGcm {
  /** @param key - 32 bytes; OpenSSL keeps what it expands to, and wipes that when the context is freed. */
  contextOf(key: Uint8Array): OpensslGcmContext;
}

/** One expanded key, in OpenSSL's memory. */
export class OpensslGcmContext implements Disposable {
  readonly #openssl: Functions;
  readonly #sealing: Pointer;
  readonly #opening: Pointer;
  /** Where OpenSSL says how many bytes it wrote. */
  readonly #count: Buffer = Buffer.alloc(4);
  readonly #nothing: Buffer = Buffer.alloc(tagBytes);
  #disposed = false;

  constructor(openssl: Functions, key: Uint8Array) {
    if (key.length !== keyBytes)
      throw new RangeError(`aes-256-gcm takes a key of ${keyBytes} bytes, got ${key.length}`);
    this.#openssl = openssl;
    const [sealing, opening] = [openssl.newContext(), openssl.newContext()];
    this.#sealing = sealing;
    this.#opening = opening;
    const ready =
      sealing !== null &&
      opening !== null &&
      openssl.initSeal(sealing, openssl.cipher(), null, key, null) === 1 &&
      openssl.initOpen(opening, openssl.cipher(), null, key, null) === 1;
    if (ready) return;
    this[Symbol.dispose]();
    throw new Error("OpenSSL did not take an AES key");
  }

  /** All lengths are checked here: OpenSSL writes as many bytes as it is told. */
  seal(nonce: Buffer, associatedData: Buffer, plaintext: Buffer, ciphertext: Buffer, tag: Buffer): void {
    this.#check(nonce, associatedData, plaintext, ciphertext, tag);
    const [openssl, context, count] = [this.#openssl, this.#sealing, this.#count];
    const done =
      openssl.initSeal(context, null, null, null, nonce) === 1 &&
      (associatedData.length === 0 ||
        openssl.authenticate(context, null, count, associatedData, associatedData.length) === 1) &&
      (plaintext.length === 0 || openssl.seal(context, ciphertext, count, plaintext, plaintext.length) === 1) &&
      openssl.finishSeal(context, this.#nothing, count) === 1 &&
      openssl.control(context, getTag, tagBytes, tag) === 1;
    if (!done) throw new Error("OpenSSL could not seal a block");
  }

  /** @returns False when the tag does not match; what is in `plaintext` then is the caller's to wipe. */
  open(nonce: Buffer, associatedData: Buffer, ciphertext: Buffer, tag: Buffer, plaintext: Buffer): boolean {
    this.#check(nonce, associatedData, ciphertext, plaintext, tag);
    const [openssl, context, count] = [this.#openssl, this.#opening, this.#count];
    const fed =
      openssl.initOpen(context, null, null, null, nonce) === 1 &&
      (associatedData.length === 0 ||
        openssl.authenticate(context, null, count, associatedData, associatedData.length) === 1) &&
      (ciphertext.length === 0 || openssl.open(context, plaintext, count, ciphertext, ciphertext.length) === 1) &&
      openssl.control(context, setTag, tagBytes, tag) === 1;
    if (!fed) throw new Error("OpenSSL could not open a block");
    const isAuthentic = openssl.finishOpen(context, this.#nothing, count) === 1;
    if (!isAuthentic) openssl.clearErrors();
    return isAuthentic;
  }

  /** OpenSSL wipes the expanded key (EVP_CIPHER_CTX_free(3)). */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#openssl.freeContext(this.#sealing);
    this.#openssl.freeContext(this.#opening);
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
    cipher: own.func("void *EVP_aes_256_gcm()"),
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
  const made: OpensslGcm = { contextOf: (key) => new OpensslGcmContext(openssl, key) };
  return givesWhatNodeGives(made) ? made : undefined;
}

/** One block each way, beside node:crypto, under a key that protects nothing. */
function givesWhatNodeGives(openssl: OpensslGcm): boolean {
  const pattern = (bytes: number) => Buffer.from(Array.from({ length: bytes }, (_, at) => (at * 89 + bytes) & 0xff));
  const [key, nonce, associatedData, plaintext] = [pattern(32), pattern(12), pattern(61), pattern(1000)];
  const [ciphertext, tag, opened] = [Buffer.alloc(1000), Buffer.alloc(16), Buffer.alloc(1000)];
  using context = openssl.contextOf(key);
  context.seal(nonce, associatedData, plaintext, ciphertext, tag);
  const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(associatedData);
  const same = cipher.update(plaintext).equals(ciphertext) && cipher.final().length === 0;
  if (!same || !cipher.getAuthTag().equals(tag)) return false;
  if (!context.open(nonce, associatedData, ciphertext, tag, opened) || !opened.equals(plaintext)) return false;
  tag.writeUInt8(tag.readUInt8(15) ^ 1, 15);
  return !context.open(nonce, associatedData, ciphertext, tag, opened);
}
