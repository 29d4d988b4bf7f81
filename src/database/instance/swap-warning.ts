import { checkSwap } from "../../volume/swap.ts";
import { type SystemFiles, thisMachine } from "../../volume/system-files.ts";

/** What an operator is told where influxd's memory, which holds points in plain, could come to a disk; undefined where it cannot. */
export function swapWarning(files: SystemFiles = thisMachine): string | undefined {
  const { ok, check, detail, remedy } = checkSwap(files);
  return ok
    ? undefined
    : `warning: ${check}: ${detail}: what influxd reads and writes can lie there in plain; ${remedy}`;
}
