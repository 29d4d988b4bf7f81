/**
 * `fctools` that knows the key table of these tests as well. With KILLED_AT in the environment it kills itself, as kill -9 does, at
 * the step of that number.
 */
import { runDropIn } from "../../../../src/cli/drop-in.ts";
import { runFctools } from "../../../../src/cli/fctools/fctools.ts";
import { RecordFileTable } from "../../../unit/database/gm/record-file-table.ts";

const killedAt = Number(process.env.KILLED_AT ?? 0);
let steps = 0;

function step(): void {
  steps += 1;
  if (steps === killedAt) process.kill(process.pid, "SIGKILL");
}

await runDropIn("fctools", (args, tell) =>
  runFctools(args, tell, [(path, opener) => RecordFileTable.open(path, opener, step)]),
);
