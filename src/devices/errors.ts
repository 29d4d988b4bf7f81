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
} as const;

export type DeviceErrorCode = keyof typeof deviceErrors;

export class DeviceError extends Error {
  override readonly name = "DeviceError";
  readonly code: DeviceErrorCode;

  constructor(code: DeviceErrorCode, message: string = deviceErrors[code].meaning, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }

  /** The command line's exit code for this failure. */
  get exitCode(): number {
    return deviceErrors[this.code].exit;
  }
}
