import { spawnSync } from "node:child_process";
import { constants } from "node:fs";
import { type FileHandle, mkdir, open, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { type IntelStandIn, sgxQuote } from "./intel.ts";

/**
 * A folder that answers as Gramine's `/dev/attestation` does: `quote` is a named pipe, and whoever reads it gets a quote with
 * what is in `user_report_data` at that time.
 */
export class GramineFolder implements AsyncDisposable {
  readonly folder: string;
  readonly #intel: IntelStandIn;
  readonly #mrEnclave: Buffer;
  #ended = false;
  readonly #serving: Promise<void>;

  private constructor(folder: string, intel: IntelStandIn, mrEnclave: Buffer) {
    this.folder = folder;
    this.#intel = intel;
    this.#mrEnclave = mrEnclave;
    this.#serving = this.#serve();
  }

  static async create(folder: string, intel: IntelStandIn, mrEnclave: Buffer, key: Buffer): Promise<GramineFolder> {
    await mkdir(join(folder, "keys"), { recursive: true });
    await writeFile(join(folder, "attestation_type"), "dcap");
    await writeFile(join(folder, "user_report_data"), Buffer.alloc(64));
    await writeFile(join(folder, "my_target_info"), Buffer.concat([mrEnclave, Buffer.alloc(480)]));
    await writeFile(join(folder, "keys", "_sgx_mrenclave"), key);
    await makePipe(folder);
    return new GramineFolder(folder, intel, mrEnclave);
  }

  async #serve(): Promise<void> {
    while (!this.#ended) {
      const pipe = await this.#openForReader();
      if (pipe === undefined) {
        await wait(5);
        continue;
      }
      // The next reader gets a pipe of its own: this one's is still open while it reads, and must not be served twice.
      await makePipe(this.folder);
      const reportData = await readFile(join(this.folder, "user_report_data"));
      await pipe.writeFile(sgxQuote(this.#intel, reportData, { mrEnclave: this.#mrEnclave }));
      await pipe.close();
    }
  }

  /** Undefined while nobody reads. Not blocking: a blocked opening would hold one of the process's four threads for files. */
  async #openForReader(): Promise<FileHandle | undefined> {
    try {
      return await open(join(this.folder, "quote"), constants.O_WRONLY | constants.O_NONBLOCK);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENXIO") return undefined;
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    await this.#serving;
    // Somebody who still waits to read gets nothing, and does not keep the process.
    await (await this.#openForReader())?.close();
  }
}

async function makePipe(folder: string): Promise<void> {
  const fresh = join(folder, "next-quote");
  const made = spawnSync("mkfifo", ["-m", "600", fresh]);
  if (made.status !== 0) throw new Error(`mkfifo: ${made.stderr.toString()}`);
  await rename(fresh, join(folder, "quote"));
}
