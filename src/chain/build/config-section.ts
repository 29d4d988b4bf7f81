import { ChainBuildError } from "./errors.ts";
import type { Ini, IniEntry } from "./ini.ts";

/** Keys that a file may have; `unused` ones are read by FISCO BCOS and have no effect on the reference node. */
export interface KnownKeys {
  readonly used: readonly string[];
  readonly unused: readonly string[] | "any";
}

/** Reads the entries of an ini file with their types; every refusal names file, section, key and line. */
export class ConfigSections {
  readonly #name: string;
  readonly #entries: ReadonlyMap<string, IniEntry>;
  /** `section.key` of entries that have no effect on the reference node. */
  readonly unused: readonly string[];

  /**
   * @param name - The file, for messages.
   * @throws {ChainBuildError} `CONFIG_INVALID` for a section or key that is not in `known`.
   */
  constructor(ini: Ini, name: string, known: Readonly<Record<string, KnownKeys>>) {
    this.#name = name;
    const unused: string[] = [];
    for (const section of ini.sections)
      if (!Object.hasOwn(known, section)) throw invalid(`${name}: no section [${section}] is known`);
    for (const { section, key, line } of ini.entries) {
      const keys = known[section];
      if (keys?.used.some((each) => matches(each, key))) continue;
      if (keys === undefined || (keys.unused !== "any" && !keys.unused.includes(key)))
        throw invalid(`${name} line ${line}: [${section}] has no key ${key}`);
      unused.push(`${section}.${key}`);
    }
    this.unused = unused;
    this.#entries = new Map(ini.entries.map((entry) => [`${entry.section}.${entry.key}`, entry]));
  }

  /** The value, or undefined where it is absent or empty. */
  text(path: string): string | undefined {
    const value = this.#entries.get(path)?.value;
    return value === "" ? undefined : value;
  }

  required(path: string): string {
    const value = this.text(path);
    if (value === undefined) throw invalid(`${this.#name}: ${shownPath(path)} is missing`);
    return value;
  }

  flag(path: string, whenAbsent: boolean): boolean {
    const value = this.text(path) ?? String(whenAbsent);
    if (value !== "true" && value !== "false") throw this.refuse(path, "takes true or false");
    return value === "true";
  }

  /** A whole number in decimal. */
  number(path: string, least: number, most: number, whenAbsent?: number): number {
    const value = whenAbsent === undefined ? this.required(path) : (this.text(path) ?? String(whenAbsent));
    const number = /^(?:0|[1-9]\d{0,14})$/.test(value) ? Number(value) : Number.NaN;
    if (!(number >= least && number <= most)) throw this.refuse(path, `takes a whole number from ${least} to ${most}`);
    return number;
  }

  /** The entries `prefix.0`, `prefix.1`, … in the order of the file. */
  numbered(section: string, prefix: string): readonly IniEntry[] {
    return [...this.#entries.values()].filter(
      (entry) => entry.section === section && matches(`${prefix}.N`, entry.key),
    );
  }

  all(section: string): Readonly<Record<string, string>> {
    return Object.fromEntries(
      [...this.#entries.values()].filter((entry) => entry.section === section).map(({ key, value }) => [key, value]),
    );
  }

  refuse(path: string, why: string): ChainBuildError {
    const line = this.#entries.get(path)?.line;
    return invalid(`${this.#name}${line === undefined ? "" : ` line ${line}`}: ${shownPath(path)} ${why}`);
  }
}

/** `crl.N` stands for `crl.0`, `crl.1`, …; `*` for every key. */
function matches(known: string, key: string): boolean {
  if (known === "*" || known === key) return true;
  return known.endsWith(".N") && key.startsWith(known.slice(0, -1)) && /^\d{1,5}$/.test(key.slice(known.length - 1));
}

function shownPath(path: string): string {
  const [section, key] = path.split(/\.(.*)/s);
  return `[${section}] ${key}`;
}

function invalid(message: string): ChainBuildError {
  return new ChainBuildError("CONFIG_INVALID", message);
}
