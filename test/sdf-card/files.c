/* User files of the card: a fixed size each, kept as `files/<name in hex>`. A library may leave them out. */
#ifndef CARD_MINIMAL
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "card.h"

enum { MAX_NAME_BYTES = 120 /* in hex it must be a file's name */, PATH_BYTES = 4096 };

static int path_of(const Session *session, const U8 *name, U32 length, char path[PATH_BYTES]) {
  if (name == NULL || length == 0 || length > MAX_NAME_BYTES) return SDR_INARGERR;
  int at = snprintf(path, PATH_BYTES, "%s/files", session->dir);
  mkdir(path, 0700);
  path[at++] = '/';
  for (U32 i = 0; i < length; i++) at += snprintf(path + at, (size_t)(PATH_BYTES - at), "%02x", name[i]);
  return SDR_OK;
}

static int create_file(const Session *session, const U8 *name, U32 name_length, U32 size) {
  char path[PATH_BYTES];
  const int code = path_of(session, name, name_length, path);
  if (code != SDR_OK) return code;
  if (size == 0 || size > MAX_DATA_BYTES) return SDR_FILESIZEERR;
  if (access(path, F_OK) == 0) return SDR_FILEEXISTS;
  U8 *zeros = calloc(1, size);
  const int written = zeros == NULL ? SDR_NOBUFFER : store_write_durably(path, zeros, size);
  free(zeros);
  return written;
}

int SDF_CreateFile(void *handle, U8 *name, U32 name_length, U32 size) {
  CALL(SHARED, create_file(session, name, name_length, size));
}

/* Opens a file and checks that `offset` and `length` lie within it; reading is cut at the end, writing is not. */
static int open_range(const Session *session, const U8 *name, U32 name_length, int flags, U32 offset, U32 *length,
                      int *fd) {
  char path[PATH_BYTES];
  const int code = path_of(session, name, name_length, path);
  if (code != SDR_OK) return code;
  struct stat now;
  *fd = open(path, flags | O_CLOEXEC);
  if (*fd < 0 || fstat(*fd, &now) != 0) return SDR_FILENOEXIST;
  if (offset > now.st_size) return SDR_FILEOFSERR;
  const U32 rest = (U32)(now.st_size - offset);
  if (*length > rest && flags == O_WRONLY) return SDR_FILESIZEERR;
  if (*length > rest) *length = rest;
  return SDR_OK;
}

int SDF_ReadFile(void *handle, U8 *name, U32 name_length, U32 offset, U32 *length, U8 *buffer) {
  Session *session;
  int fd = -1, code = call_begin(handle, __func__, SHARED, &session);
  if (code != SDR_OK) return code;
  code = length == NULL || buffer == NULL ? SDR_OUTARGERR
                                          : open_range(session, name, name_length, O_RDONLY, offset, length, &fd);
  if (code == SDR_OK && pread(fd, buffer, *length, offset) != (ssize_t)*length) code = SDR_HARDFAIL;
  if (fd >= 0) close(fd);
  return call_end(session, SHARED, code);
}

int SDF_WriteFile(void *handle, U8 *name, U32 name_length, U32 offset, U32 length, U8 *buffer) {
  Session *session;
  int fd = -1, code = call_begin(handle, __func__, SHARED, &session);
  if (code != SDR_OK) return code;
  code = buffer == NULL ? SDR_INARGERR : open_range(session, name, name_length, O_WRONLY, offset, &length, &fd);
  if (code == SDR_OK && (pwrite(fd, buffer, length, offset) != (ssize_t)length || fsync(fd) != 0)) code = SDR_FILEWERR;
  if (fd >= 0) close(fd);
  return call_end(session, SHARED, code);
}

int SDF_DeleteFile(void *handle, U8 *name, U32 name_length) {
  Session *session;
  int code = call_begin(handle, __func__, SHARED, &session);
  if (code != SDR_OK) return code;
  char path[PATH_BYTES];
  code = path_of(session, name, name_length, path);
  if (code == SDR_OK && unlink(path) != 0) code = SDR_FILENOEXIST;
  return call_end(session, SHARED, code);
}
#else
typedef int nothing_here;
#endif
