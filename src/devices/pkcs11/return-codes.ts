import type { DeviceFaultKind } from "../errors.ts";
import { DeviceFault } from "../native/fault.ts";

type Meaning = readonly [name: string, kind: DeviceFaultKind];

/**
 * Return values of PKCS#11 (2.40 base specification, appendix B; 3.0 for 0x1b, 0x42 and 0x140) by what they mean for us.
 * What is not named here, vendors' own values among it, counts as a failure of the device.
 */
const meanings: ReadonlyMap<number, Meaning> = new Map<number, Meaning>([
  [0x001, ["CKR_CANCEL", "device"]],
  [0x002, ["CKR_HOST_MEMORY", "device"]],
  [0x003, ["CKR_SLOT_ID_INVALID", "comm"]],
  [0x005, ["CKR_GENERAL_ERROR", "device"]],
  [0x006, ["CKR_FUNCTION_FAILED", "device"]],
  [0x007, ["CKR_ARGUMENTS_BAD", "bad-input"]],
  [0x009, ["CKR_NEED_TO_CREATE_THREADS", "unsupported"]],
  [0x00a, ["CKR_CANT_LOCK", "unsupported"]],
  [0x010, ["CKR_ATTRIBUTE_READ_ONLY", "unsupported"]],
  [0x011, ["CKR_ATTRIBUTE_SENSITIVE", "unsupported"]],
  [0x012, ["CKR_ATTRIBUTE_TYPE_INVALID", "unsupported"]],
  [0x013, ["CKR_ATTRIBUTE_VALUE_INVALID", "unsupported"]],
  [0x01b, ["CKR_ACTION_PROHIBITED", "unsupported"]],
  [0x020, ["CKR_DATA_INVALID", "bad-input"]],
  [0x021, ["CKR_DATA_LEN_RANGE", "bad-input"]],
  [0x030, ["CKR_DEVICE_ERROR", "device"]],
  [0x031, ["CKR_DEVICE_MEMORY", "device"]],
  [0x032, ["CKR_DEVICE_REMOVED", "comm"]],
  [0x040, ["CKR_ENCRYPTED_DATA_INVALID", "bad-input"]],
  [0x041, ["CKR_ENCRYPTED_DATA_LEN_RANGE", "bad-input"]],
  [0x042, ["CKR_AEAD_DECRYPT_FAILED", "bad-input"]],
  [0x050, ["CKR_FUNCTION_CANCELED", "device"]],
  [0x054, ["CKR_FUNCTION_NOT_SUPPORTED", "unsupported"]],
  [0x060, ["CKR_KEY_HANDLE_INVALID", "not-found"]],
  [0x062, ["CKR_KEY_SIZE_RANGE", "unsupported"]],
  [0x063, ["CKR_KEY_TYPE_INCONSISTENT", "unsupported"]],
  [0x068, ["CKR_KEY_FUNCTION_NOT_PERMITTED", "unsupported"]],
  [0x069, ["CKR_KEY_NOT_WRAPPABLE", "unsupported"]],
  [0x06a, ["CKR_KEY_UNEXTRACTABLE", "unsupported"]],
  [0x070, ["CKR_MECHANISM_INVALID", "unsupported"]],
  [0x071, ["CKR_MECHANISM_PARAM_INVALID", "unsupported"]],
  [0x082, ["CKR_OBJECT_HANDLE_INVALID", "not-found"]],
  [0x090, ["CKR_OPERATION_ACTIVE", "session"]],
  [0x091, ["CKR_OPERATION_NOT_INITIALIZED", "session"]],
  [0x0a0, ["CKR_PIN_INCORRECT", "auth"]],
  [0x0a1, ["CKR_PIN_INVALID", "auth"]],
  [0x0a2, ["CKR_PIN_LEN_RANGE", "auth"]],
  [0x0a3, ["CKR_PIN_EXPIRED", "auth"]],
  [0x0a4, ["CKR_PIN_LOCKED", "locked-out"]],
  [0x0b0, ["CKR_SESSION_CLOSED", "session"]],
  [0x0b1, ["CKR_SESSION_COUNT", "busy"]],
  [0x0b3, ["CKR_SESSION_HANDLE_INVALID", "session"]],
  [0x0b5, ["CKR_SESSION_READ_ONLY", "unsupported"]],
  [0x0d0, ["CKR_TEMPLATE_INCOMPLETE", "unsupported"]],
  [0x0d1, ["CKR_TEMPLATE_INCONSISTENT", "unsupported"]],
  [0x0e0, ["CKR_TOKEN_NOT_PRESENT", "comm"]],
  [0x0e1, ["CKR_TOKEN_NOT_RECOGNIZED", "comm"]],
  [0x0e2, ["CKR_TOKEN_WRITE_PROTECTED", "unsupported"]],
  [0x0f0, ["CKR_UNWRAPPING_KEY_HANDLE_INVALID", "not-found"]],
  [0x0f1, ["CKR_UNWRAPPING_KEY_SIZE_RANGE", "unsupported"]],
  [0x0f2, ["CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT", "unsupported"]],
  [0x100, ["CKR_USER_ALREADY_LOGGED_IN", "session"]],
  [0x101, ["CKR_USER_NOT_LOGGED_IN", "session"]],
  [0x102, ["CKR_USER_PIN_NOT_INITIALIZED", "auth"]],
  [0x103, ["CKR_USER_TYPE_INVALID", "auth"]],
  [0x104, ["CKR_USER_ANOTHER_ALREADY_LOGGED_IN", "session"]],
  [0x105, ["CKR_USER_TOO_MANY_TYPES", "session"]],
  [0x110, ["CKR_WRAPPED_KEY_INVALID", "bad-input"]],
  [0x112, ["CKR_WRAPPED_KEY_LEN_RANGE", "bad-input"]],
  [0x113, ["CKR_WRAPPING_KEY_HANDLE_INVALID", "not-found"]],
  [0x114, ["CKR_WRAPPING_KEY_SIZE_RANGE", "unsupported"]],
  [0x115, ["CKR_WRAPPING_KEY_TYPE_INCONSISTENT", "unsupported"]],
  [0x130, ["CKR_DOMAIN_PARAMS_INVALID", "unsupported"]],
  [0x140, ["CKR_CURVE_NOT_SUPPORTED", "unsupported"]],
  [0x150, ["CKR_BUFFER_TOO_SMALL", "device"]],
  [0x190, ["CKR_CRYPTOKI_NOT_INITIALIZED", "device"]],
  [0x191, ["CKR_CRYPTOKI_ALREADY_INITIALIZED", "device"]],
  [0x200, ["CKR_FUNCTION_REJECTED", "unsupported"]],
]);

/** Handles that were good once: the object is looked for anew. */
const staleHandles: ReadonlySet<number> = new Set([0x060, 0x082, 0x0f0, 0x113]);

/**
 * What a token answers when ciphertext does not authenticate: 2.40 says CKR_ENCRYPTED_DATA_INVALID or
 * CKR_WRAPPED_KEY_INVALID, but SoftHSM and others answer as if the device had failed.
 */
const refusals: ReadonlySet<number> = new Set([0x005, 0x006, 0x020, 0x021, 0x030, 0x040, 0x041, 0x042, 0x110, 0x112]);

export const pinIncorrect = 0x0a0;
export const alreadyLoggedIn = 0x100;

/** The name of a return value, or its number where it has none: `CKR_PIN_LOCKED`, `CKR_0x80000001`. */
export function returnCodeName(code: number): string {
  return meanings.get(code)?.[0] ?? `CKR_0x${code.toString(16).padStart(8, "0")}`;
}

/** @param doing - What was being done, for the message: `C_Login to token node-1`. */
export function faultOfReturnCode(code: number, doing: string): DeviceFault {
  const [, kind] = meanings.get(code) ?? ["", "device"];
  return new DeviceFault({ kind, code: returnCodeName(code), message: `${doing}: the token answered no` });
}

/** The return value in an error of pkcs11js, whose every form has `CKR_NAME:number` in it; undefined for other errors. */
export function returnCodeOf(error: unknown): number | undefined {
  if (!(error instanceof Error)) return undefined;
  if ("code" in error && typeof error.code === "number" && error.code > 0) return error.code;
  const digits = /CKR_\w+:(\d+)/.exec(error.message)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

export function isStaleHandle(error: unknown): boolean {
  return staleHandles.has(returnCodeOf(error) ?? 0);
}

export function mayBeRefusal(error: unknown): boolean {
  return refusals.has(returnCodeOf(error) ?? 0);
}

/** Runs calls of the module and sorts what they throw; faults pass as they are. */
export async function calling<T>(doing: string, call: () => T | Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw asFault(error, doing);
  }
}

export function asFault(error: unknown, doing: string): DeviceFault {
  if (error instanceof DeviceFault) return error;
  const code = returnCodeOf(error);
  if (code !== undefined) return faultOfReturnCode(code, doing);
  // pkcs11js's own words for arguments it could not read; they hold no values.
  const message = error instanceof Error ? error.message.slice(0, 200) : "not an error";
  return new DeviceFault({ kind: "device", code: "PKCS11JS", message: `${doing}: ${message}` });
}
