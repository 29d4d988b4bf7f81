/*
 * GHASH by PCLMULQDQ. It is computed as POLYVAL over reversed bytes under H times x (RFC 8452, appendix A), because that is
 * how the processor numbers bits. Up to 64 blocks are multiplied by powers of H before one reduction.
 */
#if defined(__x86_64__)
#pragma GCC target("avx,pclmul")
#include "sm4.h"
#include "ghash-clmul.h"

static inline __m128i multiply(__m128i a, __m128i b) {
  const __m128i middle = _mm_xor_si128(_mm_clmulepi64_si128(a, b, 0x01), _mm_clmulepi64_si128(a, b, 0x10));
  return reduce(_mm_clmulepi64_si128(a, b, 0x00), middle, _mm_clmulepi64_si128(a, b, 0x11));
}

void sm4_clmul_set_up_hash(struct sm4_key *key) {
  uint64_t *h = key->hash_powers[SM4_HASH_BATCH - 1];
  const uint64_t carry = 0 - (h[1] >> 63);
  h[1] = ((h[1] << 1) | (h[0] >> 63)) ^ (carry & 0xc200000000000000ull);
  h[0] = (h[0] << 1) ^ (carry & 1);
  const __m128i first = _mm_loadu_si128((const __m128i *)h);
  __m128i power = first;
  for (int i = SM4_HASH_BATCH - 2; i >= 0; i--) {
    power = multiply(power, first);
    _mm_storeu_si128((__m128i *)key->hash_powers[i], power);
  }
}

/* `blocks` is 1 to SM4_HASH_BATCH. */
static inline __m128i hash_batch(const struct sm4_key *key, __m128i state, const uint8_t *data, size_t blocks) {
  __m128i low = _mm_setzero_si128(), middle = low, high = low;
  const uint64_t(*powers)[2] = key->hash_powers + SM4_HASH_BATCH - blocks;
  for (size_t i = 0; i < blocks; i++) {
    const __m128i x = _mm_xor_si128(reverse_bytes(_mm_loadu_si128((const __m128i *)(data + 16 * i))), state);
    const __m128i power = _mm_loadu_si128((const __m128i *)powers[i]);
    state = _mm_setzero_si128();
    low = _mm_xor_si128(low, _mm_clmulepi64_si128(x, power, 0x00));
    high = _mm_xor_si128(high, _mm_clmulepi64_si128(x, power, 0x11));
    middle = _mm_xor_si128(middle, _mm_clmulepi64_si128(x, power, 0x01));
    middle = _mm_xor_si128(middle, _mm_clmulepi64_si128(x, power, 0x10));
  }
  return reduce(low, middle, high);
}

void sm4_clmul_hash(const struct sm4_key *key, struct sm4_hash *hash, const uint8_t *data, size_t bytes) {
  __m128i state = _mm_set_epi64x((long long)hash->high, (long long)hash->low);
  while (bytes >= SM4_BLOCK_BYTES) {
    const size_t blocks = bytes / SM4_BLOCK_BYTES < SM4_HASH_BATCH ? bytes / SM4_BLOCK_BYTES : SM4_HASH_BATCH;
    state = hash_batch(key, state, data, blocks);
    data += blocks * SM4_BLOCK_BYTES;
    bytes -= blocks * SM4_BLOCK_BYTES;
  }
  if (bytes > 0) {
    uint8_t last[SM4_BLOCK_BYTES] = {0};
    memcpy(last, data, bytes);
    state = hash_batch(key, state, last, 1);
    sm4_wipe(last, sizeof last);
  }
  hash->low = (uint64_t)_mm_cvtsi128_si64(state);
  hash->high = (uint64_t)_mm_extract_epi64(state, 1);
}
#else
typedef int nothing_for_this_processor;
#endif
