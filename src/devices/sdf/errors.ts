import type { DeviceFaultKind } from "../errors.ts";
import { DeviceFault } from "../native/fault.ts";

interface Meaning {
  readonly kind: DeviceFaultKind;
  readonly name: string;
  /** What happened and what to do, as the end of a sentence that names the call. */
  readonly what: string;
  readonly evict?: boolean;
  readonly retryable?: boolean;
}

/** Codes of GM/T 0018-2012 annex A (SDR_BASE 0x01000000), and those that vendors add. Any other one is of kind `device`. */
export const sdfCodes: Readonly<Record<number, Meaning>> = {
  16777217: { kind: "device", name: "SDR_UNKNOWERR", what: "the card failed for a reason that it does not say" },
  16777218: { kind: "unsupported", name: "SDR_NOTSUPPORT", what: "the card does not have this call" },
  16777219: { kind: "comm", name: "SDR_COMMFAIL", what: "the card does not answer; is it plugged in and reachable?" },
  16777220: { kind: "device", name: "SDR_HARDFAIL", what: "the card's hardware failed" },
  16777221: { kind: "device", name: "SDR_OPENDEVICE", what: "the card cannot be opened; is it there and free?" },
  16777222: { kind: "session", name: "SDR_OPENSESSION", what: "the card gives no session, or this one has ended" },
  16777223: { kind: "auth", name: "SDR_PARDENY", what: "the card does not permit this" },
  16777224: { kind: "not-found", name: "SDR_KEYNOTEXIST", what: "the card has no such key" },
  16777225: { kind: "unsupported", name: "SDR_ALGNOTSUPPORT", what: "the card does not have this algorithm" },
  16777226: { kind: "unsupported", name: "SDR_ALGMODNOTSUPPORT", what: "the card does not have this mode" },
  16777227: { kind: "bad-input", name: "SDR_PKOPERR", what: "the operation with the public key failed" },
  16777228: { kind: "bad-input", name: "SDR_SKOPERR", what: "the operation with the private key failed" },
  16777229: { kind: "device", name: "SDR_SIGNERR", what: "the card failed to sign", evict: false },
  16777230: { kind: "bad-input", name: "SDR_VERIFYERR", what: "the signature is not one of this key" },
  16777231: { kind: "bad-input", name: "SDR_SYMOPERR", what: "the operation with the symmetric key failed" },
  16777232: { kind: "session", name: "SDR_STEPERR", what: "the session is in the middle of another operation" },
  16777233: { kind: "bad-input", name: "SDR_FILESIZEERR", what: "the file in the card has another size" },
  16777234: { kind: "not-found", name: "SDR_FILENOEXIST", what: "the card has no such file" },
  16777235: { kind: "bad-input", name: "SDR_FILEOFSERR", what: "the offset lies outside the file in the card" },
  16777236: { kind: "bad-input", name: "SDR_KEYTYPEERR", what: "the key is of another type" },
  16777237: { kind: "bad-input", name: "SDR_KEYERR", what: "the card does not accept the key" },
  16777238: { kind: "bad-input", name: "SDR_ENCDATAERR", what: "the ciphertext is not one of this key" },
  16777239: { kind: "device", name: "SDR_RANDERR", what: "the card's random generator failed" },
  16777240: { kind: "auth", name: "SDR_PRKRERR", what: "there is no right to use the private key" },
  16777241: { kind: "bad-input", name: "SDR_MACERR", what: "the MAC is wrong" },
  16777242: { kind: "bad-input", name: "SDR_FILEEXISTS", what: "the card has a file of that name" },
  16777243: { kind: "device", name: "SDR_FILEWERR", what: "the card cannot write the file", evict: false },
  16777244: { kind: "device", name: "SDR_NOBUFFER", what: "the card has no memory left" },
  16777245: { kind: "bad-input", name: "SDR_INARGERR", what: "the card does not accept an argument" },
  16777246: { kind: "bad-input", name: "SDR_OUTARGERR", what: "the card does not accept the place for its answer" },
  // SoftSDF's answer to a wrong password.
  16777472: { kind: "auth", name: "SDR_PASSERR", what: "the card refuses the PIN" },
  // Sansec: SWR_BASE 0x01010000.
  16842753: { kind: "auth", name: "SWR_INVALID_USER", what: "the machine does not know this user" },
  16842754: { kind: "auth", name: "SWR_INVALID_AUTHENCODE", what: "the machine refuses the authentication code" },
  16843008: { kind: "comm", name: "SWR_SOCKET_TIMEOUT", what: "the machine did not answer in time" },
  16843009: { kind: "comm", name: "SWR_CONNECT_ERR", what: "the machine cannot be reached" },
  16843010: { kind: "comm", name: "SWR_SET_SOCKOPT_ERR", what: "the connection to the machine failed" },
  16843012: { kind: "comm", name: "SWR_SOCKET_SEND_ERR", what: "the connection to the machine broke while sending" },
  16843013: { kind: "comm", name: "SWR_SOCKET_RECV_ERR", what: "the connection to the machine broke while receiving" },
  16843014: { kind: "comm", name: "SWR_SOCKET_RECV_0", what: "the machine closed the connection" },
  16843264: { kind: "busy", name: "SWR_SEM_TIMEOUT", what: "the machine has too much to do" },
  16843265: { kind: "comm", name: "SWR_NO_AVAILABLE_HSM", what: "there is no cipher machine that answers" },
};

/** `0x0100000E`: how vendors' documents write a code. Codes are compared unsigned: some libraries return an `int`. */
export function codeText(code: number): string {
  return `0x${(code >>> 0).toString(16).toUpperCase().padStart(8, "0")}`;
}

/**
 * A call that did not return SDR_OK, as a fault.
 *
 * @param about - What it was done to, such as `key index 3`; no secrets.
 */
export function faultOfCode(call: string, code: number, about?: string): DeviceFault {
  const meaning = sdfCodes[code >>> 0];
  const subject = about === undefined ? call : `${call} of ${about}`;
  return new DeviceFault({
    kind: meaning?.kind ?? "device",
    code: codeText(code),
    message: `${subject}: ${meaning?.what ?? "the library answered with a code of its vendor's"}${meaning === undefined ? "" : ` (${meaning.name})`}`,
    ...(meaning?.evict === undefined ? {} : { evict: meaning.evict }),
    ...(meaning?.retryable === undefined ? {} : { retryable: meaning.retryable }),
  });
}

/** Kinds that say that the PIN was not even looked at. */
const beforeThePin: ReadonlySet<DeviceFaultKind> = new Set([
  "comm",
  "session",
  "device",
  "not-found",
  "unsupported",
  "busy",
]);
/** What vendors answer when a PIN is locked; no standard code says it. */
const lockedCodes: ReadonlySet<number> = new Set([0x01000101]);

/**
 * `SDF_GetPrivateKeyAccessRight` that did not return SDR_OK. Vendors answer a wrong PIN with codes of many kinds, so
 * whatever does not plainly say something else counts as a wrong PIN, which must not be tried again.
 */
export function faultOfRight(code: number, keyIndex: number): DeviceFault {
  const known = sdfCodes[code >>> 0];
  if (lockedCodes.has(code >>> 0))
    return new DeviceFault({
      kind: "locked-out",
      code: codeText(code),
      message: `key index ${keyIndex}: the card has locked the PIN after too many wrong ones; unlock it with the vendor's administration tool`,
    });
  if (known !== undefined && known.name !== "SDR_UNKNOWERR" && beforeThePin.has(known.kind))
    return faultOfCode("SDF_GetPrivateKeyAccessRight", code, `key index ${keyIndex}`);
  return new DeviceFault({
    kind: "auth",
    code: codeText(code),
    message: `key index ${keyIndex}: the card refuses the PIN; it is not tried again, since cards lock after a few wrong ones: check the PIN and open the device anew`,
  });
}

/** SDR_PARDENY, SDR_PRKRERR. */
const noRightCodes: ReadonlySet<number> = new Set([0x01000007, 0x01000018]);

/**
 * A private-key operation that did not return SDR_OK. Without the right some libraries say that, some only that an argument
 * is wrong.
 *
 * @param rightTaken - Whether this session has taken the right to the index.
 */
export function faultOfPrivateUse(call: string, code: number, keyIndex: number, rightTaken: boolean): DeviceFault {
  const unsigned = code >>> 0;
  const noRight = noRightCodes.has(unsigned) || (unsigned === 0x0100001d && !rightTaken);
  if (!noRight) return faultOfCode(call, code, `key index ${keyIndex}`);
  return new DeviceFault({
    kind: "auth",
    code: codeText(code),
    message: rightTaken
      ? `${call} of key index ${keyIndex}: the card gives this key no right to do that; is it made for it?`
      : `${call} of key index ${keyIndex}: the right to use the private key was not taken; give the device its PIN`,
  });
}

/** A use of a KEK that did not return SDR_OK. A few libraries ask for a right to it. */
export function faultOfKek(call: string, code: number, kekIndex: number): DeviceFault {
  const about = `KEK index ${kekIndex}`;
  if (!noRightCodes.has(code >>> 0)) return faultOfCode(call, code, about);
  return new DeviceFault({
    kind: "auth",
    code: codeText(code),
    message: `${call} of ${about}: this library asks for a right to the KEK; list its index with the device's KEK indices, and give the device its PIN`,
  });
}

/** A fault that no library spoke of: `code` is a word of ours. */
export function ownFault(kind: DeviceFaultKind, code: string, message: string): DeviceFault {
  return new DeviceFault({ kind, code, message });
}

/** A card that shows another public key under an index than it had. */
export function keyChanged(keyIndex: number): DeviceFault {
  return ownFault(
    "integrity",
    "KEY_CHANGED",
    `key index ${keyIndex}: the card shows another public key than this key had; it was replaced, or this is another card`,
  );
}

/** A key outside the device's list: no right to it was taken, and a card answers that in a dozen ways. */
export function keyNotListed(keyIndex: number): DeviceFault {
  return ownFault(
    "not-found",
    "KEY_NOT_LISTED",
    `key index ${keyIndex} is not among the key indices that this device is configured with`,
  );
}

/** Its {@link DeviceFault.code} is how a self-test tells it from a call that the card does not have. */
export const profileMismatchCode = "PROFILE_MISMATCH";

/** A library whose structures are not those of the profile. */
export function profileMismatch(profileName: string, what: string): DeviceFault {
  return ownFault(
    "unsupported",
    profileMismatchCode,
    `the library does not fit layout profile ${profileName}: ${what}; choose the vendor's profile`,
  );
}
