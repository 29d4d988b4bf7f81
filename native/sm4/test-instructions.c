/*
 * For tests only (SM4_TEST_INSTRUCTIONS): instruction(name, x, y) runs one GFNI or VPCLMULQDQ instruction, emulated or the
 * processor's own, over a register of x and one of y, both Uint8Arrays of the register's size. Returns nothing; x holds the result.
 */
#ifdef SM4_TEST_INSTRUCTIONS
#ifdef SM4_EMULATED_INSTRUCTIONS
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx2,pclmul")
#else
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx2,pclmul,gfni,vpclmulqdq")
#endif
#include <string.h>
#include "sbox-affine.h"
#include "sm4.h"
#include <immintrin.h>
#ifdef SM4_EMULATED_INSTRUCTIONS
#include "emulated-instructions.h"
#endif
#define NAPI_VERSION 8
#include <node_api.h>

/* The names and immediate operands are those that the kernels use. Returns 0 for an unknown name. */
static int run512(const char *name, uint8_t *at, const uint8_t *with) {
  const __m512i x = _mm512_loadu_si512(at), y = _mm512_loadu_si512(with);
  __m512i result;
  if (strcmp(name, "affine512 c1") == 0)
    result = _mm512_gf2p8affine_epi64_epi8(x, y, SBOX_C1);
  else if (strcmp(name, "affineinv512 c2") == 0)
    result = _mm512_gf2p8affineinv_epi64_epi8(x, y, SBOX_C2);
  else if (strcmp(name, "clmul512 00") == 0)
    result = _mm512_clmulepi64_epi128(x, y, 0x00);
  else if (strcmp(name, "clmul512 01") == 0)
    result = _mm512_clmulepi64_epi128(x, y, 0x01);
  else if (strcmp(name, "clmul512 10") == 0)
    result = _mm512_clmulepi64_epi128(x, y, 0x10);
  else if (strcmp(name, "clmul512 11") == 0)
    result = _mm512_clmulepi64_epi128(x, y, 0x11);
  else
    return 0;
  _mm512_storeu_si512(at, result);
  return 1;
}

static int run256(const char *name, uint8_t *at, const uint8_t *with) {
  const __m256i x = _mm256_loadu_si256((const __m256i *)at), y = _mm256_loadu_si256((const __m256i *)with);
  __m256i result;
  if (strcmp(name, "affine256 c1") == 0)
    result = _mm256_gf2p8affine_epi64_epi8(x, y, SBOX_C1);
  else if (strcmp(name, "affineinv256 c2") == 0)
    result = _mm256_gf2p8affineinv_epi64_epi8(x, y, SBOX_C2);
  else
    return 0;
  _mm256_storeu_si256((__m256i *)at, result);
  return 1;
}

napi_value sm4_test_instruction(napi_env env, napi_callback_info info) {
  napi_value arguments[3];
  size_t count = 3, length, length_x = 0, length_y = 0;
  void *x = NULL, *y = NULL;
  char name[32] = "";
  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok || count != 3 ||
      napi_get_value_string_utf8(env, arguments[0], name, sizeof name, &length) != napi_ok ||
      napi_get_typedarray_info(env, arguments[1], NULL, &length_x, &x, NULL, NULL) != napi_ok ||
      napi_get_typedarray_info(env, arguments[2], NULL, &length_y, &y, NULL, NULL) != napi_ok || length_x != length_y ||
      !(length_x == 64 && sm4_has_avx512_gfni() ? run512(name, x, y) : length_x == 32 && sm4_has_avx2_gfni() && run256(name, x, y)))
    napi_throw_type_error(env, NULL, "no such instruction here, or not of this length");
  return NULL;
}
#else
typedef int nothing_outside_tests;
#endif
