/* Between GM/T 0018's structures and raw bytes. Padding that isn't zero is refused, as some makers' libraries do. */
#include <openssl/crypto.h>
#include <string.h>

#include "card.h"

static int number_from(const U8 in[64], U8 out[32]) {
  U8 any = 0;
  for (int i = 0; i < 32; i++) any |= in[i];
  memcpy(out, in + 32, 32);
  return any == 0;
}

static void number_to(const U8 in[32], U8 out[64]) {
  memset(out, 0, 32);
  memcpy(out + 32, in, 32);
}

int public_key_from_struct(const ECCrefPublicKey *in, U8 public_key[64]) {
  const int well_formed = in->bits == 256 && number_from(in->x, public_key) && number_from(in->y, public_key + 32);
  return well_formed && sm2_is_point(public_key) ? SDR_OK : SDR_INARGERR;
}

void public_key_to_struct(const U8 public_key[64], ECCrefPublicKey *out) {
  out->bits = 256;
  number_to(public_key, out->x);
  number_to(public_key + 32, out->y);
}

int signature_from_struct(const ECCSignature *in, U8 signature[64]) {
  return number_from(in->r, signature) && number_from(in->s, signature + 32) ? SDR_OK : SDR_INARGERR;
}

void signature_to_struct(const U8 signature[64], ECCSignature *out) {
  number_to(signature, out->r);
  number_to(signature + 32, out->s);
}

int private_key_from_struct(const ECCrefPrivateKey *in, U8 d[32]) {
  U8 unused[64];
  const int well_formed = in->bits == 256 && number_from(in->K, d) && sm2_public_key(d, unused);
  return well_formed ? SDR_OK : SDR_INARGERR;
}

void private_key_to_struct(const U8 d[32], ECCrefPrivateKey *out) {
  out->bits = 256;
  number_to(d, out->K);
}

int cipher_seal(const U8 public_key[64], const U8 *data, U32 length, ECCCipher *cipher) {
  U8 c1[64], c3[32], c2[CIPHER_MAX_BYTES];
  if (length == 0 || length > CIPHER_MAX_BYTES) return SDR_INARGERR;
  if (!sm2_encrypt(public_key, NULL, data, length, c1, c3, c2)) return SDR_PKOPERR;
  /* A library of a fixed layout writes the whole of it, C's unused end too. */
  memset(cipher, 0, sizeof *cipher);
  number_to(c1, cipher->x);
  number_to(c1 + 32, cipher->y);
  memcpy(cipher->M, c3, 32);
  cipher->L = length;
  memcpy(cipher->C, c2, length);
  return SDR_OK;
}

int cipher_open(const U8 d[32], const ECCCipher *cipher, U8 *data, U32 *length) {
  U8 c1[64];
  if (cipher->L == 0 || cipher->L > CIPHER_MAX_BYTES) return SDR_INARGERR;
  if (!number_from(cipher->x, c1) || !number_from(cipher->y, c1 + 32)) return SDR_INARGERR;
  if (!sm2_decrypt(d, c1, cipher->M, cipher->C, cipher->L, data)) return SDR_ENCDATAERR;
  *length = cipher->L;
  return SDR_OK;
}
