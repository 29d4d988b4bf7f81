import {
  closeSync,
  constants,
  createReadStream,
  existsSync,
  fsyncSync,
  openSync,
  renameSync,
  rmSync,
  write,
} from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { promisify } from "node:util";
import { syncFolder } from "../../files/durable-file.ts";
import type { ExportSink } from "../../volume/transfer/export-stream.ts";
import { exportVolume, type VolumeTransfer } from "../../volume/transfer/export-volume.ts";
import { importVolume } from "../../volume/transfer/import-volume.ts";
import { CommandFailure, exitCodes } from "../failure.ts";
import { type OutputOptions, printData, tell } from "../output.ts";
import { withDataKey } from "./seal.ts";
import { volumeOf } from "./volume.ts";

const writeSome = promisify(write);
const progressEveryMs = 5000;
const readBytes = 256 * 1024;

/** Writes the export to a file that has its name only when it is whole, or to standard output. */
export async function runExport(where: string, file: string, options: OutputOptions): Promise<void> {
  const toStandardOutput = file === "-";
  if (toStandardOutput && process.stdout.isTTY)
    throw new CommandFailure(exitCodes.usage, "an export is bytes, not text; name a file, or send it into a pipe");
  const target = resolve(file);
  if (!toStandardOutput && existsSync(target))
    throw new CommandFailure(exitCodes.other, `${target} exists already; choose another name`);
  await withDataKey(
    where,
    async (loaded, dataKey) => {
      const { place } = await volumeOf(loaded);
      if (toStandardOutput) {
        const done = await exportVolume(place, dataKey, withProgress(intoDescriptor(1)));
        tell(summaryOf("exported", done));
        return;
      }
      const done = await intoFile(target, (sink) => exportVolume(place, dataKey, withProgress(sink)));
      printData(options, { ...done, file: target }, () => `${summaryOf("exported", done)} to ${target}`);
    },
    { make: false },
  );
}

/** Makes the volume that the manifest names of an export. */
export async function runImport(
  where: string,
  file: string,
  options: OutputOptions & { readonly own?: true },
): Promise<void> {
  await withDataKey(
    where,
    async (loaded, dataKey) => {
      const { driver, place } = await volumeOf(loaded);
      const done = await importVolume(place, dataKey, file === "-" ? process.stdin : readable(resolve(file)), {
        kind: driver.kind,
        owners: options.own === true ? "mine" : "keep",
      });
      printData(options, { ...done, folder: place.folder }, () => `${summaryOf("imported", done)} to ${place.folder}`);
    },
    { make: false },
  );
}

/** A file that is cut by a full disk or a kill keeps its temporary name, and a refused one is removed. */
async function intoFile<T>(target: string, use: (sink: ExportSink) => Promise<T>): Promise<T> {
  const temporary = `${target}.partial`;
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  rmSync(temporary, { force: true });
  const fd = newFile(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW);
  try {
    const done = await use(intoDescriptor(fd));
    fsyncSync(fd);
    if (existsSync(target))
      throw new CommandFailure(exitCodes.other, `${target} was made meanwhile; choose another name`);
    renameSync(temporary, target);
    syncFolder(dirname(target));
    return done;
  } catch (error) {
    rmSync(temporary, { force: true });
    throw asFailure(error, basename(target));
  } finally {
    closeSync(fd);
  }
}

function newFile(path: string, flags: number): number {
  try {
    return openSync(path, flags, 0o600);
  } catch (error) {
    throw new CommandFailure(exitCodes.usage, `${path} cannot be made: ${(error as NodeJS.ErrnoException).code}`);
  }
}

function intoDescriptor(fd: number): ExportSink {
  return async (bytes) => {
    for (let at = 0; at < bytes.length; ) {
      try {
        at += (await writeSome(fd, bytes, at)).bytesWritten;
      } catch (error) {
        // A pipe that was made not to wait, by whoever shares it.
        if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
        await new Promise((retry) => setTimeout(retry, 10));
      }
    }
  };
}

function withProgress(sink: ExportSink): ExportSink {
  let written = 0;
  let toldAtMs = performance.now();
  return async (bytes) => {
    await sink(bytes);
    written += bytes.length;
    if (performance.now() - toldAtMs < progressEveryMs) return;
    toldAtMs = performance.now();
    tell(`${Math.round(written / 1e6)} MB written`);
  };
}

function readable(path: string): AsyncIterable<Buffer> {
  try {
    const fd = openSync(path, constants.O_RDONLY);
    return createReadStream(path, { fd, highWaterMark: readBytes });
  } catch (error) {
    throw new CommandFailure(exitCodes.usage, `${path} cannot be read: ${(error as NodeJS.ErrnoException).code}`);
  }
}

function asFailure(error: unknown, name: string): unknown {
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (syscall !== "write" && syscall !== "fsync") return error;
  const why = code === "ENOSPC" || code === "EDQUOT" ? "the disk is full" : `it could not be written (${code})`;
  return new CommandFailure(exitCodes.other, `${name}: ${why}; nothing of it is left`);
}

function summaryOf(verb: string, { description, entries, contentBytes }: VolumeTransfer): string {
  return `${description.kind} volume ${description.volumeId} ${verb}: ${entries} entries, ${contentBytes} bytes`;
}
