/*
 * SM4 (GB/T 32907-2016) in counter mode and GCM (NIST SP 800-38D, RFC 8998): what the kernels share.
 *
 * A kernel is one way to compute them on one kind of processor. All kernels give the same bytes, and none looks anything
 * up in memory at a place that depends on a key or on data, or branches on one.
 */
#ifndef STRONGROOM_SM4_H
#define STRONGROOM_SM4_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SM4_BLOCK_BYTES 16
#define SM4_ROUNDS 32
/* The most blocks that are multiplied into the hash before one reduction. */
#define SM4_HASH_BATCH 64

struct sm4_key {
  uint32_t round_keys[SM4_ROUNDS];
  /* For bitsliced kernels: each round key as eight bit planes of 16 blocks, the S-box's constants folded in. */
  uint64_t round_planes[SM4_ROUNDS][8];
  /* GHASH's H as POLYVAL has it (ghash-clmul.h): H^64 first, H last. The scalar kernel uses only the last. */
  uint64_t hash_powers[SM4_HASH_BATCH][2];
};

/* The state of a GHASH: byte-reversed, as the low and the high 64 bits. */
struct sm4_hash {
  uint64_t low, high;
};

struct sm4_kernel {
  const char *name;
  int (*is_supported)(void);
  /* Fills hash_powers from E(0), given in hash_powers[63] byte-reversed. */
  void (*set_up_hash)(struct sm4_key *key);
  /* XORs `bytes` bytes with the key stream. Counts the last four bytes of `counter` up, big-endian, modulo 2^32. */
  void (*ctr32)(const struct sm4_key *key, const uint8_t counter[16], const uint8_t *in, uint8_t *out, size_t bytes);
  /* Hashes `bytes` bytes, the last block filled up with zeros. */
  void (*hash)(const struct sm4_key *key, struct sm4_hash *state, const uint8_t *data, size_t bytes);
  /* Optional: ctr32 and hash of the ciphertext in one pass over a multiple of 1,024 bytes. */
  void (*seal_blocks)(const struct sm4_key *key, const uint8_t counter[16], const uint8_t *in, uint8_t *out, size_t bytes,
                      struct sm4_hash *state);
  void (*open_blocks)(const struct sm4_key *key, const uint8_t counter[16], const uint8_t *in, uint8_t *out, size_t bytes,
                      struct sm4_hash *state);
};

/* Best first; the last is the scalar one, which runs everywhere. */
extern const struct sm4_kernel *const sm4_kernels[];
extern const size_t sm4_kernel_count;

void sm4_expand_key(struct sm4_key *key, const struct sm4_kernel *kernel, const uint8_t bytes[16]);

/* Counter mode over all 16 bytes of the counter. */
void sm4_ctr(const struct sm4_key *key, const struct sm4_kernel *kernel, const uint8_t counter[16], const uint8_t *in,
             uint8_t *out, size_t bytes);
void sm4_gcm_seal(const struct sm4_key *key, const struct sm4_kernel *kernel, const uint8_t nonce[12], const uint8_t *ad,
                  size_t ad_bytes, const uint8_t *in, uint8_t *out, size_t bytes, uint8_t tag[16]);
/* Zeroes `out` and returns 0 when the tag does not match, else 1. */
int sm4_gcm_open(const struct sm4_key *key, const struct sm4_kernel *kernel, const uint8_t nonce[12], const uint8_t *ad,
                 size_t ad_bytes, const uint8_t *in, uint8_t *out, size_t bytes, const uint8_t tag[16]);

/* Big-endian words and unaligned memory. */
static inline uint32_t sm4_load32(const uint8_t *from) {
  uint32_t word;
  memcpy(&word, from, 4);
  return __builtin_bswap32(word);
}
static inline void sm4_store32(uint8_t *to, uint32_t word) {
  word = __builtin_bswap32(word);
  memcpy(to, &word, 4);
}
static inline uint64_t sm4_load64(const uint8_t *from) {
  uint64_t word;
  memcpy(&word, from, 8);
  return __builtin_bswap64(word);
}
static inline void sm4_store64(uint8_t *to, uint64_t word) {
  word = __builtin_bswap64(word);
  memcpy(to, &word, 8);
}
static inline uint32_t sm4_rotate32(uint32_t x, int bits) { return (x << bits) | (x >> (32 - bits)); }
/* Zeros that the compiler does not leave out. */
void sm4_wipe(void *memory, size_t bytes);

/* What the kernels lend each other. */
void sm4_scalar_ctr32(const struct sm4_key *key, const uint8_t counter[16], const uint8_t *in, uint8_t *out, size_t bytes);
#if defined(__x86_64__)
int sm4_has_aesni(void);
int sm4_has_avx2(void);
int sm4_has_avx512(void);
int sm4_has_avx2_gfni(void);
int sm4_has_avx512_gfni(void);
void sm4_aesni_ctr32(const struct sm4_key *key, const uint8_t counter[16], const uint8_t *in, uint8_t *out, size_t bytes);
void sm4_clmul_set_up_hash(struct sm4_key *key);
void sm4_clmul_hash(const struct sm4_key *key, struct sm4_hash *state, const uint8_t *data, size_t bytes);
extern const struct sm4_kernel sm4_aesni, sm4_avx2, sm4_avx512, sm4_avx2_gfni, sm4_avx512_gfni;
#endif
extern const struct sm4_kernel sm4_scalar;

#endif
