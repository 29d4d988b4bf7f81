/* What GHASH by PCLMULQDQ and by VPCLMULQDQ share; for the representation see ghash-clmul.c. */
#include <immintrin.h>

static inline __m128i reverse_bytes(__m128i x) {
  return _mm_shuffle_epi8(x, _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}

/* Montgomery's reduction of low + middle * 2^64 + high * 2^128 by x^128 + x^127 + x^126 + x^121 + 1. */
static inline __m128i reduce(__m128i low, __m128i middle, __m128i high) {
  const __m128i polynomial = _mm_set_epi64x(0, (long long)0xc200000000000000ull);
  low = _mm_xor_si128(low, _mm_slli_si128(middle, 8));
  high = _mm_xor_si128(high, _mm_srli_si128(middle, 8));
  for (int step = 0; step < 2; step++)
    low = _mm_xor_si128(_mm_shuffle_epi32(low, 0x4e), _mm_clmulepi64_si128(low, polynomial, 0x00));
  return _mm_xor_si128(low, high);
}
