import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { DeviceFault } from "../native/fault.ts";
import type { Pkcs11Config } from "./config.ts";
import { flags, normalUser } from "./constants.ts";
import type { FoundToken, Handle } from "./module.ts";
import { alreadyLoggedIn, faultOfReturnCode } from "./return-codes.ts";

/** Where C_Login stands in CK_FUNCTION_LIST: after the version, padded to eight bytes, and eighteen pointers. */
const loginOffsetBytes = 8 + 18 * 8;

/** C_Login of one module, taking the PIN's bytes. */
export type Login = (session: Handle, pin: SecretBuffer) => number;

/**
 * Binds C_Login of a module that is loaded already. pkcs11js takes a PIN as a JavaScript string, which cannot be wiped; the
 * same library called through koffi takes the bytes where they lie.
 */
export async function bindLogin(library: string): Promise<Login> {
  const { default: koffi } = await import("koffi");
  const getFunctionList = koffi.load(library).func("C_GetFunctionList", "ulong", [koffi.out(koffi.pointer("void *"))]);
  const list: unknown[] = [null];
  const code: unknown = getFunctionList(list);
  if (code !== 0) throw faultOfReturnCode(Number(code), `C_GetFunctionList of ${library}`);
  const prototype = koffi.proto("ulong (ulong session, ulong user, const uint8_t *pin, ulong pinBytes)");
  const login: (session: bigint, user: number, pin: Buffer, pinBytes: number) => number = koffi.decode(
    koffi.decode(list[0], loginOffsetBytes, "void *"),
    prototype,
  );
  return (session, pin) => pin.expose((bytes) => login(session.readBigUInt64LE(), normalUser, bytes, bytes.byteLength));
}

/**
 * Logs the user in, once, for all sessions of this process. A PIN that was refused is never sent again: the fault's kind keeps
 * the host from it.
 *
 * @throws {DeviceFault} `auth` or `locked-out`, also when the token itself says that a try would be dangerous.
 */
export function logIn(
  login: Login,
  session: Handle,
  token: FoundToken,
  pin: SecretBuffer | undefined,
  config: Pkcs11Config,
): void {
  const refuse = (kind: "auth" | "locked-out", code: string, why: string) =>
    new DeviceFault({ kind, code, message: `the token "${token.label}" ${why}` });
  const says = (flag: number) => (token.info.flags & flag) !== 0;
  if (!says(flags.loginRequired) && pin === undefined) return;
  if (says(flags.userPinLocked))
    throw refuse("locked-out", "CKR_PIN_LOCKED", "has locked its user PIN: unlock it with the security officer's PIN");
  if (!says(flags.userPinInitialized))
    throw refuse("auth", "CKR_USER_PIN_NOT_INITIALIZED", "has no user PIN: set one with the vendor's tool");
  if (pin === undefined) throw refuse("auth", "PIN_MISSING", "wants a PIN: name its file");
  if (says(flags.userPinFinalTry) && !config.useFinalTry)
    throw refuse(
      "auth",
      "PIN_FINAL_TRY",
      "locks itself at the next wrong PIN: log in by the vendor's tool first, or set useFinalTry",
    );
  const code = login(session, pin);
  if (code !== 0 && code !== alreadyLoggedIn) throw faultOfReturnCode(code, `logging in to the token "${token.label}"`);
}
