import { basename, dirname, isAbsolute, resolve } from "node:path";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import {
  libraryVariable,
  maxLibraryVariableCharacters,
  maxLibraryVariables,
} from "../../devices/native/library-environment.ts";
import type { ConfigSections } from "./config-section.ts";
import { ChainBuildError } from "./errors.ts";
import { type Ini, parseIni } from "./ini.ts";
import { copiedPin, readPrivateFile, withoutLineEnd } from "./pin-file.ts";

/** `[security]` of a node whose signing key is in a cipher machine (GM/T 0018). */
export interface HsmSettings {
  /** Libraries to try, in order; a bare name is for the loader's own search path. */
  readonly libraries: readonly string[];
  /** Layout profile of the library's structures, where it is not the standard one. */
  readonly profile?: string;
  readonly keyIndex: number;
  /** None: the key needs no access right. */
  readonly pin?: PinPlace;
  /** Variables that the library is given, for one that finds its own configuration by them. */
  readonly environment: Readonly<Record<string, string>>;
}

/** Where the PIN is: a file of its own, or config.ini itself. */
export interface PinPlace {
  readonly kind: "file" | "config";
  /** Absolute. */
  readonly file: string;
}

export const defaultHsmLibraries = ["/usr/local/lib/libgmt0018.so", "libgmt0018.so"] as const;
const pinEntry = "security.password";

/** Of parsed entries. `file` is config.ini, absolute. */
export function hsmSettings(ini: Ini, sections: ConfigSections, file: string): HsmSettings {
  const library = sections.text("security.hsm_lib_path");
  if (library?.includes("/") && !isAbsolute(library))
    throw sections.refuse("security.hsm_lib_path", "takes an absolute path, or a bare name for the loader's path");
  const profile = sections.text("security.hsm_profile");
  if (profile !== undefined && !/^[a-z0-9-]{1,40}$/.test(profile))
    throw sections.refuse("security.hsm_profile", "takes the name of a layout profile");
  const pin = pinPlace(ini, sections, file);
  return {
    libraries: library === undefined ? defaultHsmLibraries : [library],
    keyIndex: keyIndexOf(sections),
    environment: environmentOf(sections),
    ...(profile === undefined ? {} : { profile }),
    ...(pin === undefined ? {} : { pin }),
  };
}

/** `[hsm_environment]`: nothing else of the node's own environment reaches the library than where programs and files are. */
function environmentOf(sections: ConfigSections): HsmSettings["environment"] {
  const variables = sections.all("hsm_environment");
  const names = Object.keys(variables);
  for (const name of names) {
    const path = `hsm_environment.${name}`;
    if (!libraryVariable.test(name))
      throw sections.refuse(path, "is no variable that a library is given: names such as VENDOR_CONFIG are");
    if ((variables[name]?.length ?? 0) > maxLibraryVariableCharacters)
      throw sections.refuse(path, `has more than ${maxLibraryVariableCharacters} characters`);
  }
  const oneTooMany = names[maxLibraryVariables];
  if (oneTooMany !== undefined)
    throw sections.refuse(`hsm_environment.${oneTooMany}`, `is one too many: at most ${maxLibraryVariables}`);
  return variables;
}

/** FISCO BCOS's program reads `key_index`, its tutorial prints `key_id`. */
function keyIndexOf(sections: ConfigSections): number {
  const path = sections.text("security.key_index") === undefined ? "security.key_id" : "security.key_index";
  if (sections.text(path) === undefined)
    throw sections.refuse("security.key_index", "is missing: the index of the node's key in the cipher machine");
  const index = sections.number(path, 1, 0xffff_ffff);
  if (sections.text("security.key_id") !== undefined && sections.number("security.key_id", 1, 0xffff_ffff) !== index)
    throw sections.refuse("security.key_id", "is another index than key_index");
  return index;
}

function pinPlace(ini: Ini, sections: ConfigSections, file: string): PinPlace | undefined {
  const inConfig = ini.secrets.get(pinEntry);
  const own = sections.text("security.password_file");
  const written = inConfig !== undefined && inConfig.end > inConfig.start;
  if (written && own !== undefined)
    throw sections.refuse("security.password_file", "and password are both there: one of them");
  if (own !== undefined) return { kind: "file", file: resolve(dirname(file), own) };
  return written ? { kind: "config", file } : undefined;
}

/**
 * Reads the PIN. From a file of its own: its bytes without the line end. From config.ini: the value of `password`.
 * The caller disposes of it.
 *
 * @throws {ChainBuildError} `FILE_UNUSABLE`; `FILE_UNSAFE` when others may read the file; `CONFIG_INVALID` for an empty
 *   PIN, one of more than 256 bytes, or one with a NUL or line end in it.
 */
export function readHsmPin({ kind, file }: PinPlace): SecretBuffer {
  using content = readPrivateFile(file);
  return content.expose((bytes) => {
    if (kind === "file") return copiedPin(file, withoutLineEnd(bytes));
    const found = parseIni(bytes, basename(file), [pinEntry]).secrets.get(pinEntry);
    if (found === undefined) throw new ChainBuildError("CONFIG_INVALID", `${file} has no password any more`);
    return copiedPin(file, bytes.subarray(found.start, found.end));
  });
}
