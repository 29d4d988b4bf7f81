import { createHash, randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { pipeline } from "node:stream/promises";
import { EnclaveError } from "../errors.ts";

/** The code that an enclave consists of. */
export interface EnclaveCode {
  /** What names are counted from. */
  readonly base: string;
  /** Folders with all their code (`.ts`, `.js`), and single files, below `base`. */
  readonly parts: readonly string[];
  /** The program that runs it. */
  readonly program: string;
  /** What this code is started as, where one installation has several kinds of enclave. */
  readonly role: string;
}

/** The kinds of enclave of this installation: those of chaincodes, and the ledger's. */
export type EnclaveRole = "chaincode" | "ledger";

/**
 * The code of this installation: what an enclave may import, the list of its packages, and Node itself.
 *
 * @param role - A constant of the program that asks; since that program is measured, its host cannot pick another.
 */
export function ownCode(role: EnclaveRole = "chaincode"): EnclaveCode {
  const sources = join(import.meta.dirname, "..", "..");
  const base = join(sources, "..");
  const folder = relative(base, sources);
  const parts = ["enclave", "crypto", "client"].map((part) => join(folder, part));
  return { base, parts: [...parts, "package.json"], program: process.execPath, role };
}

/**
 * SHA-256 over every file of the code, in the order of their names: for each, its name and its SHA-256, with their lengths
 * before them; last the program's, and the role. A file more, less, renamed or changed is another measurement. Packages come in by the
 * exact versions that `package.json` pins, not by their bytes.
 *
 * @param cache - A folder of the platform where the program's hash is kept; whoever can write there is the platform anyway
 * @returns 64 upper-case hex digits
 * @throws EnclaveError SETTINGS_INVALID: a part cannot be read
 */
export async function measureCode(code: EnclaveCode, cache?: string): Promise<string> {
  const hash = createHash("sha256").update("strongroom/fpc/v1/code-measurement\0");
  const add = (bytes: Uint8Array) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    hash.update(length).update(bytes);
  };
  try {
    for (const name of await namesOf(code)) {
      add(Buffer.from(name.split(sep).join("/"), "utf8"));
      add(
        createHash("sha256")
          .update(await readFile(join(code.base, name)))
          .digest(),
      );
    }
    add(await hashOfProgram(code.program, cache));
    add(Buffer.from(code.role, "utf8"));
  } catch (cause) {
    throw new EnclaveError("SETTINGS_INVALID", `the enclave's code below ${code.base} cannot be read`, { cause });
  }
  return hash.digest("hex").toUpperCase();
}

async function namesOf({ base, parts }: EnclaveCode): Promise<readonly string[]> {
  const names: string[] = [];
  for (const part of parts) {
    if ((await stat(join(base, part))).isFile()) names.push(part);
    else
      for (const entry of await readdir(join(base, part), { recursive: true, withFileTypes: true }))
        if (entry.isFile() && /\.(?:ts|js)$/.test(entry.name))
          names.push(relative(base, join(entry.parentPath, entry.name)));
  }
  return names.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

/** Node is 150 MB. A file that was changed, or another in its place, has another inode or another time of change. */
async function hashOfProgram(path: string, cache: string | undefined): Promise<Buffer> {
  if (cache === undefined) return await hashOfFile(path);
  const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
  const name = createHash("sha256").update([path, dev, ino, size, mtimeNs, ctimeNs].join("\0")).digest("hex");
  const file = join(cache, `program-${name}`);
  const known = await readFile(file).catch(() => Buffer.alloc(0));
  if (known.length === 32) return known;
  const hash = await hashOfFile(path);
  const partial = `${file}.${randomUUID()}`;
  await writeFile(partial, hash, { mode: 0o600 });
  await rename(partial, file);
  return hash;
}

async function hashOfFile(path: string): Promise<Buffer> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest();
}
