import { existsSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { syncFolder, writeDurably } from "../files/durable-file.ts";
import { NodeError } from "./errors.ts";

export type Direction = "to-volume" | "to-plain";

/** `copying`: the original is whole and in force. `removing`: the copy is proven and in force, the original goes. */
export interface Conversion {
  readonly direction: Direction;
  /** The plain data folder, absolute. */
  readonly folder: string;
  readonly phase: "copying" | "removing";
  /** Of what was compared; with phase `removing`. */
  readonly digest?: string;
}

const fileName = "conversion.json";
const maxBytes = 16_384;

/** The journal of the one conversion that may be under way for a node, beside its manifest. */
export class ConversionJournal {
  readonly #file: string;
  readonly #folder: string;

  constructor(nodeFolder: string) {
    this.#folder = nodeFolder;
    this.#file = join(nodeFolder, fileName);
  }

  /** @throws {NodeError} `CONVERSION_STATE` when the journal is not readable as one. */
  read(): Conversion | undefined {
    if (!existsSync(this.#file)) return undefined;
    try {
      if (statSync(this.#file).size > maxBytes) throw new Error("too large");
      const value = JSON.parse(readFileSync(this.#file, "utf8")) as Record<string, unknown>;
      const { direction, folder, phase, digest } = value;
      if (
        (direction === "to-volume" || direction === "to-plain") &&
        typeof folder === "string" &&
        (phase === "copying" || phase === "removing") &&
        (digest === undefined || typeof digest === "string")
      )
        return { direction, folder, phase, ...(digest === undefined ? {} : { digest }) };
    } catch (cause) {
      throw new NodeError("CONVERSION_STATE", `${this.#file} cannot be read as a conversion's journal`, { cause });
    }
    throw new NodeError("CONVERSION_STATE", `${this.#file} is not a conversion's journal`);
  }

  write(conversion: Conversion): void {
    writeDurably(this.#file, Buffer.from(`${JSON.stringify(conversion)}\n`));
  }

  end(): void {
    rmSync(this.#file, { force: true });
    syncFolder(this.#folder);
  }
}
