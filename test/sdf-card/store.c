/* The card's memory is a folder: `card`, `key-N`, `kek-N`, `attempts-N`, `files/`. Each is a file of lines `name hex`,
   replaced by renaming. Keys lie there in the clear: this is a test device. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "card.h"

enum { PATH_BYTES = 4096, PASSWORD_ROUNDS = 2000 };

typedef struct {
  const char *name;
  U8 *bytes;
  size_t length;
} Field;

static int write_all(int fd, const void *bytes, size_t length) {
  for (size_t done = 0; done < length;) {
    const ssize_t wrote = write(fd, (const char *)bytes + done, length - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return 0;
    done += (size_t)wrote;
  }
  return 1;
}

int store_write_durably(const char *path, const void *bytes, size_t length) {
  char temporary[PATH_BYTES], folder[PATH_BYTES];
  if (snprintf(temporary, sizeof temporary, "%s.%ld.new", path, (long)getpid()) >= (int)sizeof temporary)
    return SDR_FILEWERR;
  snprintf(folder, sizeof folder, "%s", path);
  *strrchr(folder, '/') = '\0';
  const int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return SDR_FILEWERR;
  int ok = write_all(fd, bytes, length) && fsync(fd) == 0;
  ok = close(fd) == 0 && ok && rename(temporary, path) == 0;
  const int folder_fd = ok ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
  ok = folder_fd >= 0 && fsync(folder_fd) == 0;
  if (folder_fd >= 0) close(folder_fd);
  return ok ? SDR_OK : SDR_FILEWERR;
}

static int write_fields(const char *path, const Field *fields, size_t count) {
  char text[2048];
  size_t at = 0;
  for (size_t i = 0; i < count; i++) {
    at += (size_t)snprintf(text + at, sizeof text - at, "%s ", fields[i].name);
    for (size_t j = 0; j < fields[i].length; j++)
      at += (size_t)snprintf(text + at, sizeof text - at, "%02x", fields[i].bytes[j]);
    text[at++] = '\n';
  }
  const int code = store_write_durably(path, text, at);
  OPENSSL_cleanse(text, sizeof text);
  return code;
}

static int read_fields(const char *path, int missing, const Field *fields, size_t count) {
  FILE *file = fopen(path, "re");
  if (file == NULL) return missing;
  int code = SDR_OK;
  for (size_t i = 0; i < count && code == SDR_OK; i++) {
    char name[32], hex[256];
    size_t length = 0;
    const int well_formed = fscanf(file, "%31s %255s", name, hex) == 2 && strcmp(name, fields[i].name) == 0 &&
                            OPENSSL_hexstr2buf_ex(fields[i].bytes, fields[i].length, &length, hex, '\0') &&
                            length == fields[i].length;
    if (!well_formed) code = SDR_HARDFAIL;
  }
  fclose(file);
  return code;
}

#define FIELD(name, member) {name, (U8 *)(member), sizeof(member)}
#define COUNT(array) (sizeof(array) / sizeof *(array))

static int in_range(U32 index) { return index >= 1 && index <= MAX_INDEX; }

static void path_of(char path[PATH_BYTES], const char *dir, const char *kind, U32 index) {
  snprintf(path, PATH_BYTES, "%s/%s-%u", dir, kind, index);
}

static size_t card_fields(const StoredCard *card, Field fields[3]) {
  const Field all[] = {FIELD("serial", card->serial), FIELD("salt", card->password.salt),
                       FIELD("password", card->password.hash)};
  memcpy(fields, all, sizeof all);
  return COUNT(all);
}

int store_read_card(const char *dir, StoredCard *card) {
  char path[PATH_BYTES];
  Field fields[3];
  snprintf(path, sizeof path, "%s/card", dir);
  return read_fields(path, SDR_OPENDEVICE, fields, card_fields(card, fields));
}

int store_write_card(const char *dir, const StoredCard *card) {
  char path[PATH_BYTES];
  Field fields[3];
  snprintf(path, sizeof path, "%s/card", dir);
  return write_fields(path, fields, card_fields(card, fields));
}

static size_t key_fields(const StoredKey *key, Field fields[7]) {
  const Field all[] = {
      FIELD("sign-private", key->sign_private),
      FIELD("sign-public", key->sign_public),
      FIELD("enc-private", key->enc_private),
      FIELD("enc-public", key->enc_public),
      FIELD("salt", key->password.salt),
      FIELD("password", key->password.hash),
      {"may-sign", (U8 *)&key->may_sign, sizeof key->may_sign},
  };
  memcpy(fields, all, sizeof all);
  return COUNT(all);
}

int store_read_key(const char *dir, U32 index, StoredKey *key) {
  char path[PATH_BYTES];
  Field fields[7];
  if (!in_range(index)) return SDR_KEYNOTEXIST;
  path_of(path, dir, "key", index);
  return read_fields(path, SDR_KEYNOTEXIST, fields, key_fields(key, fields));
}

int store_write_key(const char *dir, U32 index, const StoredKey *key) {
  char path[PATH_BYTES];
  Field fields[7];
  if (!in_range(index)) return SDR_INARGERR;
  path_of(path, dir, "key", index);
  return write_fields(path, fields, key_fields(key, fields));
}

int store_read_kek(const char *dir, U32 index, U8 kek[SM4_KEY_BYTES]) {
  char path[PATH_BYTES];
  const Field field = {"kek", kek, SM4_KEY_BYTES};
  if (!in_range(index)) return SDR_KEYNOTEXIST;
  path_of(path, dir, "kek", index);
  return read_fields(path, SDR_KEYNOTEXIST, &field, 1);
}

int store_write_kek(const char *dir, U32 index, const U8 kek[SM4_KEY_BYTES]) {
  char path[PATH_BYTES];
  const Field field = {"kek", (U8 *)kek, SM4_KEY_BYTES};
  if (!in_range(index)) return SDR_INARGERR;
  path_of(path, dir, "kek", index);
  return write_fields(path, &field, 1);
}

static int derive(const U8 *bytes, size_t length, const U8 salt[16], U8 hash[32]) {
  return PKCS5_PBKDF2_HMAC((const char *)bytes, (int)length, salt, 16, PASSWORD_ROUNDS, EVP_sm3(), 32, hash) == 1;
}

int store_make_password(const U8 *bytes, size_t length, Password *password) {
  if (length < MIN_PASSWORD_BYTES || length > MAX_PASSWORD_BYTES) return SDR_INARGERR;
  if (RAND_bytes(password->salt, sizeof password->salt) != 1) return SDR_RANDERR;
  return derive(bytes, length, password->salt, password->hash) ? SDR_OK : SDR_UNKNOWERR;
}

int store_read_attempts(const char *dir, U32 index) {
  char path[PATH_BYTES];
  U8 count = 0;
  const Field field = {"wrong", &count, 1};
  path_of(path, dir, "attempts", index);
  const int code = read_fields(path, SDR_OK, &field, 1);
  return code == SDR_OK ? count : MAX_WRONG_PASSWORDS;
}

static int write_attempts(const char *dir, U32 index, U8 count) {
  char path[PATH_BYTES];
  const Field field = {"wrong", &count, 1};
  path_of(path, dir, "attempts", index);
  return write_fields(path, &field, 1);
}

int store_clear_attempts(const char *dir, U32 index) { return write_attempts(dir, index, 0); }

static int check_counted(const char *dir, U32 index, const Password *password, const U8 *bytes, size_t length) {
  const int wrong = store_read_attempts(dir, index);
  if (wrong >= MAX_WRONG_PASSWORDS) return CARD_PASSWORD_LOCKED;
  const int code = write_attempts(dir, index, (U8)(wrong + 1));
  if (code != SDR_OK) return code;
  U8 hash[32];
  if (!derive(bytes, length, password->salt, hash)) return SDR_UNKNOWERR;
  if (CRYPTO_memcmp(hash, password->hash, sizeof hash) != 0) return CARD_WRONG_PASSWORD;
  return store_clear_attempts(dir, index);
}

int store_check_password(const char *dir, U32 index, const Password *password, const U8 *bytes, size_t length) {
  if (length < MIN_PASSWORD_BYTES || length > MAX_PASSWORD_BYTES) return SDR_INARGERR;
  char path[PATH_BYTES];
  snprintf(path, sizeof path, "%s/lock", dir);
  const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return SDR_HARDFAIL;
  const int code = flock(fd, LOCK_EX) == 0 ? check_counted(dir, index, password, bytes, length) : SDR_HARDFAIL;
  close(fd);
  return code;
}
