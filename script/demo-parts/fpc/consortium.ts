/** A trial consortium as its organisations' admins drive it: every step a command, every answer read from what it printed. */
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Commands, Ended } from "../commands.ts";
import { type Planted, type SearchResult, searchFiles } from "../planted-bytes.ts";
import type { Stage } from "../stage.ts";

export const chaincodeId = "auction";

export interface EnclaveRow {
  readonly id: string;
  readonly mspId: string;
  readonly state: string;
  readonly generation?: number;
}

export interface Status {
  readonly activeGeneration?: number;
  readonly mustRotate: boolean;
  readonly enclaves: readonly EnclaveRow[];
}

/** Of what a host has of an enclave, what is public: it stays when the enclave is lost, so that the trace can tell of it. */
const keptOfLost = ["credentials", "journal.jsonl"];

export class DemoConsortium {
  readonly #stage: Stage;
  readonly #commands: Commands;
  readonly #folder: string;
  readonly #organisations: number;

  constructor(stage: Stage, commands: Commands, work: string, organisations: number) {
    this.#stage = stage;
    this.#commands = commands;
    this.#folder = join(work, "fpc-network");
    this.#organisations = organisations;
  }

  /** Runs `strongroom fpc …`, shows what it printed, and expects it to do as it is told. */
  async run(...words: readonly string[]): Promise<string> {
    const { stdout } = await this.#commands.run(["fpc", ...words]);
    for (const line of stdout.trimEnd().split("\n")) this.#stage.say(line);
    return stdout.trimEnd();
  }

  /** As {@link run}, and reads the JSON that it prints in place of showing it. */
  async read<T>(...words: readonly string[]): Promise<T> {
    return JSON.parse((await this.#commands.run(["fpc", ...words, "--json"])).stdout) as T;
  }

  /** A command that must be refused (exit code 3), and say why in words that match. */
  async refused(what: string, why: RegExp, ...words: readonly string[]): Promise<Ended> {
    const ended = await this.#commands.attempt(["fpc", ...words]);
    const said = ended.stderr.trim().split("\n").at(0) ?? "";
    this.#stage.check(
      what,
      ended.exitCode === 3 && why.test(said),
      `exit code ${ended.exitCode}: ${said.replace(/^strongroom: error: /, "")}`,
    );
    return ended;
  }

  status(): Promise<Status> {
    return this.read<Status>("status");
  }

  /** Loses every enclave: sealed blobs and whatever else its host has of it that is not public. How many there were. */
  loseEnclaves(): number {
    const lost = this.#enclaveFolders();
    for (const folder of lost)
      for (const name of readdirSync(folder))
        if (!keptOfLost.includes(name)) rmSync(join(folder, name), { recursive: true });
    return lost.length;
  }

  /** Searches what peers, orderer and the enclaves' hosts have written; the organisations' own keys lie elsewhere. */
  search(planted: readonly Planted[]): SearchResult {
    const ledger = ["peers", "orderer"].map((part) => join(this.#folder, "ledger", part));
    return searchFiles([...ledger, ...this.#enclaveFolders()], planted);
  }

  #enclaveFolders(): readonly string[] {
    return Array.from({ length: this.#organisations }, (_, index) => `Org${index + 1}MSP`).flatMap((mspId) => {
      const folder = join(this.#folder, "organisations", mspId, "enclaves", chaincodeId);
      return readdirSync(folder).map((name) => join(folder, name));
    });
  }
}
