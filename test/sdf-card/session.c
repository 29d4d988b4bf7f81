/* Devices, sessions and rights. Handles are numbers that are never used twice, so that a stale one is always found out. */
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "card.h"

enum { MAX_DEVICES = 16 };

static pthread_mutex_t table = PTHREAD_MUTEX_INITIALIZER;
static uintptr_t devices[MAX_DEVICES];
static Session *sessions[MAX_SESSIONS];
static uintptr_t next_handle = 0x5df000;
static char dir[4096];
static int running_shared, running_exclusive;

static void stop_process(const char *function, const char *why) {
  fprintf(stderr, "sdf-card: strict: %s %s\n", function, why);
  abort();
}

static uintptr_t new_handle(void) { return next_handle += 16; }

/* Under strict, opening, closing and rights run beside nothing else in the process. Called with the table locked. */
static void gate_enter(const char *function, Access access) {
  if (faults_strict() && (running_exclusive > 0 || (access == EXCLUSIVE && running_shared > 0)))
    stop_process(function, "overlaps another call");
  *(access == EXCLUSIVE ? &running_exclusive : &running_shared) += 1;
}

static void gate_leave(Access access) {
  pthread_mutex_lock(&table);
  *(access == EXCLUSIVE ? &running_exclusive : &running_shared) -= 1;
  pthread_mutex_unlock(&table);
}

/* Enters a call that has no session. */
static int enter(const char *function) {
  pthread_mutex_lock(&table);
  gate_enter(function, EXCLUSIVE);
  pthread_mutex_unlock(&table);
  const FaultVerdict verdict = faults_on_call(function);
  if (verdict.sleep_us != 0) usleep((useconds_t)verdict.sleep_us);
  return verdict.code;
}

static int leave(int code) {
  gate_leave(EXCLUSIVE);
  return code;
}

static int device_slot(uintptr_t handle) {
  for (int i = 0; i < MAX_DEVICES; i++)
    if (devices[i] == handle) return i;
  return -1;
}

static int session_slot(uintptr_t handle) {
  for (int i = 0; i < MAX_SESSIONS; i++)
    if (sessions[i] != NULL && sessions[i]->handle == handle) return i;
  return -1;
}

static void free_session(Session *session) {
  for (int i = 0; i < MAX_KEY_HANDLES; i++) session_drop_key(&session->keys[i]);
  EVP_MD_CTX_free(session->hash);
  pthread_mutex_destroy(&session->busy);
  OPENSSL_cleanse(session, sizeof *session);
  free(session);
}

/* Takes a session out of the table; the last call on it frees it. Called with the table locked. */
static void close_slot(int slot) {
  Session *session = sessions[slot];
  sessions[slot] = NULL;
  session->closed = 1;
  if (session->users == 0) free_session(session);
}

int call_begin(void *handle, const char *function, Access access, Session **out) {
  pthread_mutex_lock(&table);
  const int slot = session_slot((uintptr_t)handle);
  if (slot < 0) {
    pthread_mutex_unlock(&table);
    return SDR_INARGERR;
  }
  Session *session = sessions[slot];
  if (faults_strict() && session->users > 0) stop_process(function, "is a second call on one session");
  gate_enter(function, access);
  session->users++;
  pthread_mutex_unlock(&table);
  pthread_mutex_lock(&session->busy);

  const FaultVerdict verdict = faults_on_call(function);
  if (verdict.sleep_us != 0) usleep((useconds_t)verdict.sleep_us);
  if (verdict.session_dies) session->dead = 1;
  session->corrupt = verdict.corrupt;
  const int code = verdict.code != SDR_OK ? verdict.code : session->dead ? CARD_SESSION_LOST : session->closed ? SDR_INARGERR : SDR_OK;
  *out = session;
  return code == SDR_OK ? SDR_OK : call_end(session, access, code);
}

int call_end(Session *session, Access access, int code) {
  pthread_mutex_unlock(&session->busy);
  gate_leave(access);
  pthread_mutex_lock(&table);
  session->users--;
  if (session->closed && session->users == 0) free_session(session);
  pthread_mutex_unlock(&table);
  return code;
}

int SDF_OpenDevice(void **device) {
  if (device == NULL) return SDR_OUTARGERR;
  if (dir[0] == '\0' && !card_folder(dir, sizeof dir)) return SDR_OPENDEVICE;
  faults_set_dir(dir);
  int code = enter("SDF_OpenDevice");
  StoredCard card;
  if (code == SDR_OK) code = store_read_card(dir, &card);
  pthread_mutex_lock(&table);
  const int slot = device_slot(0);
  if (code == SDR_OK && slot < 0) code = SDR_OPENDEVICE;
  if (code == SDR_OK) *device = (void *)(devices[slot] = new_handle());
  pthread_mutex_unlock(&table);
  return leave(code);
}

int SDF_CloseDevice(void *device) {
  const int code = enter("SDF_CloseDevice");
  pthread_mutex_lock(&table);
  const int slot = device == NULL ? -1 : device_slot((uintptr_t)device);
  for (int i = 0; slot >= 0 && i < MAX_SESSIONS; i++)
    if (sessions[i] != NULL && sessions[i]->device == devices[slot]) close_slot(i);
  if (slot >= 0) devices[slot] = 0;
  pthread_mutex_unlock(&table);
  return leave(slot < 0 ? SDR_INARGERR : code);
}

int SDF_OpenSession(void *device, void **out) {
  if (out == NULL) return SDR_OUTARGERR;
  int code = enter("SDF_OpenSession");
  Session *session = calloc(1, sizeof *session);
  pthread_mutex_lock(&table);
  if (device == NULL || device_slot((uintptr_t)device) < 0) code = SDR_INARGERR;
  int slot = -1;
  unsigned long open = 0;
  for (int i = 0; i < MAX_SESSIONS; i++) {
    if (sessions[i] == NULL) slot = i;
    else open++;
  }
  if (code == SDR_OK && (session == NULL || slot < 0 || open >= faults_max_sessions())) code = SDR_OPENSESSION;
  if (code == SDR_OK) {
    pthread_mutex_init(&session->busy, NULL);
    session->device = (uintptr_t)device;
    session->dir = dir;
    session->handle = new_handle();
    sessions[slot] = session;
    *out = (void *)session->handle;
  } else {
    free(session);
  }
  pthread_mutex_unlock(&table);
  return leave(code);
}

int SDF_CloseSession(void *handle) {
  const int code = enter("SDF_CloseSession");
  pthread_mutex_lock(&table);
  const int slot = session_slot((uintptr_t)handle);
  if (slot >= 0) close_slot(slot);
  pthread_mutex_unlock(&table);
  return leave(slot < 0 ? SDR_INARGERR : code);
}

static void name_to(U8 *field, size_t size, const char *name) {
  memset(field, ' ', size);
  memcpy(field, name, strnlen(name, size));
}

int SDF_GetDeviceInfo(void *handle, DEVICEINFO *info) {
  Session *session;
  int code = call_begin(handle, __func__, SHARED, &session);
  if (code != SDR_OK) return code;
  StoredCard card;
  code = info == NULL ? SDR_OUTARGERR : store_read_card(session->dir, &card);
  if (code != SDR_OK) return call_end(session, SHARED, code);
  memset(info, 0, sizeof *info);
  name_to(info->IssuerName, sizeof info->IssuerName, "Strongroom TEST card");
  name_to(info->DeviceName, sizeof info->DeviceName, "TEST sdf-card");
  name_to(info->DeviceSerial, sizeof info->DeviceSerial, card.serial);
  info->DeviceVersion = 1;
  info->StandardVersion = 1;
  info->AsymAlgAbility[0] = SGD_SM2_1 | SGD_SM2_2 | SGD_SM2_3;
  info->AsymAlgAbility[1] = 256;
  info->SymAlgAbility = SGD_SM4_ECB | SGD_SM4_CBC | SGD_SM4_CFB | SGD_SM4_OFB | SGD_SM4_MAC | SGD_SM4_CTR;
  info->HashAlgAbility = SGD_SM3 | SGD_SHA1 | SGD_SHA256;
  info->BufferSize = MAX_DATA_BYTES;
  return call_end(session, SHARED, SDR_OK);
}

int SDF_GenerateRandom(void *handle, U32 length, U8 *random) {
  Session *session;
  int code = call_begin(handle, __func__, SHARED, &session);
  if (code != SDR_OK) return code;
  if (random == NULL) code = SDR_OUTARGERR;
  else if (length == 0 || length > MAX_DATA_BYTES) code = SDR_INARGERR;
  else if (RAND_bytes(random, (int)length) != 1) code = SDR_RANDERR;
  return call_end(session, SHARED, code);
}

int session_has_right(const Session *session, U32 index) {
  for (int i = 0; i < MAX_RIGHTS; i++)
    if (session->rights[i] == index && index != 0) return 1;
  return 0;
}

static int grant_right(Session *session, U32 right) {
  if (session_has_right(session, right)) return SDR_OK;
  for (int i = 0; i < MAX_RIGHTS; i++) {
    if (session->rights[i] != 0) continue;
    session->rights[i] = right;
    return SDR_OK;
  }
  return SDR_NOBUFFER;
}

static int release_right(Session *session, U32 right) {
  for (int i = 0; i < MAX_RIGHTS; i++) {
    if (right == 0 || session->rights[i] != right) continue;
    session->rights[i] = 0;
    return SDR_OK;
  }
  return SDR_PRKRERR;
}

int SDF_GetPrivateKeyAccessRight(void *handle, U32 index, U8 *password, U32 length) {
  Session *session;
  int code = call_begin(handle, __func__, EXCLUSIVE, &session);
  if (code != SDR_OK) return code;
  StoredKey key;
  code = password == NULL ? SDR_INARGERR : store_read_key(session->dir, index, &key);
  if (code == SDR_OK) code = store_check_password(session->dir, index, &key.password, password, length);
  if (code == SDR_OK) code = grant_right(session, index);
  OPENSSL_cleanse(&key, sizeof key);
  return call_end(session, EXCLUSIVE, code);
}

int SDF_ReleasePrivateKeyAccessRight(void *handle, U32 index) {
  Session *session;
  const int code = call_begin(handle, __func__, EXCLUSIVE, &session);
  return code != SDR_OK ? code : call_end(session, EXCLUSIVE, release_right(session, index));
}

#ifdef CARD_KEK_RIGHT
int SDF_GetKEKAccessRight(void *handle, U32 index, U8 *password, U32 length) {
  Session *session;
  int code = call_begin(handle, __func__, EXCLUSIVE, &session);
  if (code != SDR_OK) return code;
  U8 kek[SM4_KEY_BYTES];
  StoredCard card;
  code = password == NULL ? SDR_INARGERR : store_read_kek(session->dir, index, kek);
  if (code == SDR_OK) code = store_read_card(session->dir, &card);
  if (code == SDR_OK) code = store_check_password(session->dir, 0, &card.password, password, length);
  if (code == SDR_OK) code = grant_right(session, index | KEK_RIGHT);
  OPENSSL_cleanse(kek, sizeof kek);
  return call_end(session, EXCLUSIVE, code);
}

int SDF_ReleaseKEKAccessRight(void *handle, U32 index) {
  Session *session;
  const int code = call_begin(handle, __func__, EXCLUSIVE, &session);
  return code != SDR_OK ? code : call_end(session, EXCLUSIVE, release_right(session, index | KEK_RIGHT));
}
#endif

KeyHandle *session_find_key(Session *session, void *handle) {
  for (int i = 0; handle != NULL && i < MAX_KEY_HANDLES; i++)
    if (session->keys[i].handle == (uintptr_t)handle) return &session->keys[i];
  return NULL;
}

int session_keep_key(Session *session, const U8 *bytes, U32 length, Agreement *agreement, void **handle) {
  for (int i = 0; i < MAX_KEY_HANDLES; i++) {
    KeyHandle *key = &session->keys[i];
    if (key->handle != 0) continue;
    pthread_mutex_lock(&table);
    key->handle = new_handle();
    pthread_mutex_unlock(&table);
    if (length != 0) memcpy(key->bytes, bytes, length);
    key->length = length;
    key->agreement = agreement;
    *handle = (void *)key->handle;
    return SDR_OK;
  }
  return SDR_NOBUFFER;
}

void session_drop_key(KeyHandle *key) {
  if (key->agreement != NULL) OPENSSL_cleanse(key->agreement, sizeof *key->agreement);
  free(key->agreement);
  OPENSSL_cleanse(key, sizeof *key);
}
