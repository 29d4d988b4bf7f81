/** Searches files for bytes that must not be there: canaries, private keys, data keys. */
import { lstatSync, readdirSync, readFileSync, type Stats } from "node:fs";
import { join } from "node:path";

/** Something to search for, in every way it may have been written. */
export interface Planted {
  /** Says what was found; never the bytes. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

export interface Found {
  readonly name: string;
  readonly path: string;
  /** How it was written there. */
  readonly form: "raw" | "hex" | "base64";
}

export interface SearchResult {
  readonly files: number;
  readonly bytes: number;
  readonly found: readonly Found[];
}

/**
 * Reads every regular file under `folders` whole and looks for each planted value: raw, as hexadecimal in either case,
 * and as base64 at any of the three alignments. Compressed text is found only where the compressor left it whole.
 *
 * @throws {RangeError} For a value under 8 bytes: it could be found by chance.
 */
export function searchFiles(folders: readonly string[], planted: readonly Planted[]): SearchResult {
  const needles = planted.flatMap(({ name, bytes }) => {
    if (bytes.length < 8) throw new RangeError(`${name}: only ${bytes.length} bytes to search for`);
    return formsOf(bytes).map(([form, needle]) => ({ name, form, needle }));
  });
  let files = 0;
  let bytes = 0;
  const found: Found[] = [];
  for (const path of folders.flatMap((folder) => regularFiles(folder, lstatSync(folder)))) {
    const content = unlessGone(() => readFileSync(path));
    if (content === undefined) continue;
    files += 1;
    bytes += content.length;
    for (const { name, form, needle } of needles) if (content.includes(needle)) found.push({ name, path, form });
  }
  return { files, bytes, found };
}

function formsOf(bytes: Uint8Array): [Found["form"], Buffer][] {
  const raw = Buffer.from(bytes);
  const hex = raw.toString("hex");
  const base64 = [0, 1, 2].map((shift): [Found["form"], Buffer] => {
    const encoded = Buffer.concat([Buffer.alloc(shift), raw])
      .toString("base64")
      .replace(/=+$/, "");
    // The first characters hold bits of what stands before, the last one of what follows.
    return ["base64", Buffer.from(encoded.slice([0, 2, 3][shift], -1))];
  });
  return [["raw", raw], ["hex", Buffer.from(hex)], ["hex", Buffer.from(hex.toUpperCase())], ...base64];
}

/** Links are not followed. */
function regularFiles(path: string, status: Stats | undefined): string[] {
  if (status?.isDirectory() === true)
    return (unlessGone(() => readdirSync(path)) ?? []).flatMap((name) => {
      const inside = join(path, name);
      return regularFiles(inside, lstatSync(inside, { throwIfNoEntry: false }));
    });
  return status?.isFile() === true ? [path] : [];
}

/** Undefined for what a running program removed after it was listed. */
function unlessGone<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}
