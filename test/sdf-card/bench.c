/* card-bench LIB INDEX THREADS SECONDS [--right-per-sign]: SM2 signatures per second of any GM/T 0018 library from a C
   loop, each thread with a session and a right of its own. The PIN is the first line of standard input, where no other
   process sees it. Prints one number. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "sdf.h"

enum { MAX_THREADS = 64 };

static __typeof__(&SDF_OpenDevice) open_device;
static __typeof__(&SDF_CloseDevice) close_device;
static __typeof__(&SDF_OpenSession) open_session;
static __typeof__(&SDF_CloseSession) close_session;
static __typeof__(&SDF_GetPrivateKeyAccessRight) get_right;
static __typeof__(&SDF_ReleasePrivateKeyAccessRight) release_right;
static __typeof__(&SDF_InternalSign_ECC) sign;

static U32 key_index;
static char pin[258];
static double seconds;
static int right_per_sign;
static pthread_barrier_t start;

typedef struct {
  pthread_t thread;
  void *session;
  unsigned long signatures;
} Worker;

static void must(int code, const char *what) {
  if (code == SDR_OK) return;
  fprintf(stderr, "card-bench: error: %s answered 0x%08x\n", what, (U32)code);
  exit(1);
}

static void *symbol(void *library, const char *name) {
  void *found = dlsym(library, name);
  if (found == NULL) fprintf(stderr, "card-bench: error: %s\n", dlerror()), exit(1);
  return found;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void *work(void *argument) {
  Worker *worker = argument;
  U8 digest[32];
  ECCSignature signature;
  pthread_barrier_wait(&start);
  for (const double end = now() + seconds; now() < end; worker->signatures++) {
    if (getrandom(digest, sizeof digest, 0) != sizeof digest) exit(1);
    if (right_per_sign)
      must(get_right(worker->session, key_index, (U8 *)pin, (U32)strlen(pin)), "GetPrivateKeyAccessRight");
    must(sign(worker->session, key_index, digest, sizeof digest, &signature), "InternalSign_ECC");
    if (right_per_sign) must(release_right(worker->session, key_index), "ReleasePrivateKeyAccessRight");
  }
  return NULL;
}

int main(int argc, char **argv) {
  if (argc < 5 || fgets(pin, sizeof pin, stdin) == NULL) {
    fputs("usage: card-bench LIB INDEX THREADS SECONDS [--right-per-sign] < PIN\n", stderr);
    return 2;
  }
  pin[strcspn(pin, "\r\n")] = '\0';
  void *library = dlopen(argv[1], RTLD_NOW), *device = NULL;
  if (library == NULL) fprintf(stderr, "card-bench: error: %s\n", dlerror()), exit(1);
  open_device = symbol(library, "SDF_OpenDevice");
  close_device = symbol(library, "SDF_CloseDevice");
  open_session = symbol(library, "SDF_OpenSession");
  close_session = symbol(library, "SDF_CloseSession");
  get_right = symbol(library, "SDF_GetPrivateKeyAccessRight");
  release_right = symbol(library, "SDF_ReleasePrivateKeyAccessRight");
  sign = symbol(library, "SDF_InternalSign_ECC");
  key_index = (U32)strtoul(argv[2], NULL, 10);
  const int threads = atoi(argv[3]);
  seconds = atof(argv[4]);
  right_per_sign = argc > 5 && strcmp(argv[5], "--right-per-sign") == 0;
  if (threads < 1 || threads > MAX_THREADS || seconds <= 0) return 2;

  static Worker workers[MAX_THREADS];
  must(open_device(&device), "OpenDevice");
  pthread_barrier_init(&start, NULL, (unsigned)threads);
  for (int i = 0; i < threads; i++) {
    must(open_session(device, &workers[i].session), "OpenSession");
    if (!right_per_sign)
      must(get_right(workers[i].session, key_index, (U8 *)pin, (U32)strlen(pin)), "GetPrivateKeyAccessRight");
  }
  const double from = now();
  for (int i = 0; i < threads; i++) pthread_create(&workers[i].thread, NULL, work, &workers[i]);
  unsigned long total = 0;
  for (int i = 0; i < threads; i++) {
    pthread_join(workers[i].thread, NULL);
    total += workers[i].signatures;
  }
  printf("%.1f\n", (double)total / (now() - from));
  for (int i = 0; i < threads; i++) must(close_session(workers[i].session), "CloseSession");
  must(close_device(device), "CloseDevice");
  explicit_bzero(pin, sizeof pin);
  return 0;
}
