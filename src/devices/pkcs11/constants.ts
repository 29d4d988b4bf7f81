/** The constants of PKCS#11 that are used here (OASIS PKCS #11 Current Mechanisms and Base Specification, 2.40 and 3.0). */

/** CKM_…: mechanisms. */
export const mechanisms = {
  ecKeyPairGen: 0x1040,
  ecdsa: 0x1041,
  ecEdwardsKeyPairGen: 0x1055,
  eddsa: 0x1057,
  aesKeyGen: 0x1080,
  aesGcm: 0x1087,
  aesKeyWrap: 0x2109,
  genericSecretKeyGen: 0x350,
  sha224Hmac: 0x256,
  sha256Hmac: 0x251,
  sha384Hmac: 0x261,
  sha512Hmac: 0x271,
} as const;

/** CKA_…: attributes of objects. */
export const attributes = {
  objectClass: 0x000,
  token: 0x001,
  private: 0x002,
  label: 0x003,
  value: 0x011,
  keyType: 0x100,
  id: 0x102,
  sensitive: 0x103,
  encrypt: 0x104,
  decrypt: 0x105,
  wrap: 0x106,
  unwrap: 0x107,
  sign: 0x108,
  verify: 0x10a,
  derive: 0x10c,
  valueLength: 0x161,
  extractable: 0x162,
  ecParams: 0x180,
  ecPoint: 0x181,
  allowedMechanisms: 0x4000_0600,
} as const;

/** CKO_…: classes of objects. */
export const objectClasses = { publicKey: 2, privateKey: 3, secretKey: 4 } as const;

/** CKK_…: types of keys. */
export const keyTypes = { ec: 0x03, genericSecret: 0x10, aes: 0x1f, ecEdwards: 0x40 } as const;

/** CKF_…: flags of sessions, tokens and of C_Initialize. */
export const flags = {
  rwSession: 0x2,
  serialSession: 0x4,
  osLockingOk: 0x2,
  loginRequired: 0x4,
  userPinInitialized: 0x8,
  protectedAuthenticationPath: 0x100,
  tokenInitialized: 0x400,
  userPinFinalTry: 0x2_0000,
  userPinLocked: 0x4_0000,
} as const;

/** CKS_RW_USER_FUNCTIONS: a session whose user is logged in. */
export const loggedInState = 3;

/** CKU_USER. */
export const normalUser = 1;

/** How pkcs11js lays out CK_GCM_PARAMS: with ulIvBits (2.40 and later), and without it (2.30). */
export const gcmLayouts = { withIvBits: 25, withoutIvBits: 3 } as const;
