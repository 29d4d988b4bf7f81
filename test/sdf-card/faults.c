/* Faults on demand: `name=value` words in the environment SDF_CARD_FAULTS, and after them in the card's file `faults`,
   which is read again whenever it changes (counting of calls then begins anew), so that a running card can be
   unplugged. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "card.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char path[4096];
static struct stat seen;
static int loaded;
static unsigned long calls;
static Faults faults;

static const struct {
  const char *name;
  size_t offset;
  unsigned long scale;
} numbers[] = {
    {"latency-us", offsetof(Faults, latency_us), 1},
    {"latency-ms", offsetof(Faults, latency_us), 1000},
    {"right-ms", offsetof(Faults, right_ms), 1},
    {"commfail-at", offsetof(Faults, commfail_at), 1},
    {"commfail-every", offsetof(Faults, commfail_every), 1},
    {"die-at", offsetof(Faults, die_at), 1},
    {"hang-at", offsetof(Faults, hang_at), 1},
    {"crash-at", offsetof(Faults, crash_at), 1},
    {"exit-at", offsetof(Faults, exit_at), 1},
    {"corrupt-at", offsetof(Faults, corrupt_at), 1},
    {"corrupt-every", offsetof(Faults, corrupt_every), 1},
    {"max-sessions", offsetof(Faults, max_sessions), 1},
    {"unplugged", offsetof(Faults, unplugged), 1},
    {"strict", offsetof(Faults, strict), 1},
};

/* A misspelt fault would make a test pass for the wrong reason, so the card stops the process. */
static void refuse(const char *word) {
  fprintf(stderr, "sdf-card: no such fault: %s\n", word);
  abort();
}

static void parse_word(const char *word) {
  const char *equals = strchr(word, '=');
  if (equals == NULL) refuse(word);
  const size_t length = (size_t)(equals - word);
  const char *value = equals + 1;
  char *end = NULL;
  if (length == 2 && strncmp(word, "on", 2) == 0) {
    snprintf(faults.on, sizeof faults.on, "%s", value);
    return;
  }
  const unsigned long number = strtoul(value, &end, 10);
  if (end == value || *end != '\0') refuse(word);
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    if (strlen(numbers[i].name) != length || strncmp(word, numbers[i].name, length) != 0) continue;
    *(unsigned long *)((char *)&faults + numbers[i].offset) = number * numbers[i].scale;
    return;
  }
  refuse(word);
}

static void parse(char *text) {
  char *rest = NULL;
  for (char *word = strtok_r(text, " \t\r\n,", &rest); word != NULL; word = strtok_r(NULL, " \t\r\n,", &rest))
    parse_word(word);
}

static int is_unchanged(const struct stat *now) {
  return loaded && now->st_ino == seen.st_ino && now->st_size == seen.st_size &&
         now->st_mtim.tv_sec == seen.st_mtim.tv_sec && now->st_mtim.tv_nsec == seen.st_mtim.tv_nsec;
}

static void reload_if_changed(void) {
  struct stat now;
  if (path[0] == '\0' || stat(path, &now) != 0) memset(&now, 0, sizeof now);
  if (is_unchanged(&now)) return;
  memset(&faults, 0, sizeof faults);
  faults.max_sessions = MAX_SESSIONS;
  calls = 0;
  seen = now;
  loaded = 1;
  char text[4096];
  const char *environment = getenv("SDF_CARD_FAULTS");
  snprintf(text, sizeof text, "%s", environment == NULL ? "" : environment);
  parse(text);
  FILE *file = now.st_ino == 0 ? NULL : fopen(path, "r");
  if (file == NULL) return;
  text[fread(text, 1, sizeof text - 1, file)] = '\0';
  fclose(file);
  parse(text);
}

void faults_set_dir(const char *dir) {
  pthread_mutex_lock(&lock);
  snprintf(path, sizeof path, "%s/faults", dir);
  loaded = 0;
  reload_if_changed();
  pthread_mutex_unlock(&lock);
}

static Faults current(void) {
  pthread_mutex_lock(&lock);
  const Faults now = faults;
  pthread_mutex_unlock(&lock);
  return now;
}

int faults_strict(void) { return current().strict != 0; }

unsigned long faults_max_sessions(void) {
  const unsigned long wanted = current().max_sessions;
  return wanted < MAX_SESSIONS ? wanted : MAX_SESSIONS;
}

FaultVerdict faults_on_call(const char *function) {
  FaultVerdict verdict = {0};
  pthread_mutex_lock(&lock);
  reload_if_changed();
  const Faults now = faults;
  const int counted = now.on[0] == '\0' || strcmp(now.on, function) == 0;
  const unsigned long call = counted ? ++calls : 0;
  pthread_mutex_unlock(&lock);

  if (strcmp(function, "SDF_GetPrivateKeyAccessRight") == 0) verdict.sleep_us = now.right_ms * 1000;
  if (counted) {
    verdict.sleep_us += now.latency_us;
    if (call == now.crash_at) raise(SIGSEGV);
    if (call == now.exit_at) _exit(3);
    while (call == now.hang_at) pause();
    verdict.session_dies = call == now.die_at;
    verdict.corrupt = call == now.corrupt_at || (now.corrupt_every != 0 && call % now.corrupt_every == 0);
    if (call == now.commfail_at || (now.commfail_every != 0 && call % now.commfail_every == 0))
      verdict.code = SDR_COMMFAIL;
  }
  const int opens = strcmp(function, "SDF_OpenDevice") == 0 || strcmp(function, "SDF_OpenSession") == 0;
  if (now.unplugged) verdict.code = opens ? CARD_UNPLUGGED : SDR_COMMFAIL;
  return verdict;
}
