/* What the processor can do, and the operating system saves (XGETBV): both are needed. Intel SDM 1, 13.3 and 14.3; 2A, CPUID. */
#if defined(__x86_64__)
#include "sm4.h"
#include <cpuid.h>

enum {
  has_aes = 1 << 0,
  has_clmul = 1 << 1,
  has_avx = 1 << 2,
  has_avx2 = 1 << 3,
  has_avx512 = 1 << 4, /* F, BW, DQ and VL */
  has_gfni = 1 << 5,
  has_vclmul = 1 << 6,
};

static unsigned saved_state(void) {
  unsigned low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

static int features(void) {
  const unsigned avx_state = 0x06, avx512_state = 0xe6;
  unsigned a, b, c, d;
  int found = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return 0;
  const int saves = (c >> 27) & 1;
  if ((c >> 25) & 1) found |= has_aes;
  if ((c >> 1) & 1) found |= has_clmul;
  const unsigned state = saves ? saved_state() : 0;
  if ((state & avx_state) != avx_state || !((c >> 28) & 1)) return found;
  found |= has_avx;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return found;
  if ((b >> 5) & 1) found |= has_avx2;
  if ((c >> 8) & 1) found |= has_gfni;
  if ((c >> 10) & 1) found |= has_vclmul;
  const unsigned foundation = 1u << 16, doublewords = 1u << 17, bytes_and_words = 1u << 30, lengths = 1u << 31;
  const unsigned all512 = foundation | doublewords | bytes_and_words | lengths;
  if ((state & avx512_state) == avx512_state && (b & all512) == all512) found |= has_avx512;
#ifdef SM4_EMULATED_INSTRUCTIONS
  found |= has_gfni | has_vclmul;
#endif
  return found;
}

static int has(int wanted) { return (features() & wanted) == wanted; }

int sm4_has_aesni(void) { return has(has_avx | has_aes | has_clmul); }
int sm4_has_avx2(void) { return has(has_avx | has_avx2 | has_aes | has_clmul); }
int sm4_has_avx512(void) { return has(has_avx | has_avx512 | has_aes | has_clmul); }
int sm4_has_avx2_gfni(void) { return has(has_avx | has_avx2 | has_gfni | has_clmul); }
int sm4_has_avx512_gfni(void) { return has(has_avx | has_avx512 | has_gfni | has_clmul | has_vclmul); }
#else
typedef int nothing_for_this_processor;
#endif
