/* The key schedule (GB/T 32907-2016, 7.3), and the round keys as bit planes. */
#include "sm4.h"
#include "sbox-affine.h"

typedef uint64_t plane;
#include "sbox-circuit.h"

static const uint32_t family_key[4] = {0xa3b1bac6, 0x56aa3350, 0x677d9197, 0xb27022dc};

/* CK: byte j of word i is (4i + j) * 7 mod 256. */
static uint32_t constant_key(int i) {
  uint32_t word = 0;
  for (int j = 0; j < 4; j++) word = (word << 8) | (uint8_t)((4 * i + j) * 7);
  return word;
}

/* The S-box on four bytes at once, by the circuit, so that no table is read at a place that the key chooses. */
static uint32_t substitute_word(uint32_t word) {
  plane bits[8];
  word ^= 0x01010101u * SBOX_IN;
  for (int b = 0; b < 8; b++) bits[b] = (word >> b) & 0x01010101u;
  substitute(bits);
  uint32_t result = 0;
  for (int b = 0; b < 8; b++) result |= (uint32_t)bits[b] << b;
  return result ^ 0x01010101u * SBOX_C2;
}

/*
 * The circuit computes S without its constants. SBOX_IN goes into each round key. The constant of the output, after the
 * linear map L, would be added to one word in each round: carried along instead, it has come to each of the three words that
 * feed a round an even or an odd number of times, which again goes into the round key, and in the last four words it is gone.
 */
static uint32_t folded(uint32_t round_key, int round) {
  const uint32_t c = 0x01010101u * SBOX_C2;
  const uint32_t constant = c ^ sm4_rotate32(c, 2) ^ sm4_rotate32(c, 10) ^ sm4_rotate32(c, 18) ^ sm4_rotate32(c, 24);
  int times = 0;
  for (int i = round + 1; i <= round + 3; i++) times += (i / 4) & 1;
  return round_key ^ 0x01010101u * SBOX_IN ^ (constant & (0u - (uint32_t)(times & 1)));
}

static void spread(uint64_t planes[8], uint32_t word) {
  for (int b = 0; b < 8; b++) {
    uint64_t plane_of_bit = 0;
    for (int byte = 0; byte < 4; byte++) plane_of_bit |= (0 - (uint64_t)((word >> (8 * byte + b)) & 1)) & (0xffffull << (16 * byte));
    planes[b] = plane_of_bit;
  }
}

void sm4_expand_key(struct sm4_key *key, const struct sm4_kernel *kernel, const uint8_t bytes[16]) {
  uint32_t k[4];
  for (int i = 0; i < 4; i++) k[i] = sm4_load32(bytes + 4 * i) ^ family_key[i];
  for (int round = 0; round < SM4_ROUNDS; round++) {
    const uint32_t s = substitute_word(k[1] ^ k[2] ^ k[3] ^ constant_key(round));
    const uint32_t next = k[0] ^ s ^ sm4_rotate32(s, 13) ^ sm4_rotate32(s, 23);
    k[0] = k[1];
    k[1] = k[2];
    k[2] = k[3];
    k[3] = next;
    key->round_keys[round] = next;
    spread(key->round_planes[round], folded(next, round));
  }
  sm4_wipe(k, sizeof k);

  uint8_t zeros[16] = {0}, h[16];
  kernel->ctr32(key, zeros, zeros, h, sizeof h);
  key->hash_powers[SM4_HASH_BATCH - 1][0] = sm4_load64(h + 8);
  key->hash_powers[SM4_HASH_BATCH - 1][1] = sm4_load64(h);
  sm4_wipe(h, sizeof h);
  kernel->set_up_hash(key);
}
