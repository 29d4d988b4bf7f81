import { AwsKmsError } from "../../devices/aws-kms/errors.ts";
import { DeviceError, type DeviceErrorCode } from "../../devices/errors.ts";

/** Failures that come before the device is asked, or that are its answer that it does not sign. */
const surelyUnsigned: ReadonlySet<DeviceErrorCode> = new Set([
  "DEVICE_BUSY",
  "DEVICE_INPUT_REFUSED",
  "DEVICE_KEY_NOT_FOUND",
  "DEVICE_LOCKED",
  "DEVICE_PIN_LOCKED",
  "DEVICE_PIN_REFUSED",
  "DEVICE_UNSUPPORTED",
]);

/** Whether a device or a KMS has shown that its key is not, or no longer, this node's. */
export function showsAnotherKey(error: unknown): boolean {
  if (error instanceof AwsKmsError) return error.code === "KMS_KEY_CHANGED";
  return error instanceof DeviceError && error.code === "DEVICE_KEY_CHANGED";
}

/**
 * Whether a device or a KMS may have made a signature although none came back: then the same vote is not asked for again. Only a
 * failure that is known to leave no signature is answered by false.
 */
export function mayHaveSigned(error: unknown): boolean {
  if (error instanceof AwsKmsError) return error.effect !== "none";
  return !(error instanceof DeviceError && surelyUnsigned.has(error.code));
}
