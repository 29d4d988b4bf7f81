/*
 * GF2P8AFFINEQB, GF2P8AFFINEINVQB and VPCLMULQDQ by other instructions, so that the kernels that use them can be tested on
 * processors without them. Never part of the addon that is used. After Intel SDM 2A, "Operation" of each instruction.
 */
#ifndef STRONGROOM_SM4_EMULATED_INSTRUCTIONS_H
#define STRONGROOM_SM4_EMULATED_INSTRUCTIONS_H
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

static inline uint8_t emulated_multiply(uint8_t a, uint8_t b) {
  uint8_t product = 0;
  for (; b != 0; b >>= 1) {
    if (b & 1) product ^= a;
    a = (uint8_t)((a << 1) ^ ((a >> 7) * 0x1b));
  }
  return product;
}

static inline uint8_t emulated_inverse(uint8_t x) {
  uint8_t result = 1;
  for (int i = 0; i < 254; i++) result = emulated_multiply(result, x);
  return result;
}

/* bytes[i] = matrix * bytes[i] (or its inverse) + constant, with the matrix of the same 64 bits. */
static inline void emulated_affine(uint8_t *bytes, const uint8_t *matrices, int count, int constant, int inverted) {
  static uint8_t inverse[256];
  if (inverse[1] == 0)
    for (int x = 0; x < 256; x++) inverse[x] = emulated_inverse((uint8_t)x);
  for (int i = 0; i < count; i++) {
    const uint8_t *matrix = matrices + (i & ~7);
    const uint8_t x = inverted ? inverse[bytes[i]] : bytes[i];
    uint8_t y = 0;
    for (int bit = 0; bit < 8; bit++) y |= (uint8_t)(__builtin_parity(matrix[7 - bit] & x) << bit);
    bytes[i] = y ^ (uint8_t)constant;
  }
}

#ifdef __AVX512F__
static inline __m512i emulated_affine512(__m512i x, __m512i matrix, int constant, int inverted) {
  uint8_t bytes[64], matrices[64];
  _mm512_storeu_si512(bytes, x);
  _mm512_storeu_si512(matrices, matrix);
  emulated_affine(bytes, matrices, 64, constant, inverted);
  return _mm512_loadu_si512(bytes);
}
static inline __m512i emulated_clmul512(__m512i x, __m512i y, int halves) {
  __m128i a[4], b[4];
  _mm512_storeu_si512(a, x);
  _mm512_storeu_si512(b, y);
  for (int i = 0; i < 4; i++) {
    const __m128i from_x = halves & 0x01 ? _mm_unpackhi_epi64(a[i], a[i]) : a[i];
    const __m128i from_y = halves & 0x10 ? _mm_unpackhi_epi64(b[i], b[i]) : b[i];
    a[i] = _mm_clmulepi64_si128(from_x, from_y, 0x00);
  }
  return _mm512_loadu_si512(a);
}
#define _mm512_gf2p8affine_epi64_epi8(x, matrix, constant) emulated_affine512(x, matrix, constant, 0)
#define _mm512_gf2p8affineinv_epi64_epi8(x, matrix, constant) emulated_affine512(x, matrix, constant, 1)
#define _mm512_clmulepi64_epi128(x, y, halves) emulated_clmul512(x, y, halves)
#endif

static inline __m256i emulated_affine256(__m256i x, __m256i matrix, int constant, int inverted) {
  uint8_t bytes[32], matrices[32];
  _mm256_storeu_si256((__m256i *)bytes, x);
  _mm256_storeu_si256((__m256i *)matrices, matrix);
  emulated_affine(bytes, matrices, 32, constant, inverted);
  return _mm256_loadu_si256((const __m256i *)bytes);
}
#define _mm256_gf2p8affine_epi64_epi8(x, matrix, constant) emulated_affine256(x, matrix, constant, 0)
#define _mm256_gf2p8affineinv_epi64_epi8(x, matrix, constant) emulated_affine256(x, matrix, constant, 1)

#endif
