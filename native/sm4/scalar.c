/* SM4 on 64-bit words, 16 blocks at once, bitsliced; GHASH by integer multiplication. Runs on any processor. */
#include "sm4.h"

typedef uint64_t plane;
#define ROTATE_BYTES(x, bytes) (((x) << (16 * (bytes))) | ((x) >> (64 - 16 * (bytes))))
#define BROADCAST(x) (x)
#include "bitsliced-rounds.h"

#define BATCH_BLOCKS 16

/* Row k is bytes of the words of the blocks k and k + 8 in turn. */
static uint64_t spread_bytes(uint32_t word) {
  uint64_t x = word;
  x = (x | (x << 16)) & 0x0000ffff0000ffffull;
  return (x | (x << 8)) & 0x00ff00ff00ff00ffull;
}
static uint32_t gather_bytes(uint64_t x) {
  x &= 0x00ff00ff00ff00ffull;
  x = (x | (x >> 8)) & 0x0000ffff0000ffffull;
  return (uint32_t)(x | (x >> 16));
}

static void key_stream(const struct sm4_key *key, const uint32_t counter[4], uint8_t stream[16 * BATCH_BLOCKS]) {
  plane words[4][8];
  for (int i = 0; i < 3; i++) spread_word(words[i], counter[i]);
  for (uint32_t k = 0; k < 8; k++) words[3][k] = spread_bytes(counter[3] + k) | (spread_bytes(counter[3] + k + 8) << 8);
  transpose_bits(words[3]);
  rounds_on_planes(words, key->round_planes);
  for (int i = 0; i < 4; i++) {
    plane *rows = words[3 - i];
    transpose_bits(rows);
    for (int k = 0; k < 8; k++) {
      sm4_store32(stream + 16 * k + 4 * i, gather_bytes(rows[k]));
      sm4_store32(stream + 16 * (k + 8) + 4 * i, gather_bytes(rows[k] >> 8));
    }
  }
  sm4_wipe(words, sizeof words);
}

void sm4_scalar_ctr32(const struct sm4_key *key, const uint8_t counter[16], const uint8_t *in, uint8_t *out, size_t bytes) {
  uint32_t at[4];
  uint8_t stream[16 * BATCH_BLOCKS];
  for (int i = 0; i < 4; i++) at[i] = sm4_load32(counter + 4 * i);
  while (bytes > 0) {
    const size_t now = bytes < sizeof stream ? bytes : sizeof stream;
    key_stream(key, at, stream);
    size_t i = 0;
    for (; i + 8 <= now; i += 8) sm4_store64(out + i, sm4_load64(in + i) ^ sm4_load64(stream + i));
    for (; i < now; i++) out[i] = in[i] ^ stream[i];
    at[3] += BATCH_BLOCKS;
    in += now;
    out += now;
    bytes -= now;
  }
  sm4_wipe(stream, sizeof stream);
}

/* ---- GHASH ---- */

/* The low 64 bits of a product without carries: every fourth bit at a time, so that carries fall into the holes. */
static uint64_t low_product(uint64_t x, uint64_t y) {
  const uint64_t every4 = 0x1111111111111111ull;
  uint64_t product = 0;
  for (int sum = 0; sum < 4; sum++) {
    uint64_t terms = 0;
    for (int i = 0; i < 4; i++) {
      const int j = (sum - i) & 3;
      terms ^= (x & (every4 << i)) * (y & (every4 << j));
    }
    product |= terms & (every4 << sum);
  }
  return product;
}

static uint64_t reverse_bits(uint64_t x) {
  x = ((x >> 1) & 0x5555555555555555ull) | ((x & 0x5555555555555555ull) << 1);
  x = ((x >> 2) & 0x3333333333333333ull) | ((x & 0x3333333333333333ull) << 2);
  x = ((x >> 4) & 0x0f0f0f0f0f0f0f0full) | ((x & 0x0f0f0f0f0f0f0f0full) << 4);
  return __builtin_bswap64(x);
}

struct product {
  uint64_t low, high;
};

static struct product multiply64(uint64_t x, uint64_t y) {
  return (struct product){low_product(x, y), reverse_bits(low_product(reverse_bits(x), reverse_bits(y))) >> 1};
}

/* One step of Montgomery's reduction by x^128 + x^127 + x^126 + x^121 + 1: takes `low` away from the bottom of the number. */
static void fold(uint64_t low, uint64_t *middle, uint64_t *high) {
  *middle ^= (low << 63) ^ (low << 62) ^ (low << 57);
  *high ^= low ^ (low >> 1) ^ (low >> 2) ^ (low >> 7);
}

static void multiply_hash(struct sm4_hash *state, const uint64_t h[2]) {
  const struct product low = multiply64(state->low, h[0]);
  const struct product high = multiply64(state->high, h[1]);
  const struct product both = multiply64(state->low ^ state->high, h[0] ^ h[1]);
  const uint64_t word0 = low.low;
  uint64_t word1 = low.high ^ both.low ^ low.low ^ high.low;
  uint64_t word2 = high.low ^ both.high ^ low.high ^ high.high;
  uint64_t word3 = high.high;
  fold(word0, &word1, &word2);
  fold(word1, &word2, &word3);
  state->low = word2;
  state->high = word3;
}

/* RFC 8452, appendix A: GHASH is POLYVAL over reversed bytes under H times x. */
static void set_up_hash(struct sm4_key *key) {
  uint64_t *h = key->hash_powers[SM4_HASH_BATCH - 1];
  const uint64_t carry = 0 - (h[1] >> 63);
  h[1] = (h[1] << 1) | (h[0] >> 63);
  h[0] <<= 1;
  h[1] ^= carry & 0xc200000000000000ull;
  h[0] ^= carry & 1;
}

static void hash(const struct sm4_key *key, struct sm4_hash *state, const uint8_t *data, size_t bytes) {
  uint8_t last[16] = {0};
  while (bytes > 0) {
    if (bytes < sizeof last) {
      memcpy(last, data, bytes);
      data = last;
      bytes = sizeof last;
    }
    state->high ^= sm4_load64(data);
    state->low ^= sm4_load64(data + 8);
    multiply_hash(state, key->hash_powers[SM4_HASH_BATCH - 1]);
    data += 16;
    bytes -= 16;
  }
}

static int always(void) { return 1; }

const struct sm4_kernel sm4_scalar = {"scalar", always, set_up_hash, sm4_scalar_ctr32, hash, NULL, NULL};
