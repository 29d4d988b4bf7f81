import { ChainBuildError } from "./build/errors.ts";
import type { IniSecret } from "./build/ini.ts";

const passwordKey = Buffer.from("hsmPassword");
const quote = 0x22;
const backslash = 0x5c;

/** How the PIN must stand, so that it can be found without making it text. */
export const passwordForm = 'hsmPassword is not one line hsmPassword = "…" under [cryptoMaterial], without escapes';

/**
 * Where the value of `hsmPassword` lies in a config.toml, without its quotes: the java-sdk writes it in clear, and it is to
 * become a secret without becoming text on the way.
 *
 * @param name - The file, for messages.
 * @throws {ChainBuildError} `CONFIG_INVALID` when it stands twice or in another form.
 */
export function passwordSpan(name: string, bytes: Buffer): IniSecret | undefined {
  let found: IniSecret | undefined;
  for (let start = 0; start < bytes.length; ) {
    const lineEnd = bytes.indexOf(0x0a, start);
    const end = lineEnd === -1 ? bytes.length : lineEnd;
    const inLine = spanInLine(name, bytes.subarray(start, end));
    if (inLine !== undefined) {
      if (found !== undefined) throw malformed(name);
      found = { start: start + inLine.start, end: start + inLine.end };
    }
    start = end + 1;
  }
  return found;
}

function spanInLine(name: string, line: Buffer): IniSecret | undefined {
  const at = line.indexOf(passwordKey);
  if (at === -1 || line.subarray(0, at).some((byte) => byte !== 0x20 && byte !== 0x09)) return undefined;
  const afterKey = at + passwordKey.length;
  // hsmPasswordFile begins alike.
  if (/[A-Za-z]/.test(String.fromCharCode(line[afterKey] ?? 0))) return undefined;
  const open = line.indexOf(quote, afterKey);
  const close = open === -1 ? -1 : line.indexOf(quote, open + 1);
  const isAssigned = /^[ \t]*=[ \t]*$/.test(line.subarray(afterKey, Math.max(open, afterKey)).toString("latin1"));
  if (close === -1 || !isAssigned || line.subarray(open, close).includes(backslash)) throw malformed(name);
  return { start: open + 1, end: close };
}

function malformed(name: string): ChainBuildError {
  return new ChainBuildError("CONFIG_INVALID", `${name}: ${passwordForm}`);
}
