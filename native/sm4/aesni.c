/*
 * SM4 on 128-bit registers, four blocks in each set, four sets at once. The S-box is AESENCLAST's between two affine
 * maps, each of which is two look-ups of nibbles in a register (PSHUFB).
 */
#if defined(__x86_64__)
#pragma GCC target("avx,aes,pclmul")
#include "sm4.h"
#include "sbox-affine.h"
#include <immintrin.h>

#define SET_BYTES 64
#define MANY_SETS 4
#define FEW_SETS 2
#define INLINE static inline __attribute__((always_inline))

INLINE __m128i affine(__m128i x, __m128i low_table, __m128i high_table) {
  const __m128i nibble = _mm_set1_epi8(0x0f);
  const __m128i low = _mm_and_si128(x, nibble);
  const __m128i high = _mm_and_si128(_mm_srli_epi32(x, 4), nibble);
  return _mm_xor_si128(_mm_shuffle_epi8(low_table, low), _mm_shuffle_epi8(high_table, high));
}

/* S on each byte. AESENCLAST also moves the bytes of rows; they come back by `rows_back`, merged into the rotations below. */
INLINE __m128i substitute_moved(__m128i x) {
  const __m128i before_low = _mm_setr_epi8(SBOX_BEFORE_LOW), before_high = _mm_setr_epi8(SBOX_BEFORE_HIGH);
  const __m128i after_low = _mm_setr_epi8(SBOX_AFTER_LOW), after_high = _mm_setr_epi8(SBOX_AFTER_HIGH);
  return affine(_mm_aesenclast_si128(affine(x, before_low, before_high), _mm_setzero_si128()), after_low, after_high);
}

INLINE __m128i sm4_round(__m128i x0, __m128i x1, __m128i x2, __m128i x3, __m128i key) {
  const __m128i rows_back = _mm_setr_epi8(0, 13, 10, 7, 4, 1, 14, 11, 8, 5, 2, 15, 12, 9, 6, 3);
  const __m128i rotated_8 = _mm_setr_epi8(7, 0, 13, 10, 11, 4, 1, 14, 15, 8, 5, 2, 3, 12, 9, 6);
  const __m128i rotated_16 = _mm_setr_epi8(10, 7, 0, 13, 14, 11, 4, 1, 2, 15, 8, 5, 6, 3, 12, 9);
  const __m128i rotated_24 = _mm_setr_epi8(13, 10, 7, 0, 1, 14, 11, 4, 5, 2, 15, 8, 9, 6, 3, 12);
  const __m128i s = substitute_moved(_mm_xor_si128(_mm_xor_si128(x1, x2), _mm_xor_si128(x3, key)));
  const __m128i b = _mm_shuffle_epi8(s, rows_back);
  const __m128i sum = _mm_xor_si128(b, _mm_xor_si128(_mm_shuffle_epi8(s, rotated_8), _mm_shuffle_epi8(s, rotated_16)));
  const __m128i by2 = _mm_or_si128(_mm_slli_epi32(sum, 2), _mm_srli_epi32(sum, 30));
  return _mm_xor_si128(_mm_xor_si128(x0, b), _mm_xor_si128(_mm_shuffle_epi8(s, rotated_24), by2));
}

/* Four words of each of four blocks to four blocks in memory order, XORed with `in`. */
INLINE void put_blocks(const __m128i w[4], const uint8_t *in, uint8_t *out) {
  const __m128i big_endian = _mm_setr_epi8(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12);
  const __m128i a = _mm_unpacklo_epi32(w[3], w[2]), b = _mm_unpacklo_epi32(w[1], w[0]);
  const __m128i c = _mm_unpackhi_epi32(w[3], w[2]), d = _mm_unpackhi_epi32(w[1], w[0]);
  const __m128i blocks[4] = {_mm_unpacklo_epi64(a, b), _mm_unpackhi_epi64(a, b), _mm_unpacklo_epi64(c, d), _mm_unpackhi_epi64(c, d)};
  for (int i = 0; i < 4; i++) {
    const __m128i data = _mm_loadu_si128((const __m128i *)(in + 16 * i));
    _mm_storeu_si128((__m128i *)(out + 16 * i), _mm_xor_si128(data, _mm_shuffle_epi8(blocks[i], big_endian)));
  }
}

INLINE void sm4_pass(const struct sm4_key *key, const uint32_t counter[4], const uint8_t *in, uint8_t *out, const int sets) {
  __m128i x[MANY_SETS][4];
#pragma GCC unroll 4
  for (int set = 0; set < sets; set++) {
#pragma GCC unroll 3
    for (int i = 0; i < 3; i++) x[set][i] = _mm_set1_epi32((int)counter[i]);
    x[set][3] = _mm_add_epi32(_mm_set1_epi32((int)(counter[3] + 4 * (uint32_t)set)), _mm_setr_epi32(0, 1, 2, 3));
  }
  for (int round = 0; round < SM4_ROUNDS; round += 4) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
      const __m128i round_key = _mm_set1_epi32((int)key->round_keys[round + i]);
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

void sm4_aesni_ctr32(const struct sm4_key *key, const uint8_t counter[16], const uint8_t *in, uint8_t *out, size_t bytes) {
  ctr32_by_sets(key, counter, in, out, bytes);
}

const struct sm4_kernel sm4_aesni = {"aesni", sm4_has_aesni, sm4_clmul_set_up_hash, sm4_aesni_ctr32, sm4_clmul_hash, NULL, NULL};
#else
typedef int nothing_for_this_processor;
#endif
