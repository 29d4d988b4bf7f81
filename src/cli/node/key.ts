import { linkSync, lstatSync, unlinkSync } from "node:fs";
import { basename, dirname } from "node:path";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { syncFolder } from "../../files/durable-file.ts";
import { NodeError } from "../../node/errors.ts";
import { overwriteAndRemove, readSecretFile as readKeyFile, replaceFile } from "../../node/file-steps.ts";
import { nodeIdV4 } from "../../node/key-formats/ec-identity.ts";
import { identityLine } from "../../node/key-formats/format.ts";
import { checkKeystoreFileName, keystoreJson, parseKeystore } from "../../node/key-formats/keystore-json.ts";
import type { KeystoreCost } from "../../node/key-formats/keystore-lock.ts";
import { readPasswords } from "../../node/key-formats/password-file.ts";
import { detectKeyFormat, keyFormatByName, keyFormats } from "../../node/key-formats/table.ts";
import { readTesseraKey } from "../../node/key-formats/tessera-key.ts";
import { type OutputOptions, printData, table, tell } from "../output.ts";
import { promptSecret, readSecretFile } from "../unlock-secret.ts";

interface PasswordOptions {
  readonly passwordFile?: string;
  readonly passwordLine: number;
}

interface NewPasswordOptions extends PasswordOptions {
  readonly newPasswordFile?: string;
}

export interface RelockOptions extends NewPasswordOptions {
  readonly variant: "d" | "i" | "id";
  readonly memory: number;
  readonly passes: number;
  readonly lanes: number;
}

/** The largest file that any format reads. */
const maxKeyFileBytes = 65_536;
/** What the file is called between being replaced and being overwritten. */
const asideSuffix = ".strongroom-old";
const paddedNote = "the key is stored in fewer than 32 bytes: GoQuorum pads it, geth refuses it since 2023";

/** Prints what is known of a key file without the node; with a password also what only that proves. */
export async function runInspect(
  file: string,
  options: OutputOptions & PasswordOptions & { format?: string },
): Promise<void> {
  using key = readKeyFile(file, maxKeyFileBytes).secret;
  const format = options.format === undefined ? detectKeyFormat(key).format : keyFormatByName(options.format);
  const claimed = format.readPublicIdentity(key);
  const proven = claimed.algorithm === "locked" && options.passwordFile !== undefined;
  const identity = proven ? await withPassword(options, (password) => format.unlock?.(key, password)) : undefined;
  const known = identity ?? claimed;
  if (format === keystoreJson && known.address !== undefined) checkKeystoreFileName(basename(file), known.address);
  const short = format === keystoreJson && key.expose((bytes) => parseKeystore(bytes).ciphertext.length < 32);
  const shown = {
    file,
    format: format.name,
    owners: format.owners,
    locked: known.algorithm === "locked",
    passwordProven: proven,
    ...known,
    nodeIdV4: nodeIdV4(known),
    note: short ? paddedNote : undefined,
  };
  printData(options, shown, () =>
    table(
      ["", ""],
      Object.entries(shown).flatMap(([name, value]) =>
        value === undefined || value === false ? [] : [[name, Array.isArray(value) ? value.join(", ") : String(value)]],
      ),
    ).trimStart(),
  );
}

/** Prints the table of formats. */
export function runFormats(options: OutputOptions): void {
  const rows = keyFormats.map(({ name, owners, detected, unlock, writtenBy }) => ({
    name,
    detected: detected !== false,
    password: unlock !== undefined,
    owners,
    writtenBy,
  }));
  printData(options, rows, () =>
    table(
      ["FORMAT", "DETECTED", "NODES", "WRITTEN BY"],
      rows.map((row) => [row.name, row.detected ? "yes" : "by name", row.owners.join(" "), row.writtenBy]),
    ),
  );
}

export async function runKeystorePassword(file: string, options: NewPasswordOptions & { light?: true }): Promise<void> {
  const { changeKeystorePassword, openKeystore } = await import("../../node/key-formats/keystore-lock.ts");
  const cost: KeystoreCost = options.light ? "light" : "standard";
  using old = readForChange(file);
  using oldPassword = await passwordOf(options, "Password: ");
  using password = await newPasswordOf(options);
  using changed = await changeKeystorePassword(old, oldPassword, password, cost);
  const { scalar, identity } = await openKeystore(changed, password);
  scalar[Symbol.dispose]();
  replaceAndWipe(file, changed);
  tell(`${file}: the account ${identity.address} is under the new password`);
}

export async function runTesseraRelock(file: string, options: RelockOptions): Promise<void> {
  const { openTesseraKey, relockTesseraKey } = await import("../../node/key-formats/tessera-lock.ts");
  const { variant, memory: memoryKiB, passes, lanes: parallelism } = options;
  using old = readForChange(file);
  const read = readTesseraKey(old);
  if ("secret" in read) read.secret[Symbol.dispose]();
  using password = await newPasswordOf(options);
  // An unlocked key asks for no password: any will do.
  using oldPassword = "lock" in read ? await passwordOf(options, "Password: ") : password.clone();
  using locked = await relockTesseraKey(old, oldPassword, password, { variant, memoryKiB, passes, parallelism });
  const { secret, identity } = await openTesseraKey(locked, password);
  secret[Symbol.dispose]();
  replaceAndWipe(file, locked);
  tell(`${file}: the key ${identityLine(identity)} is locked by the new password`);
}

/** The new file takes the old one's place, and then the old one's bytes are overwritten. */
function replaceAndWipe(file: string, content: SecretBuffer): void {
  const aside = file + asideSuffix;
  linkSync(file, aside);
  syncFolder(dirname(file));
  content.expose((bytes) => replaceFile(file, bytes));
  overwriteAndRemove(aside);
}

/** Reads a key file that is to be replaced, after clearing what a replacement left behind that was killed. */
function readForChange(file: string): SecretBuffer {
  const aside = file + asideSuffix;
  const left = lstatSync(aside, { throwIfNoEntry: false });
  // Killed before the replacement, the second name is of the same file; after it, of the old one.
  if (left !== undefined) {
    if (left.ino === lstatSync(file).ino) unlinkSync(aside);
    else overwriteAndRemove(aside);
  }
  return readKeyFile(file, maxKeyFileBytes).secret;
}

async function withPassword<T>(
  options: PasswordOptions,
  use: (password: SecretBuffer) => Promise<T> | undefined,
): Promise<T | undefined> {
  using password = await passwordOf(options, "Password: ");
  return await use(password);
}

async function newPasswordOf({ newPasswordFile }: NewPasswordOptions): Promise<SecretBuffer> {
  return await passwordOf(
    { ...(newPasswordFile && { passwordFile: newPasswordFile }), passwordLine: 1 },
    "New password: ",
  );
}

const passwordSources = "name a file that holds it (mode 0600), or use a terminal";

/** The asked-for line of a password file (mode 0600 or 0400), or what is typed on the terminal. */
async function passwordOf({ passwordFile, passwordLine }: PasswordOptions, question: string): Promise<SecretBuffer> {
  if (passwordFile === undefined) {
    if (process.stdin.isTTY) return await promptSecret(question, passwordSources);
    throw new NodeError("INPUT_INVALID", "no password was given", { hint: passwordSources });
  }
  using file = readSecretFile(passwordFile);
  const passwords = readPasswords(file);
  const chosen = passwords[passwordLine - 1];
  for (const other of passwords) if (other !== chosen) other[Symbol.dispose]();
  if (chosen !== undefined) return chosen;
  throw new NodeError("INPUT_INVALID", `${passwordFile} has no line ${passwordLine}`);
}
