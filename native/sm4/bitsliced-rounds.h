/*
 * SM4's rounds on bit planes. A word of the state is eight planes, one for each bit of a byte; in every 64 bits of a plane,
 * bit 16p + j belongs to byte p (0 the lowest) of block j. A rotation of a word by 8 bits is then one of the plane by 16.
 * The includer has typedef'd `plane`, and defines ROTATE_BYTES(plane, bytes) and BROADCAST(uint64_t).
 */
#include "sbox-circuit.h"

/* words[0] += L(S(words[1] + words[2] + words[3] + round key)), with L(B) = B + B<<<2 + B<<<10 + B<<<18 + B<<<24. */
static inline __attribute__((always_inline)) void round_on_planes(plane *x0, const plane *x1, const plane *x2, const plane *x3,
                                                                  const uint64_t key[8]) {
  plane b[8], sum[8];
  for (int i = 0; i < 8; i++) b[i] = x1[i] ^ x2[i] ^ x3[i] ^ BROADCAST(key[i]);
  substitute(b);
  /* B<<<2 + B<<<10 + B<<<18 is B + B<<<8 + B<<<16, two planes further. */
  for (int i = 0; i < 8; i++) sum[i] = b[i] ^ ROTATE_BYTES(b[i], 1) ^ ROTATE_BYTES(b[i], 2);
  for (int i = 0; i < 2; i++) x0[i] = x0[i] ^ b[i] ^ ROTATE_BYTES(b[i], 3) ^ ROTATE_BYTES(sum[i + 6], 1);
  for (int i = 2; i < 8; i++) x0[i] = x0[i] ^ b[i] ^ ROTATE_BYTES(b[i], 3) ^ sum[i - 2];
}

static inline __attribute__((always_inline)) void rounds_on_planes(plane words[4][8], const uint64_t keys[SM4_ROUNDS][8]) {
  for (int round = 0; round < SM4_ROUNDS; round += 4) {
    round_on_planes(words[0], words[1], words[2], words[3], keys[round]);
    round_on_planes(words[1], words[2], words[3], words[0], keys[round + 1]);
    round_on_planes(words[2], words[3], words[0], words[1], keys[round + 2]);
    round_on_planes(words[3], words[0], words[1], words[2], keys[round + 3]);
  }
}

/* Exchanges the bits of `a` under mask << shift with those of `b` under mask. */
static inline __attribute__((always_inline)) void exchange(plane *a, plane *b, int shift, uint64_t mask) {
  const plane swap = ((*a >> shift) ^ *b) & BROADCAST(mask);
  *b ^= swap;
  *a ^= swap << shift;
}

/* Transposes the 8 x 8 bits that are byte c of each of the eight rows, for all c: rows to planes, and planes to rows. */
static inline __attribute__((always_inline)) void transpose_bits(plane rows[8]) {
  for (int i = 0; i < 4; i++) exchange(&rows[i], &rows[i + 4], 4, 0x0f0f0f0f0f0f0f0full);
  for (int i = 0; i < 8; i++)
    if ((i & 2) == 0) exchange(&rows[i], &rows[i + 2], 2, 0x3333333333333333ull);
  for (int i = 0; i < 8; i += 2) exchange(&rows[i], &rows[i + 1], 1, 0x5555555555555555ull);
}

/* A word that is the same in all blocks, as planes. */
static inline void spread_word(plane planes[8], uint32_t word) {
  for (int b = 0; b < 8; b++) {
    uint64_t bits = 0;
    for (int byte = 0; byte < 4; byte++) bits |= (0 - (uint64_t)((word >> (8 * byte + b)) & 1)) & (0xffffull << (16 * byte));
    planes[b] = BROADCAST(bits);
  }
}
