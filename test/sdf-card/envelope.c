/* What is encrypted under the card's keys: SM2 envelopes, and session keys that enter and leave only wrapped. */
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>

#include "card.h"

#ifdef CARD_OPENHITLS
enum { DECRYPT_ALGORITHM = SGD_SM2 };
#else
enum { DECRYPT_ALGORITHM = SGD_SM2_3 };
#endif

static int external_encrypt(U32 algorithm, const ECCrefPublicKey *in, const U8 *data, U32 length, ECCCipher *cipher) {
  U8 public_key[64];
  if (cipher == NULL) return SDR_OUTARGERR;
  if (algorithm != SGD_SM2_3) return SDR_ALGNOTSUPPORT;
  const int code = in == NULL || data == NULL ? SDR_INARGERR : public_key_from_struct(in, public_key);
  return code != SDR_OK ? code : cipher_seal(public_key, data, length, cipher);
}

int SDF_ExternalEncrypt_ECC(void *handle, U32 algorithm, ECCrefPublicKey *public_key, U8 *data, U32 length,
                            ECCCipher *cipher) {
  CALL(SHARED, external_encrypt(algorithm, public_key, data, length, cipher));
}

static int internal_encrypt(Session *session, U32 index, U32 algorithm, const U8 *data, U32 length, ECCCipher *cipher) {
  StoredKey key;
  if (cipher == NULL) return SDR_OUTARGERR;
  if (data == NULL) return SDR_INARGERR;
  if (algorithm != SGD_SM2_3) return SDR_ALGNOTSUPPORT;
  int code = store_read_key(session->dir, index, &key);
  if (code == SDR_OK) code = cipher_seal(key.enc_public, data, length, cipher);
  OPENSSL_cleanse(&key, sizeof key);
  return code;
}

#ifdef CARD_OPENHITLS
int SDF_InternalEncrypt_ECC(void *handle, U32 index, U8 *data, U32 length, ECCCipher *cipher) {
  const U32 algorithm = SGD_SM2_3;
#else
int SDF_InternalEncrypt_ECC(void *handle, U32 index, U32 algorithm, U8 *data, U32 length, ECCCipher *cipher) {
#endif
  CALL(SHARED, internal_encrypt(session, index, algorithm, data, length, cipher));
}

static int open_with_index(Session *session, U32 index, const ECCCipher *cipher, U8 *data, U32 *length) {
  StoredKey key;
  int code = store_read_key(session->dir, index, &key);
  if (code == SDR_OK && !session_has_right(session, index)) code = SDR_PRKRERR;
  if (code == SDR_OK) code = cipher_open(key.enc_private, cipher, data, length);
  OPENSSL_cleanse(&key, sizeof key);
  return code;
}

int SDF_InternalDecrypt_ECC(void *handle, U32 index, U32 algorithm, ECCCipher *cipher, U8 *data, U32 *length) {
  Session *session;
  int code = call_begin(handle, __func__, SHARED, &session);
  if (code != SDR_OK) return code;
  if (data == NULL || length == NULL) code = SDR_OUTARGERR;
  else if (cipher == NULL) code = SDR_INARGERR;
  else if (algorithm != DECRYPT_ALGORITHM) code = SDR_ALGNOTSUPPORT;
  else code = open_with_index(session, index, cipher, data, length);
  return call_end(session, SHARED, code);
}

static int new_key(U32 bits, U8 key[32]) {
  if (bits != 128 && bits != 256) return SDR_INARGERR;
  return RAND_bytes(key, (int)bits / 8) == 1 ? SDR_OK : SDR_RANDERR;
}

/* A new session key, sealed to a public key and kept. */
static int generate_sealed(Session *session, const U8 public_key[64], U32 bits, ECCCipher *cipher, void **handle) {
  U8 key[32];
  int code = new_key(bits, key);
  if (code == SDR_OK) code = cipher_seal(public_key, key, bits / 8, cipher);
  if (code == SDR_OK) code = session_keep_key(session, key, bits / 8, NULL, handle);
  OPENSSL_cleanse(key, sizeof key);
  return code;
}

int SDF_GenerateKeyWithIPK_ECC(void *handle, U32 index, U32 bits, ECCCipher *cipher, void **key) {
  Session *session;
  int code = call_begin(handle, __func__, SHARED, &session);
  if (code != SDR_OK) return code;
  StoredKey stored;
  code = cipher == NULL || key == NULL ? SDR_OUTARGERR : store_read_key(session->dir, index, &stored);
  if (code == SDR_OK) code = generate_sealed(session, stored.enc_public, bits, cipher, key);
  OPENSSL_cleanse(&stored, sizeof stored);
  return call_end(session, SHARED, code);
}

int SDF_GenerateKeyWithEPK_ECC(void *handle, U32 bits, U32 algorithm, ECCrefPublicKey *in, ECCCipher *cipher,
                               void **key) {
  Session *session;
  int code = call_begin(handle, __func__, SHARED, &session);
  if (code != SDR_OK) return code;
  U8 public_key[64];
  if (cipher == NULL || key == NULL) code = SDR_OUTARGERR;
  else if (algorithm != SGD_SM2_3) code = SDR_ALGNOTSUPPORT;
  else code = in == NULL ? SDR_INARGERR : public_key_from_struct(in, public_key);
  if (code == SDR_OK) code = generate_sealed(session, public_key, bits, cipher, key);
  return call_end(session, SHARED, code);
}

int SDF_ImportKeyWithISK_ECC(void *handle, U32 index, ECCCipher *cipher, void **key) {
  Session *session;
  int code = call_begin(handle, __func__, SHARED, &session);
  if (code != SDR_OK) return code;
  U8 bytes[CIPHER_MAX_BYTES];
  U32 length = 0;
  if (key == NULL) code = SDR_OUTARGERR;
  else code = cipher == NULL ? SDR_INARGERR : open_with_index(session, index, cipher, bytes, &length);
  if (code == SDR_OK && length != 16 && length != 32) code = SDR_KEYERR;
  if (code == SDR_OK) code = session_keep_key(session, bytes, length, NULL, key);
  OPENSSL_cleanse(bytes, sizeof bytes);
  return call_end(session, SHARED, code);
}

static int read_kek(const Session *session, U32 index, U8 kek[SM4_KEY_BYTES]) {
  const int code = store_read_kek(session->dir, index, kek);
#ifdef CARD_KEK_RIGHT
  if (code == SDR_OK && !session_has_right(session, index | KEK_RIGHT)) return SDR_PRKRERR;
#endif
  return code;
}

/* SM4-ECB wraps a key as it is; SM4-CBC as IV (16) and the padded key (PKCS#7). Returns the length, 0 when refused. */
static U32 kek_cipher(const U8 *kek, U32 algorithm, int encrypt, const U8 *iv, const U8 *in, U32 length, U8 *out) {
  EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
  int written = 0, last = 0;
  const int ok = EVP_CipherInit_ex(context, algorithm == SGD_SM4_ECB ? EVP_sm4_ecb() : EVP_sm4_cbc(), NULL, kek, iv,
                                   encrypt) == 1 &&
                 EVP_CIPHER_CTX_set_padding(context, algorithm == SGD_SM4_CBC) == 1 &&
                 EVP_CipherUpdate(context, out, &written, in, (int)length) == 1 &&
                 EVP_CipherFinal_ex(context, out + written, &last) == 1;
  EVP_CIPHER_CTX_free(context);
  return ok ? (U32)(written + last) : 0;
}

int SDF_GenerateKeyWithKEK(void *handle, U32 bits, U32 algorithm, U32 index, U8 *wrapped, U32 *length, void **key) {
  Session *session;
  int code = call_begin(handle, __func__, SHARED, &session);
  if (code != SDR_OK) return code;
  U8 kek[SM4_KEY_BYTES], bytes[32];
  const U32 iv_bytes = algorithm == SGD_SM4_CBC ? 16 : 0;
  if (wrapped == NULL || length == NULL || key == NULL) code = SDR_OUTARGERR;
  else if (algorithm != SGD_SM4_ECB && algorithm != SGD_SM4_CBC) code = SDR_ALGNOTSUPPORT;
  else code = read_kek(session, index, kek);
  if (code == SDR_OK) code = new_key(bits, bytes);
  if (code == SDR_OK && iv_bytes != 0 && RAND_bytes(wrapped, 16) != 1) code = SDR_RANDERR;
  if (code == SDR_OK) {
    const U32 written = kek_cipher(kek, algorithm, 1, wrapped, bytes, bits / 8, wrapped + iv_bytes);
    *length = iv_bytes + written;
    code = written == 0 ? SDR_SYMOPERR : session_keep_key(session, bytes, bits / 8, NULL, key);
  }
  OPENSSL_cleanse(kek, sizeof kek);
  OPENSSL_cleanse(bytes, sizeof bytes);
  return call_end(session, SHARED, code);
}

int SDF_ImportKeyWithKEK(void *handle, U32 algorithm, U32 index, U8 *wrapped, U32 length, void **key) {
  Session *session;
  int code = call_begin(handle, __func__, SHARED, &session);
  if (code != SDR_OK) return code;
  U8 kek[SM4_KEY_BYTES], bytes[96];
  const U32 iv_bytes = algorithm == SGD_SM4_CBC ? 16 : 0;
  if (key == NULL) code = SDR_OUTARGERR;
  else if (wrapped == NULL || length < 16 + iv_bytes || length > 64) code = SDR_INARGERR;
  else if (algorithm != SGD_SM4_ECB && algorithm != SGD_SM4_CBC) code = SDR_ALGNOTSUPPORT;
  else code = read_kek(session, index, kek);
  if (code == SDR_OK) {
    const U32 written = kek_cipher(kek, algorithm, 0, wrapped, wrapped + iv_bytes, length - iv_bytes, bytes);
    code = written != 16 && written != 32 ? SDR_KEYERR : session_keep_key(session, bytes, written, NULL, key);
  }
  OPENSSL_cleanse(kek, sizeof kek);
  OPENSSL_cleanse(bytes, sizeof bytes);
  return call_end(session, SHARED, code);
}

int SDF_DestroyKey(void *handle, void *key) {
  Session *session;
  const int code = call_begin(handle, __func__, SHARED, &session);
  if (code != SDR_OK) return code;
  KeyHandle *found = session_find_key(session, key);
  if (found != NULL) session_drop_key(found);
  return call_end(session, SHARED, found == NULL ? SDR_INARGERR : SDR_OK);
}

#ifndef CARD_MINIMAL
int SDF_ImportKey(void *handle, U8 *bytes, U32 length, void **key) {
  Session *session;
  int code = call_begin(handle, __func__, SHARED, &session);
  if (code != SDR_OK) return code;
  if (key == NULL) code = SDR_OUTARGERR;
  else if (bytes == NULL || (length != 16 && length != 32)) code = SDR_INARGERR;
  else code = session_keep_key(session, bytes, length, NULL, key);
  return call_end(session, SHARED, code);
}

int SDF_GetSymmKeyHandle(void *handle, U32 index, void **key) {
  Session *session;
  int code = call_begin(handle, __func__, SHARED, &session);
  if (code != SDR_OK) return code;
  U8 kek[SM4_KEY_BYTES];
  code = key == NULL ? SDR_OUTARGERR : read_kek(session, index, kek);
  if (code == SDR_OK) code = session_keep_key(session, kek, sizeof kek, NULL, key);
  OPENSSL_cleanse(kek, sizeof kek);
  return call_end(session, SHARED, code);
}
#endif
