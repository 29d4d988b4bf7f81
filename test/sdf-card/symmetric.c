/* SM4 and hashes. An IV is updated in place, so that a long text can be given in parts; nothing is padded. */
#include <openssl/crypto.h>
#include <string.h>

#include "card.h"

static const EVP_CIPHER *mode(U32 algorithm) {
  switch (algorithm) {
    case SGD_SM4_ECB: return EVP_sm4_ecb();
    case SGD_SM4_CBC: return EVP_sm4_cbc();
    case SGD_SM4_CFB: return EVP_sm4_cfb128();
    case SGD_SM4_OFB: return EVP_sm4_ofb();
    case SGD_SM4_CTR: return EVP_sm4_ctr();
    default: return NULL;
  }
}

static int check(const KeyHandle *key, U32 algorithm, const U8 *iv, const U8 *in, U32 length, int needs_blocks) {
  if (key == NULL || in == NULL || length == 0 || length > MAX_DATA_BYTES) return SDR_INARGERR;
  if (algorithm != SGD_SM4_ECB && iv == NULL) return SDR_INARGERR;
  if (needs_blocks && length % 16 != 0) return SDR_INARGERR;
  return key->agreement != NULL || key->length != SM4_KEY_BYTES ? SDR_KEYTYPEERR : SDR_OK;
}

static int run(const KeyHandle *key, const EVP_CIPHER *cipher, int encrypt, U8 *iv, const U8 *in, U32 length, U8 *out) {
  EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
  int written = 0;
  const int ok = EVP_CipherInit_ex(context, cipher, NULL, key->bytes, iv, encrypt) == 1 &&
                 EVP_CIPHER_CTX_set_padding(context, 0) == 1 &&
                 EVP_CipherUpdate(context, out, &written, in, (int)length) == 1 && written == (int)length &&
                 (EVP_CIPHER_get_iv_length(cipher) == 0 || EVP_CIPHER_CTX_get_updated_iv(context, iv, 16) == 1);
  EVP_CIPHER_CTX_free(context);
  return ok ? SDR_OK : SDR_SYMOPERR;
}

static int cipher(Session *session, void *handle, U32 algorithm, int encrypt, U8 *iv, const U8 *in, U32 length, U8 *out,
                  U32 *out_length) {
  const KeyHandle *key = session_find_key(session, handle);
  if (out == NULL || out_length == NULL) return SDR_OUTARGERR;
  if (mode(algorithm) == NULL) return SDR_ALGNOTSUPPORT;
  int code = check(key, algorithm, iv, in, length, algorithm == SGD_SM4_ECB || algorithm == SGD_SM4_CBC);
  if (code == SDR_OK) code = run(key, mode(algorithm), encrypt, iv, in, length, out);
  if (code == SDR_OK) *out_length = length;
  return code;
}

int SDF_Encrypt(void *handle, void *key, U32 algorithm, U8 *iv, U8 *in, U32 length, U8 *out, U32 *out_length) {
  CALL(SHARED, cipher(session, key, algorithm, 1, iv, in, length, out, out_length));
}

int SDF_Decrypt(void *handle, void *key, U32 algorithm, U8 *iv, U8 *in, U32 length, U8 *out, U32 *out_length) {
  CALL(SHARED, cipher(session, key, algorithm, 0, iv, in, length, out, out_length));
}

/* CBC-MAC: the last block of SM4-CBC. */
static int calculate_mac(Session *session, void *handle, U32 algorithm, U8 *iv, const U8 *in, U32 length, U8 *mac,
                         U32 *mac_length) {
  const KeyHandle *key = session_find_key(session, handle);
  if (mac == NULL || mac_length == NULL) return SDR_OUTARGERR;
  if (algorithm != SGD_SM4_MAC) return SDR_ALGNOTSUPPORT;
  int code = check(key, algorithm, iv, in, length, 1);
  for (U32 at = 0; code == SDR_OK && at < length; at += 16) code = run(key, EVP_sm4_cbc(), 1, iv, in + at, 16, mac);
  if (code == SDR_OK) *mac_length = 16;
  return code;
}

int SDF_CalculateMAC(void *handle, void *key, U32 algorithm, U8 *iv, U8 *in, U32 length, U8 *mac, U32 *mac_length) {
  CALL(SHARED, calculate_mac(session, key, algorithm, iv, in, length, mac, mac_length));
}

static const EVP_MD *hash_kind(U32 algorithm) {
  switch (algorithm) {
    case SGD_SM3: return EVP_sm3();
    case SGD_SHA1: return EVP_sha1();
    case SGD_SHA256: return EVP_sha256();
#ifdef CARD_SHA384 /* makers gave these numbers of their own */
    case CARD_SHA384: return EVP_sha384();
    case CARD_SHA512: return EVP_sha512();
#endif
    default: return NULL;
  }
}

static int hash_init(Session *session, U32 algorithm, const ECCrefPublicKey *in, const U8 *id, U32 id_length) {
  const EVP_MD *kind = hash_kind(algorithm);
  if (kind == NULL) return SDR_ALGNOTSUPPORT;
  U8 public_key[64], z[32];
  const int with_z = algorithm == SGD_SM3 && in != NULL && id_length != 0;
  if (with_z) {
    const int code = id == NULL || id_length > 8191 ? SDR_INARGERR : public_key_from_struct(in, public_key);
    if (code != SDR_OK) return code;
    if (!sm2_z(public_key, id, id_length, z)) return SDR_PKOPERR;
  }
  EVP_MD_CTX_free(session->hash);
  session->hash = EVP_MD_CTX_new();
  const int ok =
      EVP_DigestInit_ex(session->hash, kind, NULL) == 1 && (!with_z || EVP_DigestUpdate(session->hash, z, 32) == 1);
  return ok ? SDR_OK : SDR_UNKNOWERR;
}

int SDF_HashInit(void *handle, U32 algorithm, ECCrefPublicKey *public_key, U8 *id, U32 id_length) {
  CALL(SHARED, hash_init(session, algorithm, public_key, id, id_length));
}

int SDF_HashUpdate(void *handle, U8 *data, U32 length) {
  Session *session;
  int code = call_begin(handle, __func__, SHARED, &session);
  if (code != SDR_OK) return code;
  if (session->hash == NULL) code = SDR_STEPERR;
  else if (data == NULL && length != 0) code = SDR_INARGERR;
  else if (EVP_DigestUpdate(session->hash, data, length) != 1) code = SDR_UNKNOWERR;
  return call_end(session, SHARED, code);
}

int SDF_HashFinal(void *handle, U8 *hash, U32 *length) {
  Session *session;
  int code = call_begin(handle, __func__, SHARED, &session);
  if (code != SDR_OK) return code;
  if (session->hash == NULL) return call_end(session, SHARED, SDR_STEPERR);
  if (hash == NULL || length == NULL) return call_end(session, SHARED, SDR_OUTARGERR);
  if (EVP_DigestFinal_ex(session->hash, hash, length) != 1) code = SDR_UNKNOWERR;
  EVP_MD_CTX_free(session->hash);
  session->hash = NULL;
  return call_end(session, SHARED, code);
}
