/* What the card's files share: sessions, stored keys, SM2 arithmetic, faults. Functions return an SDR_ code unless they
 * say otherwise. */
#ifndef CARD_H
#define CARD_H

#include <openssl/evp.h>
#include <pthread.h>
#include <stdint.h>
#include <stddef.h>

#include "sdf.h"

enum {
  MAX_INDEX = 1024,
  MIN_PASSWORD_BYTES = 8,
  MAX_PASSWORD_BYTES = 256,
  MAX_WRONG_PASSWORDS = 5,
  MAX_SESSIONS = 64,
  MAX_RIGHTS = 64,
  MAX_KEY_HANDLES = 256,
  MAX_DATA_BYTES = 1 << 20,
  MAX_ID_BYTES = 256,
  SM4_KEY_BYTES = 16,
  KEK_RIGHT = 1 << 16 /* added to a KEK's index in a session's rights */
};

/* store.c: the card's memory, a folder. Writes are durable when they return. */
typedef struct {
  U8 salt[16], hash[32];
} Password;
typedef struct {
  U8 sign_private[32], sign_public[64], enc_private[32], enc_public[64];
  Password password;
  U32 may_sign;
} StoredKey;
typedef struct {
  char serial[17];
  Password password;
} StoredCard;

int store_read_card(const char *dir, StoredCard *card);
int store_write_card(const char *dir, const StoredCard *card);
int store_read_key(const char *dir, U32 index, StoredKey *key);
int store_write_key(const char *dir, U32 index, const StoredKey *key);
int store_read_kek(const char *dir, U32 index, U8 kek[SM4_KEY_BYTES]);
int store_write_kek(const char *dir, U32 index, const U8 kek[SM4_KEY_BYTES]);
/* Makes the verifier of a password: a new salt and PBKDF2-SM3. */
int store_make_password(const U8 *bytes, size_t length, Password *password);
/* Counts the attempt before it compares; `index` 0 is the card's own password. */
int store_check_password(const char *dir, U32 index, const Password *password, const U8 *bytes, size_t length);
int store_read_attempts(const char *dir, U32 index);
int store_clear_attempts(const char *dir, U32 index);
int store_write_durably(const char *path, const void *bytes, size_t length);

/* sm2.c: GM/T 0003 over raw bytes; points are x || y. Return 1 when done, 0 when refused. `k` is NULL but in
 * self-tests. */
int sm2_generate(U8 d[32], U8 public_key[64]);
int sm2_public_key(const U8 d[32], U8 public_key[64]);
int sm2_is_point(const U8 public_key[64]);
int sm2_sign(const U8 d[32], const U8 e[32], const U8 *k, U8 signature[64]);
int sm2_verify(const U8 public_key[64], const U8 e[32], const U8 signature[64]);
int sm2_encrypt(const U8 public_key[64], const U8 *k, const U8 *data, size_t length, U8 c1[64], U8 c3[32], U8 *c2);
int sm2_decrypt(const U8 d[32], const U8 c1[64], const U8 c3[32], const U8 *c2, size_t length, U8 *data);
int sm2_z(const U8 public_key[64], const U8 *id, size_t id_length, U8 z[32]);
typedef struct {
  U8 public_key[64], ephemeral[64], z[32];
} ExchangeSide;
int sm2_exchange(int is_sponsor, const U8 d[32], const U8 r[32], const ExchangeSide *own, const ExchangeSide *peer,
                 U8 *key, size_t key_length);

/* folder.c: 1 when the folder of the card's memory is known. */
int card_folder(char *out, size_t size);

/* faults.c */
typedef struct {
  unsigned long latency_us, right_ms, commfail_at, commfail_every, die_at, hang_at, crash_at, exit_at, corrupt_at, corrupt_every,
      max_sessions, unplugged, strict;
  char on[64];
} Faults;
/* Re-reads the settings when they changed and counts the call. */
typedef struct {
  int code, session_dies, corrupt;
  unsigned long sleep_us;
} FaultVerdict;
void faults_set_dir(const char *dir);
FaultVerdict faults_on_call(const char *function);
int faults_strict(void);
unsigned long faults_max_sessions(void);

/* session.c */
typedef struct {
  U32 bits, id_length;
  U8 private_key[32], ephemeral_private[32], id[MAX_ID_BYTES];
  ExchangeSide own;
} Agreement;
typedef struct {
  uintptr_t handle;
  U8 bytes[32];
  U32 length;
  Agreement *agreement;
} KeyHandle;
typedef struct {
  uintptr_t handle, device;
  int users, closed, dead, corrupt;
  pthread_mutex_t busy;
  const char *dir;
  U32 rights[MAX_RIGHTS];
  KeyHandle keys[MAX_KEY_HANDLES];
  EVP_MD_CTX *hash;
} Session;
typedef enum { SHARED, EXCLUSIVE } Access;
/* Enters a call on a session, alone on it; on SDR_OK it must end with call_end, which passes `code` on. */
int call_begin(void *handle, const char *function, Access access, Session **session);
int call_end(Session *session, Access access, int code);
/* The body of a call that is one expression over `session`, the session of the parameter `handle`. */
#define CALL(access, expression)                                                                                       \
  Session *session;                                                                                                    \
  const int begun = call_begin(handle, __func__, access, &session);                                                    \
  return begun != SDR_OK ? begun : call_end(session, access, (expression))
int session_has_right(const Session *session, U32 index);
KeyHandle *session_find_key(Session *session, void *handle);
/* Keeps a key of 1 to 32 bytes (or an agreement) and gives its handle. */
int session_keep_key(Session *session, const U8 *bytes, U32 length, Agreement *agreement, void **handle);
void session_drop_key(KeyHandle *key);

/* structs.c: between GM/T 0018's structures and raw bytes; non-zero padding is SDR_INARGERR. */
int public_key_from_struct(const ECCrefPublicKey *in, U8 public_key[64]);
void public_key_to_struct(const U8 public_key[64], ECCrefPublicKey *out);
int signature_from_struct(const ECCSignature *in, U8 signature[64]);
void signature_to_struct(const U8 signature[64], ECCSignature *out);
int private_key_from_struct(const ECCrefPrivateKey *in, U8 d[32]);
void private_key_to_struct(const U8 d[32], ECCrefPrivateKey *out);
/* Encrypts into, decrypts out of an ECCCipher of this build's layout. */
int cipher_seal(const U8 public_key[64], const U8 *data, U32 length, ECCCipher *cipher);
int cipher_open(const U8 d[32], const ECCCipher *cipher, U8 *data, U32 *length);

#endif
