/**
 * Public-key functions of the OpenSSL inside Node that node:crypto does not pass on: signatures over a digest (PSS, ECDSA,
 * SM2) and SM2 decryption, EVP_PKEY_sign(3) and its kin. Called by koffi; every length is checked by the callers in
 * openssl-key.ts.
 */

/** A pointer into OpenSSL; null when it refused. */
export type Pointer = unknown;

/** `context, out, out length (size_t, in and out), input, input length`: 1 for success. */
export interface Transform {
  (context: Pointer, out: Buffer, outBytes: Buffer, input: Uint8Array, inputBytes: number): number;
  /** The same in a thread of koffi's. */
  async(
    context: Pointer,
    out: Buffer,
    outBytes: Buffer,
    input: Uint8Array,
    inputBytes: number,
    done: (error: unknown, result: number) => void,
  ): void;
}

export interface OpensslKeys {
  newMemory(bytes: Uint8Array, byteLength: number): Pointer;
  freeMemory(memory: Pointer): number;
  readPrivateKey(memory: Pointer, key: null): Pointer;
  readPublicKey(memory: Pointer, key: null): Pointer;
  freeKey(key: Pointer): void;
  sizeOf(key: Pointer): number;
  typeOf(key: Pointer): string;
  digest(name: string): Pointer;
  newContext(key: Pointer, engine: null): Pointer;
  freeContext(context: Pointer): void;
  initSign(context: Pointer): number;
  initVerify(context: Pointer): number;
  initDecrypt(context: Pointer): number;
  setDigest(context: Pointer, digest: Pointer): number;
  setPadding(context: Pointer, padding: number): number;
  setSaltBytes(context: Pointer, bytes: number): number;
  setOaepDigest(context: Pointer, name: string, properties: null): number;
  setMaskDigest(context: Pointer, name: string, properties: null): number;
  sign: Transform;
  decrypt: Transform;
  verify(
    context: Pointer,
    signature: Uint8Array,
    signatureBytes: number,
    digest: Uint8Array,
    digestBytes: number,
  ): number;
  clearErrors(): void;
}

let loaded: Promise<OpensslKeys> | undefined;

/** @throws {Error} When koffi has no binary for this platform, or Node's OpenSSL is not 3.x with these functions. */
export function loadOpensslKeys(): Promise<OpensslKeys> {
  loaded ??= load();
  return loaded;
}

async function load(): Promise<OpensslKeys> {
  if (!process.versions.openssl?.startsWith("3."))
    throw new Error(`keys that sign need OpenSSL 3 inside Node, this one has ${process.versions.openssl ?? "none"}`);
  const { default: koffi } = await import("koffi");
  const own = koffi.load(null);
  return {
    newMemory: own.func("void *BIO_new_mem_buf(uint8_t *, int)"),
    freeMemory: own.func("int BIO_free(void *)"),
    readPrivateKey: own.func("void *d2i_PrivateKey_bio(void *, void *)"),
    readPublicKey: own.func("void *d2i_PUBKEY_bio(void *, void *)"),
    freeKey: own.func("void EVP_PKEY_free(void *)"),
    sizeOf: own.func("int EVP_PKEY_get_size(void *)"),
    typeOf: own.func("const char *EVP_PKEY_get0_type_name(void *)"),
    digest: own.func("void *EVP_get_digestbyname(const char *)"),
    newContext: own.func("void *EVP_PKEY_CTX_new(void *, void *)"),
    freeContext: own.func("void EVP_PKEY_CTX_free(void *)"),
    initSign: own.func("int EVP_PKEY_sign_init(void *)"),
    initVerify: own.func("int EVP_PKEY_verify_init(void *)"),
    initDecrypt: own.func("int EVP_PKEY_decrypt_init(void *)"),
    setDigest: own.func("int EVP_PKEY_CTX_set_signature_md(void *, void *)"),
    setPadding: own.func("int EVP_PKEY_CTX_set_rsa_padding(void *, int)"),
    setSaltBytes: own.func("int EVP_PKEY_CTX_set_rsa_pss_saltlen(void *, int)"),
    setOaepDigest: own.func("int EVP_PKEY_CTX_set_rsa_oaep_md_name(void *, const char *, const char *)"),
    setMaskDigest: own.func("int EVP_PKEY_CTX_set_rsa_mgf1_md_name(void *, const char *, const char *)"),
    sign: own.func("int EVP_PKEY_sign(void *, uint8_t *, uint8_t *, uint8_t *, size_t)"),
    decrypt: own.func("int EVP_PKEY_decrypt(void *, uint8_t *, uint8_t *, uint8_t *, size_t)"),
    verify: own.func("int EVP_PKEY_verify(void *, uint8_t *, size_t, uint8_t *, size_t)"),
    clearErrors: own.func("void ERR_clear_error()"),
  };
}
