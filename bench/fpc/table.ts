/** What the bench prints of enclaves that were provisioned one after the other, and whether it is as it has to be. */
import type { Counted } from "./asymmetric.ts";
import { type Measured, type Phase, type Provisioned, phases } from "./provisioning.ts";

const targetMs = 50;
/** How much more of its own time the median enclave of the last quarter may take than that of the quarter that took least. */
const mostGrowth = 1.25;

const ms = (value: number) => value.toFixed(2).padStart(9);
const sum = (numbers: readonly number[]) => numbers.reduce((total, each) => total + each, 0);
const mean = (numbers: readonly number[]) => sum(numbers) / numbers.length;
const median = (numbers: readonly number[]) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? 0;
const asymmetricMs = ({ asymmetric }: Counted) => sum([...asymmetric.values()].map(({ cpuUs }) => cpuUs)) / 1000;
const ownMs = (one: Measured) => one.cpuMs - asymmetricMs(one);

/** @returns Whether both targets are met: own time of export and import, and that no enclave costs more than those before it. */
export function printEnclaves(enclaves: readonly Provisioned[]): boolean {
  const quarters = quartersOf(enclaves);
  console.log("per enclave, ms of processor time, median: asymmetric operations + all else");
  console.log(`  ${"enclaves".padEnd(12)}${phases.map((phase) => phase.padStart(22)).join("")}`);
  for (const { name, rows } of quarters) {
    const cell = (phase: Phase) =>
      `${ms(median(rows.map((row) => asymmetricMs(row[phase]))))} +${ms(median(rows.map((row) => ownMs(row[phase]))))}`;
    console.log(`  ${name.padEnd(12)}${phases.map((phase) => cell(phase).padStart(22)).join("")}`);
  }
  console.log("  create: the RSA-3072 pair is generated on another thread, and is in all else");
  printOperations(enclaves);
  const isFast = printTarget(enclaves);
  return printGrowth(quarters) && isFast;
}

interface Quarter {
  readonly name: string;
  readonly rows: readonly Provisioned[];
}

function quartersOf(enclaves: readonly Provisioned[]): readonly Quarter[] {
  const end = (quarter: number) => Math.round((enclaves.length * quarter) / 4);
  return [0, 1, 2, 3].map((quarter) => ({
    name: `${end(quarter) + 1}-${end(quarter + 1)}`,
    rows: enclaves.slice(end(quarter), end(quarter + 1)),
  }));
}

const both = (row: Provisioned) => [row.export, row.import];
const ownOfBoth = (row: Provisioned) => sum(both(row).map(ownMs));

function printOperations(enclaves: readonly Provisioned[]): void {
  console.log("\nexport and import of one enclave, together, ms of processor time");
  const names = new Set(enclaves.flatMap((row) => both(row).flatMap(({ asymmetric }) => [...asymmetric.keys()])));
  for (const name of [...names].sort()) {
    const of = enclaves.flatMap((row) => both(row).map(({ asymmetric }) => asymmetric.get(name)));
    const operations = sum(of.map((one) => one?.operations ?? 0)) / enclaves.length;
    const cpuMs = sum(of.map((one) => one?.cpuUs ?? 0)) / 1000 / enclaves.length;
    console.log(`  ${ms(cpuMs)}  ${operations.toFixed(1)} × ${name}`);
  }
  const asymmetric = mean(enclaves.map((row) => sum(both(row).map(asymmetricMs))));
  const all = mean(enclaves.map((row) => sum(both(row).map(({ cpuMs }) => cpuMs))));
  console.log(
    `  ${ms(asymmetric)}  asymmetric operations, ${((100 * asymmetric) / all).toFixed(0)} % of all; ${ms(all)} in all`,
  );
}

function printTarget(enclaves: readonly Provisioned[]): boolean {
  const own = enclaves.map(ownOfBoth);
  const isMet = median(own) < targetMs;
  console.log(
    `  ${ms(median(own))}  all else, median (mean ${mean(own).toFixed(2)}; target: under ${targetMs}): ${met(isMet)}`,
  );
  return isMet;
}

/** Time is noisy; how many operations and rows an enclave takes is not. */
function printGrowth(quarters: readonly Quarter[]): boolean {
  console.log("\ngrowth with the number of enclaves: the last quarter, over the quarter with least");
  let isLinear = true;
  for (const phase of phases) {
    const growth = (of: (one: Measured) => number) => {
      const each = quarters.map(({ rows }) => median(rows.map((row) => of(row[phase]))));
      const least = Math.min(...each);
      return least === 0 ? 1 : (each.at(-1) ?? 0) / least;
    };
    const operations = growth(({ asymmetric }) => sum([...asymmetric.values()].map((one) => one.operations)));
    const rows = growth(({ rowsRead }) => rowsRead);
    const own = growth(ownMs);
    const isSteady = operations <= mostGrowth && rows <= mostGrowth && (own <= mostGrowth || phase === "create");
    isLinear &&= isSteady;
    const told = `asymmetric operations × ${operations.toFixed(2)}, rows read × ${rows.toFixed(2)}, all else × ${own.toFixed(2)}`;
    console.log(`  ${phase.padEnd(10)}${told}: ${isSteady ? "linear" : "NOT linear"}`);
  }
  console.log(
    `  at most × ${mostGrowth} (of create, whose pairs take as long as primes are sought, its time is not judged): ${met(isLinear)}`,
  );
  return isLinear;
}

function met(isMet: boolean): string {
  return isMet ? "met" : "MISSED";
}
