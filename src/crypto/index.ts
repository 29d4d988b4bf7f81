/**
 * `strongroom/crypto`: the ciphers and formats of Strongroom, useful alone. SM3, HMAC-SM3 and HKDF over either hash are
 * `node:crypto`'s own (`hash("sm3", …)`); here is what it does not offer, offers with a trap, or has no format for.
 */
export { type Context, contextContains, contextEquals, encodeContext, serverContextPrefix } from "./context.ts";
export {
  type CurveName,
  checkPublicKey,
  generateKeyPair,
  nodeIdOf,
  publicKeyOf,
  publicKeyOfNodeId,
} from "./curve.ts";
export { CryptoError, type CryptoErrorCode, cryptoErrors } from "./errors.ts";
export { pbkdf2Key, type ScryptParameters, scryptBounds, scryptDefaults, scryptKey } from "./kdf.ts";
export { keccak256 } from "./keccak.ts";
export {
  type LegacyMode,
  legacyDecryptDataKey,
  legacyDecryptKeyFile,
  legacyEncryptDataKey,
  legacyEncryptKeyFile,
} from "./legacy-fisco.ts";
export {
  type LegacyDatabaseFormat,
  legacyDecryptDatabaseValue,
  legacyEncryptDatabaseValue,
} from "./legacy-fisco-database.ts";
export { type KeyEncoding, type PrivateKeyFile, readPrivateKey, writePrivateKey } from "./pem.ts";
export {
  type BoxHeader,
  type BoxType,
  boxTypes,
  deviceAlgorithms,
  maxBoxPlaintextBytes,
  openBox,
  readBoxHeader,
  sealBox,
} from "./sealed-box.ts";
export { SecretBuffer } from "./secret-buffer.ts";
export {
  type Sm2SignatureForm,
  type Sm2SigningKey,
  type Sm2SignOptions,
  sm2DefaultUserId,
  sm2Digest,
  sm2Sign,
  sm2SignatureToDer,
  sm2SignatureToRaw,
  sm2SigningKey,
  sm2Verify,
  sm2Za,
} from "./sm2.ts";
export { sm2SignDigest, sm2VerifyDigest } from "./sm2-digest.ts";
export { maxSm2PlaintextBytes, type Sm2CiphertextForm, sm2Decrypt, sm2Encrypt } from "./sm2-encryption.ts";
export { aeadOpen, aeadSeal, hkdf, nonceBytes, type Suite, type SuiteName, suites, tagBytes } from "./suite.ts";
export {
  type CbcCipher,
  type CtrCipher,
  cbcDecryptUnauthenticated,
  cbcEncryptUnauthenticated,
  ctrUnauthenticated,
} from "./unauthenticated-cipher.ts";
