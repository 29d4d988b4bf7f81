/** What every demo has: a working folder, a stage, commands, and an end that leaves nothing behind. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Commands } from "./commands.ts";
import { Stage } from "./stage.ts";

export interface DemoOptions {
  readonly steps: number;
  /** Of `script/demo`, which chooses this demo. */
  readonly option?: "hsm" | "db" | "fpc";
  readonly usage: string;
  /** Ends what the demo's commands have left running. */
  readonly stop?: () => Promise<void>;
  /** Takes away what lies outside the working folder, once nothing runs any more. */
  readonly clear?: () => void;
}

export class Demo {
  /** The working folder, removed at the end unless it is to be kept. */
  readonly work: string;
  readonly stage: Stage;
  readonly commands: Commands;
  readonly #options: DemoOptions;
  readonly #keeps: boolean;

  /** Reads the command line; `--help` ends the process. SIGINT and SIGTERM leave in good order. */
  constructor(options: DemoOptions) {
    const { values } = parseArgs({
      options: {
        ...(options.option === undefined ? {} : { [options.option]: { type: "boolean" } as const }),
        keep: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    });
    if (values.help) {
      process.stdout.write(`${options.usage}\n  --keep   leave the working folder to look at\n`);
      process.exit(0);
    }
    this.#options = options;
    this.#keeps = values.keep === true;
    this.work = mkdtempSync(join(tmpdir(), "strongroom-demo-"));
    this.stage = new Stage(options.steps);
    this.commands = new Commands(this.stage, this.work);
    process.once("SIGINT", () => void this.#leave(130));
    process.once("SIGTERM", () => void this.#leave(143));
  }

  /** Plays the story and ends the process: 0 when every check holds. */
  async play(story: () => Promise<void>): Promise<never> {
    let holds = false;
    try {
      await story();
      holds = this.stage.end();
    } catch (error) {
      process.stdout.write(`\nThe demo stopped: ${error instanceof Error ? error.message : String(error)}\n`);
    }
    return this.#leave(holds ? 0 : 1);
  }

  async #leave(exitCode: number): Promise<never> {
    await this.#options.stop?.();
    await this.commands.endAll();
    this.#options.clear?.();
    if (this.#keeps) process.stdout.write(`\nThe working folder is ${this.work}\n`);
    else rmSync(this.work, { recursive: true, force: true });
    // A reader that is slow still gets the table at the end.
    await new Promise<void>((resolve) => process.stdout.write("", () => resolve()));
    process.exit(exitCode);
  }
}
