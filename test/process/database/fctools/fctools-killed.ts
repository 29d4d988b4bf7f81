/** `fctools` that kills itself, as kill -9 does, before the change of the key table's files of the number KILLED_AT. */
import { runDropIn } from "../../../../src/cli/drop-in.ts";
import { runFctools } from "../../../../src/cli/fctools/fctools.ts";
import { InstanceTable } from "../../../../src/database/gm/instance-table.ts";
import { nodeTableSystem, type TableSystem } from "../../../../src/volume/sealfs/keys/table-system.ts";

const killedAt = Number(process.env.KILLED_AT ?? 0);
let changes = 0;

function counted<Rest extends readonly unknown[], T>(call: (...args: Rest) => T): (...args: Rest) => T {
  return (...args) => {
    changes += 1;
    if (changes === killedAt) process.kill(process.pid, "SIGKILL");
    return call(...args);
  };
}

const { write, truncate, sync, rename, remove, syncFolder } = nodeTableSystem;
const system: TableSystem = {
  ...nodeTableSystem,
  write: counted(write),
  truncate: counted(truncate),
  sync: counted(sync),
  rename: counted(rename),
  remove: counted(remove),
  syncFolder: counted(syncFolder),
};

await runDropIn("fctools", async (args, tell) => {
  await runFctools(args, tell, [(path, opener) => InstanceTable.open(path, opener, system)]);
  tell(`changes: ${changes}`);
});
