import { once } from "node:events";
import {
  closeSync,
  createReadStream,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  type ReadStream,
  rmSync,
  writeSync,
} from "node:fs";
import { dirname, resolve } from "node:path";
import { Command } from "commander";
import { CommandFailure, exitCodes } from "../failure.ts";
import { type OutputOptions, printData, tell, withJson } from "../output.ts";
import { type InstanceOptions, withInstanceOptions } from "./instance-options.ts";

type TransferOptions = InstanceOptions & OutputOptions & { readonly own?: boolean };

/** `strongroom db backup`. */
export function backupCommand(): Command {
  return withJson(withInstanceOptions(new Command("backup")))
    .description("write a stopped instance into one file, as ciphertext")
    .argument("<file>", "the new file, or - for standard output")
    .addHelpText(
      "after",
      `
The backup is opened by the master key, its private key and pincode. instance.key is not in it.

Example:
  strongroom db backup --config strongroom.toml /backup/tsdb-2026-11-21.srdb`,
    )
    .action(runBackup);
}

/** `strongroom db restore`. */
export function restoreCommand(): Command {
  return withJson(withInstanceOptions(new Command("restore")))
    .description("make an instance of a backup, in a new or empty folder")
    .argument("<file>", "what strongroom db backup wrote, or - for standard input")
    .option("--own", "all files become yours, instead of those users' whose they were")
    .addHelpText(
      "after",
      `
Example:
  strongroom db restore --config strongroom.toml --data /srv/tsdb /backup/tsdb-2026-11-21.srdb`,
    )
    .action(runRestore);
}

async function runBackup(file: string, options: TransferOptions): Promise<void> {
  const { settingsOf, holderOf, takeEnvironmentPincode } = await import("./instance-options.ts");
  using fromEnvironment = await takeEnvironmentPincode();
  const [{ instancePaths }, { keyFileOf }, { backUpInstance }] = await Promise.all([
    import("../../database/instance/instance-folder.ts"),
    import("../../database/instance/settle-key.ts"),
    import("../../database/transfer/backup.ts"),
  ]);
  const settings = settingsOf(options);
  const place = { paths: instancePaths(settings.dataFolder), metadataKey: settings.metadataKey };
  // Ciphertext is copied: where the instance key is in a file, nobody has to be asked for the master key.
  const isKeyThere = existsSync(keyFileOf(place) ?? "");
  await using holder = isKeyThere ? undefined : await holderOf(settings, settings.dataFolder, fromEnvironment);
  const sources = { ...place, holder };
  if (file === "-") {
    await backUpInstance(sources, (bytes) => new Promise((done) => process.stdout.write(bytes, () => done())));
    return;
  }
  const target = new NewFile(resolve(file));
  try {
    const { underMasterKey, entries, contentBytes } = await backUpInstance(sources, async (piece) =>
      target.write(piece),
    );
    target.finish();
    if (!underMasterKey) tell("the instance has no master key: the backup is of use only with a copy of instance.key");
    printData(
      options,
      { file, entries, contentBytes, underMasterKey },
      () => `${file}: ${entries} entries, ${contentBytes} bytes of ciphertext`,
    );
  } catch (error) {
    target.giveUp();
    throw error;
  }
}

async function runRestore(file: string, options: TransferOptions): Promise<void> {
  const { settingsOf, holderOf, takeEnvironmentPincode } = await import("./instance-options.ts");
  using fromEnvironment = await takeEnvironmentPincode();
  const { restoreInstance } = await import("../../database/transfer/restore.ts");
  const settings = settingsOf(options);
  const { dataFolder: folder, metadataKey, encryption } = settings;
  const { entries, contentBytes } = await restoreInstance(file === "-" ? process.stdin : await readable(file), {
    folder,
    metadataKey,
    openHolder: encryption === undefined ? undefined : () => holderOf(settings, folder, fromEnvironment),
    owners: options.own === true ? "mine" : "keep",
  }).catch((error: unknown) => {
    throw isSystemCall(error) ? notWritten(folder, error) : error;
  });
  printData(
    options,
    { folder, entries, contentBytes },
    () => `${folder}: ${entries} entries, ${contentBytes} bytes of ciphertext`,
  );
}

async function readable(file: string): Promise<ReadStream> {
  const stream = createReadStream(file);
  try {
    await once(stream, "open");
    return stream;
  } catch (cause) {
    throw new CommandFailure(exitCodes.usage, `${file} cannot be read: ${(cause as NodeJS.ErrnoException).code}`);
  }
}

/** A file that has its name only once it is whole, and never takes another's place. */
class NewFile {
  readonly #path: string;
  readonly #temporary: string;
  readonly #descriptor: number;

  constructor(path: string) {
    if (existsSync(path))
      throw new CommandFailure(
        exitCodes.usage,
        `${path} is there already`,
        "a backup takes no other file's place: choose a name",
      );
    this.#path = path;
    this.#temporary = `${path}.partial`;
    this.#descriptor = opened(this.#temporary);
  }

  write(bytes: Buffer): void {
    try {
      for (let written = 0; written < bytes.length; ) written += writeSync(this.#descriptor, bytes, written);
    } catch (cause) {
      throw notWritten(this.#path, cause);
    }
  }

  finish(): void {
    fsyncSync(this.#descriptor);
    try {
      linkSync(this.#temporary, this.#path);
    } catch (cause) {
      throw new CommandFailure(
        exitCodes.usage,
        `${this.#path} cannot be made: ${(cause as NodeJS.ErrnoException).code}`,
      );
    }
    const folder = openSync(dirname(this.#path), "r");
    fsyncSync(folder);
    closeSync(folder);
    this.giveUp();
  }

  giveUp(): void {
    rmSync(this.#temporary, { force: true });
    closeSync(this.#descriptor);
  }
}

/** An error of the operating system, which tells of no file by itself. */
function isSystemCall(error: unknown): boolean {
  return error instanceof Error && "syscall" in error;
}

function notWritten(path: string, cause: unknown): CommandFailure {
  const { code } = cause as NodeJS.ErrnoException;
  const hint = code === "ENOSPC" ? "make room there, or choose another place, and run it again" : undefined;
  return new CommandFailure(exitCodes.other, `${path} cannot be written: ${code}`, hint);
}

function opened(path: string): number {
  try {
    return openSync(path, "wx", 0o600);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const left = "it is what an interrupted backup leaves: remove it, if no other is at work";
    throw new CommandFailure(exitCodes.usage, `${path} cannot be made: ${code}`, code === "EEXIST" ? left : undefined);
  }
}
