/*
 * Counter mode over passes of MANY_SETS sets of blocks, for what is left FEW_SETS at a time, and a last part through a buffer.
 * The includer defines sm4_pass(key, counter, in, out, sets, ...), SET_BYTES, and PASS(sets, in, out) as a call of it.
 */
static inline void load_counter(uint32_t words[4], const uint8_t counter[16]) {
  for (int i = 0; i < 4; i++) words[i] = sm4_load32(counter + 4 * i);
}

static inline void count_up(uint32_t words[4], size_t bytes) { words[3] += (uint32_t)(bytes / SM4_BLOCK_BYTES); }

static inline void ctr32_by_sets(const struct sm4_key *key, const uint8_t counter[16], const uint8_t *in, uint8_t *out,
                                 size_t bytes) {
  const size_t many_bytes = MANY_SETS * SET_BYTES, few_bytes = FEW_SETS * SET_BYTES;
  uint32_t at[4];
  load_counter(at, counter);
  for (; bytes >= many_bytes; bytes -= many_bytes, in += many_bytes, out += many_bytes) {
    PASS(MANY_SETS, in, out);
    count_up(at, many_bytes);
  }
  for (; bytes >= few_bytes; bytes -= few_bytes, in += few_bytes, out += few_bytes) {
    PASS(FEW_SETS, in, out);
    count_up(at, few_bytes);
  }
  if (bytes > 0) {
    uint8_t last[FEW_SETS * SET_BYTES] = {0};
    memcpy(last, in, bytes);
    PASS(FEW_SETS, last, last);
    memcpy(out, last, bytes);
    sm4_wipe(last, sizeof last);
  }
}
