/** `strongroom/level`: an abstract-level database whose values, and on request key names, are ciphertext at rest. */
export { SecretBuffer } from "../crypto/secret-buffer.ts";
export type { SuiteName } from "../crypto/suite.ts";
export type { GivenLevel } from "./base-level.ts";
export type { DataKeyRotation, RotationOptions, RotationProgress } from "./data-key-rotation.ts";
export { EncryptedLevel, type EncryptedLevelOptions } from "./encrypted-level.ts";
export { LevelError, type LevelErrorCode, levelErrors } from "./errors.ts";
