import type { ChildProcess } from "node:child_process";
import { rowValue } from "../sealfs/databases/row-value.ts";
import type { Writing } from "./engine.ts";

/** An engine of one process. */
interface RunningEngine {
  readonly child: ChildProcess;
  readonly ended: Promise<void>;
}

/** Writes rows, one after another, until the engine, or its file system, has gone. @param put - Resolves once the engine calls the row safe. */
export function writeRows(
  { child, ended }: RunningEngine,
  first: number,
  put: (row: number, value: Buffer) => Promise<unknown>,
): Writing {
  let safe = 0;
  const writer = (async () => {
    try {
      for (let row = first; ; row++) {
        await put(row, rowValue(row));
        safe = row;
      }
    } catch {
      // Gone.
    }
  })();
  return {
    safe: () => safe,
    kill: () => child.kill("SIGKILL"),
    ended: Promise.all([ended, writer]).then(() => {}),
  };
}
