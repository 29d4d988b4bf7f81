/* SM2 key agreement (GM/T 0003.3) with the encryption key of an index. A library may leave it out. */
#ifndef CARD_MINIMAL
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "card.h"

/* Reads the index's encryption pair under its right and makes an ephemeral one. */
static int own_side(Session *session, U32 index, U32 bits, const U8 *id, U32 id_length, Agreement *out) {
  StoredKey key;
  if (id == NULL || id_length == 0 || id_length > MAX_ID_BYTES || (bits != 128 && bits != 256)) return SDR_INARGERR;
  int code = store_read_key(session->dir, index, &key);
  if (code == SDR_OK && !session_has_right(session, index)) code = SDR_PRKRERR;
  if (code == SDR_OK) {
    memset(out, 0, sizeof *out);
    out->bits = bits;
    out->id_length = id_length;
    memcpy(out->id, id, id_length);
    memcpy(out->private_key, key.enc_private, 32);
    memcpy(out->own.public_key, key.enc_public, 64);
    const int ok =
        sm2_generate(out->ephemeral_private, out->own.ephemeral) && sm2_z(key.enc_public, id, id_length, out->own.z);
    code = ok ? SDR_OK : SDR_SKOPERR;
  }
  OPENSSL_cleanse(&key, sizeof key);
  return code;
}

static int peer_side(const ECCrefPublicKey *public_key, const ECCrefPublicKey *ephemeral, const U8 *id, U32 id_length,
                     ExchangeSide *out) {
  if (public_key == NULL || ephemeral == NULL || id == NULL || id_length == 0 || id_length > MAX_ID_BYTES)
    return SDR_INARGERR;
  int code = public_key_from_struct(public_key, out->public_key);
  if (code == SDR_OK) code = public_key_from_struct(ephemeral, out->ephemeral);
  if (code == SDR_OK && !sm2_z(out->public_key, id, id_length, out->z)) code = SDR_PKOPERR;
  return code;
}

static int agree(Session *session, int is_sponsor, const Agreement *mine, const ExchangeSide *peer, void **handle) {
  U8 key[32];
  const U32 length = mine->bits / 8;
  const int ok = sm2_exchange(is_sponsor, mine->private_key, mine->ephemeral_private, &mine->own, peer, key, length);
  const int code = ok ? session_keep_key(session, key, length, NULL, handle) : SDR_SKOPERR;
  OPENSSL_cleanse(key, sizeof key);
  return code;
}

int SDF_GenerateAgreementDataWithECC(void *handle, U32 index, U32 bits, U8 *id, U32 id_length,
                                     ECCrefPublicKey *public_key, ECCrefPublicKey *ephemeral, void **agreement) {
  Session *session;
  int code = call_begin(handle, __func__, SHARED, &session);
  if (code != SDR_OK) return code;
  Agreement *mine = calloc(1, sizeof *mine);
  if (mine == NULL || public_key == NULL || ephemeral == NULL || agreement == NULL) code = SDR_OUTARGERR;
  else code = own_side(session, index, bits, id, id_length, mine);
  if (code == SDR_OK) {
    public_key_to_struct(mine->own.public_key, public_key);
    public_key_to_struct(mine->own.ephemeral, ephemeral);
    code = session_keep_key(session, NULL, 0, mine, agreement);
  }
  if (code != SDR_OK && mine != NULL) {
    OPENSSL_cleanse(mine, sizeof *mine);
    free(mine);
  }
  return call_end(session, SHARED, code);
}

int SDF_GenerateKeyWithECC(void *handle, U8 *id, U32 id_length, ECCrefPublicKey *public_key, ECCrefPublicKey *ephemeral,
                           void *agreement, void **key) {
  Session *session;
  int code = call_begin(handle, __func__, SHARED, &session);
  if (code != SDR_OK) return code;
  ExchangeSide peer;
  const KeyHandle *mine = session_find_key(session, agreement);
  if (key == NULL) code = SDR_OUTARGERR;
  else
    code =
        mine == NULL || mine->agreement == NULL ? SDR_INARGERR : peer_side(public_key, ephemeral, id, id_length, &peer);
  if (code == SDR_OK) code = agree(session, 1, mine->agreement, &peer, key);
  return call_end(session, SHARED, code);
}

int SDF_GenerateAgreementDataAndKeyWithECC(void *handle, U32 index, U32 bits, U8 *responder_id, U32 responder_id_length,
                                           U8 *sponsor_id, U32 sponsor_id_length, ECCrefPublicKey *sponsor,
                                           ECCrefPublicKey *sponsor_ephemeral, ECCrefPublicKey *responder,
                                           ECCrefPublicKey *responder_ephemeral, void **key) {
  Session *session;
  int code = call_begin(handle, __func__, SHARED, &session);
  if (code != SDR_OK) return code;
  Agreement mine;
  ExchangeSide peer;
  if (responder == NULL || responder_ephemeral == NULL || key == NULL) code = SDR_OUTARGERR;
  else code = peer_side(sponsor, sponsor_ephemeral, sponsor_id, sponsor_id_length, &peer);
  if (code == SDR_OK) code = own_side(session, index, bits, responder_id, responder_id_length, &mine);
  if (code == SDR_OK) {
    public_key_to_struct(mine.own.public_key, responder);
    public_key_to_struct(mine.own.ephemeral, responder_ephemeral);
    code = agree(session, 0, &mine, &peer, key);
  }
  OPENSSL_cleanse(&mine, sizeof mine);
  return call_end(session, SHARED, code);
}
#else
typedef int nothing_here;
#endif
