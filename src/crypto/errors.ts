/** Every way a call into `src/crypto` can fail. Codes are API; messages are for people and never carry a secret. */
export const cryptoErrors = {
  BOX_REFUSED: "the sealed box is altered, cut, for another context, or under another key",
  BUSY: "too many keys are being made at once: try again later",
  CONTEXT_INVALID: "the context has a bad name, a bad value, a duplicate or is too large",
  KEY_FORMAT_INVALID: "the key file is not in a format that is read here",
  SM2_REFUSED: "the SM2 ciphertext does not open under this key",
  LEGACY_REFUSED: "the unauthenticated legacy ciphertext does not decrypt under this key",
} as const;

export type CryptoErrorCode = keyof typeof cryptoErrors;

export class CryptoError extends Error {
  override readonly name = "CryptoError";
  readonly code: CryptoErrorCode;

  constructor(code: CryptoErrorCode, message: string = cryptoErrors[code], cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}
