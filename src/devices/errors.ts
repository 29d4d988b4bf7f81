import { CodedError } from "../crypto/coded-error.ts";

/** Every way a device can fail, with the command line's exit code. */
export const deviceErrors = {
  UNLOCK_REFUSED: { exit: 5, meaning: "the unlock secret opens no key slot" },
  UNLOCK_SECRET_UNSAFE: {
    exit: 2,
    meaning: "the unlock secret is empty, too large, or its file can be read by others",
  },
  SLOT_NOT_FOUND: { exit: 1, meaning: "there is no key slot of that number" },
  SLOT_LAST: { exit: 1, meaning: "the last key slot cannot be removed" },
  SLOTS_BUSY: { exit: 1, meaning: "another command is changing the key slots" },
  SLOTS_UNWRITABLE: {
    exit: 1,
    meaning: "the key-slot file cannot be changed: its disk is full, or may not be written",
  },
  SLOTS_DAMAGED: { exit: 5, meaning: "the key-slot file is missing, malformed or does not authenticate" },
  KEY_DAMAGED: { exit: 5, meaning: "the sealed master key does not open under this root key" },
  DEVICE_LOCKED: { exit: 1, meaning: "the device is locked" },
  DEVICE_UNSUPPORTED: { exit: 2, meaning: "the device cannot do this with this kind of key" },
  DEVICE_PIN_UNSAFE: {
    exit: 2,
    meaning: "the device's PIN is missing, empty, too large, or its file can be read by others",
  },
  DEVICE_PIN_REFUSED: {
    exit: 3,
    meaning: "the device refuses the PIN or the right to use the key; it is not tried again",
  },
  DEVICE_PIN_LOCKED: { exit: 3, meaning: "the device has locked its PIN" },
  DEVICE_KEY_NOT_FOUND: { exit: 1, meaning: "the device has no such key" },
  DEVICE_KEY_CHANGED: { exit: 5, meaning: "the device's key or what it stored is not what it was" },
  DEVICE_INPUT_REFUSED: { exit: 2, meaning: "the device refuses the input" },
  DEVICE_SESSION_LOST: { exit: 1, meaning: "the session with the device ended" },
  DEVICE_FAILED: { exit: 1, meaning: "the device or its library failed" },
  DEVICE_UNREACHABLE: { exit: 1, meaning: "the device cannot be reached" },
  DEVICE_BUSY: { exit: 1, meaning: "the device has too much to do" },
  DEVICE_TIMEOUT: { exit: 1, meaning: "the device did not answer in time" },
} as const;

export type DeviceErrorCode = keyof typeof deviceErrors;

/** Kinds of failures that native libraries report. A device's process tells them by their place in this list. */
export const deviceFaultKinds = [
  "auth",
  "locked-out",
  "not-found",
  "unsupported",
  "bad-input",
  "session",
  "device",
  "comm",
  "busy",
  "timeout",
  "integrity",
] as const;

export type DeviceFaultKind = (typeof deviceFaultKinds)[number];

/** What is known of a native library's failure. */
export interface DeviceFailure {
  readonly kind: DeviceFaultKind;
  /** The library's own code, `0x0100000E` or `CKR_…`, or a word of ours where no library spoke. */
  readonly code: string;
  /** The session it happened in is gone. */
  readonly evict: boolean;
  /** The same call may succeed later; whether it is safe to send it again is for the caller to know. */
  readonly retryable: boolean;
}

export class DeviceError extends CodedError<DeviceErrorCode> {
  override readonly name = "DeviceError";
  /** Of devices with a native library only. */
  readonly failure: DeviceFailure | undefined;

  constructor(code: DeviceErrorCode, message?: string, cause?: unknown, failure?: DeviceFailure) {
    super(deviceErrors, code, message, { cause });
    this.failure = failure;
  }
}
