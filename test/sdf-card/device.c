/* What a session is asked about the device itself: its name, random bytes, and the rights to its keys. */
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>

#include "card.h"

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

int SDF_ReleasePrivateKeyAccessRight(void *handle, U32 index) { CALL(EXCLUSIVE, release_right(session, index)); }

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

int SDF_ReleaseKEKAccessRight(void *handle, U32 index) { CALL(EXCLUSIVE, release_right(session, index | KEK_RIGHT)); }
#endif
