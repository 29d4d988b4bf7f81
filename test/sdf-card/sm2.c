/* SM2 of GM/T 0003 over a given digest and raw bytes, on libcrypto's curve arithmetic. libcrypto's own SM2 (EVP) hashes
   Z in or speaks DER, and has no key agreement. */
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/obj_mac.h>
#include <string.h>

#include "card.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static EC_GROUP *group;
static void make_group(void) { group = EC_GROUP_new_by_curve_name(NID_sm2); }
static const EC_GROUP *curve(void) {
  pthread_once(&once, make_group);
  return group;
}

/* A frame of big numbers that are wiped when it ends. */
static BN_CTX *frame_begin(void) {
  BN_CTX *frame = BN_CTX_secure_new();
  BN_CTX_start(frame);
  return frame;
}
static int frame_end(BN_CTX *frame, int result) {
  BN_CTX_end(frame);
  BN_CTX_free(frame);
  return result;
}

static const BIGNUM *order(void) { return EC_GROUP_get0_order(curve()); }
static BIGNUM *number(BN_CTX *frame, const U8 bytes[32]) { return BN_bin2bn(bytes, 32, BN_CTX_get(frame)); }
static int in_order(const BIGNUM *n) { return !BN_is_zero(n) && BN_cmp(n, order()) < 0; }

static EC_POINT *point_of(BN_CTX *frame, const U8 bytes[64]) {
  EC_POINT *point = EC_POINT_new(curve());
  if (EC_POINT_set_affine_coordinates(curve(), point, number(frame, bytes), number(frame, bytes + 32), frame) == 1)
    return point;
  EC_POINT_free(point);
  return NULL;
}

static int bytes_of(BN_CTX *frame, const EC_POINT *point, U8 bytes[64]) {
  BIGNUM *x = BN_CTX_get(frame), *y = BN_CTX_get(frame);
  return EC_POINT_get_affine_coordinates(curve(), point, x, y, frame) == 1 && BN_bn2binpad(x, bytes, 32) == 32 &&
         BN_bn2binpad(y, bytes + 32, 32) == 32;
}

/* scalar * point (the generator when NULL), as bytes. */
static int multiply(BN_CTX *frame, const BIGNUM *scalar, const EC_POINT *point, U8 bytes[64]) {
  EC_POINT *product = EC_POINT_new(curve());
  const int ok = (point == NULL ? EC_POINT_mul(curve(), product, scalar, NULL, NULL, frame)
                                : EC_POINT_mul(curve(), product, NULL, point, scalar, frame)) == 1 &&
                 bytes_of(frame, product, bytes);
  EC_POINT_clear_free(product);
  return ok;
}

int sm2_is_point(const U8 public_key[64]) {
  BN_CTX *frame = frame_begin();
  const BIGNUM *prime = EC_GROUP_get0_field(curve());
  int ok = BN_cmp(number(frame, public_key), prime) < 0 && BN_cmp(number(frame, public_key + 32), prime) < 0;
  EC_POINT *point = ok ? point_of(frame, public_key) : NULL;
  ok = point != NULL;
  EC_POINT_free(point);
  return frame_end(frame, ok);
}

int sm2_public_key(const U8 d[32], U8 public_key[64]) {
  BN_CTX *frame = frame_begin();
  const BIGNUM *scalar = number(frame, d);
  BIGNUM *limit = BN_CTX_get(frame);
  /* GM/T 0003.1: d in [1, n-2], since signing divides by 1 + d. */
  BN_sub(limit, order(), BN_value_one());
  const int ok = !BN_is_zero(scalar) && BN_cmp(scalar, limit) < 0 && multiply(frame, scalar, NULL, public_key);
  return frame_end(frame, ok);
}

static int random_scalar(BIGNUM *k) {
  do {
    if (BN_priv_rand_range(k, order()) != 1) return 0;
  } while (BN_is_zero(k));
  return 1;
}

int sm2_generate(U8 d[32], U8 public_key[64]) {
  BN_CTX *frame = frame_begin();
  BIGNUM *scalar = BN_CTX_get(frame);
  int ok = 0;
  while (!ok && random_scalar(scalar) && BN_bn2binpad(scalar, d, 32) == 32) ok = sm2_public_key(d, public_key);
  return frame_end(frame, ok);
}

/* GM/T 0003.2 section 6.1 from step A3; 0 when this k can't be used. */
static int sign_once(BN_CTX *frame, const BIGNUM *d, const BIGNUM *e, const BIGNUM *k, U8 signature[64]) {
  U8 point[64];
  BIGNUM *r = BN_CTX_get(frame), *s = BN_CTX_get(frame), *t = BN_CTX_get(frame);
  if (!multiply(frame, k, NULL, point)) return 0;
  BN_mod_add(r, e, number(frame, point), order(), frame);
  BN_add(t, r, k);
  if (BN_is_zero(r) || BN_cmp(t, order()) == 0) return 0;
  BN_mod_mul(t, r, d, order(), frame);
  BN_mod_sub(t, k, t, order(), frame);
  BN_add(s, d, BN_value_one());
  BN_set_flags(s, BN_FLG_CONSTTIME);
  if (BN_mod_inverse(s, s, order(), frame) == NULL || BN_mod_mul(s, s, t, order(), frame) != 1 || BN_is_zero(s))
    return 0;
  return BN_bn2binpad(r, signature, 32) == 32 && BN_bn2binpad(s, signature + 32, 32) == 32;
}

int sm2_sign(const U8 d[32], const U8 e[32], const U8 *k, U8 signature[64]) {
  BN_CTX *frame = frame_begin();
  const BIGNUM *private_key = number(frame, d), *digest = number(frame, e);
  if (k != NULL) return frame_end(frame, sign_once(frame, private_key, digest, number(frame, k), signature));
  BIGNUM *random = BN_CTX_get(frame);
  int ok = 0;
  while (!ok && random_scalar(random)) ok = sign_once(frame, private_key, digest, random, signature);
  return frame_end(frame, ok);
}

int sm2_verify(const U8 public_key[64], const U8 e[32], const U8 signature[64]) {
  BN_CTX *frame = frame_begin();
  const BIGNUM *r = number(frame, signature), *s = number(frame, signature + 32);
  BIGNUM *t = BN_CTX_get(frame), *expected = BN_CTX_get(frame);
  U8 point[64];
  BN_mod_add(t, r, s, order(), frame);
  EC_POINT *public_point = sm2_is_point(public_key) ? point_of(frame, public_key) : NULL;
  EC_POINT *sum = EC_POINT_new(curve());
  const int ok = in_order(r) && in_order(s) && !BN_is_zero(t) && public_point != NULL &&
                 EC_POINT_mul(curve(), sum, s, public_point, t, frame) == 1 && bytes_of(frame, sum, point) &&
                 BN_mod_add(expected, number(frame, e), number(frame, point), order(), frame) == 1 &&
                 BN_cmp(expected, r) == 0;
  EC_POINT_free(sum);
  EC_POINT_free(public_point);
  return frame_end(frame, ok);
}

static void sm3(U8 hash[32], const U8 *a, size_t a_length, const U8 *b, size_t b_length, const U8 *c, size_t c_length) {
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  EVP_DigestInit_ex(context, EVP_sm3(), NULL);
  EVP_DigestUpdate(context, a, a_length);
  EVP_DigestUpdate(context, b, b_length);
  EVP_DigestUpdate(context, c, c_length);
  EVP_DigestFinal_ex(context, hash, NULL);
  EVP_MD_CTX_free(context);
}

/* KDF of GM/T 0003.4 section 5.4.3, over two parts. */
static void key_stream(const U8 *a, size_t a_length, const U8 *b, size_t b_length, U8 *out, size_t length) {
  for (size_t at = 0, counter = 1; at < length; at += 32, counter++) {
    const U8 big_endian[4] = {(U8)(counter >> 24), (U8)(counter >> 16), (U8)(counter >> 8), (U8)counter};
    U8 block[32];
    sm3(block, a, a_length, b, b_length, big_endian, 4);
    memcpy(out + at, block, length - at < 32 ? length - at : 32);
  }
}

/* XORs with the key stream of the shared point; 0 when the stream is all zero. */
static int mask(const U8 shared[64], const U8 *in, U8 *out, size_t length) {
  U8 stream[CIPHER_MAX_BYTES], any = 0;
  key_stream(shared, 64, NULL, 0, stream, length);
  for (size_t i = 0; i < length; i++) {
    any |= stream[i];
    out[i] = in[i] ^ stream[i];
  }
  OPENSSL_cleanse(stream, sizeof stream);
  return any != 0;
}

int sm2_encrypt(const U8 public_key[64], const U8 *k, const U8 *data, size_t length, U8 c1[64], U8 c3[32], U8 *c2) {
  if (length == 0 || length > CIPHER_MAX_BYTES || !sm2_is_point(public_key)) return 0;
  BN_CTX *frame = frame_begin();
  EC_POINT *public_point = point_of(frame, public_key);
  BIGNUM *scalar = k == NULL ? BN_CTX_get(frame) : number(frame, k);
  U8 shared[64];
  int ok;
  do
    ok = (k != NULL || random_scalar(scalar)) && multiply(frame, scalar, NULL, c1) &&
         multiply(frame, scalar, public_point, shared);
  while (ok && !mask(shared, data, c2, length) && k == NULL);
  sm3(c3, shared, 32, data, length, shared + 32, 32);
  OPENSSL_cleanse(shared, sizeof shared);
  EC_POINT_free(public_point);
  return frame_end(frame, ok);
}

int sm2_decrypt(const U8 d[32], const U8 c1[64], const U8 c3[32], const U8 *c2, size_t length, U8 *data) {
  if (length == 0 || length > CIPHER_MAX_BYTES || !sm2_is_point(c1)) return 0;
  BN_CTX *frame = frame_begin();
  EC_POINT *point = point_of(frame, c1);
  U8 shared[64], hash[32], plain[CIPHER_MAX_BYTES];
  int ok = multiply(frame, number(frame, d), point, shared) && mask(shared, c2, plain, length);
  if (ok) sm3(hash, shared, 32, plain, length, shared + 32, 32);
  ok = ok && CRYPTO_memcmp(hash, c3, 32) == 0;
  if (ok) memcpy(data, plain, length);
  OPENSSL_cleanse(plain, sizeof plain);
  OPENSSL_cleanse(shared, sizeof shared);
  EC_POINT_free(point);
  return frame_end(frame, ok);
}

int sm2_z(const U8 public_key[64], const U8 *id, size_t id_length, U8 z[32]) {
  if (id_length > 8191) return 0;
  BN_CTX *frame = frame_begin();
  BIGNUM *a = BN_CTX_get(frame), *b = BN_CTX_get(frame);
  const U8 id_bits[2] = {(U8)(id_length * 8 >> 8), (U8)(id_length * 8)};
  U8 parameters[128];
  const int ok = EC_GROUP_get_curve(curve(), NULL, a, b, frame) == 1 && BN_bn2binpad(a, parameters, 32) == 32 &&
                 BN_bn2binpad(b, parameters + 32, 32) == 32 &&
                 bytes_of(frame, EC_GROUP_get0_generator(curve()), parameters + 64);
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  EVP_DigestInit_ex(context, EVP_sm3(), NULL);
  EVP_DigestUpdate(context, id_bits, sizeof id_bits);
  EVP_DigestUpdate(context, id, id_length);
  EVP_DigestUpdate(context, parameters, sizeof parameters);
  EVP_DigestUpdate(context, public_key, 64);
  EVP_DigestFinal_ex(context, z, NULL);
  EVP_MD_CTX_free(context);
  return frame_end(frame, ok);
}

/* x~ = 2^127 + (x mod 2^127), GM/T 0003.3 section 6.1. */
static BIGNUM *truncated_x(BN_CTX *frame, const U8 point[64]) {
  BIGNUM *x = number(frame, point);
  BN_mask_bits(x, 127);
  BN_set_bit(x, 127);
  return x;
}

int sm2_exchange(int is_sponsor, const U8 d[32], const U8 r[32], const ExchangeSide *own, const ExchangeSide *peer,
                 U8 *key, size_t key_length) {
  if (!sm2_is_point(peer->public_key) || !sm2_is_point(peer->ephemeral)) return 0;
  BN_CTX *frame = frame_begin();
  BIGNUM *t = BN_CTX_get(frame);
  EC_POINT *peer_point = point_of(frame, peer->public_key), *peer_ephemeral = point_of(frame, peer->ephemeral);
  EC_POINT *sum = EC_POINT_new(curve());
  U8 shared[64], names[64];
  BN_mod_mul(t, truncated_x(frame, own->ephemeral), number(frame, r), order(), frame);
  BN_mod_add(t, t, number(frame, d), order(), frame);
  /* U = t * (P + x~ * R); the curve's cofactor is 1. */
  const int ok = EC_POINT_mul(curve(), sum, NULL, peer_ephemeral, truncated_x(frame, peer->ephemeral), frame) == 1 &&
                 EC_POINT_add(curve(), sum, sum, peer_point, frame) == 1 && !EC_POINT_is_at_infinity(curve(), sum) &&
                 multiply(frame, t, sum, shared);
  memcpy(names, is_sponsor ? own->z : peer->z, 32);
  memcpy(names + 32, is_sponsor ? peer->z : own->z, 32);
  if (ok) key_stream(shared, 64, names, 64, key, key_length);
  OPENSSL_cleanse(shared, sizeof shared);
  EC_POINT_clear_free(sum);
  EC_POINT_free(peer_ephemeral);
  EC_POINT_free(peer_point);
  return frame_end(frame, ok);
}
