/**
 * Chaincode keys: what an enclave costs to be created, registered, exported to and to import, and how that grows; ERCC in Fabric's
 * chaincode runtime; asymmetric operations apart.
 *
 *   node bench/fpc.ts [--enclaves N] [--transactions N] [--in-flight N] [--rounds N] [--only enclaves|runtime|primitives]
 *
 * Enclaves run in the bench's own process in place of one each, one at a time beside the one that exports to all: so the
 * processor time is of everything, of enclaves, their host, the operator, the registry and all three organisations' peers. What
 * starting a process for each would cost (Node's start, no work of ours) is not in it. Asymmetric operations are counted, with
 * their processor time, where they are called. Rows: the first 10 enclaves, those up to 50, up to 100, and so on.
 */
import "./fpc/asymmetric.ts";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { measurePrimitives } from "./fpc/primitives.ts";
import { type Measured, type Phase, type Provisioned, phases, provision } from "./fpc/provisioning.ts";
import { measureRuntime } from "./fpc/runtime.ts";

const { values } = parseArgs({
  options: {
    enclaves: { type: "string", default: "100" },
    transactions: { type: "string", default: "2000" },
    "in-flight": { type: "string", default: "16" },
    rounds: { type: "string", default: "15" },
    only: { type: "string" },
  },
});
const asked = (part: "enclaves" | "runtime" | "primitives") => values.only === undefined || values.only === part;
const ms = (value: number) => value.toFixed(2).padStart(9);
const sum = (numbers: readonly number[]) => numbers.reduce((total, each) => total + each, 0);
const mean = (numbers: readonly number[]) => sum(numbers) / numbers.length;
const asymmetricMs = ({ asymmetric }: Measured) => sum([...asymmetric.values()].map(({ cpuUs }) => cpuUs)) / 1000;
const middle = (numbers: readonly number[]) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? 0;

if (asked("primitives")) {
  console.log("asymmetric operations, ms of processor time, median");
  for (const [name, each] of Object.entries(await measurePrimitives(Number(values.rounds))))
    console.log(`  ${ms(each)}  ${name}`);
}
if (asked("enclaves")) await enclaves(Number(values.enclaves));
if (asked("runtime")) {
  console.log(`\nERCC in fabric-shim, evaluated by one organisation, ${values["in-flight"]} in flight`);
  const rates = await measureRuntime(Number(values.transactions), Number(values["in-flight"]));
  for (const [name, { perSecond }] of Object.entries(rates))
    console.log(`  ${perSecond.toFixed(0).padStart(6)}/s  ${name}`);
}

async function enclaves(count: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "strongroom-bench-"));
  try {
    const { generated, enclaves: each } = await provision(folder, count);
    console.log(`\nthe first keys: ${ms(generated.wallMs)} ms, ${ms(generated.cpuMs)} ms of processor time`);
    console.log("per enclave, ms of processor time (and by the clock)");
    console.log(`  ${"enclaves".padEnd(12)}${phases.map((phase) => phase.padStart(22)).join("")}`);
    const ends = [10, 50, 100, 200, 500, 1000].filter((end) => end < count).concat(count);
    for (const [index, end] of ends.entries()) {
      const from = ends[index - 1] ?? 0;
      const rows = each.slice(from, end);
      const cell = (phase: Phase) =>
        `${ms(mean(rows.map((row) => row[phase].cpuMs)))} (${ms(mean(rows.map((row) => row[phase].wallMs)))})`;
      console.log(`  ${`${from + 1}-${end}`.padEnd(12)}${phases.map((phase) => cell(phase).padStart(22)).join("")}`);
    }
    ownTime(each);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The figure to keep: export and import together, without the asymmetric operations. */
function ownTime(each: readonly Provisioned[]): void {
  const both = (row: Provisioned) => [row.export, row.import];
  const own = each.map((row) => sum(both(row).map((one) => one.cpuMs - asymmetricMs(one))));
  console.log("\nexport and import of one enclave, together");
  const names = new Set(each.flatMap((row) => both(row).flatMap(({ asymmetric }) => [...asymmetric.keys()])));
  for (const name of [...names].sort()) {
    const of = each.flatMap((row) => both(row).map(({ asymmetric }) => asymmetric.get(name)));
    const operations = sum(of.map((one) => one?.operations ?? 0)) / each.length;
    const cpuMs = sum(of.map((one) => one?.cpuUs ?? 0)) / 1000 / each.length;
    console.log(`  ${ms(cpuMs)} ms  ${operations.toFixed(1)} × ${name}`);
  }
  console.log(`  ${ms(middle(own))} ms  all else (median; mean ${mean(own).toFixed(2)} ms; target: under 50 ms)`);
}
