/* card-selftest: the card's SM2 arithmetic with every random number given, so that known answers can be compared. Hex
   in, hex out. public D | sign D E K | verify PUB E SIG | encrypt PUB K DATA | decrypt D C1 C3 C2 | z PUB ID exchange
   sponsor|responder D R OWN_PUB OWN_TMP OWN_ID PEER_PUB PEER_TMP PEER_ID KEY_BYTES */
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "card.h"

static size_t read_hex(const char *text, U8 *bytes, size_t room) {
  size_t length = 0;
  if (text == NULL || OPENSSL_hexstr2buf_ex(bytes, room, &length, text, '\0') != 1) {
    fprintf(stderr, "card-selftest: error: not at most %zu bytes of hex\n", room);
    exit(2);
  }
  return length;
}

static int answer(int ok, const U8 *bytes, size_t length) {
  for (size_t i = 0; ok && i < length; i++) printf("%02x", bytes[i]);
  puts(ok ? "" : "refused");
  return 0;
}

static void read_side(char **words, ExchangeSide *side) {
  U8 id[MAX_ID_BYTES];
  read_hex(words[0], side->public_key, 64);
  read_hex(words[1], side->ephemeral, 64);
  if (!sm2_z(side->public_key, id, read_hex(words[2], id, sizeof id), side->z)) exit(2);
}

int main(int argc, char **argv) {
  U8 d[32] = {0}, e[32] = {0}, k[32] = {0}, public_key[64] = {0}, data[512], out[512];
  const char *command = argc > 1 ? argv[1] : "";
  if (strcmp(command, "public") == 0 && argc == 3) {
    read_hex(argv[2], d, 32);
    return answer(sm2_public_key(d, out), out, 64);
  }
  if (strcmp(command, "sign") == 0 && argc == 5) {
    read_hex(argv[2], d, 32), read_hex(argv[3], e, 32), read_hex(argv[4], k, 32);
    return answer(sm2_sign(d, e, k, out), out, 64);
  }
  if (strcmp(command, "verify") == 0 && argc == 5) {
    read_hex(argv[2], public_key, 64), read_hex(argv[3], e, 32), read_hex(argv[4], data, 64);
    return answer(sm2_verify(public_key, e, data), NULL, 0);
  }
  if (strcmp(command, "encrypt") == 0 && argc == 5) {
    read_hex(argv[2], public_key, 64), read_hex(argv[3], k, 32);
    const size_t length = read_hex(argv[4], data, CIPHER_MAX_BYTES);
    return answer(sm2_encrypt(public_key, k, data, length, out, out + 64, out + 96), out, 96 + length);
  }
  if (strcmp(command, "decrypt") == 0 && argc == 6) {
    read_hex(argv[2], d, 32), read_hex(argv[3], public_key, 64), read_hex(argv[4], e, 32);
    const size_t length = read_hex(argv[5], data, CIPHER_MAX_BYTES);
    return answer(sm2_decrypt(d, public_key, e, data, length, out), out, length);
  }
  if (strcmp(command, "z") == 0 && argc == 4) {
    read_hex(argv[2], public_key, 64);
    const size_t length = read_hex(argv[3], data, sizeof data);
    return answer(sm2_z(public_key, data, length, out), out, 32);
  }
  if (strcmp(command, "exchange") == 0 && argc == 12) {
    ExchangeSide own, peer;
    const size_t length = strtoul(argv[11], NULL, 10);
    read_hex(argv[3], d, 32), read_hex(argv[4], k, 32);
    read_side(argv + 5, &own), read_side(argv + 8, &peer);
    if (length > 64) return 2;
    return answer(sm2_exchange(strcmp(argv[2], "sponsor") == 0, d, k, &own, &peer, out, length), out, length);
  }
  fputs("card-selftest: error: no such test\n", stderr);
  return 2;
}
