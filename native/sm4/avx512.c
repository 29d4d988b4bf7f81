/* SM4 for AVX-512 without GFNI: bitsliced, 128 blocks at once. */
#if defined(__x86_64__)
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,aes,pclmul")
#include "sm4.h"
#include <immintrin.h>

typedef uint64_t plane __attribute__((vector_size(64)));
#define ROTATE_BYTES(x, bytes) ((plane)_mm512_rol_epi64((__m512i)(x), 16 * (bytes)))
#define BROADCAST(x) ((plane)_mm512_set1_epi64((long long)(x)))
#include "bitsliced-rounds.h"

#define BATCH_BYTES 2048
#define WORTH_A_BATCH_BYTES 640

/*
 * Bit 16p + j of the 64 bits at v is byte p of block 16 (j mod 8) + 4 (2 (v mod 2) + j / 8) + v / 2. With that numbering,
 * transposing 4 x 4 words within 128 bits gives 64 bytes of the key stream in order.
 */
static inline __m512i counters(uint32_t first) {
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return _mm512_add_epi32(_mm512_set1_epi32((int)first), order);
}

static void batch(const struct sm4_key *key, const uint32_t counter[4], const uint8_t *in, uint8_t *out) {
  const __m512i interleave = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15));
  const __m512i part_big_endian = _mm512_broadcast_i32x4(_mm_setr_epi8(6, 4, 2, 0, 7, 5, 3, 1, 14, 12, 10, 8, 15, 13, 11, 9));
  plane words[4][8];
  for (int i = 0; i < 3; i++) spread_word(words[i], counter[i]);
  for (uint32_t k = 0; k < 8; k++) words[3][k] = (plane)_mm512_shuffle_epi8(counters(counter[3] + 16 * k), interleave);
  transpose_bits(words[3]);
  rounds_on_planes(words, key->round_planes);
  for (int i = 0; i < 4; i++) transpose_bits(words[i]);
  for (int k = 0; k < 8; k++) {
    __m512i w[4];
    for (int i = 0; i < 4; i++) w[i] = _mm512_shuffle_epi8((__m512i)words[3 - i][k], part_big_endian);
    const __m512i a = _mm512_unpacklo_epi32(w[0], w[1]), b = _mm512_unpacklo_epi32(w[2], w[3]);
    const __m512i c = _mm512_unpackhi_epi32(w[0], w[1]), d = _mm512_unpackhi_epi32(w[2], w[3]);
    const __m512i stream[4] = {_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b), _mm512_unpacklo_epi64(c, d),
                               _mm512_unpackhi_epi64(c, d)};
    for (int e = 0; e < 4; e++) {
      const __m512i data = _mm512_loadu_si512(in + 256 * k + 64 * e);
      _mm512_storeu_si512(out + 256 * k + 64 * e, _mm512_xor_si512(data, stream[e]));
    }
  }
  sm4_wipe(words, sizeof words);
}

#include "bitsliced-ctr.h"

const struct sm4_kernel sm4_avx512 = {"avx512", sm4_has_avx512, sm4_clmul_set_up_hash, ctr32, sm4_clmul_hash, NULL, NULL};
#else
typedef int nothing_for_this_processor;
#endif
