/** Looks for short texts in folders, in every form that a program may have given them. */
import { hash } from "node:crypto";
import { type Dirent, lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { Needles, withoutEmptyPages } from "./needles.ts";
import { packedRuns } from "./packed-runs.ts";

export interface Found {
  /** A file, or the name or target of an entry. */
  readonly where: string;
  /** The name that the text was given to look for. */
  readonly what: string;
  /** As what it lies there: `as it is`, `UTF-16`, `base64`, `hex`, after `unpacked` for what was compressed. */
  readonly as: string;
}

/** What was compressed may hold what was compressed. */
const mostLayers = 3;
/** Base64 of a text depends on what lies before it, and its edges on what lies beside it. */
const base64Shifts = [0, 1, 2];

/** All forms of some texts, and the places where they are found. */
export class CanarySearch {
  readonly #needles: Needles;
  readonly #packed: boolean;
  /** Of contents that were searched through, and hold nothing. */
  readonly #clean = new Set<string>();

  /**
   * @param texts - By the name that a find is told with. At least 8 characters each: a shorter one is found by chance.
   * @param options - `packed`: unpack what looks compressed. @defaultValue `true`
   */
  constructor(texts: ReadonlyMap<string, string>, options: { readonly packed?: boolean } = {}) {
    for (const text of texts.values()) if (text.length < 8) throw new RangeError("a text is too short to look for");
    this.#needles = new Needles(
      [...texts].flatMap(([what, text]) => formsOf(text).map(([as, bytes]) => ({ what, as, bytes }))),
    );
    this.#packed = options.packed ?? true;
  }

  /**
   * Every file below the folders, the names of entries, and what links lead to.
   *
   * @param except - Folders that are left out, with all below them.
   * @param since - Only files that changed after this time, in milliseconds; names are always looked at.
   */
  inFolders(
    folders: readonly string[],
    options: { readonly except?: readonly string[]; readonly since?: number } = {},
  ): readonly Found[] {
    const { except = [], since = 0 } = options;
    return folders.flatMap((folder) => this.#inFolder(folder, except, since));
  }

  inBytes(bytes: Buffer, where: string): readonly Found[] {
    return this.#inLayer(bytes, where, "", 0);
  }

  #inFolder(folder: string, except: readonly string[], since: number): readonly Found[] {
    return entriesOf(folder).flatMap((entry) => {
      const path = join(folder, entry.name);
      const named = this.#inLayer(Buffer.from(entry.name), `the name ${path}`, "", mostLayers);
      if (except.includes(path)) return named;
      if (entry.isDirectory()) return [...named, ...this.#inFolder(path, except, since)];
      return [...named, ...this.#inEntry(entry, path, since)];
    });
  }

  #inEntry(entry: Dirent, path: string, since: number): readonly Found[] {
    try {
      if (entry.isSymbolicLink())
        return this.#inLayer(Buffer.from(readlinkSync(path)), `the target of ${path}`, "", mostLayers);
      if (!entry.isFile() || lstatSync(path).mtimeMs < since) return [];
      const bytes = readFileSync(path);
      const digest = hash("sha256", bytes);
      if (this.#clean.has(digest)) return [];
      const found = this.inBytes(bytes, path);
      if (found.length === 0) this.#clean.add(digest);
      return found;
    } catch (error) {
      // Others remove files while they are looked at.
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
      throw error;
    }
  }

  #inLayer(bytes: Buffer, where: string, layer: string, depth: number): readonly Found[] {
    const found = this.#needles.in(bytes).map(({ what, as }) => ({ where, what, as: `${layer}${as}` }));
    if (!this.#packed || depth >= mostLayers) return found;
    for (const run of packedRuns(withoutEmptyPages(bytes)))
      found.push(...this.#inLayer(run, where, `${layer}unpacked, `, depth + 1));
    return found;
  }
}

function entriesOf(folder: string): readonly Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return [];
    throw error;
  }
}

function formsOf(text: string): readonly (readonly [string, Buffer])[] {
  const bytes = Buffer.from(text);
  const wide = Buffer.from(text, "utf16le");
  const hex = bytes.toString("hex");
  return [
    ["as it is", bytes],
    ["UTF-16", wide],
    // Without the first zero byte, the little-endian form is the big-endian one: both are looked for by their common part.
    ["UTF-16", Buffer.from(wide).swap16()],
    ["hex", Buffer.from(hex)],
    ["hex", Buffer.from(hex.toUpperCase())],
    ...base64Shifts.flatMap((shift) => {
      const whole = Buffer.concat([Buffer.alloc(shift), bytes])
        .toString("base64")
        .replace(/=+$/, "");
      const inner = whole.slice(shift === 0 ? 0 : shift + 1, (shift + bytes.length) % 3 === 0 ? undefined : -1);
      const forUrls = inner.replaceAll("+", "-").replaceAll("/", "_");
      return [...new Set([inner, forUrls])].map((form) => ["base64", Buffer.from(form)] as const);
    }),
  ];
}
