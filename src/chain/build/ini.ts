import { ChainBuildError } from "./errors.ts";

export const maxIniBytes: number = 1024 * 1024;
const maxLineBytes = 4096;
const space = /^[ \t\r]$/;

export interface IniEntry {
  readonly section: string;
  readonly key: string;
  readonly value: string;
  /** From 1. */
  readonly line: number;
}

/** Where the value of a secret entry lies in the file's bytes: it never becomes a string. */
export interface IniSecret {
  readonly start: number;
  readonly end: number;
}

export interface Ini {
  readonly sections: readonly string[];
  readonly entries: readonly IniEntry[];
  readonly secrets: ReadonlyMap<string, IniSecret>;
}

/**
 * Reads an ini file as FISCO BCOS's reader (Boost's property tree) does: `[section]`, `key = value`, blanks around each
 * dropped, comments on lines of their own after `;` or `#`. Stricter than it: UTF-8 without control characters, at most
 * 1 MiB in lines of 4096 bytes, a section or key stands once.
 *
 * @param secretKeys - `section.key` of entries whose value is only located, not read.
 * @param name - The file, for messages.
 * @throws {ChainBuildError} `CONFIG_INVALID` with the line.
 */
export function parseIni(bytes: Buffer, name: string, secretKeys: readonly string[] = []): Ini {
  if (bytes.length > maxIniBytes) throw invalid(name, `has ${bytes.length} bytes, the most is ${maxIniBytes}`);
  const sections: string[] = [];
  const entries: IniEntry[] = [];
  const secrets = new Map<string, IniSecret>();
  const seen = new Set<string>();
  let section: string | undefined;
  let line = 0;
  for (let start = 0; start < bytes.length; ) {
    line += 1;
    const lineEnd = bytes.indexOf(0x0a, start);
    const span = trimmed(bytes, start, lineEnd === -1 ? bytes.length : lineEnd);
    start = lineEnd === -1 ? bytes.length : lineEnd + 1;
    const at = `line ${line}`;
    if (span.end - span.start > maxLineBytes) throw invalid(name, `${at} is longer than ${maxLineBytes} bytes`);
    const first = bytes[span.start];
    if (span.start === span.end || first === 0x3b || first === 0x23) continue;
    if (first === 0x5b) {
      section = /^\[([A-Za-z0-9_]{1,64})\]$/.exec(text(bytes, span, name, at))?.[1];
      if (section === undefined) throw invalid(name, `${at} is not a [section]`);
      if (sections.includes(section)) throw invalid(name, `${at}: the section [${section}] stands twice`);
      sections.push(section);
      continue;
    }
    const equals = bytes.subarray(span.start, span.end).indexOf(0x3d);
    // The text of such a line may be a secret that lost its key: it is not shown.
    if (equals === -1) throw invalid(name, `${at} is neither [section], key = value, nor a comment`);
    const key = text(bytes, trimmed(bytes, span.start, span.start + equals), name, at);
    if (!/^[A-Za-z0-9_.]{1,64}$/.test(key)) throw invalid(name, `${at} has a malformed key`);
    if (section === undefined) throw invalid(name, `${at}: ${key} stands before the first [section]`);
    const path = `${section}.${key}`;
    if (seen.has(path)) throw invalid(name, `${at}: ${key} stands twice in [${section}]`);
    seen.add(path);
    const valueSpan = trimmed(bytes, span.start + equals + 1, span.end);
    if (secretKeys.includes(path)) secrets.set(path, valueSpan);
    else entries.push({ section, key, value: text(bytes, valueSpan, name, at), line });
  }
  return { sections, entries, secrets };
}

function trimmed(bytes: Buffer, start: number, end: number): IniSecret {
  let [from, to] = [start, end];
  while (from < to && space.test(String.fromCharCode(bytes[from] ?? 0))) from += 1;
  while (to > from && space.test(String.fromCharCode(bytes[to - 1] ?? 0))) to -= 1;
  return { start: from, end: to };
}

function text(bytes: Buffer, { start, end }: IniSecret, name: string, at: string): string {
  let decoded: string;
  try {
    decoded = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes.subarray(start, end));
  } catch {
    throw invalid(name, `${at} is not UTF-8`);
  }
  if (/\p{Cc}/u.test(decoded)) throw invalid(name, `${at} has a control character`);
  return decoded;
}

function invalid(name: string, what: string): ChainBuildError {
  return new ChainBuildError("CONFIG_INVALID", `${name} ${what}`);
}
