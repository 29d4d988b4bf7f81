/* Public keys, signatures and key pairs of SM2. A signature is over a digest of 32 bytes, never over a message. */
#include <openssl/crypto.h>

#include "card.h"

static int export_key(Session *session, U32 index, int encryption, ECCrefPublicKey *out) {
  StoredKey key;
  if (out == NULL) return SDR_OUTARGERR;
  const int code = store_read_key(session->dir, index, &key);
  if (code == SDR_OK) public_key_to_struct(encryption ? key.enc_public : key.sign_public, out);
  OPENSSL_cleanse(&key, sizeof key);
  return code;
}

int SDF_ExportSignPublicKey_ECC(void *handle, U32 index, ECCrefPublicKey *public_key) {
  CALL(SHARED, export_key(session, index, 0, public_key));
}

int SDF_ExportEncPublicKey_ECC(void *handle, U32 index, ECCrefPublicKey *public_key) {
  CALL(SHARED, export_key(session, index, 1, public_key));
}

static int generate_pair(U32 algorithm, U32 bits, ECCrefPublicKey *public_key, ECCrefPrivateKey *private_key) {
  U8 d[32], point[64];
  if (public_key == NULL || private_key == NULL) return SDR_OUTARGERR;
  if (bits != 256) return SDR_INARGERR;
  if (algorithm != SGD_SM2_1 && algorithm != SGD_SM2_2 && algorithm != SGD_SM2_3) return SDR_ALGNOTSUPPORT;
  if (!sm2_generate(d, point)) return SDR_RANDERR;
  public_key_to_struct(point, public_key);
  private_key_to_struct(d, private_key);
  OPENSSL_cleanse(d, sizeof d);
  return SDR_OK;
}

int SDF_GenerateKeyPair_ECC(void *handle, U32 algorithm, U32 bits, ECCrefPublicKey *public_key,
                            ECCrefPrivateKey *private_key) {
  CALL(SHARED, generate_pair(algorithm, bits, public_key, private_key));
}

static int sign_with(const Session *session, const U8 d[32], const U8 *digest, U32 length, ECCSignature *out) {
  U8 signature[64];
  if (out == NULL) return SDR_OUTARGERR;
  if (digest == NULL || length != 32) return SDR_INARGERR;
  if (!sm2_sign(d, digest, NULL, signature)) return SDR_SIGNERR;
  if (session->corrupt) signature[63] ^= 1;
  signature_to_struct(signature, out);
  return SDR_OK;
}

static int internal_sign(Session *session, U32 index, const U8 *digest, U32 length, ECCSignature *out) {
  StoredKey key;
  int code = store_read_key(session->dir, index, &key);
  if (code == SDR_OK && !session_has_right(session, index)) code = SDR_PRKRERR;
  if (code == SDR_OK && !key.may_sign) code = SDR_PARDENY;
  if (code == SDR_OK) code = sign_with(session, key.sign_private, digest, length, out);
  OPENSSL_cleanse(&key, sizeof key);
  return code;
}

int SDF_InternalSign_ECC(void *handle, U32 index, U8 *digest, U32 length, ECCSignature *signature) {
  CALL(SHARED, internal_sign(session, index, digest, length, signature));
}

static int verify(const U8 public_key[64], const U8 *digest, U32 length, const ECCSignature *in) {
  U8 signature[64];
  if (digest == NULL || length != 32 || in == NULL) return SDR_INARGERR;
  const int code = signature_from_struct(in, signature);
  if (code != SDR_OK) return code;
  return sm2_verify(public_key, digest, signature) ? SDR_OK : SDR_VERIFYERR;
}

static int internal_verify(Session *session, U32 index, const U8 *digest, U32 length, const ECCSignature *signature) {
  StoredKey key;
  int code = store_read_key(session->dir, index, &key);
  if (code == SDR_OK) code = verify(key.sign_public, digest, length, signature);
  OPENSSL_cleanse(&key, sizeof key);
  return code;
}

int SDF_InternalVerify_ECC(void *handle, U32 index, U8 *digest, U32 length, ECCSignature *signature) {
  CALL(SHARED, internal_verify(session, index, digest, length, signature));
}

static int external_verify(U32 algorithm, const ECCrefPublicKey *in, const U8 *digest, U32 length,
                           const ECCSignature *signature) {
  U8 public_key[64];
  if (algorithm != SGD_SM2_1) return SDR_ALGNOTSUPPORT;
  const int code = in == NULL ? SDR_INARGERR : public_key_from_struct(in, public_key);
  return code != SDR_OK ? code : verify(public_key, digest, length, signature);
}

int SDF_ExternalVerify_ECC(void *handle, U32 algorithm, ECCrefPublicKey *public_key, U8 *digest, U32 length,
                           ECCSignature *signature) {
  CALL(SHARED, external_verify(algorithm, public_key, digest, length, signature));
}

#ifndef CARD_MINIMAL
static int external_sign(Session *session, U32 algorithm, const ECCrefPrivateKey *in, const U8 *digest, U32 length,
                         ECCSignature *signature) {
  U8 d[32];
  if (algorithm != SGD_SM2_1) return SDR_ALGNOTSUPPORT;
  int code = in == NULL ? SDR_INARGERR : private_key_from_struct(in, d);
  if (code == SDR_OK) code = sign_with(session, d, digest, length, signature);
  OPENSSL_cleanse(d, sizeof d);
  return code;
}

int SDF_ExternalSign_ECC(void *handle, U32 algorithm, ECCrefPrivateKey *private_key, U8 *digest, U32 length,
                         ECCSignature *signature) {
  CALL(SHARED, external_sign(session, algorithm, private_key, digest, length, signature));
}
#endif
