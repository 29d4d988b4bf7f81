/**
 * Chaincode keys: what an enclave costs to be created, registered, exported to and to import, and how that grows; what its
 * process costs to start; ERCC in Fabric's chaincode runtime; asymmetric operations apart.
 *
 *   node bench/fpc.ts [--enclaves N] [--starts N] [--transactions N] [--in-flight N] [--rounds N]
 *                     [--only enclaves|start|runtime|primitives]
 *
 * Enclaves run in the bench's own process in place of one each, one at a time beside the one that exports to all: so the
 * processor time is of everything, of enclaves, their host, the operator, the registry and all three organisations' peers. What
 * starting a process for each costs, before it is asked anything, is printed apart. Asymmetric operations are counted, with their
 * processor time, where they are called. Runs with the flags that bin/strongroom starts Node with. Ends with 1 where a target is
 * missed.
 */
import "./fpc/asymmetric.ts";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { measurePrimitives } from "./fpc/primitives.ts";
import { provision } from "./fpc/provisioning.ts";
import { measureRuntime } from "./fpc/runtime.ts";
import { measureStartUp } from "./fpc/start-up.ts";
import { printEnclaves } from "./fpc/table.ts";

const flags = ["--min-semi-space-size=16", "--max-semi-space-size=16"];
if (!flags.every((flag) => process.execArgv.includes(flag))) {
  const [program = "", script = "", ...args] = process.argv;
  const again = spawnSync(program, [...process.execArgv, ...flags, script, ...args], { stdio: "inherit" });
  process.exit(again.status ?? 1);
}

const { values } = parseArgs({
  options: {
    enclaves: { type: "string", default: "100" },
    starts: { type: "string", default: "6" },
    transactions: { type: "string", default: "2000" },
    "in-flight": { type: "string", default: "16" },
    rounds: { type: "string", default: "15" },
    only: { type: "string" },
  },
});
const asked = (part: "enclaves" | "start" | "runtime" | "primitives") =>
  values.only === undefined || values.only === part;
const ms = (value: number) => value.toFixed(2).padStart(9);

if (asked("primitives")) {
  console.log("asymmetric operations, ms of processor time, median");
  for (const [name, each] of Object.entries(await measurePrimitives(Number(values.rounds))))
    console.log(`  ${ms(each)}  ${name}`);
}
const folder = mkdtempSync(join(tmpdir(), "strongroom-bench-"));
try {
  if (asked("start")) {
    console.log("\nthe start of an enclave's process, ms of processor time");
    for (const { loadedMs, measuredMs } of await measureStartUp(join(folder, "start"), Number(values.starts)))
      console.log(
        `  ${ms(loadedMs)}  until its modules are loaded, ${ms(measuredMs)}  to measure its code and open its platform`,
      );
  }
  if (asked("enclaves")) {
    const { generated, enclaves } = await provision(join(folder, "enclaves"), Number(values.enclaves));
    console.log(`\nthe first keys: ${ms(generated.wallMs)} ms, ${ms(generated.cpuMs)} ms of processor time`);
    if (!printEnclaves(enclaves)) process.exitCode = 1;
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
if (asked("runtime")) {
  console.log(`\nERCC in fabric-shim, evaluated by one organisation, ${values["in-flight"]} in flight`);
  const rates = await measureRuntime(Number(values.transactions), Number(values["in-flight"]));
  for (const [name, { perSecond }] of Object.entries(rates))
    console.log(`  ${perSecond.toFixed(0).padStart(6)}/s  ${name}`);
}
