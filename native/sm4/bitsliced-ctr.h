/*
 * Counter mode over whole batches. What is left over goes through the kernel for AES-NI, or, from WORTH_A_BATCH_BYTES on,
 * through a batch of which a part is thrown away, which then takes less time. The includer defines batch() and BATCH_BYTES.
 */
static void ctr32(const struct sm4_key *key, const uint8_t counter[16], const uint8_t *in, uint8_t *out, size_t bytes) {
  uint32_t at[4];
  for (int i = 0; i < 4; i++) at[i] = sm4_load32(counter + 4 * i);
  for (; bytes >= BATCH_BYTES; bytes -= BATCH_BYTES) {
    batch(key, at, in, out);
    at[3] += BATCH_BYTES / SM4_BLOCK_BYTES;
    in += BATCH_BYTES;
    out += BATCH_BYTES;
  }
  if (bytes >= WORTH_A_BATCH_BYTES) {
    uint8_t last[BATCH_BYTES];
    memcpy(last, in, bytes);
    memset(last + bytes, 0, BATCH_BYTES - bytes);
    batch(key, at, last, last);
    memcpy(out, last, bytes);
    sm4_wipe(last, sizeof last);
  } else if (bytes > 0) {
    uint8_t next[16];
    for (int i = 0; i < 4; i++) sm4_store32(next + 4 * i, at[i]);
    sm4_aesni_ctr32(key, next, in, out, bytes);
  }
}
