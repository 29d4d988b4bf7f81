/* SM4 for AVX2 without GFNI: bitsliced, 64 blocks at once. */
#if defined(__x86_64__)
#pragma GCC target("avx2,aes,pclmul")
#include "sm4.h"
#include <immintrin.h>

typedef uint64_t plane __attribute__((vector_size(32)));

/* A rotation of every 64 bits by 16, 32 or 48. */
static inline __attribute__((always_inline)) plane rotate_bytes(plane x, int bytes) {
  const __m128i by1 = _mm_setr_epi8(6, 7, 0, 1, 2, 3, 4, 5, 14, 15, 8, 9, 10, 11, 12, 13);
  const __m128i by3 = _mm_setr_epi8(2, 3, 4, 5, 6, 7, 0, 1, 10, 11, 12, 13, 14, 15, 8, 9);
  if (bytes == 2) return (plane)_mm256_shuffle_epi32((__m256i)x, 0xb1);
  return (plane)_mm256_shuffle_epi8((__m256i)x, _mm256_broadcastsi128_si256(bytes == 1 ? by1 : by3));
}
#define ROTATE_BYTES(x, bytes) rotate_bytes(x, bytes)
#define BROADCAST(x) ((plane)_mm256_set1_epi64x((long long)(x)))
#include "bitsliced-rounds.h"

#define BATCH_BYTES 1024
#define WORTH_A_BATCH_BYTES 512

/*
 * Bit 16p + j of the 64 bits at v is byte p of block 8 (j mod 8) + 2 (2 (v mod 2) + j / 8) + v / 2. With that numbering,
 * transposing 4 x 4 words within 128 bits gives 32 bytes of the key stream in order.
 */
static inline __m256i counters(uint32_t first) {
  return _mm256_add_epi32(_mm256_set1_epi32((int)first), _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
}

static void batch(const struct sm4_key *key, const uint32_t counter[4], const uint8_t *in, uint8_t *out) {
  const __m256i interleave =
      _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15));
  const __m256i part_big_endian =
      _mm256_broadcastsi128_si256(_mm_setr_epi8(6, 4, 2, 0, 7, 5, 3, 1, 14, 12, 10, 8, 15, 13, 11, 9));
  plane words[4][8];
  for (int i = 0; i < 3; i++) spread_word(words[i], counter[i]);
  for (uint32_t k = 0; k < 8; k++) words[3][k] = (plane)_mm256_shuffle_epi8(counters(counter[3] + 8 * k), interleave);
  transpose_bits(words[3]);
  rounds_on_planes(words, key->round_planes);
  for (int i = 0; i < 4; i++) transpose_bits(words[i]);
  for (int k = 0; k < 8; k++) {
    __m256i w[4];
    for (int i = 0; i < 4; i++) w[i] = _mm256_shuffle_epi8((__m256i)words[3 - i][k], part_big_endian);
    const __m256i a = _mm256_unpacklo_epi32(w[0], w[1]), b = _mm256_unpacklo_epi32(w[2], w[3]);
    const __m256i c = _mm256_unpackhi_epi32(w[0], w[1]), d = _mm256_unpackhi_epi32(w[2], w[3]);
    const __m256i stream[4] = {_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b), _mm256_unpacklo_epi64(c, d),
                               _mm256_unpackhi_epi64(c, d)};
    for (int e = 0; e < 4; e++) {
      const __m256i data = _mm256_loadu_si256((const __m256i *)(in + 128 * k + 32 * e));
      _mm256_storeu_si256((__m256i *)(out + 128 * k + 32 * e), _mm256_xor_si256(data, stream[e]));
    }
  }
  sm4_wipe(words, sizeof words);
}

#include "bitsliced-ctr.h"

const struct sm4_kernel sm4_avx2 = {"avx2", sm4_has_avx2, sm4_clmul_set_up_hash, ctr32, sm4_clmul_hash, NULL, NULL};
#else
typedef int nothing_for_this_processor;
#endif
