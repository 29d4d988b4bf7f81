/*
 * A PKCS#11 module for tests: SoftHSM with faults. What goes wrong is a word in the file that FAULTY_MODULE_FAULT names, read
 * at each call, so that a test can change it while a device is open; each login is a line in FAULTY_MODULE_LOGINS.
 */
#include <dlfcn.h>
#include <pkcs11.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static CK_FUNCTION_LIST faulty;
static CK_FUNCTION_LIST_PTR real;

static int fault_is(const char *word) {
  char found[64] = "";
  const char *path = getenv("FAULTY_MODULE_FAULT");
  FILE *file = path == NULL ? NULL : fopen(path, "r");
  if (file == NULL) return 0;
  if (fgets(found, sizeof found, file) == NULL) found[0] = 0;
  fclose(file);
  found[strcspn(found, "\n")] = 0;
  return strcmp(found, word) == 0;
}

static CK_RV get_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO_PTR info) {
  CK_RV rv = real->C_GetTokenInfo(slot, info);
  if (fault_is("pin-locked")) info->flags |= CKF_USER_PIN_LOCKED;
  if (fault_is("final-try")) info->flags |= CKF_USER_PIN_FINAL_TRY;
  if (fault_is("no-pin-set")) info->flags &= ~(CK_FLAGS)CKF_USER_PIN_INITIALIZED;
  return rv;
}

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin, CK_ULONG length) {
  const char *path = getenv("FAULTY_MODULE_LOGINS");
  FILE *file = path == NULL ? NULL : fopen(path, "a");
  if (file != NULL) {
    fprintf(file, "login\n");
    fclose(file);
  }
  if (fault_is("login-locks")) return CKR_PIN_LOCKED;
  return real->C_Login(session, user, pin, length);
}

/* Of a fault that passes: true at its first call only. */
static int first(const char *word, int *done) {
  if (*done || !fault_is(word)) return 0;
  *done = 1;
  return 1;
}

static CK_RV before_call(CK_SESSION_HANDLE session) {
  static int lost, logged_out;
  if (first("session-lost-once", &lost)) return CKR_SESSION_HANDLE_INVALID;
  if (first("logged-out-once", &logged_out)) {
    real->C_Logout(session);
    return CKR_USER_NOT_LOGGED_IN;
  }
  if (fault_is("crash")) abort();
  if (fault_is("exit")) _exit(3);
  if (fault_is("hang")) sleep(60);
  if (fault_is("removed")) return CKR_DEVICE_REMOVED;
  if (fault_is("session-lost")) return CKR_SESSION_HANDLE_INVALID;
  if (fault_is("vendor-code")) return 0x80000123UL;
  return CKR_OK;
}

static CK_RV open_session(CK_SLOT_ID slot, CK_FLAGS flags, CK_VOID_PTR data, CK_NOTIFY notify, CK_SESSION_HANDLE_PTR session) {
  if (fault_is("removed")) return CKR_TOKEN_NOT_PRESENT;
  return real->C_OpenSession(slot, flags, data, notify, session);
}

/* Of a token that gives the number of a handle to another object: the first other key of the same class. */
static CK_OBJECT_HANDLE now_named(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key) {
  CK_OBJECT_CLASS class = 0;
  CK_ATTRIBUTE its_class = {CKA_CLASS, &class, sizeof class};
  CK_OBJECT_HANDLE found[64];
  CK_ULONG count = 0;
  if (!fault_is("handles-reused") || real->C_GetAttributeValue(session, key, &its_class, 1) != CKR_OK) return key;
  if (class != CKO_PRIVATE_KEY && class != CKO_SECRET_KEY) return key;
  if (real->C_FindObjectsInit(session, &its_class, 1) != CKR_OK) return key;
  real->C_FindObjects(session, found, 64, &count);
  real->C_FindObjectsFinal(session);
  for (CK_ULONG i = 0; i < count; i++)
    if (found[i] != key) return found[i];
  return key;
}

static CK_RV sign_init(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key) {
  return real->C_SignInit(session, mechanism, now_named(session, key));
}

static CK_RV encrypt_init(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key) {
  return real->C_EncryptInit(session, mechanism, now_named(session, key));
}

static CK_RV get_attributes(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, CK_ATTRIBUTE_PTR list, CK_ULONG count) {
  return real->C_GetAttributeValue(session, now_named(session, key), list, count);
}

static CK_RV sign(CK_SESSION_HANDLE session, CK_BYTE_PTR data, CK_ULONG length, CK_BYTE_PTR out, CK_ULONG_PTR bytes) {
  CK_RV rv = before_call(session);
  if (rv != CKR_OK) return rv;
  rv = real->C_Sign(session, data, length, out, bytes);
  if (rv == CKR_OK && out != NULL && fault_is("wrong-signature")) out[*bytes - 1] ^= 1;
  if (rv == CKR_OK && out != NULL && fault_is("short-signature")) *bytes -= 1;
  return rv;
}

static CK_RV encrypt(CK_SESSION_HANDLE session, CK_BYTE_PTR data, CK_ULONG length, CK_BYTE_PTR out, CK_ULONG_PTR bytes) {
  CK_RV rv = before_call(session);
  if (rv != CKR_OK) return rv;
  rv = real->C_Encrypt(session, data, length, out, bytes);
  if (rv == CKR_OK && out != NULL && fault_is("wrong-gcm")) out[0] ^= 1;
  return rv;
}

static CK_RV decrypt(CK_SESSION_HANDLE session, CK_BYTE_PTR data, CK_ULONG length, CK_BYTE_PTR out, CK_ULONG_PTR bytes) {
  if (fault_is("decrypt-fails")) return CKR_GENERAL_ERROR;
  return real->C_Decrypt(session, data, length, out, bytes);
}

static CK_RV create_object(CK_SESSION_HANDLE session, CK_ATTRIBUTE_PTR template, CK_ULONG count, CK_OBJECT_HANDLE_PTR object) {
  if (fault_is("no-import")) return CKR_TEMPLATE_INCONSISTENT;
  return real->C_CreateObject(session, template, count, object);
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list) {
  if (real == NULL) {
    void *library = dlopen("/usr/lib/softhsm/libsofthsm2.so", RTLD_NOW | RTLD_LOCAL);
    CK_C_GetFunctionList get = library == NULL ? NULL : (CK_C_GetFunctionList)dlsym(library, "C_GetFunctionList");
    if (get == NULL || get(&real) != CKR_OK) return CKR_GENERAL_ERROR;
    faulty = *real;
    faulty.C_GetFunctionList = C_GetFunctionList;
    faulty.C_GetTokenInfo = get_token_info;
    faulty.C_Login = login;
    faulty.C_OpenSession = open_session;
    faulty.C_SignInit = sign_init;
    faulty.C_EncryptInit = encrypt_init;
    faulty.C_GetAttributeValue = get_attributes;
    faulty.C_Sign = sign;
    faulty.C_Encrypt = encrypt;
    faulty.C_Decrypt = decrypt;
    faulty.C_CreateObject = create_object;
  }
  *list = &faulty;
  return CKR_OK;
}
