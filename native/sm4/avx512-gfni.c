/*
 * SM4 for AVX-512 with GFNI: the S-box is two instructions. 64 blocks at once as four sets of 16, and while they go through
 * the rounds, 64 blocks of ciphertext go through GHASH by VPCLMULQDQ, eight in every fourth round.
 */
#if defined(__x86_64__)
#ifdef SM4_EMULATED_INSTRUCTIONS
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx,pclmul")
#else
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx,pclmul,gfni,vpclmulqdq")
#endif
#include "sm4.h"
#include "ghash-clmul.h"
#include "sbox-affine.h"
#ifdef SM4_EMULATED_INSTRUCTIONS
#include "emulated-instructions.h"
#endif

#define SET_BYTES 256
#define MANY_SETS 4
#define FEW_SETS 1
#define CHUNK_BYTES (SET_BYTES * MANY_SETS)
#define INLINE static inline __attribute__((always_inline))

/* Sums of products of a GHASH that are not reduced yet. */
struct sums {
  __m512i low, middle, high;
};

INLINE __m512i sm4_round(__m512i x0, __m512i x1, __m512i x2, __m512i x3, __m512i key) {
  const __m512i m1 = _mm512_set1_epi64((long long)SBOX_M1), m2 = _mm512_set1_epi64((long long)SBOX_M2);
  const int xor3 = 0x96;
  __m512i b = _mm512_xor_si512(_mm512_ternarylogic_epi32(x1, x2, x3, xor3), key);
  b = _mm512_gf2p8affine_epi64_epi8(b, m1, SBOX_C1);
  b = _mm512_gf2p8affineinv_epi64_epi8(b, m2, SBOX_C2);
  const __m512i sum = _mm512_ternarylogic_epi32(b, _mm512_rol_epi32(b, 2), _mm512_rol_epi32(b, 10), xor3);
  const __m512i rest = _mm512_ternarylogic_epi32(x0, _mm512_rol_epi32(b, 18), _mm512_rol_epi32(b, 24), xor3);
  return _mm512_xor_si512(sum, rest);
}

/* Four words of each of 16 blocks to 16 blocks in memory order, XORed with `in`. Element e of 128 bits l is block 4e + l. */
INLINE void put_blocks(const __m512i w[4], const uint8_t *in, uint8_t *out) {
  const __m512i big_endian = _mm512_broadcast_i32x4(_mm_setr_epi8(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12));
  const __m512i a = _mm512_unpacklo_epi32(w[3], w[2]), b = _mm512_unpacklo_epi32(w[1], w[0]);
  const __m512i c = _mm512_unpackhi_epi32(w[3], w[2]), d = _mm512_unpackhi_epi32(w[1], w[0]);
  const __m512i blocks[4] = {_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b), _mm512_unpacklo_epi64(c, d),
                             _mm512_unpackhi_epi64(c, d)};
#pragma GCC unroll 4
  for (int e = 0; e < 4; e++) {
    const __m512i data = _mm512_loadu_si512(in + 64 * e);
    _mm512_storeu_si512(out + 64 * e, _mm512_xor_si512(data, _mm512_shuffle_epi8(blocks[e], big_endian)));
  }
}

/* Multiplies four blocks with four powers of H and adds the products. `state` is added to the first block. */
INLINE void add_products(struct sums *sums, const uint8_t *data, const uint64_t (*powers)[2], __m512i state) {
  const __m512i reversed = _mm512_broadcast_i32x4(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
  const __m512i x = _mm512_xor_si512(_mm512_shuffle_epi8(_mm512_loadu_si512(data), reversed), state);
  const __m512i power = _mm512_loadu_si512(powers);
  const int xor3 = 0x96;
  sums->low = _mm512_xor_si512(sums->low, _mm512_clmulepi64_epi128(x, power, 0x00));
  sums->high = _mm512_xor_si512(sums->high, _mm512_clmulepi64_epi128(x, power, 0x11));
  sums->middle = _mm512_ternarylogic_epi32(sums->middle, _mm512_clmulepi64_epi128(x, power, 0x01),
                                           _mm512_clmulepi64_epi128(x, power, 0x10), xor3);
}

INLINE __m128i sum_of_lanes(__m512i x) {
  const __m256i half = _mm256_xor_si256(_mm512_castsi512_si256(x), _mm512_extracti64x4_epi64(x, 1));
  return _mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

/* `sets` times 16 blocks of counter mode; with `hashed`, CHUNK_BYTES there are hashed into `state` in between. */
INLINE void sm4_pass(const struct sm4_key *key, const uint32_t counter[4], const uint8_t *in, uint8_t *out, const int sets,
                     const uint8_t *hashed, __m128i *state) {
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i zero = _mm512_setzero_si512();
  struct sums sums = {zero, zero, zero};
  __m512i x[MANY_SETS][4];
#pragma GCC unroll 4
  for (int set = 0; set < sets; set++) {
#pragma GCC unroll 3
    for (int i = 0; i < 3; i++) x[set][i] = _mm512_set1_epi32((int)counter[i]);
    x[set][3] = _mm512_add_epi32(_mm512_set1_epi32((int)(counter[3] + 16 * (uint32_t)set)), order);
  }
  __m512i first = hashed != NULL ? _mm512_zextsi128_si512(*state) : zero;
  for (int round = 0; round < SM4_ROUNDS; round += 4) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
      const __m512i round_key = _mm512_set1_epi32((int)key->round_keys[round + i]);
#pragma GCC unroll 4
      for (int set = 0; set < sets; set++)
        x[set][i] = sm4_round(x[set][i], x[set][(i + 1) & 3], x[set][(i + 2) & 3], x[set][(i + 3) & 3], round_key);
      if (hashed != NULL && (i & 1) == 0) {
        const int block = round * 2 + i * 2;
        add_products(&sums, hashed + 16 * block, key->hash_powers + block, first);
        first = zero;
      }
    }
  }
#pragma GCC unroll 4
  for (int set = 0; set < sets; set++) put_blocks(x[set], in + SET_BYTES * set, out + SET_BYTES * set);
  if (hashed != NULL) *state = reduce(sum_of_lanes(sums.low), sum_of_lanes(sums.middle), sum_of_lanes(sums.high));
}

#define PASS(sets, in, out) sm4_pass(key, at, in, out, sets, NULL, NULL)
#include "ctr-by-sets.h"

static void ctr32(const struct sm4_key *key, const uint8_t counter[16], const uint8_t *in, uint8_t *out, size_t bytes) {
  ctr32_by_sets(key, counter, in, out, bytes);
}

static __m128i load_state(const struct sm4_hash *hash) { return _mm_set_epi64x((long long)hash->high, (long long)hash->low); }
static void store_state(struct sm4_hash *hash, __m128i state) {
  hash->low = (uint64_t)_mm_cvtsi128_si64(state);
  hash->high = (uint64_t)_mm_extract_epi64(state, 1);
}

/* The ciphertext of a chunk is hashed while the next one is made. */
static void seal_blocks(const struct sm4_key *key, const uint8_t counter[16], const uint8_t *in, uint8_t *out, size_t bytes,
                        struct sm4_hash *hash) {
  uint32_t at[4];
  load_counter(at, counter);
  __m128i state = load_state(hash);
  sm4_pass(key, at, in, out, MANY_SETS, NULL, NULL);
  for (size_t done = CHUNK_BYTES; done < bytes; done += CHUNK_BYTES) {
    count_up(at, CHUNK_BYTES);
    sm4_pass(key, at, in + done, out + done, MANY_SETS, out + done - CHUNK_BYTES, &state);
  }
  store_state(hash, state);
  sm4_clmul_hash(key, hash, out + bytes - CHUNK_BYTES, CHUNK_BYTES);
}

/* A chunk is hashed before it is overwritten. */
static void open_blocks(const struct sm4_key *key, const uint8_t counter[16], const uint8_t *in, uint8_t *out, size_t bytes,
                        struct sm4_hash *hash) {
  uint32_t at[4];
  load_counter(at, counter);
  __m128i state = load_state(hash);
  for (size_t done = 0; done < bytes; done += CHUNK_BYTES) {
    sm4_pass(key, at, in + done, out + done, MANY_SETS, in + done, &state);
    count_up(at, CHUNK_BYTES);
  }
  store_state(hash, state);
}

const struct sm4_kernel sm4_avx512_gfni = {"avx512-gfni",  sm4_has_avx512_gfni, sm4_clmul_set_up_hash, ctr32,
                                           sm4_clmul_hash, seal_blocks,         open_blocks};
#else
typedef int nothing_for_this_processor;
#endif
