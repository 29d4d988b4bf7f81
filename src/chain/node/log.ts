import { closeSync, constants, fstatSync, mkdirSync, openSync, readdirSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";

export type LogLevel = "info" | "warning" | "error";

const rank: Readonly<Record<string, number>> = { trace: 0, debug: 0, info: 1, warning: 2, error: 3, fatal: 4 };

/** Where a node writes its lines. Nothing secret may be in `message`. */
export interface Log {
  write(level: LogLevel, message: string): void;
}

export interface LogRotation {
  /** A file that has grown to this is followed by the next. @defaultValue 64 MiB */
  readonly maxFileBytes: number;
  /** How many files stay. @defaultValue 24 */
  readonly keptFiles: number;
}

const defaultRotation: LogRotation = { maxFileBytes: 64 << 20, keptFiles: 24 };
const maxMessageCharacters = 2048;
const fileName = /^log_\d{10}\.\d{2,}\.log$/;

/**
 * Log files as FISCO BCOS names and fills them: `log_YYYYMMDDHH.NN.log`, one for each hour and more when one is full, with
 * lines `level|YYYY-MM-DD HH:MM:SS.microseconds|message` in local time. Files are 0600.
 */
export class LogFiles implements Log, Disposable {
  readonly #folder: string;
  readonly #rotation: LogRotation;
  readonly #least: number;
  readonly #clock: () => number;
  #hour = "";
  #part = 0;
  #file: number | undefined;
  #fileBytes = 0;

  /**
   * @param level - Lines below it are not written: `trace`, `debug`, `info`, `warning`, `error`, `fatal`.
   * @param clock - Unix time in milliseconds, with fractions.
   */
  constructor(
    folder: string,
    rotation: LogRotation = defaultRotation,
    level: string = "info",
    clock: () => number = () => performance.timeOrigin + performance.now(),
  ) {
    this.#folder = folder;
    this.#rotation = rotation;
    this.#least = rank[level] ?? 1;
    this.#clock = clock;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  }

  write(level: LogLevel, message: string): void {
    if ((rank[level] ?? 1) < this.#least) return;
    const time = localTime(this.#clock());
    const line = Buffer.from(`${level}|${time.text}|${oneLine(message)}\n`);
    try {
      const file = this.#fileFor(time.hour, line.length);
      writeSync(file, line);
      this.#fileBytes += line.length;
    } catch {
      // A full disk must not stop the node for the sake of a log line.
    }
  }

  [Symbol.dispose](): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }

  #fileFor(hour: string, lineBytes: number): number {
    if (this.#file !== undefined && hour === this.#hour && this.#fileBytes + lineBytes <= this.#rotation.maxFileBytes)
      return this.#file;
    this.#part = hour === this.#hour ? this.#part + 1 : 0;
    this.#hour = hour;
    this[Symbol.dispose]();
    for (;;) {
      const part = String(this.#part).padStart(2, "0");
      const file = openLogFile(join(this.#folder, `log_${hour}.${part}.log`));
      if (file === undefined) {
        this.#part++;
        continue;
      }
      this.#file = file;
      this.#fileBytes = fstatSync(file).size;
      if (this.#fileBytes + lineBytes <= this.#rotation.maxFileBytes || this.#fileBytes === 0) break;
      // What an earlier run has filled.
      this[Symbol.dispose]();
      this.#part++;
    }
    this.#removeOld();
    return this.#file ?? 2;
  }

  #removeOld(): void {
    const files = readdirSync(this.#folder)
      .filter((name) => fileName.test(name))
      .sort((one, other) => one.slice(4, 14).localeCompare(other.slice(4, 14)) || partOf(one) - partOf(other));
    for (const name of files.slice(0, -this.#rotation.keptFiles)) rmSync(join(this.#folder, name), { force: true });
  }
}

/** Undefined where something else than a file of the log stands: a link is not followed, a pipe is not waited for. */
function openLogFile(path: string): number | undefined {
  try {
    const { O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants;
    const file = openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
    if (fstatSync(file).isFile()) return file;
    closeSync(file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ELOOP" && code !== "ENXIO" && code !== "EISDIR") throw error;
  }
  return undefined;
}

function partOf(name: string): number {
  return Number(name.split(".")[1]);
}

function localTime(unixMs: number): { readonly text: string; readonly hour: string } {
  const date = new Date(unixMs);
  const two = (value: number) => String(value).padStart(2, "0");
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())];
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
  const micros = String(Math.floor((((unixMs % 1000) + 1000) % 1000) * 1000)).padStart(6, "0");
  return { text: `${day.join("-")} ${time}.${micros}`, hour: `${day.join("")}${two(date.getHours())}` };
}

/** What peers and clients say may be in a message: it stays on its line. */
function oneLine(message: string): string {
  const cut = message.length > maxMessageCharacters ? `${message.slice(0, maxMessageCharacters)}…` : message;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is replaced
  return cut.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, "?");
}
