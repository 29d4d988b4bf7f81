/* Where the card's memory lies: the first line of a file `sdf-card.dir` beside the library, else the environment's
   SDF_CARD_DIR. The file lets one process tree have several cards: each is a copy of the library in a folder of its
   own. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "card.h"

int card_folder(char *out, size_t size) {
  Dl_info library;
  char path[4096];
  const char *slash = dladdr((void *)(size_t)card_folder, &library) != 0 ? strrchr(library.dli_fname, '/') : NULL;
  if (slash != NULL) {
    snprintf(path, sizeof path, "%.*s/sdf-card.dir", (int)(slash - library.dli_fname), library.dli_fname);
    FILE *file = fopen(path, "re");
    const int found = file != NULL && fgets(out, (int)size, file) != NULL;
    if (file != NULL) fclose(file);
    if (found) {
      out[strcspn(out, "\r\n")] = '\0';
      return out[0] != '\0';
    }
  }
  const char *environment = getenv("SDF_CARD_DIR");
  snprintf(out, size, "%s", environment == NULL ? "" : environment);
  return out[0] != '\0';
}
