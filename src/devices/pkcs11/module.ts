import { closeSync, openSync, readSync } from "node:fs";
import type { PKCS11, TokenInfo } from "pkcs11js";
import { DeviceFault } from "../native/fault.ts";
import { checkPinnedLibrary } from "../native/library-hash.ts";
import type { Pkcs11Config } from "./config.ts";
import { flags } from "./constants.ts";
import { asFault } from "./return-codes.ts";

/** A handle or slot number, as pkcs11js has them: a CK_ULONG in its eight bytes. */
export type Handle = Buffer;

export interface FoundToken {
  readonly slot: Handle;
  readonly info: TokenInfo;
  readonly label: string;
  readonly serial: string;
}

/** `e_machine` (System V ABI) of the processors that Node runs on here. */
const machines: Readonly<Record<number, string>> = { 3: "x86", 40: "arm", 62: "x64", 183: "arm64", 258: "loong64" };

/**
 * Loads a vendor's module and initializes it, with the operating system's locks.
 *
 * @throws {DeviceFault} `not-found` (LIBRARY_MISSING), `unsupported` (LIBRARY_INVALID, LIBRARY_ARCHITECTURE, LIBRARY_NOT_LOADED,
 *   ADDON_MISSING), `integrity` (LIBRARY_CHANGED) and the faults of C_Initialize.
 */
export async function loadModule(library: string, sha256?: string): Promise<PKCS11> {
  const module = new (await addon())();
  checkLibraryFile(library);
  checkPinnedLibrary(library, sha256);
  try {
    module.load(library);
  } catch (error) {
    // The loader's own words name files and symbols only.
    const reason = error instanceof Error ? error.message.slice(0, 300) : "the loader refused it";
    throw unusable("LIBRARY_NOT_LOADED", `${library} cannot be loaded as a PKCS#11 module: ${reason}`);
  }
  try {
    module.C_Initialize({ flags: flags.osLockingOk });
  } catch (error) {
    throw asFault(error, `C_Initialize of ${library}`);
  }
  return module;
}

async function addon(): Promise<new () => PKCS11> {
  try {
    return (await import("pkcs11js")).PKCS11;
  } catch {
    throw unusable(
      "ADDON_MISSING",
      "pkcs11js is not compiled here: run script/setup, with g++, make and python3 at hand",
    );
  }
}

/** Looks at the file before the loader does, whose words for these mistakes help nobody. */
function checkLibraryFile(path: string): void {
  const header = Buffer.alloc(20);
  try {
    const file = openSync(path, "r");
    try {
      readSync(file, header, 0, header.length, 0);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    if (code === "EISDIR") throw unusable("LIBRARY_INVALID", `${path} is a folder, not a shared library`);
    throw new DeviceFault({
      kind: "not-found",
      code: "LIBRARY_MISSING",
      message: `the PKCS#11 module ${path} cannot be read: ${code}. Install the vendor's module, or correct its path`,
    });
  }
  if (!header.subarray(0, 4).equals(Buffer.from("\x7fELF", "latin1")))
    throw unusable("LIBRARY_INVALID", `${path} is not a shared library`);
  const machine = machines[header.readUInt16LE(18)] ?? "another processor";
  if (header[4] !== 2 || header[5] !== 1 || machine !== process.arch)
    throw unusable("LIBRARY_ARCHITECTURE", `${path} is for ${machine}, this program runs on 64-bit ${process.arch}`);
}

function unusable(code: string, message: string): DeviceFault {
  return new DeviceFault({ kind: "unsupported", code, message });
}

/**
 * The token that the configuration names; with no name, the only one that is initialized.
 *
 * @throws {DeviceFault} `comm` (TOKEN_NOT_FOUND), `bad-input` (TOKEN_AMBIGUOUS); the message names the tokens that are there.
 */
export function findToken(module: PKCS11, config: Pkcs11Config): FoundToken {
  const tokens = presentTokens(module, config.library);
  const wanted = tokens.filter(
    ({ label, serial, slot }) =>
      (config.tokenLabel === undefined || label === config.tokenLabel) &&
      (config.tokenSerial === undefined || serial === config.tokenSerial) &&
      (config.slot === undefined || slotNumber(slot) === BigInt(config.slot)),
  );
  const [token, other] = wanted;
  const there = tokens
    .map(({ label, serial, slot }) => `"${label}" (serial ${serial}, slot ${slotNumber(slot)})`)
    .join(", ");
  if (token === undefined)
    throw new DeviceFault({
      kind: "comm",
      code: "TOKEN_NOT_FOUND",
      message: `${config.library} has no initialized token ${wantedName(config)}. It has ${there === "" ? "none at all" : there}`,
    });
  if (other !== undefined)
    throw new DeviceFault({
      kind: "bad-input",
      code: "TOKEN_AMBIGUOUS",
      message: `several tokens of ${config.library} are meant: name one by label, serial number or slot. It has ${there}`,
    });
  return token;
}

function presentTokens(module: PKCS11, library: string): readonly FoundToken[] {
  try {
    return module.C_GetSlotList(true).flatMap((slot) => {
      const info = module.C_GetTokenInfo(slot);
      if ((info.flags & flags.tokenInitialized) === 0) return [];
      return [{ slot, info, label: unpadded(info.label), serial: unpadded(info.serialNumber) }];
    });
  } catch (error) {
    throw asFault(error, `listing the tokens of ${library}`);
  }
}

function wantedName({ tokenLabel, tokenSerial, slot }: Pkcs11Config): string {
  const named = [
    tokenLabel === undefined ? [] : [`labelled "${tokenLabel}"`],
    tokenSerial === undefined ? [] : [`of serial ${tokenSerial}`],
    slot === undefined ? [] : [`in slot ${slot}`],
  ].flat();
  return named.join(" ");
}

/** PKCS#11 pads its texts with blanks; some modules with zero bytes. */
export function unpadded(text: string): string {
  return text.replaceAll("\0", " ").trim();
}

export function slotNumber(slot: Handle): bigint {
  return slot.readBigUInt64LE();
}
