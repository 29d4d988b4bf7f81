/** Programs beside strongroom that a person would run, and waiting for what they bring about. */
import { execFile } from "node:child_process";
import { setTimeout as pause } from "node:timers/promises";
import type { Stage } from "../stage.ts";

export interface Ran {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end in `folder`, and shows its line on a stage. */
export function run(
  stage: Stage | undefined,
  folder: string,
  line: readonly string[],
  program = line[0] ?? "",
): Promise<Ran> {
  stage?.command(line.map((word) => word.replaceAll(`${folder}/`, "")).join(" "));
  const options = { cwd: folder, encoding: "utf8", timeout: 180_000 } as const;
  return new Promise((resolve) =>
    execFile(program, line.slice(1), options, (error, stdout, stderr) =>
      resolve({ exitCode: error === null ? 0 : Number(error.code ?? 255), stdout, stderr }),
    ),
  );
}

/** Waits for `met` to answer with something; an error of it counts as not yet. @throws {Error} After `patienceMs`. */
export async function until<T>(
  what: string,
  met: () => Promise<T | false | undefined> | T | false | undefined,
  patienceMs = 90_000,
): Promise<T> {
  const latest = performance.now() + patienceMs;
  for (;;) {
    let last: unknown;
    try {
      const answer = await met();
      if (answer !== false && answer !== undefined) return answer;
    } catch (error) {
      last = error;
    }
    if (performance.now() > latest)
      throw new Error(
        `this did not come true: ${what}${last === undefined ? "" : ` (${last instanceof Error ? last.message : String(last)})`}`,
      );
    await pause(200);
  }
}
