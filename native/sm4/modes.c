/* Counter mode and GCM over any kernel. */
#include "sm4.h"

/* Fits the first-level cache twice over, so that the second pass over a piece reads it from there. */
#define PIECE_BYTES 8192

void sm4_wipe(void *memory, size_t bytes) {
  memset(memory, 0, bytes);
  __asm__ __volatile__("" : : "r"(memory) : "memory");
}

static void add_to_upper_words(uint8_t counter[16]) {
  for (int i = 11; i >= 0; i--)
    if (++counter[i] != 0) break;
}

void sm4_ctr(const struct sm4_key *key, const struct sm4_kernel *kernel, const uint8_t counter[16], const uint8_t *in,
             uint8_t *out, size_t bytes) {
  uint8_t at[16];
  memcpy(at, counter, sizeof at);
  while (bytes > 0) {
    const uint64_t blocks_before_carry = (1ull << 32) - sm4_load32(at + 12);
    const uint64_t most = blocks_before_carry * SM4_BLOCK_BYTES;
    const size_t now = bytes < most ? bytes : (size_t)most;
    kernel->ctr32(key, at, in, out, now);
    in += now;
    out += now;
    bytes -= now;
    sm4_store32(at + 12, 0);
    add_to_upper_words(at);
  }
}

static void advance(uint8_t counter[16], size_t bytes) {
  sm4_store32(counter + 12, sm4_load32(counter + 12) + (uint32_t)(bytes / SM4_BLOCK_BYTES));
}

struct gcm {
  struct sm4_hash hash;
  uint8_t counter[16];
  uint8_t tag_mask[16];
};

static void begin(struct gcm *gcm, const struct sm4_key *key, const struct sm4_kernel *kernel, const uint8_t nonce[12],
                  const uint8_t *ad, size_t ad_bytes) {
  static const uint8_t zeros[16] = {0};
  gcm->hash.low = gcm->hash.high = 0;
  memcpy(gcm->counter, nonce, 12);
  sm4_store32(gcm->counter + 12, 1);
  kernel->ctr32(key, gcm->counter, zeros, gcm->tag_mask, sizeof gcm->tag_mask);
  sm4_store32(gcm->counter + 12, 2);
  kernel->hash(key, &gcm->hash, ad, ad_bytes);
}

static void finish(struct gcm *gcm, const struct sm4_key *key, const struct sm4_kernel *kernel, size_t ad_bytes, size_t bytes,
                   uint8_t tag[16]) {
  uint8_t lengths[16];
  sm4_store64(lengths, (uint64_t)ad_bytes * 8);
  sm4_store64(lengths + 8, (uint64_t)bytes * 8);
  kernel->hash(key, &gcm->hash, lengths, sizeof lengths);
  sm4_store64(tag, gcm->hash.high);
  sm4_store64(tag + 8, gcm->hash.low);
  for (int i = 0; i < 16; i++) tag[i] ^= gcm->tag_mask[i];
  sm4_wipe(gcm, sizeof *gcm);
}

void sm4_gcm_seal(const struct sm4_key *key, const struct sm4_kernel *kernel, const uint8_t nonce[12], const uint8_t *ad,
                  size_t ad_bytes, const uint8_t *in, uint8_t *out, size_t bytes, uint8_t tag[16]) {
  struct gcm gcm;
  size_t done = 0;
  begin(&gcm, key, kernel, nonce, ad, ad_bytes);
  if (kernel->seal_blocks != NULL && bytes >= 1024) {
    done = bytes & ~(size_t)1023;
    kernel->seal_blocks(key, gcm.counter, in, out, done, &gcm.hash);
    advance(gcm.counter, done);
  }
  while (done < bytes) {
    const size_t now = bytes - done < PIECE_BYTES ? bytes - done : PIECE_BYTES;
    kernel->ctr32(key, gcm.counter, in + done, out + done, now);
    kernel->hash(key, &gcm.hash, out + done, now);
    advance(gcm.counter, now);
    done += now;
  }
  finish(&gcm, key, kernel, ad_bytes, bytes, tag);
}

int sm4_gcm_open(const struct sm4_key *key, const struct sm4_kernel *kernel, const uint8_t nonce[12], const uint8_t *ad,
                 size_t ad_bytes, const uint8_t *in, uint8_t *out, size_t bytes, const uint8_t tag[16]) {
  struct gcm gcm;
  uint8_t expected[16];
  size_t done = 0;
  begin(&gcm, key, kernel, nonce, ad, ad_bytes);
  if (kernel->open_blocks != NULL && bytes >= 1024) {
    done = bytes & ~(size_t)1023;
    kernel->open_blocks(key, gcm.counter, in, out, done, &gcm.hash);
    advance(gcm.counter, done);
  }
  while (done < bytes) {
    const size_t now = bytes - done < PIECE_BYTES ? bytes - done : PIECE_BYTES;
    kernel->hash(key, &gcm.hash, in + done, now);
    kernel->ctr32(key, gcm.counter, in + done, out + done, now);
    advance(gcm.counter, now);
    done += now;
  }
  finish(&gcm, key, kernel, ad_bytes, bytes, expected);
  volatile uint8_t different = 0;
  for (int i = 0; i < 16; i++) different |= expected[i] ^ tag[i];
  sm4_wipe(expected, sizeof expected);
  if (different == 0) return 1;
  if (bytes > 0) sm4_wipe(out, bytes);
  return 0;
}
