import { appendFile, rename } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { withoutNames } from "./without-names.ts";

const mostLogBytes = 16 * 1024 * 1024;
const keptCharacters = 8192;
const waitingBytes = 4 * 1024 * 1024;
const logName = "influxd.log";

/**
 * Keeps what influxd prints in a file on the volume, and its end in memory. The file is replaced when it has 16 MiB; one older
 * is kept. Never makes influxd or its starter wait for the volume: lines that come faster than they can be written are counted.
 */
export class OutputLog {
  readonly #file: string;
  #tail = "";
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #droppedBytes = 0;
  #fileBytes = mostLogBytes;
  #writing: Promise<void> | undefined;

  /** @param folder - On the volume. */
  constructor(folder: string) {
    this.#file = join(folder, logName);
  }

  /** Takes all that the streams give. @returns The first match of a pattern in what came since. */
  follow(streams: readonly (Readable | null)[], pattern: RegExp): Promise<RegExpExecArray> {
    let before = "";
    return new Promise((resolve) => {
      for (const stream of streams)
        stream?.on("data", (chunk: Buffer) => {
          const text = chunk.toString("utf8");
          this.#tail = (this.#tail + text).slice(-keptCharacters);
          before = (before + text).slice(-keptCharacters);
          const match = pattern.exec(before);
          if (match !== null) resolve(match);
          this.#append(chunk);
        });
    });
  }

  /** The last line that tells of an error, else the last line; without names of databases and of what is in them. */
  lastError(): string {
    const lines = this.#tail.split("\n").filter((line) => line.trim() !== "");
    const told = lines.findLast((line) => /lvl=(error|fatal)|^run:|panic|fatal error/.test(line)) ?? lines.at(-1);
    return told === undefined ? "it printed nothing" : withoutNames(told).slice(0, 500);
  }

  /** Waits until all that has come is written. */
  async settle(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
  }

  #append(chunk: Buffer): void {
    if (this.#waitingBytes > waitingBytes) {
      this.#droppedBytes += chunk.length;
      return;
    }
    this.#waiting.push(chunk);
    this.#waitingBytes += chunk.length;
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
    });
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      const dropped = this.#droppedBytes > 0 ? [Buffer.from(`(${this.#droppedBytes} bytes are not logged)\n`)] : [];
      const bytes = Buffer.concat([...this.#waiting, ...dropped]);
      this.#waiting = [];
      this.#waitingBytes = 0;
      this.#droppedBytes = 0;
      try {
        if (this.#fileBytes >= mostLogBytes) {
          await rename(this.#file, `${this.#file}.1`).catch(() => {});
          this.#fileBytes = 0;
        }
        await appendFile(this.#file, bytes, { mode: 0o600 });
        this.#fileBytes += bytes.length;
      } catch {
        // The volume is full or gone: influxd goes on, and what it says is lost.
        this.#droppedBytes += bytes.length;
        return;
      }
    }
  }
}
