import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  writeSync,
} from "node:fs";
import { dirname, join, resolve, sep } from "node:path";
import { SecretBuffer } from "../crypto/secret-buffer.ts";
import { syncFolder } from "../files/durable-file.ts";
import { CommandFailure, exitCodes } from "./failure.ts";

/** A node's private key file, still in clear, as it was read. */
export interface PlainKeyFile {
  /** Without symbolic links, so that a replacement replaces the file and not a link to it. */
  readonly path: string;
  readonly content: SecretBuffer;
  readonly status: Stats;
}

const maxFileBytes = 256 << 10;
/** A key file's encryption has hundreds of digits; the original script's defect leaves 32. */
const leastEncryptedDigits = 128;

/**
 * Reads a key file that is to be encrypted: PKCS#8 PEM, what FISCO BCOS reads.
 *
 * @throws {CommandFailure} With what the file is instead: empty, encrypted already, SEC1, protected by a passphrase.
 */
export function readPlainKeyFile(givenPath: string): PlainKeyFile {
  const path = realPath(givenPath);
  const file = openSync(path, constants.O_RDONLY);
  try {
    const status = fstatSync(file);
    if (!status.isFile()) throw refused(path, "is not a regular file");
    if (status.size > maxFileBytes) throw refused(path, `is longer than ${maxFileBytes} bytes, which no key file is`);
    const content = SecretBuffer.take(readFileSync(file));
    const reason = content.expose(whyNotPlain);
    if (reason === undefined) return { path, content, status };
    content[Symbol.dispose]();
    throw refused(path, ...reason);
  } finally {
    closeSync(file);
  }
}

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch (cause) {
    throw new CommandFailure(exitCodes.usage, `${path} cannot be read (${(cause as NodeJS.ErrnoException).code})`);
  }
}

/** What is wrong and what to do about it, or undefined for a PKCS#8 PEM. */
function whyNotPlain(content: Buffer): readonly [string, string?] | undefined {
  if (content.length === 0) return ["is empty: there is no key in it", "restore the key from its backup"];
  const has = (label: string) => content.includes(`-----BEGIN ${label}-----`);
  if (has("PRIVATE KEY")) return undefined;
  if (has("EC PRIVATE KEY"))
    return [
      "is a SEC1 key (BEGIN EC PRIVATE KEY), which nodes do not read; it was not changed",
      "convert it first: openssl pkcs8 -topk8 -nocrypt -in FILE -out FILE.pkcs8",
    ];
  if (has("ENCRYPTED PRIVATE KEY"))
    return ["is protected by a passphrase (BEGIN ENCRYPTED PRIVATE KEY), which nodes do not read"];
  const digits = hexDigits(content);
  if (digits === undefined || digits % 32 !== 0)
    return ["is neither a PKCS#8 key (BEGIN PRIVATE KEY) nor an encrypted one"];
  if (digits < leastEncryptedDigits)
    return [
      `holds ${digits} hex digits, too few for a key: an older script has encrypted nothing in its place`,
      "restore the key from its backup (FILE.bak.…)",
    ];
  return ["is encrypted already; it was not changed"];
}

/** How many hex digits the file is made of, white space at its end aside; undefined when it holds anything else. */
function hexDigits(content: Buffer): number | undefined {
  let end = content.length;
  while (end > 0 && (content[end - 1] ?? 0) <= 0x20) end -= 1;
  for (let at = 0; at < end; at++) {
    const byte = content[at] ?? 0;
    const letter = byte | 0x20;
    if (!((byte >= 0x30 && byte <= 0x39) || (letter >= 0x61 && letter <= 0x66))) return undefined;
  }
  return end;
}

function refused(path: string, message: string, hint?: string): CommandFailure {
  return new CommandFailure(exitCodes.other, `${path} ${message}`, hint);
}

/**
 * Keeps a copy of the plain file in `folder` (made with mode 0700), mode 0600, durable on return.
 *
 * @returns Where it is.
 */
export function backUp(file: PlainKeyFile, folder: string): string {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const name = file.path.split(sep).filter(Boolean).join("_").slice(-180);
  const path = join(resolve(folder), `${name}.bak.${Date.now()}`);
  const copy = openSync(path, "wx", 0o600);
  try {
    file.content.expose((bytes) => writeAll(copy, bytes));
    fsyncSync(copy);
  } finally {
    closeSync(copy);
  }
  syncFolder(folder);
  return path;
}

/**
 * Puts `text` in the place of the plain file: a crash at any point leaves the one or the other. Owner and permissions stay,
 * but others lose theirs. Then the old bytes are overwritten where they lay, if no other name leads to them.
 *
 * @returns What could not be done, for the operator.
 */
export function replacePlainFile(file: PlainKeyFile, text: string): readonly string[] {
  const notes: string[] = [];
  const old = openOld(file, notes);
  const temporary = `${file.path}.encrypted-${process.pid}`;
  try {
    writeBeside(temporary, text, file.status);
    renameSync(temporary, file.path);
    syncFolder(dirname(file.path));
    if (old !== undefined) overwrite(old);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  } finally {
    if (old !== undefined) closeSync(old);
  }
  return notes;
}

function writeBeside(path: string, text: string, status: Stats): void {
  const file = openSync(path, "wx", 0o600);
  try {
    writeAll(file, Buffer.from(text));
    if (status.uid !== process.getuid?.() || status.gid !== process.getgid?.())
      fchownSync(file, status.uid, status.gid);
    fchmodSync(file, status.mode & 0o700);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function openOld(file: PlainKeyFile, notes: string[]): number | undefined {
  if (file.status.nlink > 1) {
    notes.push(`${file.path} has ${file.status.nlink - 1} more hard link(s): the plain key is still there`);
    return undefined;
  }
  try {
    return openSync(file.path, constants.O_WRONLY);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    notes.push(`the old bytes of ${file.path} were not overwritten, only unlinked (${code})`);
    return undefined;
  }
}

function overwrite(file: number): void {
  const { size } = fstatSync(file);
  for (let at = 0; at < size; ) at += writeSync(file, Buffer.alloc(size - at), 0, size - at, at);
  fsyncSync(file);
  ftruncateSync(file);
}

function writeAll(file: number, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length; ) written += writeSync(file, bytes, written);
}
