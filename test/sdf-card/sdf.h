/* GM/T 0018-2012: the types, numbers and functions that the card offers. Structures are naturally packed, integers
 * little-endian. */
#ifndef SDF_H
#define SDF_H

#define SDF_API __attribute__((visibility("default")))

typedef unsigned char U8;
typedef unsigned int U32;

/* Layouts of ECCCipher seen in public headers; a build has one (-DCARD_LAYOUT=n). */
#define LAYOUT_STANDARD 0   /* x y M L C[], the library knows no end of C */
#define LAYOUT_FISCO 1      /* x y M clength C[32] */
#define LAYOUT_C136 2       /* x y M L C[136] */
#define LAYOUT_SANSEC_OLD 3 /* clength x y C[136] M[64] */
#ifndef CARD_LAYOUT
#define CARD_LAYOUT LAYOUT_STANDARD
#endif

typedef struct {
  U8 IssuerName[40], DeviceName[16], DeviceSerial[16];
  U32 DeviceVersion, StandardVersion, AsymAlgAbility[2], SymAlgAbility, HashAlgAbility, BufferSize;
} DEVICEINFO;

/* Numbers of 256 bits lie right-aligned in 64 bytes: the first 32 are zero. */
typedef struct {
  U32 bits;
  U8 x[64], y[64];
} ECCrefPublicKey;
typedef struct {
  U32 bits;
  U8 K[64];
} ECCrefPrivateKey;
typedef struct {
  U8 r[64], s[64];
} ECCSignature;

#if CARD_LAYOUT == LAYOUT_FISCO
typedef struct {
  U8 x[64], y[64], M[32];
  U32 L;
  U8 C[32];
} ECCCipher;
#define CIPHER_MAX_BYTES 32
#elif CARD_LAYOUT == LAYOUT_C136
typedef struct {
  U8 x[64], y[64], M[32];
  U32 L;
  U8 C[136];
} ECCCipher;
#define CIPHER_MAX_BYTES 136
#elif CARD_LAYOUT == LAYOUT_SANSEC_OLD
typedef struct {
  U32 L;
  U8 x[64], y[64], C[136], M[64];
} ECCCipher;
#define CIPHER_MAX_BYTES 136
#else
typedef struct {
  U8 x[64], y[64], M[32];
  U32 L;
  U8 C[];
} ECCCipher;
#define CIPHER_MAX_BYTES 255
#endif

enum {
  SGD_SM4_ECB = 0x401,
  SGD_SM4_CBC = 0x402,
  SGD_SM4_CFB = 0x404,
  SGD_SM4_OFB = 0x408,
  SGD_SM4_MAC = 0x410,
  SGD_SM4_CTR = 0x420,
  SGD_SM2 = 0x20100,
  SGD_SM2_1 = 0x20200,
  SGD_SM2_2 = 0x20400,
  SGD_SM2_3 = 0x20800,
  SGD_SM3 = 1,
  SGD_SHA1 = 2,
  SGD_SHA256 = 4
};

enum {
  SDR_OK = 0,
  SDR_BASE = 0x01000000,
  SDR_UNKNOWERR,
  SDR_NOTSUPPORT,
  SDR_COMMFAIL,
  SDR_HARDFAIL,
  SDR_OPENDEVICE,
  SDR_OPENSESSION,
  SDR_PARDENY,
  SDR_KEYNOTEXIST,
  SDR_ALGNOTSUPPORT,
  SDR_ALGMODNOTSUPPORT,
  SDR_PKOPERR,
  SDR_SKOPERR,
  SDR_SIGNERR,
  SDR_VERIFYERR,
  SDR_SYMOPERR,
  SDR_STEPERR,
  SDR_FILESIZEERR,
  SDR_FILENOEXIST,
  SDR_FILEOFSERR,
  SDR_KEYTYPEERR,
  SDR_KEYERR,
  SDR_ENCDATAERR,
  SDR_RANDERR,
  SDR_PRKRERR,
  SDR_MACERR,
  SDR_FILEEXISTS,
  SDR_FILEWERR,
  SDR_NOBUFFER,
  SDR_INARGERR,
  SDR_OUTARGERR,
  /* The maker's own. */
  CARD_WRONG_PASSWORD = 0x01000100,
  CARD_PASSWORD_LOCKED = 0x01000101,
  CARD_SESSION_LOST = 0x01010105,
  CARD_UNPLUGGED = 0x01010201
};

SDF_API int SDF_OpenDevice(void **device);
SDF_API int SDF_CloseDevice(void *device);
SDF_API int SDF_OpenSession(void *device, void **session);
SDF_API int SDF_CloseSession(void *session);
SDF_API int SDF_GetDeviceInfo(void *session, DEVICEINFO *info);
SDF_API int SDF_GenerateRandom(void *session, U32 length, U8 *random);
SDF_API int SDF_GetPrivateKeyAccessRight(void *session, U32 index, U8 *password, U32 length);
SDF_API int SDF_ReleasePrivateKeyAccessRight(void *session, U32 index);

SDF_API int SDF_ExportSignPublicKey_ECC(void *session, U32 index, ECCrefPublicKey *public_key);
SDF_API int SDF_ExportEncPublicKey_ECC(void *session, U32 index, ECCrefPublicKey *public_key);
SDF_API int SDF_GenerateKeyPair_ECC(void *session, U32 algorithm, U32 bits, ECCrefPublicKey *public_key,
                                    ECCrefPrivateKey *private_key);
SDF_API int SDF_InternalSign_ECC(void *session, U32 index, U8 *digest, U32 length, ECCSignature *signature);
SDF_API int SDF_InternalVerify_ECC(void *session, U32 index, U8 *digest, U32 length, ECCSignature *signature);
SDF_API int SDF_ExternalVerify_ECC(void *session, U32 algorithm, ECCrefPublicKey *public_key, U8 *digest, U32 length,
                                   ECCSignature *signature);

SDF_API int SDF_ExternalEncrypt_ECC(void *session, U32 algorithm, ECCrefPublicKey *public_key, U8 *data, U32 length,
                                    ECCCipher *cipher);
#ifdef CARD_OPENHITLS
SDF_API int SDF_InternalEncrypt_ECC(void *session, U32 index, U8 *data, U32 length, ECCCipher *cipher);
#else
SDF_API int SDF_InternalEncrypt_ECC(void *session, U32 index, U32 algorithm, U8 *data, U32 length, ECCCipher *cipher);
#endif
/* Third argument: the algorithm (SGD_SM2_3), or under openHiTLS the key's type (SGD_SM2). */
SDF_API int SDF_InternalDecrypt_ECC(void *session, U32 index, U32 algorithm, ECCCipher *cipher, U8 *data, U32 *length);

SDF_API int SDF_GenerateKeyWithIPK_ECC(void *session, U32 index, U32 bits, ECCCipher *cipher, void **key);
SDF_API int SDF_GenerateKeyWithEPK_ECC(void *session, U32 bits, U32 algorithm, ECCrefPublicKey *public_key,
                                       ECCCipher *cipher, void **key);
SDF_API int SDF_ImportKeyWithISK_ECC(void *session, U32 index, ECCCipher *cipher, void **key);
SDF_API int SDF_GenerateKeyWithKEK(void *session, U32 bits, U32 algorithm, U32 kek, U8 *wrapped, U32 *length,
                                   void **key);
SDF_API int SDF_ImportKeyWithKEK(void *session, U32 algorithm, U32 kek, U8 *wrapped, U32 length, void **key);
SDF_API int SDF_DestroyKey(void *session, void *key);

SDF_API int SDF_Encrypt(void *session, void *key, U32 algorithm, U8 *iv, U8 *in, U32 length, U8 *out, U32 *out_length);
SDF_API int SDF_Decrypt(void *session, void *key, U32 algorithm, U8 *iv, U8 *in, U32 length, U8 *out, U32 *out_length);
SDF_API int SDF_CalculateMAC(void *session, void *key, U32 algorithm, U8 *iv, U8 *in, U32 length, U8 *mac,
                             U32 *mac_length);
SDF_API int SDF_HashInit(void *session, U32 algorithm, ECCrefPublicKey *public_key, U8 *id, U32 id_length);
SDF_API int SDF_HashUpdate(void *session, U8 *data, U32 length);
SDF_API int SDF_HashFinal(void *session, U8 *hash, U32 *length);

#ifndef CARD_MINIMAL /* what a library may leave out */
SDF_API int SDF_GenerateAgreementDataWithECC(void *session, U32 index, U32 bits, U8 *id, U32 id_length,
                                             ECCrefPublicKey *public_key, ECCrefPublicKey *ephemeral, void **agreement);
SDF_API int SDF_GenerateKeyWithECC(void *session, U8 *responder_id, U32 id_length, ECCrefPublicKey *responder,
                                   ECCrefPublicKey *responder_ephemeral, void *agreement, void **key);
SDF_API int SDF_GenerateAgreementDataAndKeyWithECC(void *session, U32 index, U32 bits, U8 *responder_id,
                                                   U32 responder_id_length, U8 *sponsor_id, U32 sponsor_id_length,
                                                   ECCrefPublicKey *sponsor, ECCrefPublicKey *sponsor_ephemeral,
                                                   ECCrefPublicKey *responder, ECCrefPublicKey *responder_ephemeral,
                                                   void **key);
SDF_API int SDF_CreateFile(void *session, U8 *name, U32 name_length, U32 size);
SDF_API int SDF_ReadFile(void *session, U8 *name, U32 name_length, U32 offset, U32 *length, U8 *buffer);
SDF_API int SDF_WriteFile(void *session, U8 *name, U32 name_length, U32 offset, U32 length, U8 *buffer);
SDF_API int SDF_DeleteFile(void *session, U8 *name, U32 name_length);
SDF_API int SDF_ExternalSign_ECC(void *session, U32 algorithm, ECCrefPrivateKey *private_key, U8 *digest, U32 length,
                                 ECCSignature *signature);
SDF_API int SDF_ImportKey(void *session, U8 *key, U32 length, void **handle);
SDF_API int SDF_GetSymmKeyHandle(void *session, U32 index, void **handle);
#endif

#ifdef CARD_KEK_RIGHT /* some makers ask for a right to a KEK too */
SDF_API int SDF_GetKEKAccessRight(void *session, U32 index, U8 *password, U32 length);
SDF_API int SDF_ReleaseKEKAccessRight(void *session, U32 index);
#endif

#endif
