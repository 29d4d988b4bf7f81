/* SM4 for AVX2 with GFNI: the S-box is two instructions; eight blocks in each set, four sets at once. */
#if defined(__x86_64__)
#ifdef SM4_EMULATED_INSTRUCTIONS
#pragma GCC target("avx2,pclmul")
#else
#pragma GCC target("avx2,pclmul,gfni")
#endif
#include "sm4.h"
#include "sbox-affine.h"
#include <immintrin.h>
#ifdef SM4_EMULATED_INSTRUCTIONS
#include "emulated-instructions.h"
#endif

#define SET_BYTES 128
#define MANY_SETS 4
#define FEW_SETS 1
#define INLINE static inline __attribute__((always_inline))

INLINE __m256i rotate_bytes(__m256i x, int bytes) {
  const __m128i by1 = _mm_setr_epi8(3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14);
  const __m128i by2 = _mm_setr_epi8(2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
  const __m128i by3 = _mm_setr_epi8(1, 2, 3, 0, 5, 6, 7, 4, 9, 10, 11, 8, 13, 14, 15, 12);
  return _mm256_shuffle_epi8(x, _mm256_broadcastsi128_si256(bytes == 1 ? by1 : bytes == 2 ? by2 : by3));
}

INLINE __m256i sm4_round(__m256i x0, __m256i x1, __m256i x2, __m256i x3, __m256i key) {
  const __m256i m1 = _mm256_set1_epi64x((long long)SBOX_M1), m2 = _mm256_set1_epi64x((long long)SBOX_M2);
  __m256i b = _mm256_xor_si256(_mm256_xor_si256(x1, x2), _mm256_xor_si256(x3, key));
  b = _mm256_gf2p8affine_epi64_epi8(b, m1, SBOX_C1);
  b = _mm256_gf2p8affineinv_epi64_epi8(b, m2, SBOX_C2);
  const __m256i sum = _mm256_xor_si256(b, _mm256_xor_si256(rotate_bytes(b, 1), rotate_bytes(b, 2)));
  const __m256i by2 = _mm256_or_si256(_mm256_slli_epi32(sum, 2), _mm256_srli_epi32(sum, 30));
  return _mm256_xor_si256(_mm256_xor_si256(x0, b), _mm256_xor_si256(rotate_bytes(b, 3), by2));
}

/* Four words of each of eight blocks to eight blocks in memory order, XORed with `in`. Element e of 128 bits l is block 2e + l. */
INLINE void put_blocks(const __m256i w[4], const uint8_t *in, uint8_t *out) {
  const __m128i swap = _mm_setr_epi8(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12);
  const __m256i big_endian = _mm256_broadcastsi128_si256(swap);
  const __m256i a = _mm256_unpacklo_epi32(w[3], w[2]), b = _mm256_unpacklo_epi32(w[1], w[0]);
  const __m256i c = _mm256_unpackhi_epi32(w[3], w[2]), d = _mm256_unpackhi_epi32(w[1], w[0]);
  const __m256i blocks[4] = {_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b), _mm256_unpacklo_epi64(c, d),
                             _mm256_unpackhi_epi64(c, d)};
#pragma GCC unroll 4
  for (int e = 0; e < 4; e++) {
    const __m256i data = _mm256_loadu_si256((const __m256i *)(in + 32 * e));
    _mm256_storeu_si256((__m256i *)(out + 32 * e), _mm256_xor_si256(data, _mm256_shuffle_epi8(blocks[e], big_endian)));
  }
}

INLINE void sm4_pass(const struct sm4_key *key, const uint32_t counter[4], const uint8_t *in, uint8_t *out, const int sets) {
  const __m256i order = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
  __m256i x[MANY_SETS][4];
#pragma GCC unroll 4
  for (int set = 0; set < sets; set++) {
#pragma GCC unroll 3
    for (int i = 0; i < 3; i++) x[set][i] = _mm256_set1_epi32((int)counter[i]);
    x[set][3] = _mm256_add_epi32(_mm256_set1_epi32((int)(counter[3] + 8 * (uint32_t)set)), order);
  }
  for (int round = 0; round < SM4_ROUNDS; round += 4) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
      const __m256i round_key = _mm256_set1_epi32((int)key->round_keys[round + i]);
#pragma GCC unroll 4
      for (int set = 0; set < sets; set++)
        x[set][i] = sm4_round(x[set][i], x[set][(i + 1) & 3], x[set][(i + 2) & 3], x[set][(i + 3) & 3], round_key);
    }
  }
#pragma GCC unroll 4
  for (int set = 0; set < sets; set++) put_blocks(x[set], in + SET_BYTES * set, out + SET_BYTES * set);
}

#define PASS(sets, in, out) sm4_pass(key, at, in, out, sets)
#include "ctr-by-sets.h"

static void ctr32(const struct sm4_key *key, const uint8_t counter[16], const uint8_t *in, uint8_t *out, size_t bytes) {
  ctr32_by_sets(key, counter, in, out, bytes);
}

const struct sm4_kernel sm4_avx2_gfni = {"avx2-gfni", sm4_has_avx2_gfni, sm4_clmul_set_up_hash, ctr32, sm4_clmul_hash, NULL, NULL};
#else
typedef int nothing_for_this_processor;
#endif
