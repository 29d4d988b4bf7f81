/* Devices, sessions and the handles of keys. Handles are numbers never used twice: a stale one is always found out. */
#include <openssl/crypto.h>
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
  const int code = verdict.code != SDR_OK ? verdict.code
                   : session->dead        ? CARD_SESSION_LOST
                   : session->closed      ? SDR_INARGERR
                                          : SDR_OK;
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
