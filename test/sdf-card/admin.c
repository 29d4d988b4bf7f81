/* card-admin: makes a card and its keys, as a maker's management program does. */
#include <errno.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "card.h"

static const char usage[] =
    "usage: card-admin init DIR --pin PIN                  make a card in a folder\n"
    "       card-admin generate INDEX [options]            make a signing and an encryption pair\n"
    "       card-admin import INDEX FILE [options]         take a signing key from PEM or 64 hex digits\n"
    "       card-admin kek INDEX [--replace]               make a key encryption key\n"
    "       card-admin set-pin INDEX --pin PIN             set an index's password and unlock it\n"
    "       card-admin remove INDEX                        destroy an index's keys\n"
    "       card-admin show                                list what the card holds\n"
    "options: --dir DIR (else $SDF_CARD_DIR)   --pin PIN | --pin-file FILE   --enc FILE   --no-sign   --replace\n";

typedef struct {
  const char *words[3], *dir, *pin, *pin_file, *enc;
  int count, no_sign, replace;
} Arguments;

__attribute__((noreturn, format(printf, 2, 3))) static void stop(int exit_code, const char *format, ...) {
  va_list list;
  va_start(list, format);
  fputs("card-admin: error: ", stderr);
  vfprintf(stderr, format, list);
  fputc('\n', stderr);
  va_end(list);
  exit(exit_code);
}

static void done(int code, const char *what) {
  if (code != SDR_OK) stop(1, "%s failed with 0x%08x", what, (U32)code);
}

static Arguments read_arguments(int argc, char **argv) {
  Arguments a = {.dir = getenv("SDF_CARD_DIR")};
  const struct {
    const char *name;
    const char **value;
  } options[] = {{"--dir", &a.dir}, {"--pin", &a.pin}, {"--pin-file", &a.pin_file}, {"--enc", &a.enc}};
  for (int i = 1; i < argc; i++) {
    size_t at = 0;
    while (at < 4 && strcmp(argv[i], options[at].name) != 0) at++;
    if (at < 4 && i + 1 < argc) *options[at].value = argv[++i];
    else if (strcmp(argv[i], "--no-sign") == 0) a.no_sign = 1;
    else if (strcmp(argv[i], "--replace") == 0) a.replace = 1;
    else if (argv[i][0] != '-' && a.count < 3) a.words[a.count++] = argv[i];
    else stop(2, "what does %s mean here?\n%s", argv[i], usage);
  }
  return a;
}

static Password password_of(const Arguments *a) {
  char bytes[MAX_PASSWORD_BYTES + 2] = "";
  if (a->pin != NULL) snprintf(bytes, sizeof bytes, "%s", a->pin);
  FILE *file = a->pin == NULL && a->pin_file != NULL ? fopen(a->pin_file, "re") : NULL;
  if (a->pin == NULL && (file == NULL || fgets(bytes, sizeof bytes, file) == NULL))
    stop(2, "give --pin or a readable --pin-file");
  if (file != NULL) fclose(file);
  bytes[strcspn(bytes, "\r\n")] = '\0';
  Password password;
  const int code = store_make_password((const U8 *)bytes, strlen(bytes), &password);
  OPENSSL_cleanse(bytes, sizeof bytes);
  if (code == SDR_INARGERR) stop(2, "a PIN has %d to %d bytes", MIN_PASSWORD_BYTES, MAX_PASSWORD_BYTES);
  done(code, "making the password");
  return password;
}

static U32 index_of(const Arguments *a) {
  char *end = NULL;
  const unsigned long index = a->count < 2 ? 0 : strtoul(a->words[1], &end, 10);
  if (index < 1 || index > MAX_INDEX || *end != '\0') stop(2, "give an index from 1 to %d", MAX_INDEX);
  return (U32)index;
}

static const char *card_of(const Arguments *a, StoredCard *card) {
  if (a->dir == NULL || *a->dir == '\0') stop(2, "give --dir or set SDF_CARD_DIR");
  if (store_read_card(a->dir, card) != SDR_OK) stop(1, "%s is not a card: run card-admin init first", a->dir);
  return a->dir;
}

static void print_hex(const char *name, const U8 *bytes, size_t length) {
  printf("%s ", name);
  for (size_t i = 0; i < length; i++) printf("%02x", bytes[i]);
  putchar('\n');
}

static void init(const Arguments *a) {
  StoredCard card = {0};
  U8 serial[8];
  if (a->count != 2) stop(2, "name the folder\n%s", usage);
  const char *dir = a->words[1];
  if (mkdir(dir, 0700) != 0 && errno != EEXIST) stop(1, "can't make %s: %s", dir, strerror(errno));
  if (store_read_card(dir, &card) == SDR_OK) stop(1, "%s is a card already", dir);
  card.password = password_of(a);
  RAND_bytes(serial, sizeof serial);
  for (size_t i = 0; i < sizeof serial; i++) snprintf(card.serial + 2 * i, 3, "%02X", serial[i]);
  done(store_write_card(dir, &card), "writing the card");
  printf("serial %s\n", card.serial);
}

/* A private key of a PEM file (PKCS#8 or SEC 1, curve SM2) or of 64 hex digits. */
static void read_private_key(const char *path, U8 d[32]) {
  FILE *file = fopen(path, "re");
  if (file == NULL) stop(1, "can't read %s: %s", path, strerror(errno));
  char head[80] = "", curve[32] = "";
  size_t length = 0;
  if (fgets(head, sizeof head, file) != NULL) head[strcspn(head, "\r\n")] = '\0';
  const int is_hex = strlen(head) == 64 && OPENSSL_hexstr2buf_ex(d, 32, &length, head, '\0') == 1;
  OPENSSL_cleanse(head, sizeof head);
  rewind(file);
  EVP_PKEY *key = is_hex ? NULL : PEM_read_PrivateKey(file, NULL, NULL, NULL);
  fclose(file);
  if (is_hex) return;
  BIGNUM *scalar = NULL;
  const int ok = key != NULL &&
                 EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, curve, sizeof curve, NULL) == 1 &&
                 strcmp(curve, "SM2") == 0 && EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &scalar) == 1 &&
                 BN_bn2binpad(scalar, d, 32) == 32;
  BN_clear_free(scalar);
  EVP_PKEY_free(key);
  if (!ok) stop(1, "%s holds no SM2 private key in PEM or 64 hex digits", path);
}

static void make_key(const Arguments *a, const char *sign_file) {
  StoredCard card;
  StoredKey key = {0};
  const char *dir = card_of(a, &card);
  const U32 index = index_of(a);
  if (store_read_key(dir, index, &key) == SDR_OK && !a->replace)
    stop(1, "index %u is in use: --replace destroys its keys", index);
  int ok = 1;
  if (sign_file == NULL) ok = sm2_generate(key.sign_private, key.sign_public);
  else read_private_key(sign_file, key.sign_private);
  if (a->enc == NULL) ok = ok && sm2_generate(key.enc_private, key.enc_public);
  else read_private_key(a->enc, key.enc_private);
  ok = ok && sm2_public_key(key.sign_private, key.sign_public) && sm2_public_key(key.enc_private, key.enc_public);
  if (!ok) stop(1, "the private key is out of range");
  key.may_sign = !a->no_sign;
  key.password = a->pin == NULL && a->pin_file == NULL ? card.password : password_of(a);
  done(store_write_key(dir, index, &key), "writing the key");
  done(store_clear_attempts(dir, index), "writing the key");
  print_hex("sign-public", key.sign_public, 64);
  print_hex("enc-public", key.enc_public, 64);
  OPENSSL_cleanse(&key, sizeof key);
}

static void make_kek(const Arguments *a) {
  StoredCard card;
  U8 kek[SM4_KEY_BYTES];
  const char *dir = card_of(a, &card);
  const U32 index = index_of(a);
  if (store_read_kek(dir, index, kek) == SDR_OK && !a->replace)
    stop(1, "KEK %u is in use: --replace destroys it", index);
  if (RAND_bytes(kek, sizeof kek) != 1) stop(1, "no random bytes");
  done(store_write_kek(dir, index, kek), "writing the KEK");
  OPENSSL_cleanse(kek, sizeof kek);
}

static void set_pin(const Arguments *a) {
  StoredCard card;
  StoredKey key;
  const char *dir = card_of(a, &card);
  const U32 index = index_of(a);
  if (store_read_key(dir, index, &key) != SDR_OK) stop(1, "index %u holds no key", index);
  key.password = password_of(a);
  done(store_write_key(dir, index, &key), "writing the key");
  done(store_clear_attempts(dir, index), "unlocking");
  OPENSSL_cleanse(&key, sizeof key);
}

static void remove_key(const Arguments *a) {
  StoredCard card;
  char path[4096];
  const char *dir = card_of(a, &card);
  const U32 index = index_of(a);
  snprintf(path, sizeof path, "%s/key-%u", dir, index);
  if (unlink(path) != 0) stop(1, "index %u holds no key", index);
}

static void show(const Arguments *a) {
  StoredCard card;
  const char *dir = card_of(a, &card);
  printf("serial %s\n", card.serial);
  for (U32 index = 1; index <= MAX_INDEX; index++) {
    StoredKey key;
    U8 kek[SM4_KEY_BYTES];
    if (store_read_key(dir, index, &key) == SDR_OK) {
      const int wrong = store_read_attempts(dir, index);
      printf("key %u %s %s\n", index, key.may_sign ? "may-sign" : "may-not-sign",
             wrong >= MAX_WRONG_PASSWORDS ? "locked" : "open");
      print_hex("  sign-public", key.sign_public, 64);
      print_hex("  enc-public", key.enc_public, 64);
      OPENSSL_cleanse(&key, sizeof key);
    }
    if (store_read_kek(dir, index, kek) == SDR_OK) printf("kek %u\n", index);
    OPENSSL_cleanse(kek, sizeof kek);
  }
}

int main(int argc, char **argv) {
  const Arguments a = read_arguments(argc, argv);
  const char *command = a.count == 0 ? "" : a.words[0];
  if (strcmp(command, "init") == 0) init(&a);
  else if (strcmp(command, "generate") == 0 && a.count == 2) make_key(&a, NULL);
  else if (strcmp(command, "import") == 0 && a.count == 3) make_key(&a, a.words[2]);
  else if (strcmp(command, "kek") == 0 && a.count == 2) make_kek(&a);
  else if (strcmp(command, "set-pin") == 0 && a.count == 2) set_pin(&a);
  else if (strcmp(command, "remove") == 0 && a.count == 2) remove_key(&a);
  else if (strcmp(command, "show") == 0 && a.count == 1) show(&a);
  else stop(2, "no such command\n%s", usage);
  return 0;
}
