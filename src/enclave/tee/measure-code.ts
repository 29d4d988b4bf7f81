import { createHash, randomUUID } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { open, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join, relative, sep } from "node:path";
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
  return codeAt(join(import.meta.dirname, "..", ".."), process.execPath, role);
}

/**
 * The same of an installation that may be another one.
 *
 * @param sources - Its folder `src` or `dist`
 * @param program - The Node that runs it
 */
export function codeAt(sources: string, program: string, role: EnclaveRole): EnclaveCode {
  const base = join(sources, "..");
  const folder = relative(base, sources);
  const parts = ["enclave", "crypto", "client", "files"].map((part) => join(folder, part));
  return { base, parts: [...parts, "package.json"], program, role };
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
    // Hundreds of small files: to wait for each would take longer than to read it.
    for (const name of namesOf(code)) {
      add(Buffer.from(name.split(sep).join("/"), "utf8"));
      add(
        createHash("sha256")
          .update(readFileSync(join(code.base, name)))
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

function namesOf({ base, parts }: EnclaveCode): readonly string[] {
  const names: string[] = [];
  for (const part of parts) {
    if (statSync(join(base, part)).isFile()) names.push(part);
    else
      for (const entry of readdirSync(join(base, part), { recursive: true, withFileTypes: true }))
        if (entry.isFile() && /\.(?:ts|js)$/.test(entry.name))
          names.push(relative(base, join(entry.parentPath, entry.name)));
  }
  return names.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

/** What this process has hashed itself, by what names the file as it is. There is one program, Node. */
let hashed: { readonly name: string; readonly hash: Buffer } | undefined;

/** Node is 150 MB. A file that was changed, or another in its place, has another inode or another time of change. */
async function hashOfProgram(path: string, cache: string | undefined): Promise<Buffer> {
  const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
  const name = createHash("sha256").update([path, dev, ino, size, mtimeNs, ctimeNs].join("\0")).digest("hex");
  const file = cache === undefined ? undefined : join(cache, `program-${name}`);
  const known = file === undefined ? undefined : await readFile(file).catch(() => undefined);
  if (known?.length === 32) return known;
  if (hashed?.name !== name) hashed = { name, hash: await hashOfFile(path) };
  const { hash } = hashed;
  if (file === undefined) return hash;
  await keep(file, hash);
  return hash;
}

/** What cannot be kept is made anew the next time. */
async function keep(file: string, hash: Buffer): Promise<void> {
  const partial = `${file}.${randomUUID()}`;
  try {
    await writeFile(partial, hash, { mode: 0o600 });
    await rename(partial, file);
  } catch {
    await rm(partial, { force: true }).catch(() => undefined);
  }
}

async function hashOfFile(path: string): Promise<Buffer> {
  const hash = createHash("sha256");
  const buffer = Buffer.allocUnsafeSlow(1 << 20);
  await using file = await open(path);
  for (;;) {
    const { bytesRead } = await file.read(buffer, 0, buffer.length);
    if (bytesRead === 0) return hash.digest();
    hash.update(buffer.subarray(0, bytesRead));
  }
}
